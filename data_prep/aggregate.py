"""Boxes on frames in, one box a second out (the paper's section 3.1: "aggregating visible target boxes").

A second in which the target is never visible has no entry: absence stays absence.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from data_prep.seconds import NANOSECONDS, exact_fps, nanoseconds
from data_prep.validation import quote

Box = tuple[float, float, float, float]
METHODS = ("mean", "median", "middle", "sampled")
_LARGEST = 1e300  # sums of finite numbers below this stay finite


def aggregate(
    frame_boxes: Mapping[float, Sequence[float] | None] | Mapping[Fraction, Sequence[float] | None],
    method: str = "mean",
    *,
    rate: float | Fraction = 1.0,
) -> dict[int, Box]:
    """One box for each second in which the target is visible.

    Args:
        frame_boxes: time of a frame (seconds on the clip's clock, from 0) -> its box (x_min, y_min, x_max, y_max)
            in any unit, or None where the frame exists and the target is not visible in it.
        method: "mean" or "median" of each coordinate; "middle": the visible frame nearest to k + 0.5; "sampled":
            the visible frame nearest to the frame that the model is shown for second k (of two equally near
            frames the earlier). "sampled" needs the invisible frames in `frame_boxes` too.
        rate: frames a second that the model is shown; only "sampled" looks at it. Of several frames in a second
            it means the one nearest to k + 0.5.

    Returns:
        second -> box, in the order of the seconds, in the unit of the input.

    Raises:
        ValueError: for an unknown method, a negative time or a box that is not four finite numbers.

    Example:
        >>> aggregate({0.0: (0, 0, 2, 2), 0.5: (2, 0, 4, 2), 1.0: None, 2.0: (5, 5, 6, 6)})
        {0: (1.0, 0.0, 3.0, 2.0), 2: (5.0, 5.0, 6.0, 6.0)}
    """
    ticks = {nanoseconds(time_s): box for time_s, box in frame_boxes.items()}
    order = sorted(ticks)

    def on_screen(tick: Fraction) -> int:
        return order[max(bisect_right(order, tick) - 1, 0)]

    return _aggregate(((tick, ticks[tick]) for tick in order), NANOSECONDS, method, rate, on_screen)


def aggregate_frames(
    frame_boxes: Mapping[int, Sequence[float] | None],
    fps: float | Fraction,
    method: str = "mean",
    *,
    rate: float | Fraction = 1.0,
) -> dict[int, Box]:
    """`aggregate` for frames numbered from 0 at a constant rate: exact at any fps, and faster.

    Frames that are left out exist but do not show the target, so None and no entry mean the same.

    Example:
        >>> aggregate_frames({29: (0, 0, 1, 1), 30: (4, 4, 5, 5)}, 29.97)
        {0: (0.0, 0.0, 1.0, 1.0), 1: (4.0, 4.0, 5.0, 5.0)}
    """
    exact = exact_fps(fps)
    step = exact.denominator  # with ticks of 1 / numerator seconds, frame f stands at tick f * denominator
    if frame_boxes and min(frame_boxes) < 0:
        raise ValueError(f"frame {min(frame_boxes)}, expected 0 or more")
    items = ((frame * step, frame_boxes[frame]) for frame in sorted(frame_boxes))
    return _aggregate(items, exact.numerator, method, rate, lambda tick: math.floor(tick / step) * step)


def aggregate_rows(
    frames: np.ndarray, boxes: np.ndarray, fps: float | Fraction, method: str = "mean"
) -> dict[int, list[float]]:
    """`aggregate_frames` for arrays, with the same numbers; "mean" is the fast one.

    Args:
        frames: (n,) integers, increasing, from 0.
        boxes: (n, 4) finite floats below 1e300.

    Example:
        >>> aggregate_rows(np.array([29, 30]), np.array([[0, 0, 1, 1], [4, 4, 5, 5]], float), 29.97)
        {0: [0.0, 0.0, 1.0, 1.0], 1: [4.0, 4.0, 5.0, 5.0]}
    """
    if not len(frames):
        return {}
    exact = exact_fps(fps)
    if method != "mean" or int(frames[-1]) * exact.denominator >= 1 << 62 or exact.numerator >= 1 << 62:
        by_frame = dict(zip(frames.tolist(), boxes.tolist(), strict=True))
        return {second: list(box) for second, box in aggregate_frames(by_frame, fps, method).items()}
    seconds = frames * exact.denominator // exact.numerator
    starts = np.concatenate(([0], np.flatnonzero(seconds[1:] != seconds[:-1]) + 1))
    low, high = np.minimum.reduceat(boxes, starts).tolist(), np.maximum.reduceat(boxes, starts).tolist()
    columns = boxes.T.tolist()
    begins, names = starts.tolist(), seconds[starts].tolist()
    result = {}
    for second, begin, end, least, most in zip(names, begins, [*begins[1:], len(frames)], low, high, strict=True):
        count = end - begin
        # As in _mean: rounding may carry the mean of equal numbers past them.
        result[second] = [
            min(max(math.fsum(column[begin:end]) / count, lower), upper)
            for column, lower, upper in zip(columns, least, most, strict=True)
        ]
    return result


def _aggregate(
    items: Iterable[tuple[int, Sequence[float] | None]],
    per_second: int,
    method: str,
    rate: float | Fraction,
    on_screen: Callable[[Fraction], int],
) -> dict[int, Box]:
    """The rule itself on whole ticks, `per_second` of them a second."""
    if method not in METHODS:
        raise ValueError(f"aggregation {method!r}, expected one of {', '.join(METHODS)}")
    visible: dict[int, list[tuple[int, Box]]] = {}
    for tick, box in items:
        if box is not None:
            visible.setdefault(tick // per_second, []).append((tick, _checked(box, tick, per_second)))
    if method == "mean":
        return {second: _each_coordinate(frames, _mean) for second, frames in visible.items()}
    if method == "median":
        return {second: _each_coordinate(frames, _median) for second, frames in visible.items()}
    result = {}
    for second, frames in visible.items():
        # Doubled, so that the middle of a second is a whole number of ticks.
        wanted = (2 * second + 1) * per_second
        if method == "sampled":
            wanted = 2 * on_screen(_sampled_time(second, exact_fps(rate)) * per_second)
        result[second] = min((abs(2 * tick - wanted), tick, box) for tick, box in frames)[2]
    return result


def _sampled_time(second: int, rate: Fraction) -> Fraction:
    """Of the sampled times (i + 0.5) / rate the one nearest to second + 0.5, of two equally near ones the earlier."""
    i = max(math.ceil((second + Fraction(1, 2)) * rate - 1), 0)
    return (i + Fraction(1, 2)) / rate


def _each_coordinate(frames: list[tuple[int, Box]], rule: Callable[[Sequence[float]], float]) -> Box:
    x_min, y_min, x_max, y_max = (rule(values) for values in zip(*(box for _, box in frames), strict=True))
    return x_min, y_min, x_max, y_max


def _mean(values: Sequence[float]) -> float:
    # Rounding may carry the mean of equal numbers one step past them; it belongs inside the hull of its frames.
    return min(max(math.fsum(values) / len(values), min(values)), max(values))


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else _mean(ordered[half - 1 : half + 1])


def _checked(box: Sequence[float], tick: int, per_second: int) -> Box:
    try:
        x_min, y_min, x_max, y_max = map(float, box)
    except (TypeError, ValueError, OverflowError):
        pass
    else:
        # NaN and infinity fail these comparisons too.
        if abs(x_min) < _LARGEST and abs(y_min) < _LARGEST and abs(x_max) < _LARGEST and abs(y_max) < _LARGEST:
            return x_min, y_min, x_max, y_max
    raise ValueError(f"box {quote(box)} at {tick / per_second:.3f} s, expected four finite numbers")
