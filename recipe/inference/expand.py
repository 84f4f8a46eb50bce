"""From one box a second to one box a frame: linear interpolation at the frames' true times (section 3.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Box = tuple[float, float, float, float]
_NOISE = 1e-9  # what floats are off by, in shares of the picture


def expand_boxes(boxes: Mapping[int, Sequence[float]], times_s: Sequence[float]) -> dict[int, Box]:
    """Return boxes of native frames from boxes of seconds.

    A second's box stands for the mean of its frames, so it is a knot at their mean time. Frames between two knots are
    interpolated; those before the first or after the last are extrapolated along the nearest two (one knot is held).
    Where an extrapolated box would reach out of the picture, or vanish, the outer knot's own box is held instead. Only
    frames of seconds that have a box get one: a gap in the answer stays a gap.

    Args:
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1].
        times_s: when each frame of the clip appears, in display order, seconds on the clip's clock.

    Returns:
        Index into `times_s` -> box, clipped to the picture; each frame of a second with a box has one, unless nothing
        of the second's own box lies in the picture.

    >>> expand_boxes({0: (0.0, 0.0, 0.2, 0.2), 1: (0.2, 0.0, 0.4, 0.2)}, [0.25, 0.75, 1.25, 1.75])[1]
    (0.05, 0.0, 0.25, 0.2)
    >>> expand_boxes({0: (0.0, 0.0, 0.2, 0.2), 1: (0.2, 0.0, 0.4, 0.2)}, [0.25, 0.75, 1.25, 1.75])[0]  # held
    (0.0, 0.0, 0.2, 0.2)
    """
    times = np.asarray(times_s, dtype=np.float64)
    frames, expanded = expand_array(boxes, times, np.floor(times + 1e-9).astype(np.int64))
    return {
        int(frame): (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        for frame, box in zip(frames, expanded, strict=True)
    }


def expand_array(
    boxes: Mapping[int, Sequence[float]], times: np.ndarray, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `expand_boxes` does as arrays: (frames, their boxes), shapes (n,) and (n, 4).

    Args:
        seconds: the second that each frame falls in.
    """
    frames_of = np.bincount(seconds) if len(seconds) else np.zeros(0, dtype=np.int64)
    known = np.array(sorted(k for k in boxes if k < len(frames_of) and frames_of[k]), dtype=np.int64)
    if not len(known):
        return np.zeros(0, dtype=np.int64), np.zeros((0, 4))
    knots = np.bincount(seconds, weights=times)[known] / frames_of[known]
    values = np.array([boxes[int(second)] for second in known], dtype=np.float64)
    has_box = np.zeros(len(frames_of), dtype=bool)
    has_box[known] = True
    wanted = np.flatnonzero(has_box[seconds])
    expanded = np.clip(_interpolate(times[wanted], knots, values), 0.0, 1.0).round(12)
    left = (expanded[:, 0] < expanded[:, 2]) & (expanded[:, 1] < expanded[:, 3])
    return wanted[left], expanded[left]


def _interpolate(times: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return boxes piecewise linear through the knots, shape (len(times), 4).

    The outer pieces go on beyond the ends, as far as the box stays whole inside the picture.
    """
    if len(knots) == 1:
        return np.repeat(values, len(times), axis=0)
    left = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
    share = (times - knots[left]) / (knots[left + 1] - knots[left])
    result = np.asarray(values[left] + share[:, None] * (values[left + 1] - values[left]))
    outside = (result.min(axis=1) < -_NOISE) | (result.max(axis=1) > 1 + _NOISE)
    empty = (result[:, 2] - result[:, 0] <= _NOISE) | (result[:, 3] - result[:, 1] <= _NOISE)
    lost = outside | empty
    result[lost & (times < knots[0])] = values[0]
    result[lost & (times > knots[-1])] = values[-1]
    return result
