"""Combine boxes on frames into one box a second (the paper's section 3.1: "aggregating visible target boxes").

A second in which the target is never visible has no entry: absence stays absence.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from data_prep.seconds import NANOSECONDS, exact_fps, nanoseconds
from data_prep.validation import quote

Box = tuple[float, float, float, float]
METHODS = ("mean", "median", "middle", "sampled")
_Rule = Callable[[int, Sequence[int], Sequence[Sequence[float]]], list[float]]
_LARGEST = 1e300  # sums of finite numbers below this stay finite


def aggregate(
    frame_boxes: Mapping[float, Sequence[float] | None] | Mapping[Fraction, Sequence[float] | None],
    method: str = "mean",
    *,
    rate: float | Fraction = 1.0,
) -> dict[int, Box]:
    """Return one box for each second in which the target is visible.

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

    return _of_visible(
        ((tick, ticks[tick]) for tick in order), NANOSECONDS, _rule(method, NANOSECONDS, rate, on_screen)
    )


def aggregate_frames(
    frame_boxes: Mapping[int, Sequence[float] | None],
    fps: float | Fraction,
    method: str = "mean",
    *,
    rate: float | Fraction = 1.0,
) -> dict[int, Box]:
    """Return one box for each second from frames numbered from 0 at a constant rate.

    The result is that of `aggregate`; it is exact at any fps, and computed faster.

    A frame without an entry exists but does not show the target, so None and no entry mean the same.

    Example:
        >>> aggregate_frames({29: (0, 0, 1, 1), 30: (4, 4, 5, 5)}, 29.97)
        {0: (0.0, 0.0, 1.0, 1.0), 1: (4.0, 4.0, 5.0, 5.0)}
    """
    exact = exact_fps(fps)
    step = exact.denominator  # with ticks of 1 / numerator seconds, frame f stands at tick f * denominator
    if frame_boxes and min(frame_boxes) < 0:
        raise ValueError(f"frame {min(frame_boxes)}, expected 0 or more")
    items = ((frame * step, frame_boxes[frame]) for frame in sorted(frame_boxes))
    return _of_visible(items, exact.numerator, _rule_of_frames(method, exact, rate))


def aggregate_rows(
    frames: np.ndarray, boxes: np.ndarray, fps: float | Fraction, method: str = "mean"
) -> dict[int, list[float]]:
    """Return one box for each second from arrays of frames and boxes, with the numbers of `aggregate_frames`.

    Args:
        frames: (n,) integers, increasing, from 0.
        boxes: (n, 4) finite floats below 1e300.

    Example:
        >>> aggregate_rows(np.array([29, 30]), np.array([[0, 0, 1, 1], [4, 4, 5, 5]], float), 29.97)
        {0: [0.0, 0.0, 1.0, 1.0], 1: [4.0, 4.0, 5.0, 5.0]}
    """
    exact = exact_fps(fps)
    if len(frames) and int(frames[-1]) * exact.denominator >= 1 << 62:
        frames = frames.astype(object)  # Python's integers, which have no end
    ticks = frames * exact.denominator
    columns = boxes.reshape(-1, 4).T.tolist()
    by_second = _one_box_a_second(ticks.tolist(), columns, exact.numerator, _rule_of_frames(method, exact, 1.0))
    return {second: list(box) for second, box in by_second.items()}


def _of_visible(items: Iterable[tuple[int, Sequence[float] | None]], per_second: int, rule: _Rule) -> dict[int, Box]:
    """Return `_one_box_a_second` of the items (tick, box) that have a box, which is checked."""
    seen = {tick: _checked(box, tick, per_second) for tick, box in items if box is not None}
    return _one_box_a_second(list(seen), list(zip(*seen.values(), strict=True)), per_second, rule)


def _one_box_a_second(
    ticks: list[int], columns: Sequence[Sequence[float]], per_second: int, rule: _Rule
) -> dict[int, Box]:
    """Return second -> box for each second that has visible frames, in order.

    Args:
        ticks: when the target is visible, whole ticks, increasing, `per_second` of them a second.
        columns: the four coordinates, each as long as `ticks`.
    """
    result: dict[int, Box] = {}
    begin = 0
    while begin < len(ticks):
        second = ticks[begin] // per_second
        end = bisect_left(ticks, (second + 1) * per_second, begin)
        x_min, y_min, x_max, y_max = rule(second, ticks[begin:end], [column[begin:end] for column in columns])
        result[second] = (x_min, y_min, x_max, y_max)
        begin = end
    return result


def _rule_of_frames(method: str, fps: Fraction, rate: float | Fraction) -> _Rule:
    """Return the rule for frames that each stand at a multiple of `fps.denominator` ticks of 1 / fps.numerator s."""
    step = fps.denominator
    return _rule(method, fps.numerator, rate, lambda tick: math.floor(tick / step) * step)


def _rule(method: str, per_second: int, rate: float | Fraction, on_screen: Callable[[Fraction], int]) -> _Rule:
    """Return what makes one box of a second's frames: (second, ticks, four columns) -> four coordinates.

    Args:
        on_screen: the tick of the frame that is shown at a time in ticks.

    Raises:
        ValueError: An unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"aggregation {method!r}, expected one of {', '.join(METHODS)}")
    if method in ("mean", "median"):
        of_column = _mean if method == "mean" else _median
        return lambda second, ticks, columns: [of_column(column) for column in columns]

    def nearest(second: int, ticks: Sequence[int], columns: Sequence[Sequence[float]]) -> list[float]:
        # Doubled, so that the middle of a second is a whole number of ticks.
        wanted = (2 * second + 1) * per_second
        if method == "sampled":
            wanted = 2 * on_screen(_sampled_time(second, exact_fps(rate)) * per_second)
        _, index = min((abs(2 * tick - wanted), index) for index, tick in enumerate(ticks))
        return [column[index] for column in columns]

    return nearest


def _sampled_time(second: int, rate: Fraction) -> Fraction:
    """Return the sampled time (i + 0.5) / rate nearest to second + 0.5; the earlier of two equally near ones."""
    i = max(math.ceil((second + Fraction(1, 2)) * rate - 1), 0)
    return (i + Fraction(1, 2)) / rate


def _mean(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    # Rounding may carry the mean of equal numbers one step past them; it belongs inside the hull of its frames. In
    # most motions it lies between the first and the last, which spares half the time: the search for the extremes.
    if values[0] <= mean <= values[-1] or values[0] >= mean >= values[-1]:
        return mean
    return min(max(mean, min(values)), max(values))


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
