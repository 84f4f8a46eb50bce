"""Files of one box a line, as most tracking data sets have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from data_prep.convert.reasons import Reason
from data_prep.validation import RecordError

LARGEST = 64 << 20  # bytes of an annotation file that is read at once
_OF_NUMBERS = b"0123456789+-.eE, \n"


class BadFile(RecordError):
    """A file that cannot be used: reason, and file, line, value found and expected.

    A sequence's own file costs that sequence (`each_sequence`). One that all records need (a list of classes or of a
    split) ends the conversion with this line.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_text(path: Path) -> str:
    """Return the text of a small file.

    Raises:
        BadFile: missing, too large or no UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Return the content of a small file.

    Raises:
        BadFile: missing or too large.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadFile(Reason.NO_ANNOTATION, f"{path}: {path.stat().st_size} bytes, at most {LARGEST} are read")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: {error}") from None


def read_rows(path: Path, least: int, numbered: bool = False) -> np.ndarray:
    """Return the numbers of each line, separated by commas, blanks or tabs: float64 (lines, numbers of a line).

    Args:
        least: numbers that a line must have.
        numbered: lines say themselves which frame they are about, so that blank ones are passed over; else a blank
            line that is not at the end is an error, because it would move all frames after it.

    Raises:
        BadFile: a line has fewer numbers, or not as many as the first, or something that is no number; names file,
            line and value.
    """
    data = read_bytes(path).replace(b"\r\n", b"\n").rstrip()
    rows = _json_rows(data, least)
    return _rows(path, least, numbered) if rows is None else rows


def _json_rows(data: bytes, least: int) -> np.ndarray | None:
    """Read rows of plain numbers and commas as a JSON list of lists, by far the fastest way here; None for others."""
    if data.translate(None, _OF_NUMBERS):
        return None
    try:
        lines = orjson.loads(b"[[%b]]" % data.replace(b"\n", b"],["))
        rows = np.array(lines, np.float64)
    except (orjson.JSONDecodeError, ValueError, OverflowError):
        return None
    return rows if rows.ndim == 2 and rows.shape[1] >= least else None


def _rows(path: Path, least: int, numbered: bool) -> np.ndarray:
    """Read rows that are no JSON, line by line, and name the line that is wrong."""
    rows: list[list[float]] = []
    for number, line in enumerate(read_text(path).rstrip().split("\n"), 1):
        tokens = line.replace(",", " ").split()
        if not tokens and (numbered or not line):
            if numbered or not rows:
                continue
            raise BadFile(Reason.MALFORMED, f"{path}:{number}: blank, expected a line for each frame")
        try:
            row = [float(word) for word in tokens]
        except ValueError:
            raise BadFile(Reason.MALFORMED, f"{path}:{number}: {line[:60]!r}, expected numbers") from None
        if len(row) < least:
            raise BadFile(Reason.MALFORMED, f"{path}:{number}: {len(row)} numbers, expected at least {least}")
        if rows and len(row) != len(rows[0]):
            raise BadFile(Reason.MALFORMED, f"{path}:{number}: {len(row)} numbers, expected {len(rows[0])}")
        rows.append(row)
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.zeros((0, least))


def read_flags(path: Path, count: int) -> np.ndarray:
    """Return one flag (0 or 1) for each frame, on lines or separated by commas: bool (count,).

    Raises:
        BadFile: another number of flags than frames, or something else than 0 and 1.
    """
    flags = read_levels(path, count)
    if not ((flags == 0) | (flags == 1)).all():
        index = int(np.flatnonzero((flags != 0) & (flags != 1))[0])
        raise BadFile(Reason.MALFORMED, f"{path}: flag {index + 1} is {flags[index]:g}, expected 0 or 1")
    return np.asarray(flags == 1)


def read_levels(path: Path, count: int) -> np.ndarray:
    """Return one number for each frame, on lines or separated by commas: float64 (count,).

    Raises:
        BadFile: another number of them than frames, or something that is no number.
    """
    text = read_text(path)
    if len(text.rstrip()) == 2 * count - 1 and set(text[1::2]) <= {"\n", ","}:  # a digit each, by far the most
        digits = np.frombuffer(text[: 2 * count].encode("utf-8", "replace"), np.uint8)[::2] - np.uint8(48)
        if len(digits) == count and digits.max() < 10:
            return digits.astype(np.float64)
    tokens = text.replace(",", " ").split()
    try:
        levels = np.array([float(word) for word in tokens])
    except ValueError as error:
        raise BadFile(Reason.MALFORMED, f"{path}: {error}") from None
    if len(tokens) != count:
        raise BadFile(Reason.WRONG_LENGTH, f"{path}: {len(tokens)} flags, expected {count}")
    return np.asarray(levels)


def xyxy(rows: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """Return rows of x, y, width and height as half-open boxes: float64 (n, 4).

    Args:
        shift: what the source's first pixel is called: 1 where pixels count from 1.
    """
    boxes = np.array(rows[:, :4])
    boxes[:, :2] -= shift
    boxes[:, 2:] += boxes[:, :2]
    return boxes
