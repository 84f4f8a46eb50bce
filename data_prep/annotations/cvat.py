"""Read "CVAT for video 1.1": tracks of shapes on frames, in XML.

CVAT shows a track from its first shape on; between two shapes the box moves in a straight line, `outside` hides it
until the next shape, and the last shape stays until the task's last frame. Frame numbers are those of the video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from data_prep.annotations.keyframes import Keyframes
from data_prep.annotations.marks import Marks, Reading, Unread, numbers
from data_prep.convert.reasons import Drop, Reason
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

BLOCK = 1 << 18  # bytes
DEEPEST = 32
LONGEST_TEXT = 1 << 16  # characters of one element
MOST_SHAPES = 1 << 22  # of one track
POINT_LISTS = ("polygon", "polyline", "points")
SHAPES = ("box", "ellipse", "mask", "cuboid", "skeleton", *POINT_LISTS)
WITHOUT_AREA = ("points", "polyline", "skeleton")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = tuple(f"{axis}{corner}{side}" for side in (1, 2) for corner in ("tl", "bl", "tr", "br") for axis in "xy")


@dataclass
class _Task:
    """Hold what the file says of one task: its video, picture and last frame."""

    source: str | None = None
    size: tuple[int, int] | None = None
    stop: int | None = None


@dataclass
class _Shape:
    frame: int
    box: list[float]
    angle: float
    is_outside: bool
    is_occluded: bool
    attributes: dict[str, str]


@dataclass
class _Track:
    name: str
    label: str
    task: str | None
    shapes: list[_Shape] = field(default_factory=list)
    fault: Drop | None = None


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the file's tracks, one at a time.

    Raises:
        BadFile: it is no CVAT file of a video, or declares entities.
    """
    document = _Document(path, reading)
    parser = expat.ParserCreate()
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    # No export declares a document type; entities, which can fill the memory or name other files, need one.
    parser.StartDoctypeDeclHandler = document.refuse_doctype
    with path.open("rb") as stream:
        try:
            while block := stream.read(BLOCK):
                parser.Parse(block, False)
                yield from document.finished()
            parser.Parse(b"", True)
        except BadFile:
            raise
        except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that is none
            raise BadFile(Reason.MALFORMED, f"{path}: no whole XML ({error})") from None
    yield from document.finished()
    if not document.num_tracks:
        wanted = "expected the export 'CVAT for video 1.1', which has <track> elements"
        found = "images" if document.has_images else "no track"
        raise BadFile(Reason.MALFORMED, f"{path}: {found} in it; {wanted}")


