"""From one box a second to one box a frame: linear interpolation at the frames' true times (section 3.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Box = tuple[float, float, float, float]


def expand_boxes(boxes: Mapping[int, Sequence[float]], times_s: Sequence[float]) -> dict[int, Box]:
    """Boxes of native frames from boxes of seconds.

    A second's box stands for the mean of its frames, so it is a knot at their mean time. Frames between two knots are
    interpolated; those before the first or after the last are extrapolated along the nearest two (one knot is held).
    Only frames of seconds that have a box get one: a gap in the answer stays a gap.

    Args:
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1].
        times_s: when each frame of the clip appears, in display order, seconds on the clip's clock.

    Returns:
        Index into `times_s` -> box, clipped to the picture; a box with nothing left of it is left out.

    >>> expand_boxes({0: (0.0, 0.0, 0.2, 0.2), 1: (0.2, 0.0, 0.4, 0.2)}, [0.25, 0.75, 1.25, 1.75])[1]
    (0.05, 0.0, 0.25, 0.2)
    """
    times = np.asarray(times_s, dtype=np.float64)
    seconds = np.floor(times + 1e-9).astype(np.int64)
    known = np.array(sorted(second for second in boxes if np.any(seconds == second)), dtype=np.int64)
    if not len(known):
        return {}
    knots = np.array([times[seconds == second].mean() for second in known])
    values = np.array([boxes[int(second)] for second in known], dtype=np.float64)
    wanted = np.flatnonzero(np.isin(seconds, known))
    found = np.clip(_interpolate(times[wanted], knots, values), 0.0, 1.0)
    return {
        int(frame): (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        for frame, box in zip(wanted, found.round(12), strict=True)
        if box[0] < box[2] and box[1] < box[3]
    }


def _interpolate(times: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Piecewise linear through the knots, the outer pieces going on beyond the ends; (len(times), 4)."""
    if len(knots) == 1:
        return np.repeat(values, len(times), axis=0)
    left = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
    share = (times - knots[left]) / (knots[left + 1] - knots[left])
    return np.asarray(values[left] + share[:, None] * (values[left + 1] - values[left]))
