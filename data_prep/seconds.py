"""The clock: which second a frame belongs to, which frames a second holds, when frames are sampled.

A clip's clock is 0 at its first displayed frame and second k is the half-open interval [k, k + 1). All of it is
exact rational arithmetic: in floats 2997 / 29.97 can land just below 100 and move a frame into the wrong second.
"""

import math
import os
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

NANOSECONDS = 10**9  # float times are read to the nanosecond: coarser than float error, finer than any frame
DAY_S = 86_400
MOST_FRAMES = 1 << 20  # of one clip at its rate: a day at 12 frames a second
LIMIT_NAME = "STVG_MOST_SECONDS"  # an environment variable, which worker processes inherit


def most_seconds() -> int:
    """Return the seconds of the longest clip that is taken: a day, or what STVG_MOST_SECONDS says.

    A longer one is a mistake or an attack: its frames are listed one by one, which for 2e9 seconds fills the memory.

    Raises:
        ValueError: STVG_MOST_SECONDS is no whole number of at least 1.
    """
    return _limit(os.environ.get(LIMIT_NAME))


@lru_cache(maxsize=8)
def _limit(stated: str | None) -> int:
    if not stated:
        return DAY_S
    if not (stated.isascii() and stated.isdecimal() and len(stated) <= 10 and int(stated)):
        raise ValueError(f"{LIMIT_NAME}={stated[:40]!r}, expected whole seconds from 1, such as {DAY_S}")
    return int(stated)


def length_problem(seconds: int, rate: float | Fraction = 1, most: int | None = None) -> str | None:
    """Return what is wrong with a clip's length, or None.

    Args:
        seconds: K of the clip.
        rate: frames a second that it is looked at with.
        most: what `most_seconds` said, for callers with many clips; None: ask it.

    >>> length_problem(20), length_problem(86_400, 1000)
    (None, '86400 seconds at 1000 frames a second, expected at most 1048576 frames')
    >>> length_problem(2_000_000_000)
    '2000000000 seconds, expected at most 86400 (STVG_MOST_SECONDS raises it)'
    """
    limit = most_seconds() if most is None else most
    if seconds > limit:
        return f"{seconds} seconds, expected at most {limit} ({LIMIT_NAME} raises it)"
    if seconds * rate > MOST_FRAMES:
        return f"{seconds} seconds at {rate} frames a second, expected at most {MOST_FRAMES} frames"
    return None


@lru_cache(maxsize=1024, typed=True)
def exact_fps(fps: float | Fraction) -> Fraction:
    """Return frames a second as the fraction that the float stands for.

    29.97002997002997 is 30000/1001, 29.96969696969697 is 989/33 and 29.97 is 2997/100: what is stated is taken at
    its word.

    Raises:
        ValueError: if `fps` is not a finite number above 0.

    Example:
        >>> exact_fps(29.97002997002997), exact_fps(29.97), exact_fps(25)
        (Fraction(30000, 1001), Fraction(2997, 100), Fraction(25, 1))
    """
    if isinstance(fps, bool) or not isinstance(fps, (int, float, Fraction)):
        raise ValueError(f"fps {fps!r}, expected a number above 0")
    if not math.isfinite(fps) or fps <= 0:
        raise ValueError(f"fps {fps!r}, expected a finite number above 0")
    if not isinstance(fps, float):
        return Fraction(fps)
    near = Fraction(fps).limit_denominator(1001)
    if near > 0 and abs(near - Fraction(fps)) <= Fraction(fps) / 10**9:
        return near
    return Fraction(repr(fps))


def seconds_of(num_frames: int, fps: float | Fraction) -> int:
    """Return K, the number of seconds up to the last one that holds one of T frames: floor((T - 1) / F) + 1 at F fps.

    The paper's ceil(T / F) (section 3.1) except that a last second without any frame is not made.

    Raises:
        ValueError: if `num_frames` is below 1 or `fps` is no rate.

    Example:
        >>> seconds_of(600, 29.97), seconds_of(1, 30), seconds_of(31, 30)
        (20, 1, 2)
    """
    if num_frames < 1:
        raise ValueError(f"num_frames {num_frames!r}, expected at least 1")
    return second_of_frame(num_frames - 1, fps) + 1


