"""Lines of a track file as they can be drawn: one that is no valid record is kept, with its fault."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_prep.drawing.boxes import COLOURS, TRUE, Layer, Look
from data_prep.records import RecordError, read_lines, validate_record
from data_prep.seconds import most_seconds

Numbers = tuple[float, float, float, float]
MOST_EVENTS = 1000  # of a record, and objects of a scene, that are drawn
LONGEST_TEXT = 2000  # characters of a text that are shown


@dataclass(frozen=True)
class Entry:
    """One line of a track file.

    Attributes:
        number: of the record in its file, from 0.
        record: its fields as they stand; only `fault` says whether they are right.
        fault: why it is no valid record, one line; None where it is one.
    """

    number: int
    record: Mapping[str, Any]
    fault: str | None = None
    where: str = field(default="", compare=False)

    def text(self, name: str) -> str:
        """Return a field that should be text, cut where it is very long; "" where it is none."""
        value = self.record.get(name)
        if not isinstance(value, str):
            return ""
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"

    @property
    def seconds(self) -> int | None:
        """K of the clip, where the record says it."""
        value = self.record.get("seconds")
        return value if type(value) is int and 1 <= value <= most_seconds() else None

    @property
    def clip(self) -> tuple[float, float] | None:
        """Where the clip begins and ends in the file, seconds."""
        numbers = _numbers(self.record.get("clip"), 2)
        return (numbers[0], numbers[1]) if numbers and 0 <= numbers[0] < numbers[1] else None

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The (first, last) second of each event, inclusive."""
        if isinstance(listed := self.record.get("spans"), list):  # [[begin, end), ...] in seconds
            pairs = [_numbers(pair, 2) for pair in listed[:MOST_EVENTS]]
            return [
                (math.floor(pair[0]), max(math.ceil(pair[1]) - 1, math.floor(pair[0])))
                for pair in pairs
                if pair and pair[0] < pair[1]
            ]
        pair = _numbers(self.record.get("span"), 2)
        return [(math.floor(pair[0]), math.floor(pair[1]))] if pair and pair[0] <= pair[1] else []

    @property
    def tracks(self) -> list[tuple[str, dict[int, Numbers]]]:
        """The label and second -> box of each object, with boxes that may lie outside the picture."""
        listed = self.record.get("tracks")
        objects = listed[:MOST_EVENTS] if isinstance(listed, list) else [self.record]
        return [
            (str(one.get("label") or "")[:200], _boxes(one.get("track")))
            for one in objects
            if isinstance(one, Mapping)
        ]

    @property
    def no_target(self) -> bool:
        """Whether the record says that nothing in the clip fits the sentence."""
        return self.record.get("no_target") is True

    @property
    def has_event(self) -> bool:
        """Whether the record is one of a kind that says when something happens."""
        return bool(self.spans) or self.record.get("span") is not None or self.record.get("track") is not None


def read_entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Yield every line of a track file; lines that ask without a truth (`id`, `video`, `query`) have no fault.

    Raises:
        RecordError: A line is no JSON at all, naming file and line.
        OSError: The file cannot be read.
    """
    for number, (where, value) in enumerate(read_lines(path)):
        if isinstance(value, Mapping) and "schema" not in value:
            asked = all(isinstance(value.get(name), str) and value[name].strip() for name in ("id", "video", "query"))
            if asked:
                yield Entry(number, value, None, where)
                continue
        try:
            yield Entry(number, validate_record(value, where), None, where)
        except RecordError as error:
            yield Entry(number, value if isinstance(value, Mapping) else {}, str(error), where)


def layers_of(entry: Entry) -> list[Layer]:
    """Return what the record says, as it is drawn: one layer, or one for each object of a scene."""
    tracks = entry.tracks
    if len(tracks) == 1 and not isinstance(entry.record.get("tracks"), list):
        label, boxes = tracks[0]
        return [Layer(TRUE, entry.spans, boxes, label)]
    return [
        Layer(Look(label or f"object {number}", COLOURS[number % len(COLOURS)]), _runs(boxes), boxes, label)
        for number, (label, boxes) in enumerate(tracks)
    ]


def _runs(boxes: Mapping[int, Numbers]) -> list[tuple[int, int]]:
    """Return the (first, last) seconds of each stretch in which an object of a scene has boxes.

    >>> _runs({0: (0, 0, 1, 1), 1: (0, 0, 1, 1), 4: (0, 0, 1, 1)})
    [(0, 1), (4, 4)]
    """
    runs: list[tuple[int, int]] = []
    for second in sorted(boxes):
        if runs and runs[-1][1] == second - 1:
            runs[-1] = (runs[-1][0], second)
        else:
            runs.append((second, second))
    return runs


def _numbers(value: Any, count: int) -> list[float] | None:
    """Return a list of `count` finite numbers of a size that can be drawn, or None where the value is none."""
    if not isinstance(value, (list, tuple)) or len(value) != count:
        return None
    if any(type(entry) not in (int, float) or not abs(entry) < 1e9 for entry in value):
        return None
    return list(value)


def _boxes(track: Any) -> dict[int, Numbers]:
    boxes: dict[int, Numbers] = {}
    for state in track if isinstance(track, list) else ():
        if isinstance(state, Mapping) and type(second := state.get("second")) is int:
            numbers = _numbers(state.get("box"), 4)
            if numbers and 0 <= second <= most_seconds():
                boxes[second] = (numbers[0], numbers[1], numbers[2], numbers[3])
    return boxes
