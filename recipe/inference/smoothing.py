"""Inter-second smoothing of an answer's boxes (section 3.7): short gaps filled, abrupt changes steadied.

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
DEFAULT = "outliers"  # best m_vIoU of `bench/smoothing.py`: see docs/smoothing.md


def smooth(
    boxes: Mapping[int, Sequence[float]], span: Span, *, kind: str = DEFAULT, most_filled: int = MOST_FILLED
) -> dict[int, Box]:
    """The boxes of a track, steadied.

    Args:
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1]; boxes that are invalid are dropped first.
        span: (first, last) second of the answer, inclusive; boxes outside it are dropped, none is added outside it.
        kind: a key of `KINDS`.
        most_filled: longest gap that is filled, seconds; one at an end of the span counts too.

    Returns:
        second -> box; each valid and inside the picture.

    Raises:
        ValueError: an unknown kind.

    >>> steady = {k: (0.1 + 0.02 * k, 0.2, 0.3 + 0.02 * k, 0.5) for k in (0, 1, 2, 4, 5)}
    >>> [round(value, 6) for value in smooth(steady, (0, 5))[3]]  # the gap is filled along the motion
    [0.16, 0.2, 0.36, 0.5]
    """
    if kind not in KINDS:
        raise ValueError(f"smoothing {kind!r}, expected one of {', '.join(KINDS)}")
    valid = {k: box for k, box in sorted(boxes.items()) if span[0] <= k <= span[1] and _is_valid(box)}
    result: dict[int, Box] = {}
    for seconds, values in _to_the_ends(_pieces(valid, most_filled), span, most_filled):
        steadied = np.clip(KINDS[kind](values), 0.0, 1.0)
        for second, new, old in zip(seconds, steadied, values, strict=True):
            box = new if _is_valid(new) else old
            result[second] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return result


def _is_valid(box: Sequence[float] | Array) -> bool:
    return 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1


def _pieces(boxes: dict[int, Sequence[float]], most_filled: int) -> list[tuple[range, Array]]:
    """The track cut at long gaps and at jumps; each piece with every second filled."""
    seconds = list(boxes)
    if not seconds:
        return []
    cuts = [0]
    for place in range(1, len(seconds)):
        gap = seconds[place] - seconds[place - 1] - 1
        if gap > most_filled or _is_jump(boxes, seconds, place):
            cuts.append(place)
    pieces = []
    for begin, end in zip(cuts, [*cuts[1:], len(seconds)], strict=True):
        known = seconds[begin:end]
        whole = range(known[0], known[-1] + 1)
        values = np.array([boxes[k] for k in known], dtype=np.float64)
        filled = np.column_stack([np.interp(whole, known, values[:, side]) for side in range(4)])
        pieces.append((whole, filled))
    return pieces


def _to_the_ends(pieces: list[tuple[range, Array]], span: Span, most_filled: int) -> list[tuple[range, Array]]:
    """The pieces with short gaps at the span's ends filled: the motion goes on, or the box stays where it would leave.

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
    """`count` boxes after the last one."""
    end = values[-1]
    step = end - values[-2] if len(values) > 1 else np.zeros(4)
    ahead = end + np.arange(1, count + 1)[:, None] * step
    return ahead if all(_is_valid(box) for box in ahead) else np.repeat(end[None], count, axis=0)


