"""Files of one box a line, as most tracking data sets have them."""

from __future__ import annotations

from pathlib import Path

from data_prep.reasons import Reason

LARGEST = 64 << 20  # bytes of an annotation file that is read at once


class BadFile(Exception):
    """A file that cannot be used: reason, and file, line, value found and expected."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_text(path: Path) -> str:
    """A small text file.

    Raises:
        BadFile: missing, too large or no UTF-8.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadFile(Reason.NO_ANNOTATION, f"{path}: {path.stat().st_size} bytes, at most {LARGEST} are read")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: {error}") from None


def read_rows(path: Path, least: int) -> list[list[float]]:
    """Numbers of each line, separated by commas, blanks or tabs; blank lines are passed over.

    Args:
        least: numbers that a line must have.

    Raises:
        BadFile: a line has fewer, or something that is no number; names file, line and value.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            raise BadFile(Reason.MALFORMED, f"{path}:{number}: {line[:60]!r}, expected numbers") from None
        if len(row) < least:
            raise BadFile(Reason.MALFORMED, f"{path}:{number}: {len(row)} numbers, expected at least {least}")
        rows.append(row)
    return rows


def read_flags(path: Path, count: int) -> list[bool]:
    """One 0 or 1 a frame, on lines or separated by commas.

    Raises:
        BadFile: another number of flags than frames.
    """
    words = read_text(path).replace(",", " ").split()
    if len(words) != count or not set(words) <= {"0", "1", "0.0", "1.0"}:
        raise BadFile(Reason.WRONG_LENGTH, f"{path}: {len(words)} flags, expected {count} of 0 or 1")
    return [float(word) == 1 for word in words]


def xyxy(row: list[float], shift: float = 0.0) -> tuple[float, float, float, float] | None:
    """A row's x, y, width, height as a half-open box; None where width or height is not above 0.

    Args:
        shift: what the source's first pixel is called: 1 where pixels count from 1.
    """
    left, top, width, height = row[:4]
    if not (width > 0 and height > 0):
        return None
    return left - shift, top - shift, left - shift + width, top - shift + height
