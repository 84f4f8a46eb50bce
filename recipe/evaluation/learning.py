"""How soon a score is reached in training: running means, and the first step at which they get there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SMOOTHED = 5  # log entries of a running mean
SLACK = 1e-12  # sums of the same numbers in another order differ by less

Curve = tuple[Sequence[float], Sequence[float]]


def running_mean(values: Sequence[float], window: int = SMOOTHED) -> list[float]:
    """Return the mean of each value and the ones just before it, `window` in all where there are as many.

    >>> running_mean([1.0, 2.0, 3.0], 2)
    [1.0, 1.5, 2.5]
    """
    return [sum(values[max(0, k + 1 - window) : k + 1]) / min(k + 1, window) for k in range(len(values))]


def whole_windows(curve: Curve, window: int = SMOOTHED) -> Curve:
    """Return the (steps, running means) whose means are of a full window, or of all entries where there are fewer."""
    steps, means = curve
    first = max(0, min(window, len(means)) - 1)
    return steps[first:], means[first:]


def reached(curve: Curve, score: float, window: int = SMOOTHED) -> float | None:
    """Return the first step at which a running mean reaches a score; None where it never does.

    >>> reached(([5, 10, 15], [0.9, 0.2, 0.4]), 0.4, window=2)
    15
    """
    return next(
        (step for step, mean in zip(*whole_windows(curve, window), strict=True) if mean >= score - SLACK), None
    )


def steps_to(
    curves: Mapping[str, Curve], score: float | None = None, window: int = SMOOTHED
) -> tuple[dict[str, float | None], float | None]:
    """Return (name -> first step at which its running mean reaches the score, the score).

    Args:
        curves: name -> (steps, `running_mean` of the scores).
        score: None: the lowest best mean of the curves that do not end below their start, so that all of these reach
            it; None comes back where there is no such curve.

    >>> a, b, c = ([5, 10], [0.2, 0.4]), ([5, 10], [0.3, 0.6]), ([5, 10], [0.3, 0.1])
    >>> steps_to({"a": a, "b": b, "c": c}, window=1)
    ({'a': 10, 'b': 10, 'c': None}, 0.4)
    """
    if score is None:
        means = [whole_windows(curve, window)[1] for curve in curves.values()]
        score = min((max(curve) for curve in means if curve and curve[-1] >= curve[0]), default=None)
    if score is None:
        return dict.fromkeys(curves), None
    return {name: reached(curve, score, window) for name, curve in curves.items()}, score
