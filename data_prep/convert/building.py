"""Records of items: the clip's clock, sizes and rates, boxes on seconds and on frames."""

from __future__ import annotations

import argparse
import math
from functools import lru_cache
from pathlib import Path
from typing import cast

import orjson

from data_prep.aggregate import aggregate_rows
from data_prep.boxes import FrameBoxes, normalised
from data_prep.convert.items import Scene, Target, Text
from data_prep.convert.reasons import Reason
from data_prep.records import SCHEMA_VERSION, ObjectTrack, Record, RecordError, State, resolve_video
from data_prep.seconds import exact_fps, length_problem, seconds_of, span_of_frames
from data_prep.video.sampling import VideoError, VideoInfo, probe

SLOWEST, FASTEST = 1e-3, 1e4  # frames a second
LONGEST = 1 << 31  # frames


class Drop(Exception):
    """An item cannot become a record, with the reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def text_record(source: str, item: Text, args: argparse.Namespace) -> Record:
    """Return the record of a caption or question.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    size, fps = _size_and_rate(item, args)
    clip = seconds = None
    if item.clip is not None:
        clip = list(item.clip)
        if not 0 <= clip[0] < clip[1] <= LONGEST:
            raise Drop(Reason.BAD_SPAN, f"clip {clip}, expected 0 <= start < end")
        seconds = max(1, math.ceil(clip[1] - clip[0]))
        if problem := length_problem(seconds):
            raise Drop(Reason.BAD_SPAN, problem)
    record = _record(source, item, item.kind, clip, fps, size, seconds)
    record["answer"] = _outer_blanks_off(item.answer)
    if item.extra:
        record.update(cast(Record, item.extra))
    return record


def scene_record(source: str, item: Scene, args: argparse.Namespace) -> Record:
    """Return the record of all targets of a clip.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    size, fps, clip, seconds = _frame_of(item, 0, args)
    record = _record(source, item, "scene", clip, fps, size, seconds)
    tracks: list[ObjectTrack] = []
    for label, boxes in item.tracks.items():
        track, _ = states(boxes, size, fps, args.aggregation)
        if track:
            tracks.append({"label": label, "track": track})
    if not tracks:
        raise Drop(Reason.NO_BOX, "no target of the scene has a visible box")
    record["tracks"] = tracks
    return record


def target_record(source: str, item: Target, args: argparse.Namespace) -> tuple[Record, FrameBoxes]:
    """Return the record of one target, and its boxes on the event's frames in shares of the picture.

    Raises:
        Drop: it cannot become one, with the reason.
    """
    size, fps, clip, seconds = _frame_of(item, item.first_frame, args)
    begin, end = item.begin, item.end
    if not 0 <= begin < end <= item.num_frames:
        raise Drop(Reason.BAD_SPAN, f"frames [{begin}, {end}) of a clip of {item.num_frames}")
    track, boxes = states(item.boxes.between(begin, end), size, fps, args.aggregation)
    if not track:
        raise Drop(Reason.NO_BOX, f"no visible box in frames [{begin}, {end})")
    record = _record(source, item, item.kind, clip, fps, size, seconds)
    record["label"], record["span"], record["track"] = item.label, list(span_of_frames(begin, end, fps)), track
    record.update(cast(Record, item.extra))
    return record, boxes


def _record(
    source: str,
    item: Target | Scene | Text,
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
    item: Target | Scene, first: int, args: argparse.Namespace
) -> tuple[tuple[int, int], float, list[float], int]:
    """Return the size, frame rate, clip and number of seconds of an item that has boxes.

    Raises:
        Drop: one of them is not known, or wrong.
    """
    size, fps = _size_and_rate(item, args)
    if size is None:
        raise Drop(Reason.UNKNOWN_SIZE, "the source states no picture size; give --size WxH or --video_root")
    if fps is None:
        raise Drop(Reason.UNKNOWN_FPS, "the source states no frame rate; give --fps or --video_root")
    if not 0 < item.num_frames <= LONGEST or not 0 <= first <= LONGEST:
        raise Drop(Reason.BAD_SPAN, f"a clip of {item.num_frames} frames from frame {first}")
    clip, seconds = _clock(first, item.num_frames, fps)
    if problem := length_problem(seconds):
        raise Drop(Reason.BAD_SPAN, problem)
    return size, fps, clip, seconds


def _clock(first: int, num_frames: int, fps: float) -> tuple[list[float], int]:
    """Return the clip (seconds of the video) and K of frames at a constant rate, exactly."""
    rate = exact_fps(fps)
    # A quotient of integers is rounded correctly, as that of a fraction is.
    up, down = rate.numerator, rate.denominator
    return [first * down / up, (first + num_frames) * down / up], seconds_of(num_frames, fps)


def states(boxes: FrameBoxes, size: tuple[int, int], fps: float, method: str) -> tuple[list[State], FrameBoxes]:
    """Return the second-level states of frame boxes in pixels, and the frame boxes, both clipped to the picture.

    Raises:
        Drop: a box is not four finite numbers.
    """
    try:
        shares = normalised(boxes, size)
        by_second = aggregate_rows(*shares, fps, method)
    except ValueError as error:
        raise Drop(Reason.BAD_BOX, str(error)) from None
    return [{"second": second, "box": box} for second, box in by_second.items()], shares


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


def _size_and_rate(
    item: Target | Scene | Text, args: argparse.Namespace
) -> tuple[tuple[int, int] | None, float | None]:
    """Return the picture size and frame rate from the source, else the options, else the video, which is checked."""
    size = args.size if item.size is None else item.size
    fps = args.fps if item.fps is None else item.fps
    if size is not None and not (0 < size[0] <= 1 << 20 and 0 < size[1] <= 1 << 20):
        raise Drop(Reason.BAD_SIZE, f"{size[0]} x {size[1]} pixels")
    if fps is not None and not SLOWEST <= fps <= FASTEST:
        raise Drop(Reason.BAD_FPS, f"{fps} frames a second")
    if args.video_root is None:
        return size, fps
    try:
        path = resolve_video(args.video_root, item.video)
    except RecordError as error:
        raise Drop(Reason.BAD_PATH, str(error)) from None
    if path.is_dir():  # a folder of frames: it states no rate, and its first picture the size
        return size or _size_of_frames(path), fps
    if not path.is_file():
        raise Drop(Reason.MISSING_VIDEO, f"{item.video} is not under {args.video_root}")
    if size is None or fps is None:
        info = _probed(path)
        if isinstance(info, VideoError):
            raise Drop(Reason.BAD_VIDEO, str(info))
        size, fps = size or (info.width, info.height), fps or float(info.fps)
    return size, fps


@lru_cache(maxsize=64)
def _probed(path: Path) -> VideoInfo | VideoError:
    """Probe a video once, however many records it has."""
    try:
        return probe(path)
    except VideoError as error:
        return error


@lru_cache(maxsize=64)
def _size_of_frames(folder: Path) -> tuple[int, int] | None:
    from data_prep.video.stills import open_still

    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            try:
                with open_still(path) as picture:
                    return picture.size
            except (OSError, RuntimeError):
                return None
    return None
