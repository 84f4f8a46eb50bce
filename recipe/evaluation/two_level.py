"""Intervals that know about training seeds: the difference of two ways to train, over seeds and videos together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LOW, HIGH = 2.5, 97.5  # percentiles of a 95 % interval
AT_ONCE = 200  # resamples that are held in memory together


@dataclass(frozen=True)
class TwoLevelGain:
    """By how much B's scores exceed A's.

    Attributes:
        mean: over seeds and samples.
        low, high: the bootstrap 95 % interval over seeds and videos.
        seeds: the mean of each seed.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    @property
    def side(self) -> int:
        """Return 1 where the interval and every seed lie above 0, -1 where they lie below, else 0."""
        if self.low > 0 and min(self.seeds) > 0:
            return 1
        return -1 if self.high < 0 and max(self.seeds) < 0 else 0

    def __str__(self) -> str:
        seeds = ", ".join(f"{seed:+.3f}" for seed in self.seeds)
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}] (seeds {seeds})"


def two_level_gain(
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    videos: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> TwoLevelGain:
    """Return the mean of after - before with an interval for which seeds and whole videos are drawn, both with return.

    Trainings of one seed are paired: they began alike. With three seeds the drawn sets are few, and the true interval
    is rather wider than this one.

    Args:
        before, after: scores by sample, one list for each training seed, seeds and samples in the same order.
        videos: the video of each sample.

    Raises:
        ValueError: No seed, no sample, or lists of different lengths.

    >>> gain = two_level_gain([[0.1, 0.2]] * 2, [[0.2, 0.3], [0.4, 0.5]], ["a", "b"])
    >>> str(gain)
    '+0.200 [+0.100, +0.300] (seeds +0.100, +0.300)'
    """
    if not len(before) == len(after) > 0 or any(not len(row) == len(videos) > 0 for row in (*before, *after)):
        lengths = sorted({len(row) for row in (*before, *after)})
        raise ValueError(
            f"{len(before)} and {len(after)} seeds of {lengths} scores for {len(videos)} samples, "
            "expected the same seeds and samples on both sides, and at least one"
        )
    difference = np.asarray(after, float) - np.asarray(before, float)
    names, of_sample = np.unique(np.asarray(videos), return_inverse=True)
    totals = np.stack([np.bincount(of_sample, row, len(names)) for row in difference])
    counts = np.bincount(of_sample, minlength=len(names))
    generator = np.random.default_rng(seed)
    seeds, drawn = len(difference), len(names)
    means = []
    for begin in range(0, resamples, AT_ONCE):
        size = min(AT_ONCE, resamples - begin)
        mean_totals = totals[generator.integers(seeds, size=(size, seeds))].mean(axis=1)
        of_videos = generator.integers(drawn, size=(size, drawn))
        means.append(np.take_along_axis(mean_totals, of_videos, axis=1).sum(axis=1) / counts[of_videos].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [LOW, HIGH])
    return TwoLevelGain(float(difference.mean()), float(low), float(high), tuple(difference.mean(axis=1).tolist()))