def seconds_until(last_frame_s: float | Fraction) -> int:
    """Return K at any frame rate from the time of the last displayed frame: floor(last_frame_s) + 1.

    Example:
        >>> seconds_until(19.987), seconds_until(20.0)
        (20, 21)
    """
    return second_of_time(last_frame_s) + 1


def second_of_frame(frame: int, fps: float | Fraction) -> int:
    """Return the second in which frame `frame` (0-based, constant rate) starts.

    Example:
        >>> second_of_frame(29, 29.97), second_of_frame(30, 29.97)
        (0, 1)
    """
    if frame < 0:
        raise ValueError(f"frame {frame!r}, expected 0 or more")
    rate = exact_fps(fps)
    return frame * rate.denominator // rate.numerator


def second_of_time(time_s: float | Fraction) -> int:
    """Return the second in which a time (seconds on the clip's clock) falls.

    Example:
        >>> second_of_time(2997 / 29.97), second_of_time(0.999)
        (100, 0)
    """
    return nanoseconds(time_s) // NANOSECONDS


def nanoseconds(time_s: float | Fraction) -> int:
    """Return a time on the clip's clock as whole nanoseconds.

    Raises:
        ValueError: if the time is negative or not finite.
    """
    if not 0 <= time_s < math.inf:  # NaN fails too
        raise ValueError(f"time {time_s!r} s, expected a finite number of at least 0")
    return round(time_s * NANOSECONDS)


def first_frame_of_second(second: int, fps: float | Fraction) -> int:
    """Return the first frame (0-based) of a second: ceil(second * fps).

    Example:
        >>> [first_frame_of_second(k, 29.97) for k in (0, 1, 2, 33, 34)]
        [0, 30, 60, 990, 1019]
    """
    if second < 0:
        raise ValueError(f"second {second!r}, expected 0 or more")
    return math.ceil(second * exact_fps(fps))


def frame_time(frame: int, fps: float | Fraction) -> Fraction:
    """Return the time at which frame `frame` (0-based, constant rate) appears, in seconds, exactly.

    Example:
        >>> frame_time(30, 29.97002997002997)
        Fraction(1001, 1000)
    """
    return frame / exact_fps(fps)


def span_of_frames(begin: int, end: int, fps: float | Fraction) -> tuple[int, int]:
    """Return the span (first, last second, inclusive) of the frames [begin, end): each second in which one falls.

    Raises:
        ValueError: if the frames are none or negative.

    Example:
        >>> span_of_frames(28, 40, 25), span_of_frames(0, 25, 25)
        ((1, 1), (0, 0))
    """
    if not 0 <= begin < end:
        raise ValueError(f"frames [{begin}, {end}), expected 0 <= begin < end")
    return second_of_frame(begin, fps), second_of_frame(end - 1, fps)


def span_of_times(times_s: Iterable[float | Fraction]) -> tuple[int, int]:
    """Return the span (first, last second, inclusive) of frames that appear at these times.

    Example:
        >>> span_of_times([1.9, 2.0, 3.2])
        (1, 3)
    """
    seconds = [second_of_time(time_s) for time_s in times_s]
    if not seconds:
        raise ValueError("times of no frame, expected at least one")
    return min(seconds), max(seconds)


def frame_times(seconds: int, rate: float | Fraction = 1.0) -> list[float]:
    """Return the times at which a clip of `seconds` seconds is looked at, at `rate` frames a second.

    Frame j of second k stands at k + (j + 0.5) / rate, in the middle of the interval that it speaks for. Below
    one frame a second there is one in the middle of each interval of 1 / rate seconds, the last of which may
    reach past the clip's end (a time past the last frame means the last frame).

    Raises:
        ValueError: `seconds` is below 1 or above the limit (`length_problem`), or `rate` is no rate.

    Example:
        >>> frame_times(3), frame_times(1, 4), frame_times(5, 0.5)
        ([0.5, 1.5, 2.5], [0.125, 0.375, 0.625, 0.875], [1.0, 3.0, 5.0])
    """
    if seconds < 1:
        raise ValueError(f"seconds {seconds!r}, expected at least 1")
    exact = exact_fps(rate)
    if problem := length_problem(seconds, exact):
        raise ValueError(problem)
    return [float((i + Fraction(1, 2)) / exact) for i in range(math.ceil(seconds * exact))]
