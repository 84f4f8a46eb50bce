"""Masks of objects to boxes: palette PNGs and class-id PNGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import find_objects, label

from data_prep.reasons import Reason
from data_prep.sources.rows import BadFile

Box = tuple[float, float, float, float]
VOID = 255
MOST_PIXELS = 1 << 26  # of one mask: 8192 x 8192


def read_ids(path: Path) -> np.ndarray:
    """The ids of a mask PNG as they are stored (palette index or grey value): uint8 (height, width).

    Raises:
        BadFile: no picture, a colour picture or too large a one.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("P", "L", "1"):
                raise BadFile(Reason.BAD_MASK, f"{path}: mode {picture.mode}, expected ids (P or L)")
            if picture.width * picture.height > MOST_PIXELS:
                raise BadFile(Reason.BAD_MASK, f"{path}: {picture.width} x {picture.height} pixels")
            return np.asarray(picture, dtype=np.uint8)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadFile(Reason.BAD_MASK, f"{path}: {type(error).__name__} {error}"[:300]) from None


def boxes_of_ids(ids: np.ndarray) -> dict[int, Box]:
    """Id -> half-open box in pixels, of every id but 0 and void (255).

    >>> boxes_of_ids(np.array([[0, 3], [0, 3]], np.uint8))
    {3: (1.0, 0.0, 2.0, 2.0)}
    """
    found = {}
    for number, place in enumerate(find_objects(ids.astype(np.int32)), 1):
        if place is not None and number != VOID:
            rows, columns = place
            found[number] = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
    return found


def pieces(mask: np.ndarray, least_share: float = 0.02) -> int:
    """Connected components of a mask, specks of less than `least_share` of it left out."""
    numbered, _ = label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(numbered.ravel())[1:]
    return int((sizes >= least_share * mask.sum()).sum())
