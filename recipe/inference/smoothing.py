"""Smooth an answer's boxes between seconds (section 3.7): short gaps are filled, abrupt changes steadied.

The predicted span never changes. A real jump, such as a camera cut, is not smeared: the track is split there first.
Rewards never smooth; evaluation and inference may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.ndimage import median_filter

from stvg_rewards import Box, Span

Array = np.ndarray
MOST_FILLED = 2  # seconds without a box that neighbours fill
WINDOW = 5  # seconds that a steadied box is drawn from


def smooth(
    boxes: Mapping[int, Sequence[float]],
    span: Span,
    *,
    steady: Callable[[Array], Array] | None = None,
    most_filled: int = MOST_FILLED,
) -> dict[int, Box]:
    """Return the boxes of a track, steadied.

    Args:
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1]; boxes that are invalid are dropped first.
        span: (first, last) second of the answer, inclusive; boxes outside it are dropped, none is added outside it.
        steady: takes the boxes of one piece, (seconds, 4) without gaps, and returns as many; None: `outliers_only`,
            which has the best m_vIoU of those in `bench/smoothing_kinds.py` (docs/smoothing.md).
        most_filled: longest gap that is filled, seconds; one at an end of the span counts too.

    Returns:
        second -> box; each valid and inside the picture.

    >>> steady = {k: (0.1 + 0.02 * k, 0.2, 0.3 + 0.02 * k, 0.5) for k in (0, 1, 2, 4, 5)}
    >>> [round(value, 6) for value in smooth(steady, (0, 5))[3]]  # the gap is filled along the motion
    [0.16, 0.2, 0.36, 0.5]
    """
    steady = steady or outliers_only
    valid = {k: box for k, box in sorted(boxes.items()) if span[0] <= k <= span[1] and _is_valid(box)}
    result: dict[int, Box] = {}
    for seconds, values in _to_the_ends(_pieces(valid, most_filled), span, most_filled):
        steadied = np.clip(steady(values), 0.0, 1.0)
        for second, new, old in zip(seconds, steadied, values, strict=True):
            box = new if _is_valid(new) else old
            result[second] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return result


def _is_valid(box: Sequence[float] | Array) -> bool:
    return 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1


def _pieces(boxes: dict[int, Sequence[float]], most_filled: int) -> list[tuple[range, Array]]:
    """Return the track cut at long gaps and at jumps; each piece with every second filled."""
    seconds = list(boxes)
    if not seconds:
        return []
    cuts = [0]
    for index in range(1, len(seconds)):
        gap = seconds[index] - seconds[index - 1] - 1
        if gap > most_filled or _is_jump(boxes, seconds, index):
            cuts.append(index)
    pieces = []
    for begin, end in zip(cuts, [*cuts[1:], len(seconds)], strict=True):
        known = seconds[begin:end]
        whole = range(known[0], known[-1] + 1)
        values = np.array([boxes[k] for k in known], dtype=np.float64)
        filled = np.column_stack([np.interp(whole, known, values[:, side]) for side in range(4)])
        pieces.append((whole, filled))
    return pieces


def _to_the_ends(pieces: list[tuple[range, Array]], span: Span, most_filled: int) -> list[tuple[range, Array]]:
    """Return the pieces, with short gaps at the span's ends filled along the motion that stays in the picture.

    The span counts seconds whose state was discarded, so its first or last second may have no box.
    """
    if not pieces:
        return pieces
    first, last = pieces[0][0][0], pieces[-1][0][-1]
    if 0 < first - span[0] <= most_filled:
        seconds, values = pieces[0]
        pieces[0] = (range(span[0], seconds.stop), np.vstack([_beyond(values[::-1], first - span[0])[::-1], values]))
    if 0 < span[1] - last <= most_filled:
        seconds, values = pieces[-1]
        pieces[-1] = (range(seconds.start, span[1] + 1), np.vstack([values, _beyond(values, span[1] - last)]))
    return pieces


def _beyond(values: Array, count: int) -> Array:
    """Return `count` boxes that continue the motion after the last one."""
    end = values[-1]
    step = end - values[-2] if len(values) > 1 else np.zeros(4)
    ahead = end + np.arange(1, count + 1)[:, None] * step
    return ahead if all(_is_valid(box) for box in ahead) else np.repeat(end[None], count, axis=0)


def _is_jump(boxes: Mapping[int, Sequence[float]], seconds: Sequence[int], index: int) -> bool:
    """Return whether the target is elsewhere from `seconds[index]` on, and stays there: a cut, not a one-second error.

    Elsewhere: the boxes share nothing and their centres are farther apart than the target has moved in the seconds
    around. Stays: the next box is near the new place and the one before was near the old one.
    """
    here, there = boxes[seconds[index - 1]], boxes[seconds[index]]
    if _overlap(here, there) or index < 2 or index + 1 >= len(seconds):
        return False
    before, after = boxes[seconds[index - 2]], boxes[seconds[index + 1]]
    step = _distance(here, there)
    return _distance(before, here) < step / 3 and _distance(there, after) < step / 3


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return bool(min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1]))


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the distance between the centres of two boxes, in shares of the picture."""
    return float(np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2)


def outliers_only(values: Array, limit: float = 5.0) -> Array:
    """Return the boxes with those far from their neighbours' median drawn anew from them (Hampel, 1974).

    Repeated until nothing changes: one error can hide another. So a second pass changes nothing.
    """
    out = values
    for _ in range(len(values)):
        wrong = _far_off(out, limit)
        good = np.flatnonzero(~wrong)
        if not wrong.any() or not len(good):
            break
        redrawn = out.copy()
        for side in range(4):
            redrawn[wrong, side] = np.interp(np.flatnonzero(wrong), good, out[good, side])
        if np.allclose(redrawn, out, atol=1e-9, rtol=0):
            break
        out = redrawn
    return out


def _far_off(values: Array, limit: float) -> Array:
    """Return which seconds are farther from their neighbours' median than is usual there and than a usual step."""
    middle = np.asarray(median_filter(values, size=(WINDOW, 1), mode="nearest"))
    deviation = np.abs(values - middle)
    usual = 1.4826 * np.asarray(median_filter(deviation, size=(WINDOW, 1), mode="nearest"))
    step = np.median(np.abs(np.diff(values, axis=0)), axis=0) if len(values) > 1 else 0.0
    return np.asarray((deviation > limit * np.maximum(usual, step) + 1e-9).any(axis=1))