def _is_jump(boxes: Mapping[int, Sequence[float]], seconds: Sequence[int], place: int) -> bool:
    """Whether the target is elsewhere from `seconds[place]` on, and stays there: a cut, not a one-second error.

    Elsewhere: the boxes share nothing and their centres are farther apart than the target has moved in the seconds
    around. Stays: the next box is near the new place and the one before was near the old one.
    """
    here, there = boxes[seconds[place - 1]], boxes[seconds[place]]
    if _overlap(here, there) or place < 2 or place + 1 >= len(seconds):
        return False
    before, after = boxes[seconds[place - 2]], boxes[seconds[place + 1]]
    step = _distance(here, there)
    return _distance(before, here) < step / 3 and _distance(there, after) < step / 3


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return bool(min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1]))


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Between the centres, in shares of the picture."""
    return float(np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2)


# Each takes (seconds, 4) without gaps and gives the same shape.


def keep(values: Array) -> Array:
    """No steadying: gaps are filled and that is all."""
    return values


def centred_median(values: Array) -> Array:
    """Median of three seconds (Tukey, 1977): one-second errors vanish, straight motion stays."""
    return np.asarray(median_filter(values, size=(3, 1), mode="nearest"))


def exponential(values: Array, share: float = 0.6) -> Array:
    """Exponential smoothing forwards and backwards, averaged, so that the two lags cancel (Brown, 1956)."""

    def one_way(series: Array) -> Array:
        out = series.copy()
        for k in range(1, len(out)):
            out[k] = share * series[k] + (1 - share) * out[k - 1]
        return out

    return np.asarray((one_way(values) + one_way(values[::-1])[::-1]) / 2)


def savitzky_golay(values: Array) -> Array:
    """A straight line fitted to each five seconds (Savitzky and Golay, 1964)."""
    from scipy.signal import savgol_filter  # over a second to import, and training imports this module

    window = min(WINDOW, len(values) - (len(values) + 1) % 2)
    return np.asarray(savgol_filter(values, window, 1, axis=0)) if window >= 3 else values


def robust_line(values: Array, iterations: int = 3) -> Array:
    """A line through each second's neighbours, near ones weighing more and outliers less (Cleveland, 1979)."""
    count = len(values)
    if count < 3:
        return values
    trust = np.ones(count)
    half = WINDOW // 2
    out = values
    for _ in range(iterations):
        out = np.array([_line_at(values, trust, k, max(0, k - half), min(count, k + half + 1)) for k in range(count)])
        error = np.abs(values - out).max(axis=1)
        scale = 6 * np.median(error)
        # Where most seconds lie on their lines, those that don't are errors.
        trust = np.clip(1 - (error / max(scale, 1e-9)) ** 2, 0, None) ** 2
    return out


def _line_at(values: Array, trust: Array, place: int, begin: int, end: int) -> Array:
    """Weighted least squares line over [begin, end), read at `place`."""
    t = np.arange(begin, end, dtype=np.float64) - place
    near = (1 - (np.abs(t) / (WINDOW // 2 + 1)) ** 3) ** 3
    weights = near * trust[begin:end]
    if np.count_nonzero(weights > 1e-6) < 2:
        weights = near
    total = weights.sum()
    middle = (weights * t).sum() / total
    level = (weights[:, None] * values[begin:end]).sum(axis=0) / total
    spread = (weights * (t - middle) ** 2).sum()
    slope = (weights[:, None] * (t - middle)[:, None] * values[begin:end]).sum(axis=0) / spread if spread > 0 else 0.0
    return np.asarray(level - slope * middle)


def outliers_only(values: Array, limit: float = 5.0) -> Array:
    """A box far from its neighbours' median is drawn anew from them, the others stay as they are (Hampel, 1974).

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
    """Which seconds are farther from their neighbours' median than is usual there and than a usual step."""
    middle = np.asarray(median_filter(values, size=(WINDOW, 1), mode="nearest"))
    deviation = np.abs(values - middle)
    usual = 1.4826 * np.asarray(median_filter(deviation, size=(WINDOW, 1), mode="nearest"))
    step = np.median(np.abs(np.diff(values, axis=0)), axis=0) if len(values) > 1 else 0.0
    return np.asarray((deviation > limit * np.maximum(usual, step) + 1e-9).any(axis=1))


def outliers_then_line(values: Array) -> Array:
    """`outliers_only`, then `savitzky_golay`."""
    return savitzky_golay(outliers_only(values))


KINDS: dict[str, Callable[[Array], Array]] = {
    "none": keep,
    "median": centred_median,
    "exponential": exponential,
    "savitzky_golay": savitzky_golay,
    "robust": robust_line,
    "outliers": outliers_only,
    "outliers_line": outliers_then_line,
}
