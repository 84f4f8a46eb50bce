"""Turn the objects of annotation files into targets: their video, boxes on its frames, and each sentence's event."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.annotations.keyframes import Keyframes, joined
from data_prep.annotations.marks import Marks, Samples, Unit, unit_of
from data_prep.annotations.sentences import Sentence, SentenceTable, of_attribute
from data_prep.annotations.timeline import Timeline, timeline_of
from data_prep.annotations.videos import Videos
from data_prep.boxes import FARTHEST, FrameBoxes
from data_prep.convert.audit import Audit
from data_prep.convert.items import Dropped, Item, Moments, Target
from data_prep.convert.reasons import Drop, Reason
from data_prep.convert.wording import prompt
from data_prep.records import RecordError, resolve_video
from data_prep.validation import quote
from data_prep.video.looks import GRACE_S, fits, look

LATE = "boxes just after the video's last frame, left out"
SHARES = "objects whose boxes were read as shares of the picture, because no edge is beyond 2 (see --units)"
_NUMBERED = re.compile(r".*-\d+", re.DOTALL)


@dataclass(frozen=True)
class Placed:
    """Hold an object's boxes on the frames of its video.

    Attributes:
        frames: (n,) int64, increasing: indices of the video's frames.
        boxes: (n, 4) float64, pixels of the displayed picture.
        of_each_picture: whether they are pixels of each picture of a folder, whatever the others' size.
    """

    frames: np.ndarray
    boxes: np.ndarray
    of_each_picture: bool = False


@dataclass
class Settings:
    """Hold what all objects of one conversion share."""

    args: argparse.Namespace
    videos: Videos
    table: SentenceTable | None
    audit: Audit


def items_of(marks: Marks, record_id: str, settings: Settings) -> Iterator[Item]:
    """Yield a target for each sentence about an object, or why there is none."""
    try:
        if marks.video is None:
            marks.video = settings.args.video
        video = settings.videos.find(marks.video)
        timeline = _timeline(video, settings)
        sentences = sentences_of(marks, record_id, settings)
        placed = None if marks.boxes is None else on_frames(marks, marks.boxes, timeline, record_id, settings)
    except Drop as drop:
        yield Dropped(record_id, drop.reason, str(drop))
        return
    for number, sentence in enumerate(sentences):
        name = record_id if len(sentences) == 1 else f"{record_id}/{number}"
        try:
            if placed is None:
                yield _moments(name, video, marks, sentence, timeline, settings)
            else:
                yield _target(name, video, marks, sentence, timeline, placed, settings)
        except Drop as drop:
            yield Dropped(name, drop.reason, str(drop))


def sentences_of(marks: Marks, record_id: str, settings: Settings) -> list[Sentence]:
    """Return an object's sentences: from --queries, the attribute, its own field, or a wording about its label.

    Raises:
        Drop: what was asked for is not there.
    """
    args = settings.args
    if settings.table is not None:
        found = settings.table.of(marks)
    elif args.query_attribute:
        found = of_attribute(marks, args.query_attribute)
    elif marks.query:
        found = [Sentence(marks.query)]
    elif marks.label:
        found = [Sentence(prompt("tracking", marks.label, record_id, args.seed), kind="tracking")]
    else:
        raise Drop(Reason.NO_QUERY, "neither a sentence nor a label; give --queries or --query_attribute")
    for sentence in found:
        if not sentence.events:
            sentence.events = list(marks.events)
    return found


def on_frames(
    marks: Marks, boxes: Keyframes | Samples, timeline: Timeline, record_id: str, settings: Settings
) -> Placed:
    """Return an object's boxes on the frames of the video that show it.

    Raises:
        Drop: boxes are no numbers, lie past the video's end, or are of another picture.
    """
    if not len(boxes.boxes):
        raise Drop(Reason.NO_BOX, "no box of it in the file")
    if not (np.abs(boxes.boxes) < FARTHEST).all():
        raise Drop(Reason.BAD_BOX, f"a box beyond {FARTHEST:g}")
    unit = unit_of(boxes.boxes, marks.unit)
    if marks.unit is None and unit == "shares":
        settings.audit.note(SHARES, record_id)
    size = _size_of_pixels(marks, timeline, settings)
    scale = _scale(unit, size)
    of_each = unit == "pixels" and marks.size is None and timeline.pictures is not None
    if isinstance(boxes, Keyframes):
        positions = _axis(marks, timeline)
        pixels = Keyframes(**{**vars(boxes), "boxes": boxes.boxes * scale})
    else:
        frames, kept = _frames_of(boxes, timeline, record_id, settings)
        if not len(frames):
            raise Drop(Reason.NO_BOX, "all its boxes are after the video's last frame")
        order = np.argsort(frames, kind="stable")
        frames, corners = frames[order], boxes.boxes[kept][order] * scale
        if (twice := np.flatnonzero(np.diff(frames) == 0)).size:
            frame = int(frames[twice[0]])
            at = f"frame {frame} ({timeline.times[frame]:.3f} s)"
            raise Drop(Reason.AMBIGUOUS, f"two boxes on {at}; tell objects apart by a label or track")
        if not settings.args.interpolate:
            return Placed(frames, corners * _stretch(timeline, size), of_each)
        times = timeline.times[frames]
        positions, pixels = timeline.times, joined(times, corners, settings.args.interpolate)
    frames, corners = pixels.at(positions)
    if not len(frames):
        raise Drop(Reason.NO_BOX, "no frame of the video shows it")
    return Placed(frames, corners * _stretch(timeline, size), of_each)


def _timeline(video: str, settings: Settings) -> Timeline:
    try:
        path = resolve_video(settings.videos.root, video)
    except RecordError as error:
        raise Drop(Reason.BAD_PATH, str(error)) from None
    return timeline_of(path, settings.args.fps)


def _size_of_pixels(marks: Marks, timeline: Timeline, settings: Settings) -> tuple[int, int]:
    """Return the (width, height) of the picture that an object's boxes are of.

    Raises:
        Drop: the file states a picture of another shape than the video's.
    """
    if marks.size is None:
        return timeline.size
    video = settings.videos.find(marks.video)
    width, height = marks.size
    if width <= 0 or height <= 0 or not fits(look(settings.videos.root / video), marks.size):
        shown = "x".join(map(str, timeline.size))
        raise Drop(Reason.OTHER_SIZE, f"{video}: pictures of {shown}, the file states {width}x{height}")
    return marks.size


def _scale(unit: Unit, size: tuple[int, int]) -> np.ndarray:
    """Return what turns edges into pixels: float64 (4,)."""
    sides = np.array(size * 2, np.float64)
    return {"pixels": np.ones(4), "shares": sides, "percent": sides / 100}[unit]


def _stretch(timeline: Timeline, size: tuple[int, int]) -> np.ndarray:
    """Return what turns pixels of the annotated picture into pixels of the displayed one: float64 (4,)."""
    return np.array(timeline.size * 2, np.float64) / np.array(size * 2, np.float64)


def _axis(marks: Marks, timeline: Timeline) -> np.ndarray:
    """Return where each frame of the video stands on the axis of an object's keyframes: float64 (n,)."""
    if marks.rate is None:
        return np.arange(len(timeline.times), dtype=np.float64)
    return np.maximum(np.round(timeline.times * marks.rate), 1)


