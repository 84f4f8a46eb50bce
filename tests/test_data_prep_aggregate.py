"""Frame boxes to one box a second: golden cases with their arithmetic, and the laws that always hold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.aggregate import METHODS, aggregate, aggregate_frames, aggregate_rows
from data_prep.seconds import exact_fps, frame_time, second_of_frame

NTSC = Fraction(30000, 1001)


def box(x):
    """A box whose place says which one it is."""
    return (float(x), 0.0, float(x) + 1.0, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_no_frames_no_boxes(method):
    assert aggregate({}, method) == {}
    assert aggregate_frames({}, 25, method) == {}


@pytest.mark.parametrize("method", METHODS)
def test_absence_stays_absence(method):
    boxes = {0.2: box(1), 0.7: None, 1.2: None, 1.8: None, 3.0: box(5)}
    assert list(aggregate(boxes, method)) == [0, 3]
    assert list(aggregate_frames({0: box(1), 30: None, 100: box(2)}, 25, method)) == [0, 4]


@pytest.mark.parametrize(
    ("method", "expected", "remark"),
    [
        ("mean", (4.0, 0.0, 5.0, 1.0), "(0 + 1 + 3 + 12) / 4 = 4"),
        ("median", (2.0, 0.0, 3.0, 1.0), "between 1 and 3"),
        ("middle", (3.0, 0.0, 4.0, 1.0), "0.52 is nearest to 0.5"),
        ("sampled", (1.0, 0.0, 2.0, 1.0), "at 0.5 the frame of 0.4 is on screen"),
    ],
)
def test_the_four_methods(method, expected, remark):
    boxes = {0.0: box(0), 0.4: box(1), 0.52: box(3), 0.9: box(12)}
    assert aggregate(boxes, method) == {0: expected}, remark


def test_middle_and_sampled_take_the_nearest_visible_frame():
    # 10 fps, frames 0 .. 9; the target hides in 3 .. 6. On screen at 0.5 is frame 5; nearest visible ones: 2 at a
    # distance of 0.3 and 7 at 0.2 from both 0.5 s and frame 5.
    boxes = {f / 10: (None if 3 <= f <= 6 else box(f)) for f in range(10)}
    assert aggregate(boxes, "middle")[0] == aggregate(boxes, "sampled")[0] == box(7)
    # With 4 .. 7 hidden both 3 and 8 are away by 0.2 and 0.3: frame 3.
    boxes = {f: box(f) for f in range(10) if not 4 <= f <= 7}
    assert aggregate_frames(boxes, 10, "middle")[0] == aggregate_frames(boxes, 10, "sampled")[0] == box(3)


def test_of_two_equally_near_frames_the_earlier():
    # 0.4 and 0.6 are both 0.1 from 0.5.
    assert aggregate({0.6: box(6), 0.4: box(4)}, "middle") == {0: box(4)}
    assert aggregate_frames({4: box(4), 6: box(6)}, 10, "middle") == {0: box(4)}


def test_sampled_follows_the_rate():
    boxes = {f: box(f) for f in range(120)}
    # 30 fps. 1 a second: k + 0.5 -> frames 15, 45, 75, 105.
    assert [b[0] for b in aggregate_frames(boxes, 30, "sampled").values()] == [15, 45, 75, 105]
    # 2 a second: 0.25 and 0.75 are equally near to 0.5, the earlier is 0.25 -> frame 7 (0.2333 s).
    assert [b[0] for b in aggregate_frames(boxes, 30, "sampled", rate=2).values()] == [7, 37, 67, 97]
    # 3 a second: 0.5 is the middle one.
    assert [b[0] for b in aggregate_frames(boxes, 30, "sampled", rate=3).values()] == [15, 45, 75, 105]
    # 1 in two seconds: shown at 1.0 s and 3.0 s, frames 30 and 90; nearest are 29 of second 0 and 89 of second 2.
    assert [b[0] for b in aggregate_frames(boxes, 30, "sampled", rate=0.5).values()] == [29, 30, 89, 90]


def test_the_sampled_frame_may_be_one_that_hides_the_target():
    # Frames at 0, 0.45 (hidden), 0.8. On screen at 0.5: 0.45. Nearest visible: 0.8 (0.35), not 0 (0.45).
    assert aggregate({0.0: box(0), 0.45: None, 0.8: box(8)}, "sampled") == {0: box(8)}


# --- golden cases


def test_600_frames_at_29_97():
    result = aggregate_frames({f: box(f) for f in range(600)}, 29.97)
    assert list(result) == list(range(20))
    # Second 0 holds frames 0 .. 29, mean 14.5; second 1 frames 30 .. 59; second 19 starts at ceil(569.43) = 570.
    assert result[0][0] == 14.5
    assert result[1][0] == 44.5
    assert result[19][0] == (570 + 599) / 2
    # Second 33 of a longer one starts at ceil(989.01) = 990 and second 34 at ceil(1018.98) = 1019: 29 frames.
    assert aggregate_frames({f: box(f) for f in range(1100)}, 29.97)[33][0] == (990 + 1018) / 2


@pytest.mark.parametrize("method", METHODS)
def test_an_event_of_0_4_seconds(method):
    # 12 frames at 30 fps, 28 .. 39: two frames in second 0, ten in second 1. A normal event, never 0 / 0.
    result = aggregate_frames({f: box(f) for f in range(28, 40)}, 30, method)
    expected = {
        "mean": {0: 28.5, 1: 34.5},
        "median": {0: 28.5, 1: 34.5},
        "middle": {0: 28.0, 1: 39.0},  # 0.5 s is frame 15, 1.5 s frame 45: the nearest ends
        "sampled": {0: 28.0, 1: 39.0},
    }[method]
    assert {second: b[0] for second, b in result.items()} == expected


@pytest.mark.parametrize("method", METHODS)
def test_an_event_inside_one_second(method):
    # 10 frames at 25 fps, 30 .. 39 (1.2 .. 1.56 s).
    result = aggregate_frames({f: box(f) for f in range(30, 40)}, 25, method)
    # The middle 1.5 s is between 37 (1.48) and 38 (1.52): the earlier; on screen at 1.5 is 37.
    expected = {"mean": 34.5, "median": 34.5, "middle": 37.0, "sampled": 37.0}[method]
    assert {second: b[0] for second, b in result.items()} == {1: expected}


@pytest.mark.parametrize("fps", [10, 12, 15, 23.976, 24, 25, 29.97, NTSC, 30, 48, 50, 59.94005994005994, 60])
@pytest.mark.parametrize("method", METHODS)
def test_one_motion_at_any_rate(fps, method):
    # x moves by 1 a second. Whatever the rate, second k is described near k + 0.5, within one frame's step.
    rate = exact_fps(fps)
    frames = range(int(10 * rate))
    result = aggregate_frames({f: box(f / rate) for f in frames}, fps, method)
    assert list(result) == list(range(10))
    assert all(abs(b[0] - (second + 0.5)) <= 1 / rate for second, b in result.items())


@pytest.mark.parametrize("fps", [10, 25, 29.97, NTSC, 60])
@pytest.mark.parametrize("method", METHODS)
def test_times_and_frame_numbers_agree(fps, method):
    numbers = {f: (None if 40 <= f < 75 or f % 7 == 0 else box(f)) for f in range(150)}
    by_number = aggregate_frames(numbers, fps, method)
    assert by_number == aggregate({frame_time(f, fps): b for f, b in numbers.items()}, method)
    assert by_number == aggregate({f / float(fps): b for f, b in numbers.items()}, method)


def test_the_order_of_the_input_does_not_matter():
    boxes = {f: box(f) for f in range(60)}
    shuffled = dict(sorted(boxes.items(), key=lambda item: item[0] * 37 % 60))
    for method in METHODS:
        result = aggregate_frames(shuffled, 30, method)
        assert result == aggregate_frames(boxes, 30, method)
        assert list(result) == [0, 1]


# --- laws

coordinates = st.floats(0, 1, allow_nan=False)
boxes_strategy = st.tuples(coordinates, coordinates, coordinates, coordinates)
frames_strategy = st.dictionaries(st.integers(0, 400), st.none() | boxes_strategy, max_size=40)
rates = st.sampled_from([10, 12, 23.976, 25, 29.97, NTSC, 30, 60])


@settings(deadline=None, derandomize=True)
@given(frames_strategy, rates, st.sampled_from(METHODS), st.sampled_from([0.5, 1, 2, 4]))
def test_boxes_stay_inside_the_hull_of_their_frames(frames, fps, method, rate):
    result = aggregate_frames(frames, fps, method, rate=rate)
    by_second = {}
    for frame, value in frames.items():
        if value is not None:
            by_second.setdefault(second_of_frame(frame, fps), []).append(value)
    assert set(result) == set(by_second)  # neither lost nor made up
    for second, value in result.items():
        for edge in range(4):
            values = [b[edge] for b in by_second[second]]
            assert min(values) <= value[edge] <= max(values)
        if method in ("middle", "sampled"):
            assert value in by_second[second]


def rows_of(frames):
    """The arrays of a mapping."""
    seen = {frame: value for frame, value in sorted(frames.items()) if value is not None}
    return np.array(list(seen), np.int64), np.array(list(seen.values()), float).reshape(-1, 4)


@settings(deadline=None, derandomize=True)
@given(frames_strategy, rates, st.sampled_from(METHODS))
def test_arrays_give_the_same_numbers_to_the_last_bit(frames, fps, method):
    expected = {second: list(value) for second, value in aggregate_frames(frames, fps, method).items()}
    assert aggregate_rows(*rows_of(frames), fps, method) == expected


@pytest.mark.parametrize("fps", [10, 29.97, NTSC, 60, 0.1234567890123, 9999.87654321])
def test_arrays_far_from_the_beginning(fps):
    # Numerators of many digits times frames late in a day: whole numbers beyond 64 bits.
    frames = {frame: box(frame % 97) for frame in (0, 1, 10**6, 10**9, 2**31 - 2, 2**31 - 1)}
    assert aggregate_rows(*rows_of(frames), fps) == {
        second: list(value) for second, value in aggregate_frames(frames, fps).items()
    }


@pytest.mark.parametrize("fps", [*range(10, 61), 23.976, 29.97, NTSC, 59.94])
def test_seconds_that_are_bounded_exactly_at_every_rate(fps):
    # Second k begins at frame ceil(k * fps) and no frame is lost or counted twice.
    count = int(7 * exact_fps(fps)) + 3
    found = aggregate_rows(*rows_of({frame: box(frame) for frame in range(count)}), fps)
    for second, value in found.items():
        begin = -(-second * exact_fps(fps) // 1)
        end = min(-(-(second + 1) * exact_fps(fps) // 1), count)
        assert value[0] == pytest.approx((begin + end - 1) / 2)
    assert list(found) == list(range(8))


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), min_size=1, max_size=20))
def test_boxes_that_are_right_stay_right(corners):
    frames = {
        f: (min(a, c), min(b, d), max(a, c) + 0.001, max(b, d) + 0.001) for f, (a, b, c, d) in enumerate(corners)
    }
    for method in METHODS:
        for x_min, y_min, x_max, y_max in aggregate_frames(frames, 30, method).values():
            assert x_min < x_max and y_min < y_max


@settings(deadline=None, derandomize=True)
@given(boxes_strategy, st.integers(1, 30))
def test_a_still_target_keeps_its_box_exactly(value, count):
    for method in METHODS:
        assert aggregate_frames(dict.fromkeys(range(count), value), 30, method) == {0: value}


# --- wrong input


def test_unknown_method():
    with pytest.raises(ValueError, match="aggregation 'max', expected one of mean, median, middle, sampled"):
        aggregate({0.0: box(0)}, "max")


@pytest.mark.parametrize(
    "wrong",
    [(0, 0, 1), (0, 0, 1, 1, 1), (0, 0, float("nan"), 1), (0, float("inf"), 1, 1), (0, 0, 10**400, 1), "none", 5],
)
def test_boxes_that_are_none(wrong):
    with pytest.raises(ValueError, match="at 0.040 s, expected four finite numbers"):
        aggregate_frames({1: wrong}, 25)


def test_enormous_coordinates_do_not_overflow():
    assert aggregate({0.0: (1e299, 0, 1e299, 1), 0.1: (1e299, 0, 1e299, 1)})[0][0] == 1e299


@pytest.mark.parametrize("time_s", [-0.1, float("nan"), float("inf")])
def test_times_off_the_clock(time_s):
    with pytest.raises(ValueError, match="expected a finite number of at least 0"):
        aggregate({time_s: box(0)})


def test_frames_off_the_clock():
    with pytest.raises(ValueError, match="frame -1, expected 0 or more"):
        aggregate_frames({-1: box(0)}, 25)
