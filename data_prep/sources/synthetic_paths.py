"""Where a synthetic shape goes: a walk from the middle of one second to the next, or a curve that knows no seconds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

GRID = 6  # corners of a walk lie on multiples of it, units
MOTIONS = ("walk", "curve")


@dataclass(frozen=True)
class Walk:
    """Straight lines between corners that are reached in the middle of every second.

    Attributes:
        corners: the top-left corner (x, y) in the middle of each second, whole units.
    """

    corners: tuple[tuple[int, int], ...]

    def corner_at(self, time_s: float) -> tuple[float, float]:
        """Return the top-left corner at a time, in whole units."""
        position = min(max(time_s - 0.5, 0.0), len(self.corners) - 1.0)
        k = min(int(position), len(self.corners) - 2) if len(self.corners) > 1 else 0
        (x0, y0), (x1, y1) = self.corners[k], self.corners[min(k + 1, len(self.corners) - 1)]
        share = position - k
        return round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))


@dataclass(frozen=True)
class Curve:
    """A smooth curve through points at even times, the first of them at a time that no second knows.

    Neither the middle nor the quarter points of a second are special to it. Between points it is the cubic of Catmull
    and Rom, whose speed has no jumps, cut off at the picture's edge.

    Attributes:
        points: the top-left corner (x, y) at each time, units.
        start_s, step_s: time of the first point and time between two, seconds.
        top: the largest x and y, units.
    """

    points: tuple[tuple[float, float], ...]
    start_s: float
    step_s: float
    top: int

    def corner_at(self, time_s: float) -> tuple[float, float]:
        """Return the top-left corner at a time, units."""
        position = min(max((time_s - self.start_s) / self.step_s, 0.0), len(self.points) - 1.0)
        k = min(int(position), len(self.points) - 2)
        share = position - k
        near = [self.points[min(max(i, 0), len(self.points) - 1)] for i in range(k - 1, k + 3)]
        x, y = (min(max(_cubic(values, share), 0.0), float(self.top)) for values in zip(*near, strict=True))
        return x, y


def _cubic(values: Sequence[float], share: float) -> float:
    """Return the cubic between the middle two of four values, whose slopes there are those between the neighbours."""
    before, start, end, after = values
    rise, run = (end - before) / 2, (after - start) / 2
    a, b = 2 * (start - end) + rise + run, 3 * (end - start) - 2 * rise - run
    return ((a * share + b) * share + rise) * share + start


Path = Walk | Curve


def draw_walk(rng: random.Random, top: int, seconds: int, max_step: int) -> Walk:
    """Draw a random walk on the grid: one corner a second, at most `max_step` units further in x and in y."""
    steps = range(-max_step, max_step + 1, GRID)
    x, y = rng.randrange(0, top + 1, GRID), rng.randrange(0, top + 1, GRID)
    corners = [(x, y)]
    for _ in range(seconds - 1):
        x = min(top, max(0, x + rng.choice(steps)))
        y = min(top, max(0, y + rng.choice(steps)))
        corners.append((x, y))
    return Walk(tuple(corners))


def draw_curve(rng: random.Random, top: int, seconds: int, max_step: int, turns: float) -> Curve:
    """Draw a curve through random points, `turns` of them a second, each at most `max_step` units a second away."""
    step_s = 1 / turns
    start_s = -rng.random() * step_s
    reach = max_step * step_s
    x, y = rng.uniform(0, top), rng.uniform(0, top)
    points = [(x, y)]
    while start_s + (len(points) - 1) * step_s < seconds:
        x, y = (_stay(value + rng.uniform(-reach, reach), top) for value in (x, y))
        points.append((x, y))
    return Curve(tuple(points), start_s, step_s, top)


def _stay(value: float, top: int) -> float:
    """Return the value turned back at 0 and at `top`, so that no shape sticks to the picture's edge."""
    value = abs(value)
    return max(0.0, 2 * top - value) if value > top else value
