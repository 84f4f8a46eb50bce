"""Boxes on frames as arrays: what sources hand over, and how pixels become shares of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

FARTHEST = 1e9  # pixels; what lies beyond is no coordinate


class FrameBoxes(NamedTuple):
    """Boxes of one target.

    Attributes:
        frames: (n,) int64, increasing: frames in which the target is visible.
        boxes: (n, 4) float64: x_min, y_min, x_max, y_max, half-open.
    """

    frames: np.ndarray
    boxes: np.ndarray

    def between(self, begin: int, end: int) -> FrameBoxes:
        """Return the boxes on the frames [begin, end)."""
        if not len(self.frames) or begin <= self.frames[0] and self.frames[-1] < end:
            return self
        low, high = np.searchsorted(self.frames, (begin, end))
        return FrameBoxes(self.frames[low:high], self.boxes[low:high])


def frame_boxes(boxes: Mapping[int, Sequence[float]]) -> FrameBoxes:
    """Convert a mapping from frame to box to arrays.

    >>> frame_boxes({3: (1, 2, 3, 4), 0: (0, 0, 1, 1)}).frames
    array([0, 3])
    """
    order = sorted(boxes)
    corners = np.array([boxes[frame] for frame in order], np.float64).reshape(-1, 4)
    return FrameBoxes(np.array(order, np.int64), corners)


def grouped(frames: np.ndarray, owners: np.ndarray, boxes: np.ndarray) -> dict[int, FrameBoxes]:
    """Return the boxes of each owner, in the order of the owners, from rows in any order.

    Args:
        frames, owners: (n,) int64.
        boxes: (n, 4).
    """
    order = np.lexsort((frames, owners))
    frames, owners, boxes = frames[order], owners[order], boxes[order]
    names, starts = np.unique(owners, return_index=True)
    ends = [*starts[1:].tolist(), len(owners)][: len(starts)]
    return {
        name: FrameBoxes(frames[begin:end], boxes[begin:end])
        for name, begin, end in zip(names.tolist(), starts.tolist(), ends, strict=True)
    }


def repeated_frame(track: FrameBoxes) -> int | None:
    """Return a frame that occurs twice; None if there is none."""
    twice = np.flatnonzero(track.frames[1:] == track.frames[:-1])
    return int(track.frames[twice[0]]) if len(twice) else None


def normalised(pixels: FrameBoxes, size: tuple[int, int] | np.ndarray) -> FrameBoxes:
    """Return boxes in shares of the picture, clipped to it, without those that lie outside it.

    Args:
        pixels: boxes in pixels.
        size: (width, height) of the picture, pixels, or (n, 2): of each box's own.

    Raises:
        ValueError: a box is not four finite numbers of at most `FARTHEST`.
    """
    frames, boxes = pixels
    right = np.abs(boxes) < FARTHEST  # NaN fails too
    if not right.all():
        row = int(np.flatnonzero(~right.all(axis=1))[0])
        raise ValueError(f"frame {frames[row]}: box {boxes[row].tolist()}, expected four finite numbers")
    sizes = np.asarray(size, np.float64)
    clipped = np.empty_like(boxes)
    np.maximum(boxes[:, :2], 0, out=clipped[:, :2])
    np.minimum(boxes[:, 2:], sizes, out=clipped[:, 2:])
    clipped /= np.concatenate((sizes, sizes), axis=-1)
    kept = (clipped[:, 0] < clipped[:, 2]) & (clipped[:, 1] < clipped[:, 3])
    return FrameBoxes(frames, clipped) if kept.all() else FrameBoxes(frames[kept], clipped[kept])
