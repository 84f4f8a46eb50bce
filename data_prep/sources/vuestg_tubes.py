"""VUE-STG's `tubes.csv`, of the truth or of a system: a box a line, read by the benchmark's own rules.

    query_id,time_ms,x0,y0,x1,y1

A time goes to its nearest second, half a second up; edges in the wrong order are swapped and clipped to the picture;
of several boxes in one second the first in the file stands, whether it has an area or not.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile, read_text
from data_prep.validation import quote

Box = tuple[float, float, float, float]
COLUMNS = ("query_id", "time_ms", "x0", "y0", "x1", "y1")
STEP_MS = 1000


@dataclass
class Tubes:
    """What a file of tubes holds.

    Attributes:
        boxes: query id -> second -> (x_min, y_min, x_max, y_max), normalised to [0, 1]; a box may be empty.
        broken: query id -> "line 7: ..." of each line that was left out.
        repeated: how many boxes were left out because their second had one.
    """

    boxes: dict[str, dict[int, Box]] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    repeated: int = 0


def read_tubes(path: Path) -> Tubes:
    """Read a file of tubes; a line that is none is left out and named.

    Raises:
        BadFile: The file cannot be read, or lacks one of `COLUMNS`.
    """
    tubes = Tubes()
    for number, row in read_csv(path, COLUMNS):
        name = row["query_id"]
        boxes = tubes.boxes.setdefault(name, {})
        try:
            second, box = nearest_second(float(row["time_ms"])), upright([float(row[edge]) for edge in COLUMNS[2:]])
        except (ValueError, OverflowError) as error:
            tubes.broken.setdefault(name, []).append(f"line {number}: {quote(str(error))}")
            continue
        if second in boxes:
            tubes.repeated += 1
        else:
            boxes[second] = box
    return tubes


def nearest_second(time_ms: float) -> int:
    """Return the second that a time counts for; fractions of a millisecond are cut off.

    Raises:
        ValueError: The time is not finite, or before 0.
        OverflowError: The time is infinite.

    >>> [nearest_second(time) for time in (0, 499, 500, 1499, 1500)]
    [0, 0, 1, 1, 2]
    """
    whole = int(time_ms)
    if whole < 0:
        raise ValueError(f"time_ms {whole}, expected at least 0")
    return (2 * whole + STEP_MS) // (2 * STEP_MS)


def upright(edges: list[float]) -> Box:
    """Return a box with its edges in order and inside the picture.

    Raises:
        ValueError: An edge is not a finite number.

    >>> upright([0.8, 0.1, 0.3, 1.2])
    (0.3, 0.1, 0.8, 1.0)
    """
    if not all(map(math.isfinite, edges)):
        raise ValueError(f"box {edges}, expected four finite numbers")
    left, right = sorted((edges[0], edges[2]))
    top, bottom = sorted((edges[1], edges[3]))
    return _clipped(left), _clipped(top), _clipped(right), _clipped(bottom)


def _clipped(edge: float) -> float:
    return min(max(edge, 0.0), 1.0)


def read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the number of each line of a CSV file, from 1, and its cells by column; missing cells are empty.

    Raises:
        BadFile: The file cannot be read, is no CSV, or lacks a column.
    """
    reader = csv.DictReader(io.StringIO(read_text(path)), restval="")
    try:
        lacking = [name for name in columns if name not in (reader.fieldnames or ())]
        if lacking:
            head = quote(",".join(reader.fieldnames or ()))
            raise BadFile(Reason.NO_ANNOTATION, f"{path}: columns {head}, expected also {', '.join(lacking)}")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}:{reader.line_num}: {error}") from None
