"""What a reader of a tool's file yields: one object of a video, with its boxes as the tool keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from data_prep.annotations.keyframes import Keyframes
from data_prep.convert.reasons import Drop, Reason
from data_prep.validation import quote

Unit = Literal["pixels", "shares", "percent"]
UNITS: tuple[Unit, ...] = ("pixels", "shares", "percent")
WITHIN = 2.0  # an object whose edges all lie within 2 pixels of the corner is none, so its edges are shares


@dataclass(slots=True)
class Samples:
    """Hold boxes on single frames; nothing is known of the frames between them.

    Attributes:
        positions: (n,) float64, in any order: frame numbers from 0, or seconds.
        boxes: (n, 4) float64: x_min, y_min, x_max, y_max.
        in_seconds: whether the positions are seconds.
        names: of the picture of each box, where the video may be a folder of pictures.
    """

    positions: np.ndarray
    boxes: np.ndarray
    in_seconds: bool = False
    names: Sequence[str] | None = None


@dataclass(slots=True)
class Marks:
    """Hold one object of a video as a file has it.

    Attributes:
        name: what tells it from the file's others, such as a track's number.
        video: as the file names it; None where it does not.
        boxes: its boxes; None where only a sentence and its times are known.
        unit: of the boxes; None: pixels or shares, as the numbers say.
        size: (width, height) of the picture that pixels are of; None: the video's own.
        label: the object's kind.
        query: its sentence, where the file has one of its own.
        attributes: name -> text; of the object, or one mapping for each keyframe.
        events: [begin, end) of what the sentence tells, seconds; empty: as long as there are boxes.
        rate: frames a second of the tool's clock, where keyframes lie on it; None: on the video's own frames.
    """

    name: str
    video: str | None
    boxes: Keyframes | Samples | None
    unit: Unit | None = "pixels"
    size: tuple[int, int] | None = None
    label: str | None = None
    query: str | None = None
    attributes: Sequence[Mapping[str, str]] = ()
    events: Sequence[tuple[float, float]] = ()
    rate: float | None = None


@dataclass(slots=True)
class Unread:
    """Hold why an object of a file cannot be used."""

    name: str
    reason: Reason
    detail: str


@dataclass
class Reading:
    """Hold what readers are told, and what they found beside objects.

    Attributes:
        first_frame: the number that the file gives to a video's first frame.
        unit: of boxes whose file does not say it; None: as the numbers say.
        without_occluded: whether boxes that are flagged as occluded do not count.
        ignored: what is no object, and how often.
    """

    first_frame: int = 0
    unit: Unit | None = None
    without_occluded: bool = False
    ignored: dict[str, int] = field(default_factory=dict)

    def ignore(self, what: str, number: int = 1) -> None:
        """Count what is left out and is no object."""
        if number:
            self.ignored[what] = self.ignored.get(what, 0) + number


def unit_of(boxes: np.ndarray, stated: Unit | None) -> Unit:
    """Return the unit of an object's boxes: what is stated, or what the numbers can only mean.

    >>> unit_of(np.array([[0.1, 0.2, 0.5, 1.1]]), None), unit_of(np.array([[0, 0, 40, 30]]), None)
    ('shares', 'pixels')
    """
    if stated is not None:
        return stated
    return "shares" if len(boxes) and np.abs(boxes).max() <= WITHIN else "pixels"


def numbers(values: Any, count: int, what: str) -> list[float]:
    """Return `count` finite numbers.

    Raises:
        Drop: they are others, or of another number.

    >>> numbers(["1", 2.5], 2, "point")
    [1.0, 2.5]
    """
    listed = list(values) if isinstance(values, (list, tuple)) else []
    try:
        found = [float(value) for value in listed if type(value) is not bool]
    except (TypeError, ValueError, OverflowError):
        found = []
    if len(found) != count or not np.isfinite(found).all():
        raise Drop(Reason.BAD_BOX, f"{what} {quote(values)}, expected {count} finite numbers")
    return found


def text_of(value: Any) -> str | None:
    """Return a text without outer blanks, a number as text; None for a blank one or another kind."""
    if type(value) in (int, float):
        return str(value)
    return (value.strip() or None) if type(value) is str else None