def _frames_of(
    samples: Samples, timeline: Timeline, record_id: str, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame of each box, and which of the boxes have one.

    Raises:
        Drop: a position is before the video or far after it.
    """
    count = len(timeline.times)
    positions = samples.positions
    if samples.in_seconds:
        late = positions >= timeline.end_s
        far = positions > timeline.end_s + GRACE_S
        end = f"{timeline.end_s:.2f} s"
    else:
        if samples.names is not None and timeline.pictures is not None:
            numbers = dict(zip(timeline.pictures.files, timeline.pictures.frames, strict=True))
            named = [numbers.get(name.rsplit("/", 1)[-1], -1) for name in samples.names]
            if min(named) < 0:
                missing = samples.names[named.index(-1)]
                raise Drop(Reason.MISSING_VIDEO, f"picture {quote(missing)} is not in {timeline.pictures.folder}")
            positions = np.array(named, np.float64)
        late = positions >= count
        far = positions >= count + GRACE_S * timeline.fps
        end = f"frame {count - 1}"
    if (positions < 0).any() or far.any():
        wrong = positions[(positions < 0) | far][0]
        unit = "s" if samples.in_seconds else "frame"
        hint = "" if samples.in_seconds else " (is --first_frame right, and is it the same video?)"
        raise Drop(Reason.BAD_SPAN, f"a box at {unit} {wrong:g}, but the video ends at {end}{hint}")
    settings.audit.note(LATE, record_id, int(late.sum()))
    kept = np.flatnonzero(~late)
    if samples.in_seconds:
        return timeline.frames_at(positions[kept]), kept
    return positions[kept].astype(np.int64), kept


def _target(
    name: str,
    video: str,
    marks: Marks,
    sentence: Sentence,
    timeline: Timeline,
    placed: Placed,
    settings: Settings,
) -> Target:
    """Return the target of one sentence.

    Raises:
        Drop: its event is outside the video.
    """
    events = [(int(placed.frames[0]), int(placed.frames[-1]) + 1)]
    if sentence.events:
        events = _merged(_frames_of_event(event, sentence.on_axis, marks, timeline) for event in sentence.events)
    grid = timeline.grid
    on_grid = [(int(grid[begin]), int(grid[end - 1]) + 1) for begin, end in events]
    return Target(
        id=name,
        split=settings.args.split,
        kind=_kind_of(sentence),
        video=video,
        query=sentence.text,
        label=_label_of(marks),
        num_frames=timeline.num_frames,
        begin=on_grid[0][0],
        end=on_grid[-1][1],
        boxes=FrameBoxes(grid[placed.frames], placed.boxes),
        fps=timeline.fps,
        size=None if placed.of_each_picture else timeline.size,
        events=on_grid,
    )


def _moments(
    name: str, video: str, marks: Marks, sentence: Sentence, timeline: Timeline, settings: Settings
) -> Moments:
    """Return the times of a sentence whose target has no boxes.

    Raises:
        Drop: it has no times either, or they are outside the video.
    """
    if not sentence.events:
        raise Drop(Reason.NO_BOX, "neither a box nor a time of it in the file")
    for event in sentence.events:
        timeline.event_of(*event)
    return Moments(
        id=name,
        split=settings.args.split,
        kind=_kind_of(sentence),
        video=video,
        query=sentence.text,
        events=sentence.events,
        duration=timeline.end_s,
        label=_label_of(marks) if marks.label else None,
        fps=timeline.fps,
        size=timeline.size,
    )


def _kind_of(sentence: Sentence) -> str:
    return sentence.kind or ("interrogative" if sentence.text.endswith("?") else "declarative")


def _label_of(marks: Marks) -> str:
    """Return the target's name in the answer: its label with a number."""
    label = marks.label or "object"
    return label if _NUMBERED.fullmatch(label) else f"{label}-1"


def _merged(events: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return events in order, with those that overlap or touch as one.

    >>> _merged([(8, 9), (1, 3), (3, 5)])
    [(1, 5), (8, 9)]
    """
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(events):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _frames_of_event(event: tuple[float, float], on_axis: bool, marks: Marks, timeline: Timeline) -> tuple[int, int]:
    """Return the frames [first, last + 1) of an event.

    Raises:
        Drop: the video has none of them.
    """
    if not on_axis:
        return timeline.event_of(*event)
    positions = _axis(marks, timeline)
    first, end = np.searchsorted(positions, event)
    if first >= end:
        raise Drop(Reason.BAD_SPAN, f"frames [{event[0]:g}, {event[1]:g}), but the video has {len(positions)}")
    return int(first), int(end)
