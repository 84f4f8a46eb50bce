"""Reads the states of an answer: seconds, labels and boxes, and counts by reason what was discarded or repaired."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .forms import Reading, read_key
from .tracks import Box, Scale


class States(NamedTuple):
    """Everything that an answer lists, before one label is chosen."""

    by_label: dict[str, dict[int, Box | None]]  # labels by first appearance; second -> box, None: its box was invalid
    discarded: dict[str, int]  # reason -> number of states
    found: bool  # there was an object that could be read
    intact: bool  # it was valid JSON and closed
    repaired: dict[str, int]  # form that is not the contract's, but has one meaning -> how often
    scale_sign: str = ""  # "within_one" or "beyond": see `Answer`


def read_states_of(reading: Reading | None, seconds: int | None, scale: Scale, salvage: bool) -> States:
    """Return the states of an answer that `choose` found."""
    if reading is None:
        return States({}, {}, False, False, {})
    if not (reading.intact or salvage):
        return States({}, {}, True, False, {})
    reader = _Reader(scale, dict(reading.repaired))
    if reading.num_earlier:
        reader.discard("earlier", reading.num_earlier)
    for key, value in reading.pairs:
        entries, repairs = _entries(value)
        second, usual_key = (None, False) if key is None else read_key(key)
        if second is None:
            reader.discard("key", max(1, len(entries or ())))
        elif seconds is not None and second >= seconds:
            reader.discard("late", max(1, len(entries or ())))
        elif entries is None:
            reader.discard("shape")
        else:
            for reason in (*repairs, *(() if usual_key else ("key",))):
                reader.repair(reason)
            for entry in entries:
                reader.read_entry(second, entry)
    reader.place_unnamed()
    return States(reader.by_label, reader.discarded, True, reading.intact, reader.repaired, reader.scale_sign())


class _Reader:
    """Collects the states of one answer."""

    def __init__(self, scale: Scale, repaired: dict[str, int]) -> None:
        self.by_label: dict[str, dict[int, Box | None]] = {}
        self.discarded: dict[str, int] = {}
        self.repaired = repaired
        self._scale = scale
        self._unnamed: list[tuple[int, Box | None]] = []
        self._num_boxes = self._num_within_one = self._num_beyond = 0

    def discard(self, reason: str, num: int = 1) -> None:
        self.discarded[reason] = self.discarded.get(reason, 0) + num

    def repair(self, reason: str) -> None:
        self.repaired[reason] = self.repaired.get(reason, 0) + 1

    def read_entry(self, second: int, entry: Any) -> None:
        """Read one entry of a second's list."""
        if type(entry) is dict and ("label" in entry or "bbox_2d" in entry):
            label, raw = entry.get("label", ""), entry.get("bbox_2d")
            named = "label" in entry
        else:
            label, raw, named = "", entry, False
            if not _is_box(_unwrap(entry)):
                label = None
        if type(label) is not str:
            self.discard("shape")
            return
        listed = self.by_label.setdefault(label, {}) if named else {}
        if second in listed:
            self.discard("duplicate")
            return
        box = self._read_box(raw)
        if named:
            listed[second] = box
        else:
            self.repair("label")
            self._unnamed.append((second, box))
        if box is None:
            self.discard("box")

    def place_unnamed(self) -> None:
        """Give boxes without a label to the target: the label of most seconds, or one without a name."""
        if not self._unnamed:
            return
        target = max(self.by_label, key=lambda label: len(self.by_label[label]), default="")
        listed = self.by_label.setdefault(target, {})
        for second, box in self._unnamed:
            if second not in listed:
                listed[second] = box
            elif box is not None:  # an invalid one is counted already
                self.discard("duplicate")

    def scale_sign(self) -> str:
        """Return the sign for boxes in other units than the scale's, if there is one."""
        if self._num_beyond:
            return "beyond"
        all_within = self._num_boxes > 0 and self._num_within_one == self._num_boxes
        return "within_one" if all_within and min(self._scale) > 1 else ""

    def _read_box(self, value: Any) -> Box | None:
        box = _unwrap(value)
        if box is not value:
            self.repair("nested")
        if _is_box(box):
            self._num_boxes += 1
            self._num_within_one += all(-1 <= number <= 1 for number in box)
            self._num_beyond += max(box[0], box[2]) > self._scale[0] or max(box[1], box[3]) > self._scale[1]
        return read_box(box, self._scale)


def _entries(value: Any) -> tuple[Sequence[Any] | None, Sequence[str]]:
    """Return what a key's value lists, None if that is nothing that could be read, and how it was repaired."""
    if type(value) is dict and ("label" in value or "bbox_2d" in value):
        return [value], ("dict",)
    if _is_box(value):
        return [value], ()  # counted as a box without a label
    return (value, ()) if type(value) is list else (None, ())


def _is_box(value: Any) -> bool:
    return type(value) is list and len(value) == 4 and all(type(number) in (int, float) for number in value)


def _unwrap(value: Any) -> Any:
    """Return the box in a list of one box."""
    return value[0] if type(value) is list and len(value) == 1 and type(value[0]) is list else value


def read_box(value: Any, scale: Scale) -> Box | None:
    """Return a box of model text in units of the scale, clipped to the picture and normalised; None if it is invalid.

    >>> read_box([-20, 250, 500, 2000], (1000, 1000))
    (0.0, 0.25, 0.5, 1.0)
    >>> read_box([500, 250, 20, 750], (1000, 1000)) is None
    True
    """
    if type(value) is not list or len(value) != 4:
        return None
    for number in value:
        # Not isinstance: True is an int. A float that is not finite fails one of the two comparisons.
        if type(number) is not int and not (type(number) is float and -math.inf < number < math.inf):
            return None
    width, height = scale
    left, top, right, bottom = value
    if left >= right or top >= bottom or left >= width or top >= height or right <= 0 or bottom <= 0:
        return None
    # Clipped before the division: an integer of 400 digits cannot be divided into a float.
    box = (
        left / width if left > 0 else 0.0,
        top / height if top > 0 else 0.0,
        right / width if right < width else 1.0,
        bottom / height if bottom < height else 1.0,
    )
    # Sides far below a float's precision vanish in the division.
    return box if box[0] < box[2] and box[1] < box[3] else None
