"""The clock, by worked examples and by counting frames one by one."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.seconds import (
    exact_fps,
    first_frame_of_second,
    frame_time,
    frame_times,
    nanoseconds,
    second_of_frame,
    second_of_time,
    seconds_of,
    seconds_until,
    span_of_frames,
    span_of_times,
)

NTSC = Fraction(30000, 1001)

# Rates that public annotation files state, and what they stand for.
RATES = [
    (29.97002997002997, NTSC),
    (29.97, Fraction(2997, 100)),
    (23.976023976, Fraction(24000, 1001)),
    (23.976, Fraction(2997, 125)),
    (29.96969696969697, Fraction(989, 33)),
    (25, Fraction(25)),
    (24.0, Fraction(24)),
    (12.5, Fraction(25, 2)),
    (60, Fraction(60)),
    (59.94005994005994, Fraction(60000, 1001)),
    (NTSC, NTSC),
    (13.48137496197561, Fraction("13.48137496197561")),  # an average: no fraction that a camera has
    (0.1, Fraction(1, 10)),
]


@pytest.mark.parametrize(("stated", "exact"), RATES)
def test_exact_fps(stated, exact):
    assert exact_fps(stated) == exact


@pytest.mark.parametrize("fps", [0, -1, 0.0, float("nan"), float("inf"), "25", None, True])
def test_rates_that_are_none(fps):
    with pytest.raises(ValueError, match="expected a"):
        exact_fps(fps)


@pytest.mark.parametrize(
    ("num_frames", "fps", "seconds", "remark"),
    [
        (600, 29.97, 20, "599 / 29.97 = 19.987: second 20 would hold no frame, ceil(600 / 29.97) = 21"),
        (600, NTSC, 20, "599 * 1001 / 30000 = 19.987"),
        (600, 30, 20, "frame 599 is at 19.967 s"),
        (601, 30, 21, "frame 600 is at 20 s"),
        (1, 30, 1, "one frame, one second"),
        (30, 30, 1, "frame 29 is at 0.967 s"),
        (31, 30, 2, "frame 30 is at 1 s"),
        (300, 10, 30, "10 fps"),
        (3000, 60, 50, "60 fps"),
        (3, 0.5, 5, "frames at 0, 2 and 4 s"),
        (2998, 29.97, 101, "frame 2997 is at 100 s exactly; in floats 2997 / 29.97 may fall below"),
        (2997, 29.97, 100, "frame 2996 is at 99.967 s"),
    ],
)
def test_seconds_of(num_frames, fps, seconds, remark):
    assert seconds_of(num_frames, fps) == seconds, remark


@pytest.mark.parametrize("num_frames", [0, -3])
def test_no_frames_no_seconds(num_frames):
    with pytest.raises(ValueError, match="at least 1"):
        seconds_of(num_frames, 30)


def test_seconds_until_for_variable_rates():
    assert [seconds_until(t) for t in (0, 0.999, 1, Fraction(599 * 1001, 30000))] == [1, 1, 2, 20]


def test_seconds_start_at_the_ceiling():
    # ceil(k * 29.97): 29.97 -> 30, 59.94 -> 60, ..., 33 * 29.97 = 989.01 -> 990, 34 * 29.97 = 1018.98 -> 1019
    assert [first_frame_of_second(k, 29.97) for k in (0, 1, 2, 33, 34, 100)] == [0, 30, 60, 990, 1019, 2997]
    # The NTSC rate is a little lower than 30: 33 * 30000 / 1001 = 989.01, 34 -> 1018.98, 1001 -> 30000 exactly
    assert [first_frame_of_second(k, NTSC) for k in (33, 34, 1001)] == [990, 1019, 30000]


@pytest.mark.parametrize("fps", [10, 12, 15, 23.976, 24, 25, 29.97, NTSC, 29.96969696969697, 30, 50, 60, 7.5, 0.4])
def test_first_frame_and_second_of_frame_agree(fps):
    # By counting: second k starts at the first frame whose time k <= f / fps.
    rate = exact_fps(fps)
    for second in range(130):
        first = first_frame_of_second(second, fps)
        assert first / rate >= second and (first == 0 or (first - 1) / rate < second)
    for frame in range(4000):
        second = second_of_frame(frame, fps)
        assert second * rate <= frame < (second + 1) * rate
        assert second_of_time(frame_time(frame, fps)) == second
        assert second_of_time(frame / fps) == second  # what callers' floats give


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 10**7), st.fractions(Fraction(1, 10), 240, max_denominator=1001))
def test_the_last_second_holds_the_last_frame(num_frames, fps):
    seconds = seconds_of(num_frames, fps)
    assert second_of_frame(num_frames - 1, fps) == seconds - 1
    assert seconds <= max(1, math.ceil(num_frames / fps))  # the paper's ceil(T / F) is never exceeded
    assert first_frame_of_second(seconds, fps) >= num_frames


@pytest.mark.parametrize(
    ("begin", "end", "fps", "span", "remark"),
    [
        (0, 25, 25, (0, 0), "exactly the first second"),
        (0, 26, 25, (0, 1), "one frame more"),
        (28, 40, 30, (0, 1), "0.4 s across a border: frames 28 .. 39"),
        (30, 42, 30, (1, 1), "0.4 s inside second 1"),
        (20, 30, 25, (0, 1), "0.4 s at 25 fps: frames 20 .. 29, 0.8 .. 1.16 s"),
        (29, 30, 29.97, (0, 0), "frame 29 is at 0.968 s"),
        (30, 31, 29.97, (1, 1), "frame 30 is at 1.001 s"),
        (588, 600, 29.97, (19, 19), "the last 0.4 s of 600 frames"),
        (7, 8, 10, (0, 0), "a single frame"),
    ],
)
def test_span_of_frames(begin, end, fps, span, remark):
    assert span_of_frames(begin, end, fps) == span, remark


@pytest.mark.parametrize(("begin", "end"), [(5, 5), (6, 5), (-1, 3)])
def test_spans_of_no_frames(begin, end):
    with pytest.raises(ValueError, match="expected 0 <= begin < end"):
        span_of_frames(begin, end, 25)


def test_span_of_times():
    assert span_of_times([3.2, 1.9, 2.0]) == (1, 3)
    assert span_of_times([0.0]) == (0, 0)
    with pytest.raises(ValueError, match="at least one"):
        span_of_times([])


def test_times_are_rounded_to_the_nanosecond():
    """Whole seconds that floats miss from below: 49 * (1 / 49) is 0.9999999999999999."""
    wrong = [n for n in range(1, 2000) if n * (1 / n) < 1]
    assert 49 in wrong
    assert {second_of_time(n * (1 / n)) for n in wrong} == {1}
    assert nanoseconds(Fraction(1, 3)) == 333_333_333
    assert nanoseconds(Fraction(2, 3)) == 666_666_667
    assert second_of_time(1 - 1e-9) == 0, "a nanosecond is seen"


@pytest.mark.parametrize("time_s", [-0.001, float("nan"), float("inf")])
def test_times_off_the_clock(time_s):
    with pytest.raises(ValueError, match="expected a finite number"):
        second_of_time(time_s)


@pytest.mark.parametrize("frame", [-1])
def test_frames_off_the_clock(frame):
    with pytest.raises(ValueError, match="expected 0 or more"):
        second_of_frame(frame, 25)
    with pytest.raises(ValueError, match="expected 0 or more"):
        first_frame_of_second(frame, 25)


@pytest.mark.parametrize(
    ("seconds", "rate", "times"),
    [
        (3, 1, [0.5, 1.5, 2.5]),
        (2, 2, [0.25, 0.75, 1.25, 1.75]),
        (1, 4, [0.125, 0.375, 0.625, 0.875]),
        (4, 0.5, [1.0, 3.0]),
        (5, 0.5, [1.0, 3.0, 5.0]),  # the last interval is [4, 6); past the last frame means the last frame
        (3, 0.25, [2.0]),
        (1, 1, [0.5]),
    ],
)
def test_frame_times(seconds, rate, times):
    assert frame_times(seconds, rate) == times


def test_frame_times_at_whole_rates_stand_in_their_second():
    for rate in (1, 2, 3, 4, 8, 30):
        times = frame_times(20, rate)
        assert [math.floor(t) for t in times] == [k for k in range(20) for _ in range(rate)]
        assert all(abs(t - (k + (j + 0.5) / rate)) < 1e-12 for t, (k, j) in zip(
            times, [(k, j) for k in range(20) for j in range(rate)], strict=True))  # fmt: skip


@pytest.mark.parametrize(("seconds", "rate"), [(0, 1), (3, 0), (3, -1), (3, float("nan"))])
def test_frame_times_of_nothing(seconds, rate):
    with pytest.raises(ValueError):
        frame_times(seconds, rate)
