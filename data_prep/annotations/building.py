"""Turn the objects of annotation files into targets: their video, boxes on its frames, and each sentence's event."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
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
from data_prep.video.numbered import Pictures

LATE = "boxes just after the video's last frame, left out"
CLOSE = "boxes closer in time than the video's frames, of which the last of each frame counts"
SHARES = "objects whose boxes were read as shares of the picture, because no edge is beyond 2 (see --units)"
_NUMBERED = re.compile(r".*-\d+", re.DOTALL)


@dataclass(frozen=True)
class Placed:
    """Hold an object's boxes on the grid of a record.

    Attributes:
        places: (n,) int64, increasing: frames of the record.
        boxes: (n, 4) float64, pixels of the displayed picture.
        of_each_picture: whether they are pixels of each picture of a folder, whatever the others' size.
    """

    places: np.ndarray
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
        sentences = sentences_of(marks, video, record_id, settings)
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


def sentences_of(marks: Marks, video: str, record_id: str, settings: Settings) -> list[Sentence]:
    """Return an object's sentences: from --queries, the attribute, its own field, or a wording about its label.

    Raises:
        Drop: what was asked for is not there.
    """
    args = settings.args
    if settings.table is not None:
        found = settings.table.of(marks, video)
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
    stretch = _stretch(timeline, size)
    if isinstance(boxes, Keyframes):
        frames, corners = Keyframes(**{**vars(boxes), "boxes": boxes.boxes * scale}).at(_axis(marks, timeline))
        places = timeline.grid[frames]
    else:
        places, corners = _of_samples(boxes, timeline, record_id, settings)
        corners = corners * scale
    if not len(places):
        raise Drop(Reason.NO_BOX, "no frame of the video shows it")
    return Placed(places, corners * stretch, of_each)


def _of_samples(
    samples: Samples, timeline: Timeline, record_id: str, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and the boxes of single frames or times, joined where --interpolate asks for it.

    Raises:
        Drop: two boxes are at one frame or time, or one is before the video or far after it.
    """
    positions, boxes = _inside(samples, timeline, record_id, settings)
    order = np.argsort(positions, kind="stable")
    positions, boxes = positions[order], boxes[order]
    if (twice := np.flatnonzero(np.diff(positions) == 0)).size:
        where = f"at {positions[twice[0]]:g} s" if samples.in_seconds else f"on frame {positions[twice[0]]:g}"
        raise Drop(Reason.AMBIGUOUS, f"two boxes {where}; tell objects apart by a label or track")
    if settings.args.interpolate and len(positions):
        frames = timeline.frames_at(positions) if samples.in_seconds else positions.astype(np.int64)
        frames, boxes = _last_of_each(frames, boxes)
        frames, boxes = joined(timeline.times[frames], boxes, settings.args.interpolate).at(timeline.times)
        return timeline.grid[frames], boxes
    # Several times may have one place: a table may have more rows a second than its video has frames.
    places = timeline.places_at(positions) if samples.in_seconds else timeline.grid[positions.astype(np.int64)]
    kept = _last_of_each(places, boxes)
    settings.audit.note(CLOSE, record_id, len(places) - len(kept[0]))
    return kept


def _last_of_each(places: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places, each once, and the last box of each."""
    last = np.append(np.diff(places) > 0, np.ones(min(1, len(places)), bool))
    return places[last], boxes[last]


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


def _inside(samples: Samples, timeline: Timeline, record_id: str, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (seconds, or indices of the video's frames) and boxes that the video reaches to.

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
            positions = _frames_of_pictures(samples.names, timeline.pictures)
        late = positions >= count
        far = positions >= count + GRACE_S * timeline.fps
        end = f"frame {count - 1}"
    if (positions < 0).any() or far.any():
        wrong = positions[(positions < 0) | far][0]
        unit = "s" if samples.in_seconds else "frame"
        hint = "" if samples.in_seconds else " (is --first_frame right, and is it the same video?)"
        raise Drop(Reason.BAD_SPAN, f"a box at {unit} {wrong:g}, but the video ends at {end}{hint}")
    settings.audit.note(LATE, record_id, int(late.sum()))
    return positions[~late], samples.boxes[~late]


def _frames_of_pictures(names: Sequence[str], pictures: Pictures) -> np.ndarray:
    """Return the frame of each picture of a folder: float64 (n,).

    Raises:
        Drop: the folder has no such picture.
    """
    numbers = dict(zip(pictures.files, pictures.frames, strict=True))
    found = [numbers.get(name.rsplit("/", 1)[-1], -1) for name in names]
    if min(found) < 0:
        missing = names[found.index(-1)]
        raise Drop(Reason.MISSING_VIDEO, f"picture {quote(missing)} is not in {pictures.folder}")
    return np.array(found, np.float64)


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
    events = [(int(placed.places[0]), int(placed.places[-1]) + 1)]
    if sentence.events:
        events = _merged(_places_of_event(event, sentence.on_axis, marks, timeline) for event in sentence.events)
    return Target(
        id=name,
        split=settings.args.split,
        kind=_kind_of(sentence),
        video=video,
        query=sentence.text,
        label=_label_of(marks),
        num_frames=timeline.num_frames,
        begin=events[0][0],
        end=events[-1][1],
        boxes=FrameBoxes(placed.places, placed.boxes),
        fps=timeline.fps,
        size=None if placed.of_each_picture else timeline.size,
        events=events,
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


def _places_of_event(event: tuple[float, float], on_axis: bool, marks: Marks, timeline: Timeline) -> tuple[int, int]:
    """Return the places [first, last + 1) of an event on the grid.

    Raises:
        Drop: the video has none of them.
    """
    if not on_axis:
        return timeline.event_of(*event)
    positions = _axis(marks, timeline)
    first, end = np.searchsorted(positions, event)
    if first >= end:
        raise Drop(Reason.BAD_SPAN, f"frames [{event[0]:g}, {event[1]:g}), but the video has {len(positions)}")
    return int(timeline.grid[first]), int(timeline.grid[end - 1]) + 1
