"""Hold the ways to steady boxes that were compared; the recipe uses the best, `outliers_only` (docs/smoothing.md).

Each takes the boxes of one piece of a track, (seconds, 4) without gaps, and returns the same shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from recipe.inference.smoothing import WINDOW, outliers_only

Array = np.ndarray


def keep(values: Array) -> Array:
    """Return the boxes as they are: gaps are filled and that is all."""
    return values


def centred_median(values: Array) -> Array:
    """Return the median of three seconds (Tukey, 1977): one-second errors vanish, straight motion stays."""
    return np.asarray(median_filter(values, size=(3, 1), mode="nearest"))


def exponential(values: Array, share: float = 0.6) -> Array:
    """Smooth exponentially forwards and backwards, averaged, so that the two lags cancel (Brown, 1956)."""

    def one_way(series: Array) -> Array:
        out = series.copy()
        for k in range(1, len(out)):
            out[k] = share * series[k] + (1 - share) * out[k - 1]
        return out

    return np.asarray((one_way(values) + one_way(values[::-1])[::-1]) / 2)


def savitzky_golay(values: Array) -> Array:
    """Fit a straight line to each five seconds (Savitzky and Golay, 1964)."""
    window = min(WINDOW, len(values) - (len(values) + 1) % 2)
    return np.asarray(savgol_filter(values, window, 1, axis=0)) if window >= 3 else values


def robust_line(values: Array, iterations: int = 3) -> Array:
    """Fit a line through each second's neighbours, near ones weighing more and outliers less (Cleveland, 1979)."""
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


def _line_at(values: Array, trust: Array, index: int, begin: int, end: int) -> Array:
    """Return the weighted least squares line over [begin, end), read at `index`."""
    t = np.arange(begin, end, dtype=np.float64) - index
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


def outliers_then_line(values: Array) -> Array:
    """Replace outliers, then fit the line of `savitzky_golay`."""
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
