"""Records of items: the clip's clock, sizes and rates, boxes on seconds and on frames."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import orjson

from data_prep.aggregate import aggregate_rows
from data_prep.boxes import FrameBoxes, normalised
from data_prep.convert.audit import Audit
from data_prep.convert.items import Moments, Question, Scene, Target, Text
from data_prep.convert.media import Media, check_record, length_of, media_of, note_half
from data_prep.convert.reasons import Drop, Reason
from data_prep.events import spans_of
from data_prep.record_shape import EVENTS_VERSION, TEMPORAL
from data_prep.records import SCHEMA_VERSION, ObjectTrack, Record, State
from data_prep.seconds import exact_fps, frame_time, length_problem, seconds_of, span_of_frames
from data_prep.validation import quote
from data_prep.video.looks import GRACE_S

SLOWEST, FASTEST = 1e-3, 1e4  # frames a second
LONGEST = 1 << 31  # frames
EMPTY = "boxes of no width or height, left out"
CUT = "events that go on after the video's end, cut there"
OUTSIDE = "boxes inverted or wholly outside the picture, left out"


def text_record(source: str, item: Text, args: argparse.Namespace, audit: Audit) -> Record:
    """Return the record of a caption or question.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    media = media_of(item, args, audit)
    _check_numbers(media)
    clip = seconds = None
    if item.clip is not None:
        clip = list(item.clip)
        if not 0 <= clip[0] < clip[1] <= LONGEST:
            raise Drop(Reason.BAD_SPAN, f"clip {clip}, expected 0 <= start < end")
        seconds = max(1, math.ceil(clip[1] - clip[0]))
        if problem := length_problem(seconds, most=audit.most_seconds):
            raise Drop(Reason.BAD_SPAN, problem)
    record = _record(source, item, item.kind, clip, media.fps, media.size, seconds)
    check_record(record, media, args)
    record["answer"] = _outer_blanks_off(item.answer)
    if item.extra:
        record.update(cast(Record, item.extra))
    return record


def moments_record(source: str, item: Moments, args: argparse.Namespace, audit: Audit) -> Record:
    """Return the record of a sentence of which it is known when it happens, or that it does not.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    media = media_of(item, args, audit)
    _check_numbers(media)
    duration, seconds = length_of(item, media)
    if problem := length_problem(seconds, most=audit.most_seconds):
        raise Drop(Reason.BAD_SPAN, problem)
    spans = spans_of(item.events, seconds)
    if not spans and item.events:
        raise Drop(Reason.BAD_SPAN, f"events {quote(list(item.events))} of a video of {duration:g} s")
    audit.note(CUT, item.id, int(any(end > seconds + GRACE_S for _, end in item.events)))
    record = _record(source, item, item.kind, [0.0, duration], media.fps, media.size, seconds)
    check_record(record, media, args)
    record["schema"], record["label"] = EVENTS_VERSION, item.label
    record.update({"spans": spans, "task": TEMPORAL} if spans else {"no_target": True})
    record.update(cast(Record, item.extra))
    return record


def scene_record(source: str, item: Scene, args: argparse.Namespace, audit: Audit) -> Record:
    """Return the record of all targets of a clip.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    media, fps, clip, seconds = _frame_of(item, 0, args, audit)
    record = _record(source, item, "scene", clip, fps, media.size, seconds)
    check_record(record, media, args)
    tracks: list[ObjectTrack] = []
    for label, boxes in item.tracks.items():
        track, kept = states(boxes, media.sizes_at(boxes.frames), fps, args.aggregation)
        audit.note(OUTSIDE, item.id, len(boxes.frames) - len(kept.frames))
        if track:
            tracks.append({"label": label, "track": track})
    if not tracks:
        raise Drop(Reason.NO_BOX, "no target of the scene has a visible box")
    record["tracks"] = tracks
    return record


