"""Read a table of boxes, a row each: `video, query, time | frame, x_min, y_min, x_max, y_max` and more.

Rows of one video, sentence, label and track are one object. A row may state the event it belongs to (`begin`, `end`),
and a row without a box says only when the event is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.annotations.marks import Marks, Reading, Samples, Unread
from data_prep.annotations.tables import read_table, seconds_of_cell
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

MOST_ROWS = 1 << 24
CORNERS = ("x_min", "y_min", "x_max", "y_max")
SIDES = ("x", "y", "width", "height")
NO_BOX = "rows without a box"
_KEY = ("video", "track", "label", "query")
_NEEDED = "expected video, query, time or frame, and x_min, y_min, x_max, y_max or x, y, width, height"


@dataclass
class _Object:
    """Hold the rows of one object: five numbers each, position and box."""

    line: int
    rows: array[float] = field(default_factory=lambda: array("d"))
    events: dict[tuple[float, float], None] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    fault: tuple[Reason, str] | None = None


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the objects of a table, in the order of their first rows.

    Raises:
        BadFile: the file is no table, or lacks a column.
    """
    objects: dict[tuple[str, ...], _Object] = {}
    columns: tuple[str, tuple[str, ...]] | None = None
    for number, (line, row) in enumerate(read_table(path)):
        if number >= MOST_ROWS:
            raise BadFile(Reason.MALFORMED, f"{path}:{line}: more than {MOST_ROWS} rows; split the file")
        columns = columns or _columns(row, path)
        one = objects.setdefault(tuple(row.get(name, "") for name in _KEY), _Object(line))
        if one.fault is None:
            try:
                _add(one, row, *columns, reading)
            except ValueError as error:
                one.fault = (Reason.MALFORMED, f"{path.name}:{line}: {error}")
    for number, (key, one) in enumerate(objects.items(), 1):
        video, track, label, query = key
        name = track or str(number)
        if one.fault is not None:
            yield Unread(name, *one.fault)
            continue
        numbers = np.frombuffer(one.rows, np.float64).reshape(-1, 5)
        in_seconds = columns is not None and columns[0] != "frame"
        boxes = Samples(numbers[:, 0], numbers[:, 1:], in_seconds) if len(numbers) else None
        yield Marks(
            name=name,
            video=video or None,
            boxes=boxes,
            unit=reading.unit,
            size=one.size,
            label=label or None,
            query=query or None,
            attributes=(one.attributes,),
            events=tuple(one.events),
        )


def _columns(row: Mapping[str, str], path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the column that says when a row is, and the four that say where.

    Raises:
        BadFile: one is missing.
    """
    when = next((name for name in ("frame", "time", "time_ms") if name in row), None)
    where = next((names for names in (CORNERS, SIDES) if set(names) <= set(row)), None)
    if where is None and {"begin", "end"} <= set(row):
        return "time", ()
    if when is None or where is None:
        raise BadFile(Reason.MALFORMED, f"{path}: columns {quote(', '.join(row), 200)}; {_NEEDED}")
    return when, where


def _add(one: _Object, row: Mapping[str, str], when: str, where: tuple[str, ...], reading: Reading) -> None:
    """Add a row to its object.

    Raises:
        ValueError: a cell is no number.
    """
    one.attributes.update((name, text) for name, text in row.items() if text)
    if row.get("begin") and row.get("end"):
        one.events[_seconds(row, "begin"), _seconds(row, "end")] = None
    cells = [row[name] for name in where]
    if not any(cells):
        reading.ignore(NO_BOX, int(bool(where)))
        return
    left, top, right, bottom = (_number(row, name) for name in where)
    if where == SIDES:
        right, bottom = left + right, top + bottom
    elif row.get("width") and row.get("height"):  # beside corners they are the picture's
        one.size = (int(_number(row, "width")), int(_number(row, "height")))
    if when == "frame":
        frame = _number(row, "frame")
        if frame != int(frame):
            raise ValueError(f"frame {quote(row['frame'])}, expected a whole number")
        position = frame - reading.first_frame
    else:
        position = _seconds(row, "time") if when == "time" else _number(row, "time_ms") / 1000
    one.rows.extend((position, left, top, right, bottom))


def _number(row: Mapping[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = np.nan
    if not abs(value) < 1e15:  # NaN fails too
        raise ValueError(f"{name} {quote(row[name])}, expected a number")
    return value


def _seconds(row: Mapping[str, str], name: str) -> float:
    try:
        value = seconds_of_cell(row[name])
    except ValueError:
        value = np.nan
    if not abs(value) < 1e9:
        raise ValueError(f"{name} {quote(row[name])}, expected seconds or a clock's time")
    return value