class _Document:
    """Follow the parser through the file: what the tasks are, then a track at a time."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path = path
        self.reading = reading
        self.tasks: dict[str, _Task] = {}
        self.num_tracks = 0
        self.has_images = False
        self._tags: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._task = _Task()
        self._track: _Track | None = None
        self._shape: _Shape | None = None
        self._attribute: str | None = None
        self._finished: list[_Track] = []

    def finished(self) -> Iterator[Marks | Unread]:
        """Yield the tracks that have ended since the last call."""
        tracks, self._finished = self._finished, []
        for track in tracks:
            try:
                yield self._marks(track)
            except Drop as drop:
                yield Unread(track.name, drop.reason, f"{self.path.name} track {track.name}: {drop}")

    def refuse_doctype(self, name: str, *_: object) -> None:
        """Refuse a file that declares a document type."""
        raise BadFile(Reason.MALFORMED, f"{self.path}: a document type ({quote(name)}), which no export of CVAT has")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take the start of an element."""
        self._tags.append(tag)
        self._text, self._length = [], 0
        if len(self._tags) > DEEPEST:
            raise BadFile(Reason.MALFORMED, f"{self.path}: elements nested more than {DEEPEST} deep")
        if len(self._tags) == 1 and tag != "annotations":
            raise BadFile(Reason.MALFORMED, f"{self.path}: XML of {quote(tag)}, expected CVAT's annotations")
        if tag in ("task", "job") and self._tags[1:2] == ["meta"]:
            self._task = _Task()
        elif tag == "track":
            self.num_tracks += 1
            name = attributes.get("id") or str(self.num_tracks)
            self._track = _Track(name, attributes.get("label", ""), attributes.get("task_id"))
        elif tag == "image":
            self.has_images = True
        elif self._track is not None and tag in SHAPES:
            self._open_shape(self._track, tag, attributes)
        elif tag == "attribute":
            self._attribute = attributes.get("name")

    def text(self, text: str) -> None:
        """Take a part of an element's text."""
        self._length += len(text)
        if self._length > LONGEST_TEXT:
            raise BadFile(Reason.MALFORMED, f"{self.path}: a text of more than {LONGEST_TEXT} characters")
        self._text.append(text)

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        text = "".join(self._text).strip()
        self._text, self._length = [], 0
        self._tags.pop()
        if self._tags[1:2] == ["meta"]:
            self._end_of_meta(tag, text)
        elif tag == "track" and self._track is not None:
            self._finished.append(self._track)
            self._track = None
        elif tag == "attribute" and self._shape is not None and self._attribute:
            self._shape.attributes[self._attribute] = text
        elif tag in SHAPES and self._tags[-1:] == ["track"]:
            self._shape = None

    def _end_of_meta(self, tag: str, text: str) -> None:
        """Take what the file says of its tasks; those of a project have one each, others one."""
        owner = self._tags[-1]
        if owner in ("task", "job") and tag == "id":
            self.tasks[text] = self._task
        elif owner in ("task", "job", "meta") and tag == "source" and text:
            self._task.source = text
        elif owner in ("task", "job") and tag == "stop_frame" and text.isdecimal():
            self._task.stop = int(text[:12])
        elif owner == "original_size" and text.isdecimal():
            width, height = self._task.size or (0, 0)
            self._task.size = (int(text[:9]), height) if tag == "width" else (width, int(text[:9]))

    def _open_shape(self, track: _Track, tag: str, attributes: Mapping[str, str]) -> None:
        """Take a shape of a track; the parts of a skeleton are none of their own."""
        if self._tags[-2] != "track" or track.fault is not None:
            return
        self._shape = None
        if tag in WITHOUT_AREA:
            self.reading.ignore(f"shapes that have no area ({tag})")
            return
        try:
            if len(track.shapes) >= MOST_SHAPES:
                raise Drop(Reason.MALFORMED, f"more than {MOST_SHAPES} shapes")
            box, angle = _box_of(tag, attributes)
            (frame,) = numbers([attributes.get("frame")], 1, "frame")
        except Drop as drop:
            track.fault = drop
            return
        is_outside, is_occluded = (attributes.get(name) == "1" for name in ("outside", "occluded"))
        self._shape = _Shape(int(frame), box, angle, is_outside, is_occluded, {})
        track.shapes.append(self._shape)

    def _marks(self, track: _Track) -> Marks:
        """Return a track as keyframes.

        Raises:
            Drop: it has no shape, or two on one frame.
        """
        if track.fault is not None:
            raise track.fault
        if not track.shapes:
            raise Drop(Reason.NO_BOX, "no shape with an area in it")
        shapes = sorted(track.shapes, key=lambda shape: shape.frame)
        frames = np.array([shape.frame for shape in shapes], np.float64)
        if (np.diff(frames) == 0).any():
            frame = int(frames[:-1][np.diff(frames) == 0][0])
            raise Drop(Reason.AMBIGUOUS, f"two shapes on frame {frame}, expected one")
        task = self.tasks.get(track.task or "", self._task)
        angles = np.array([shape.angle for shape in shapes])
        occluded = np.array([shape.is_occluded for shape in shapes])
        keyframes = Keyframes(
            positions=frames,
            boxes=np.array([shape.box for shape in shapes]),
            shown=np.array([not shape.is_outside for shape in shapes]),
            angles=angles if angles.any() else None,
            end=None if task.stop is None else task.stop + 1.0,
            hidden=occluded if self.reading.without_occluded else None,
        )
        attributes: list[Mapping[str, str]] = []
        for shape in shapes:  # what a shape does not say stays as it was
            known = attributes[-1] if attributes else {}
            same = all(known.get(name) == text for name, text in shape.attributes.items())
            attributes.append(known if attributes and same else {**known, **shape.attributes})
        size = task.size if task.size and all(task.size) else None
        return Marks(track.name, task.source, keyframes, "pixels", size, track.label or None, attributes=attributes)


def _box_of(tag: str, attributes: Mapping[str, str]) -> tuple[list[float], float]:
    """Return a shape's box before it is turned, and the degrees by which it is.

    Raises:
        Drop: an attribute is missing or no number.
    """
    (angle,) = numbers([attributes.get("rotation", 0)], 1, "rotation")
    if tag == "box":
        return numbers([attributes.get(name) for name in _CORNERS], 4, "box"), angle
    if tag == "ellipse":
        x, y, rx, ry = numbers([attributes.get(name) for name in ("cx", "cy", "rx", "ry")], 4, "ellipse")
        return [x - rx, y - ry, x + rx, y + ry], angle
    if tag == "mask":
        left, top, width, height = numbers(
            [attributes.get(name) for name in ("left", "top", "width", "height")], 4, "mask"
        )
        return [left, top, left + width, top + height], 0.0
    if tag == "cuboid":
        points = numbers([attributes.get(name) for name in _CUBOID], len(_CUBOID), "cuboid")
    else:
        words = attributes.get("points", "").replace(";", ",").split(",")
        points = numbers(words, len(words) if len(words) % 2 == 0 else -1, "points")
    return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])], 0.0
