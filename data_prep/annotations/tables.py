"""Read tables with a header: columns by their usual names, cells one row at a time, errors with the row's line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

MOST_COLUMNS = 1000
LONGEST_HEAD = 1 << 16  # characters
# What columns are called elsewhere; names are compared in lower case, with "_" for blanks, dots and dashes.
ALIASES: Mapping[str, Sequence[str]] = {
    "video": ("video", "video_path", "video_file", "video_name", "video_id", "file", "filename", "file_name", "path"),
    "query": ("query", "sentence", "caption", "description", "text", "expression", "question", "prompt"),
    "label": ("label", "class", "class_name", "category", "category_name", "object_class"),
    "track": ("track", "track_id", "object_id", "instance_id", "object", "obj_id", "identity"),
    "time": ("time", "time_s", "timestamp", "timestamp_s", "seconds", "second", "sec", "t"),
    "time_ms": ("time_ms", "timestamp_ms", "milliseconds", "ms"),
    "frame": ("frame", "frame_id", "frame_number", "frame_index", "frame_no", "frame_idx", "frame_num"),
    "begin": ("begin", "start", "begin_s", "start_s", "start_time", "begin_time", "start_sec"),
    "end": ("end", "end_s", "end_time", "stop", "stop_time", "end_sec"),
    "x_min": ("x_min", "xmin", "x1", "x0", "left", "xtl", "bb_left", "bbox_x1", "bbox_left"),
    "y_min": ("y_min", "ymin", "y1", "y0", "top", "ytl", "bb_top", "bbox_y1", "bbox_top"),
    "x_max": ("x_max", "xmax", "x2", "right", "xbr", "bbox_x2", "bbox_right"),
    "y_max": ("y_max", "ymax", "y2", "bottom", "ybr", "bbox_y2", "bbox_bottom"),
    "x": ("x", "bbox_x"),
    "y": ("y", "bbox_y"),
    "width": ("width", "w", "bb_width", "bbox_width", "bbox_w"),
    "height": ("height", "h", "bb_height", "bbox_height", "bbox_h"),
}
_MEANING = {alias: column for column, aliases in ALIASES.items() for alias in aliases}


def meaning_of(name: str) -> str:
    """Return what a column holds by its name, or the name itself in lower case where it says nothing known.

    >>> meaning_of(" Frame-ID"), meaning_of("xMin"), meaning_of("weather")
    ('frame', 'x_min', 'weather')
    """
    plain = name.strip().lower()
    for sign in " .-":
        plain = plain.replace(sign, "_")
    return _MEANING.get(plain, plain)


def separator_of(head: str) -> str:
    """Return what separates the columns of a header line: the most frequent of comma, semicolon and tab."""
    return max(",;\t", key=head.count)


def read_table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number of each row, from 1, and its cells by what their columns mean, without outer blanks.

    Rows without any cell are skipped. A cell that is missing is empty.

    Raises:
        BadFile: the file cannot be read, is no text, or two columns mean the same.
    """
    with _opened(path) as stream:
        head = stream.readline(LONGEST_HEAD)
        if len(head) == LONGEST_HEAD:
            raise BadFile(Reason.MALFORMED, f"{path}: a first line of {LONGEST_HEAD} characters, expected a header")
        separator = separator_of(head)
        names = next(csv.reader([head], delimiter=separator), [])
        columns = columns_of(names, path)
        reader = csv.reader(stream, delimiter=separator)
        try:
            for cells in reader:
                values = [cell.strip() for cell in cells]
                if any(values):
                    values += [""] * (len(columns) - len(values))
                    yield reader.line_num + 1, dict(zip(columns, values, strict=False))
        except csv.Error as error:
            raise BadFile(Reason.MALFORMED, f"{path}:{reader.line_num + 1}: {error}") from None


def columns_of(names: Sequence[str], path: Path) -> list[str]:
    """Return what the columns of a header mean.

    `x` and `y` are the upper left corner where there is a width or height, and so are `x1` and `y1`.

    Raises:
        BadFile: two of them mean the same, or there are too many.
    """
    if len(names) > MOST_COLUMNS:
        raise BadFile(Reason.MALFORMED, f"{path}: {len(names)} columns, expected at most {MOST_COLUMNS}")
    columns = [meaning_of(name) for name in names]
    for column in ALIASES:
        same = [names[index] for index, found in enumerate(columns) if found == column]
        if len(same) > 1:
            raise BadFile(
                Reason.MALFORMED, f"{path}: columns {quote(same[0])} and {quote(same[1])} mean {column}; rename one"
            )
    if "x_max" not in columns and {"width", "height"} <= set(columns):
        renamed = {"x_min": "x", "y_min": "y"}
        columns = [renamed.get(column, column) for column in columns]
    return columns


def seconds_of_cell(text: str) -> float:
    """Return a time in seconds, written as seconds or as a clock does.

    Raises:
        ValueError: it is neither.

    >>> seconds_of_cell("3.5"), seconds_of_cell("1:02.5"), seconds_of_cell("0:01:00")
    (3.5, 62.5, 60.0)
    """
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a file of text; its faults are the file's.

    Raises:
        BadFile: it cannot be read, or is no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise BadFile(Reason.MALFORMED, f"{path}: byte 0x{error.object[error.start]:02x}, expected UTF-8") from None
    except OSError as error:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: {error.strerror}") from None