def target_record(source: str, item: Target, args: argparse.Namespace, audit: Audit) -> tuple[Record, FrameBoxes]:
    """Return the record of one target, and its boxes on the event's frames in shares of the picture.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    media, fps, clip, seconds = _frame_of(item, item.first_frame, args, audit)
    begin, end = item.begin, item.end
    if not 0 <= begin < end <= item.num_frames:
        raise Drop(Reason.BAD_SPAN, f"frames [{begin}, {end}) of a clip of {item.num_frames}")
    of_event = _of_events(item.boxes.between(begin, end), item.events)
    track, boxes = states(of_event, media.sizes_at(of_event.frames + item.first_frame), fps, args.aggregation)
    if not track:
        raise Drop(Reason.NO_BOX, f"no visible box in frames [{begin}, {end})")
    record = _record(source, item, item.kind, clip, fps, media.size, seconds)
    check_record(record, media, args)
    note_half(item, of_event, media, args, audit)
    audit.note(OUTSIDE, item.id, len(of_event.frames) - len(boxes.frames))
    audit.note(EMPTY, item.id, item.num_empty)
    record["label"], record["span"], record["track"] = item.label, list(span_of_frames(begin, end, fps)), track
    if len(item.events) > 1:
        times = [(float(frame_time(first, fps)), float(frame_time(last, fps))) for first, last in item.events]
        record["schema"], record["span"], record["spans"] = EVENTS_VERSION, None, spans_of(times, seconds)
    record.update(cast(Record, item.extra))
    return record, boxes


def _of_events(boxes: FrameBoxes, events: Sequence[tuple[int, int]]) -> FrameBoxes:
    """Return the boxes on frames of one of several events; all boxes where there is one event."""
    if len(events) < 2:
        return boxes
    kept = np.zeros(len(boxes.frames), bool)
    for begin, end in events:
        kept |= (begin <= boxes.frames) & (boxes.frames < end)
    return FrameBoxes(boxes.frames[kept], boxes.boxes[kept])


def _record(
    source: str,
    item: Target | Scene | Text | Moments,
    kind: str,
    clip: list[float] | None,
    fps: float | None,
    size: tuple[int, int] | None,
    seconds: int | None,
) -> Record:
    """Return the fields that all records have, in their order.

    Raises:
        Drop: nothing is left of the sentence.
    """
    query = _outer_blanks_off(item.query)
    if not query:
        raise Drop(Reason.NO_QUERY, "the sentence is empty")
    return {
        "schema": SCHEMA_VERSION,
        "id": item.id,
        "source": source,
        "split": item.split,
        "kind": kind,
        "video": item.video,
        "clip": clip,
        "fps": fps,
        "width": size[0] if size else None,
        "height": size[1] if size else None,
        "seconds": seconds,
        "query": query,
        "label": None,
        "span": None,
        "track": None,
        "answer": None,
    }


def _outer_blanks_off(text: str) -> str:
    return text.strip() if text.isascii() else text.replace("\xa0", " ").strip()


def _frame_of(
    item: Target | Scene, first: int, args: argparse.Namespace, audit: Audit
) -> tuple[Media, float, list[float], int]:
    """Return the pictures, frame rate, clip and number of seconds of an item that has boxes.

    Raises:
        Drop: one of them is not known, or wrong.
    """
    media = media_of(item, args, audit)
    _check_numbers(media)
    fps = media.fps
    if media.size is None:
        raise Drop(Reason.UNKNOWN_SIZE, "the source states no picture size; give --size WxH or --video_root")
    if fps is None:
        raise Drop(Reason.UNKNOWN_FPS, "the source states no frame rate; give --fps or --video_root")
    if not 0 < item.num_frames <= LONGEST or not 0 <= first <= LONGEST:
        raise Drop(Reason.BAD_SPAN, f"a clip of {item.num_frames} frames from frame {first}")
    clip, seconds = _clock(first, item.num_frames, fps)
    if problem := length_problem(seconds, most=audit.most_seconds):
        raise Drop(Reason.BAD_SPAN, problem)
    return media, fps, clip, seconds


def _check_numbers(media: Media) -> None:
    """Raise a Drop for a size or a rate that no video has."""
    size, fps = media.size, media.fps
    if size is not None and not (0 < size[0] <= 1 << 20 and 0 < size[1] <= 1 << 20):
        raise Drop(Reason.BAD_SIZE, f"{size[0]} x {size[1]} pixels")
    if fps is not None and not SLOWEST <= fps <= FASTEST:
        raise Drop(Reason.BAD_FPS, f"{fps} frames a second")


def _clock(first: int, num_frames: int, fps: float) -> tuple[list[float], int]:
    """Return the clip (seconds of the video) and K of frames at a constant rate, exactly."""
    rate = exact_fps(fps)
    # A quotient of integers is rounded correctly, as that of a fraction is.
    up, down = rate.numerator, rate.denominator
    return [first * down / up, (first + num_frames) * down / up], seconds_of(num_frames, fps)


class _Itself:
    """Stand for boxes as a key: two of them are equal if they hold the same arrays."""

    def __init__(self, boxes: FrameBoxes) -> None:
        self.boxes = boxes

    def __hash__(self) -> int:
        return id(self.boxes.boxes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.boxes is other.boxes


def states(
    boxes: FrameBoxes, size: tuple[int, int] | np.ndarray, fps: float, method: str
) -> tuple[list[State], FrameBoxes]:
    """Return what `_states` computes, once for a target that has a record of its own and is in a scene too."""
    if isinstance(size, np.ndarray):
        return _states(_Itself(boxes), size, fps, method)
    return _states_of_size(_Itself(boxes), size, fps, method)


def _states(
    key: _Itself, size: tuple[int, int] | np.ndarray, fps: float, method: str
) -> tuple[list[State], FrameBoxes]:
    """Return the second-level states of frame boxes in pixels, and the frame boxes, both clipped to the picture.

    Args:
        size: (width, height) of the picture, pixels, or (n, 2): of each box's own.

    Raises:
        Drop: a box is not four finite numbers.
    """
    try:
        shares = normalised(key.boxes, size)
        by_second = aggregate_rows(*shares, fps, method)
    except ValueError as error:
        raise Drop(Reason.BAD_BOX, str(error)) from None
    return [{"second": second, "box": box} for second, box in by_second.items()], shares


_states_of_size = lru_cache(maxsize=32)(_states)  # as many targets as a scene is likely to have


def question_line(source: str, item: Question) -> bytes:
    """Return a line of `<out>.questions.jsonl`, which `data_prep.records.read_questions` reads."""
    line = {"id": item.id, "source": source, "split": item.split, "video": item.video, "query": item.query}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def frame_line(item: Target, fps: float, boxes: FrameBoxes) -> bytes:
    """Return a line of `<out>.frames.jsonl`: the event on frames, for the frame-level protocols."""
    head = {
        "id": item.id,
        "fps": fps,
        "begin": item.begin,
        "end": item.end,
        "num_frames": item.num_frames,
        "first_frame": item.first_frame,
    }
    # All boxes at once, cut apart again, instead of an object a frame.
    shares = orjson.dumps(boxes.boxes.round(6), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
    states = map(b'{"frame":%d,"box":[%b]}'.__mod__, zip(boxes.frames.tolist(), shares, strict=True))
    return b'%b,"boxes":[%b]}\n' % (orjson.dumps(head)[:-1], b",".join(states))
