"""Long videos: windows, and the join of their answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.inference.windows import Window, join, overlap_viou, windows_of

A, B = (0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 0.9, 0.9)


def window(first, end, seconds, box=A):
    seconds = list(seconds)
    span = (seconds[0], seconds[-1]) if seconds else None
    return Window(first, end, span, dict.fromkeys(seconds, box))


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(0, 299))
def test_windows_cover_everything_and_overlap(seconds, length, overlap):
    if overlap >= length:
        with pytest.raises(ValueError, match="expected 0 <= overlap < window"):
            windows_of(seconds, length, overlap)
        return
    parts = windows_of(seconds, length, overlap)
    assert parts[0][0] == 0
    assert parts[-1][1] == seconds
    assert all(1 <= end - first <= length for first, end in parts)
    for (_, end), (first, _) in zip(parts, parts[1:], strict=False):
        assert end - first == overlap


def test_nothing_found():
    assert join([]) == (None, {}, [])
    assert join([window(0, 10, []), window(8, 20, [])]) == (None, {}, [])


def test_neighbours_that_agree_are_one_tube():
    span, boxes, joined = join([window(0, 10, range(6, 10)), window(8, 20, range(8, 13))])
    assert span == (6, 12)
    assert sorted(boxes) == list(range(6, 13))
    assert joined == [0, 1]


def test_boxes_that_both_give_are_averaged():
    other = (0.0, 0.0, 0.4, 0.2)  # IoU with A: 0.5
    span, boxes, _ = join([window(0, 10, range(6, 10)), window(8, 20, range(8, 13), other)])
    assert boxes[7] == A
    assert boxes[9] == pytest.approx((0.0, 0.0, 0.3, 0.2))
    assert boxes[12] == other
    assert span == (6, 12)


def test_neighbours_that_disagree_stay_apart_and_the_longer_one_wins():
    span, boxes, joined = join([window(0, 10, range(7, 10)), window(8, 20, range(8, 15), B)])
    assert (span, joined) == ((8, 14), [1])
    assert set(boxes.values()) == {B}


def test_a_tube_that_ends_before_the_overlap_is_not_joined():
    span, _, joined = join([window(0, 10, range(0, 5)), window(8, 20, range(12, 15))])
    assert (span, joined) == ((0, 4), [0])


def test_three_windows():
    parts = [window(0, 10, range(5, 10)), window(8, 18, range(8, 18)), window(16, 26, range(16, 20))]
    assert join(parts)[0] == (5, 19)


def test_overlap_viou_counts_seconds_that_one_lists_alone():
    # Overlap 8..10: both list 8, the second alone lists 9: 1 of 2.
    assert overlap_viou(window(0, 10, [7, 8]), window(8, 20, [8, 9])) == 0.5
