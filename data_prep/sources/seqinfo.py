"""`seqinfo.ini` of a MOT sequence."""

from __future__ import annotations

import configparser
import math
from pathlib import Path
from typing import NamedTuple

from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile, read_text


class Sequence(NamedTuple):
    """What the file states; None where it does not.

    Attributes:
        folder: the folder of frames.
        length: frames.
        fps: frames a second.
        size: (width, height), pixels.
    """

    folder: str = "img1"
    length: int | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None


def sequence_info(path: Path) -> Sequence:
    """Return what the section [Sequence] states; nothing is stated where the file is missing.

    Raises:
        BadFile: no INI file, or a value that is no number.
    """
    if not path.is_file():
        return Sequence()
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(read_text(path))
        info = parser["Sequence"]
    except (configparser.Error, KeyError) as error:
        raise BadFile(Reason.MALFORMED, f"{path}: {' '.join(str(error).split())[:200]}") from None
    numbers = {}
    for key in ("seqLength", "imWidth", "imHeight", "frameRate"):
        if key in info:
            numbers[key] = _number(info[key], key, path)
    length, width, height = (
        int(numbers[key]) if key in numbers else None for key in ("seqLength", "imWidth", "imHeight")
    )
    size = None if width is None or height is None else (width, height)
    return Sequence(info.get("imDir", "img1"), length, numbers.get("frameRate"), size)


def _number(text: str, key: str, path: Path) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1e9 or (key != "frameRate" and number % 1):
        raise BadFile(Reason.MALFORMED, f"{path}: {key} {text[:40]!r}, expected a number")
    return number
