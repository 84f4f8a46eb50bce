"""Masks of objects to boxes: palette PNGs and class-id PNGs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import find_objects, label

from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile
from data_prep.video.stills import open_still

Box = tuple[float, float, float, float]
VOID = 255
MOST_PIXELS = 1 << 26  # of one mask: 8192 x 8192
MOST_FRAMES = 1 << 31


def numbered_masks(folder: Path) -> dict[int, Path]:
    """Return frame number -> mask, in order, of the PNGs of a folder.

    Raises:
        BadFile: there is none, or a name is no number.
    """
    numbered: dict[int, Path] = {}
    for path in folder.glob("*.png"):
        # Two names of one number (1.png and 01.png) would be one frame with two masks.
        if not path.stem.isascii() or not path.stem.isdecimal() or int(path.stem[:20]) in numbered:
            raise BadFile(Reason.MALFORMED, f"{path}: its name is no frame number of its own")
        if int(path.stem[:20]) >= MOST_FRAMES:
            raise BadFile(Reason.MALFORMED, f"{path}: frame number, expected below {MOST_FRAMES}")
        numbered[int(path.stem[:20])] = path
    if not numbered:
        raise BadFile(Reason.NO_ANNOTATION, f"{folder}: no mask in it")
    return dict(sorted(numbered.items()))


def masks_of(numbered: dict[int, Path]) -> Iterator[tuple[int, Path, np.ndarray]]:
    """Yield (frame number, file, ids) of masks that all have one size.

    Raises:
        BadFile: a mask is no picture, or has another size than the first.
    """
    size = None
    for number, path in numbered.items():
        ids = read_ids(path)
        size = size or ids.shape
        if ids.shape != size:
            raise BadFile(Reason.BAD_MASK, f"{path}: {ids.shape[::-1]} pixels, expected {size[::-1]}")
        yield number, path, ids


def read_ids(path: Path) -> np.ndarray:
    """Return the ids of a mask PNG as they are stored (palette index or grey value): uint8 (height, width).

    Raises:
        BadFile: no PNG, a colour picture or too large a one.
    """
    try:
        with open_still(path, formats=("PNG",)) as picture:
            if picture.mode not in ("P", "L", "1"):
                raise BadFile(Reason.BAD_MASK, f"{path}: mode {picture.mode}, expected ids (P or L)")
            if picture.width * picture.height > MOST_PIXELS:
                raise BadFile(Reason.BAD_MASK, f"{path}: {picture.width} x {picture.height} pixels")
            return np.asarray(picture, dtype=np.uint8)
    except (OSError, RuntimeError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadFile(Reason.BAD_MASK, f"{path}: {type(error).__name__} {error}"[:300]) from None


def boxes_of_ids(ids: np.ndarray) -> dict[int, Box]:
    """Return id -> half-open box in pixels, for every id but 0 and void (255).

    >>> boxes_of_ids(np.array([[0, 3], [0, 3]], np.uint8))
    {3: (1.0, 0.0, 2.0, 2.0)}
    """
    boxes = {}
    for number, slices in enumerate(find_objects(ids.astype(np.int32)), 1):
        if slices is not None and number != VOID:
            rows, columns = slices
            boxes[number] = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
    return boxes


def box_of_any(ids: np.ndarray) -> Box | None:
    """Return the half-open box in pixels around all that is not 0; None if all is 0.

    >>> box_of_any(np.array([[0, 255], [0, 1]], np.uint8)), box_of_any(np.zeros((2, 2), np.uint8))
    ((1.0, 0.0, 2.0, 2.0), None)
    """
    rows, columns = np.flatnonzero(ids.any(axis=1)), np.flatnonzero(ids.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1


def pieces(ids: np.ndarray, value: int, box: Box) -> int:
    """Count the connected components (corners touch) of one id inside its box."""
    left, top, right, bottom = map(int, box)
    return int(label(ids[top:bottom, left:right] == value, structure=np.ones((3, 3)))[1])
