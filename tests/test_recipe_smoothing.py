"""Smoothing: straight motion stays, errors go, cuts stay sharp, the span never changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.smoothing_kinds import KINDS
from recipe.inference.smoothing import outliers_only, smooth

STRAIGHT = {k: (0.1 + 0.02 * k, 0.2, 0.3 + 0.03 * k, 0.5 - 0.01 * k) for k in range(12)}
KEEPS_LINES = [kind for kind in KINDS if kind != "exponential"]
sides = st.tuples(st.floats(0, 0.9), st.floats(0.001, 0.1))
boxes_of = st.tuples(sides, sides).map(lambda b: (b[0][0], b[1][0], sum(b[0]), sum(b[1])))


def test_nothing():
    assert smooth({}, (0, 5)) == {}
    assert smooth({2: (0.5, 0.5, 0.1, 0.9)}, (0, 5)) == {}, "an invalid box is dropped"


def test_without_a_choice_outliers_are_redrawn():
    noisy = STRAIGHT | {5: (0.7, 0.7, 0.9, 0.9)}
    assert smooth(noisy, (0, 11)) == smooth(noisy, (0, 11), steady=outliers_only)
    assert smooth(noisy, (0, 11)) != smooth(noisy, (0, 11), steady=KINDS["none"])


@pytest.mark.parametrize("kind", KEEPS_LINES)
def test_constant_velocity_stays(kind):
    for second, box in smooth(STRAIGHT, (0, 11), steady=KINDS[kind]).items():
        assert box == pytest.approx(STRAIGHT[second], abs=1e-9)


@pytest.mark.parametrize("kind", ["median", "robust", "outliers", "outliers_line"])
def test_a_one_second_error_goes(kind):
    wrong = STRAIGHT | {5: (0.7, 0.7, 0.9, 0.9)}
    found = smooth(wrong, (0, 11), steady=KINDS[kind])
    assert found[5] == pytest.approx(STRAIGHT[5], abs=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_is_not_smeared(kind):
    a, b = (0.1, 0.1, 0.2, 0.2), (0.7, 0.6, 0.9, 0.8)
    cut = {k: a if k < 6 else b for k in range(12)}
    for second, box in smooth(cut, (0, 11), steady=KINDS[kind]).items():
        assert box == pytest.approx(cut[second], abs=1e-9)


def test_short_gaps_are_filled_and_long_ones_are_not():
    gaps = {k: STRAIGHT[k] for k in (0, 1, 4, 5, 9, 10)}
    found = smooth(gaps, (0, 11))
    assert sorted(found) == [0, 1, 2, 3, 4, 5, 9, 10, 11]
    assert found[2] == pytest.approx(STRAIGHT[2])


def test_short_gaps_at_the_ends_of_the_span_go_on_along_the_motion():
    middle = {k: STRAIGHT[k] for k in range(2, 10)}
    for second, box in smooth(middle, (0, 11)).items():
        assert box == pytest.approx(STRAIGHT[second], abs=1e-9)
    assert sorted(smooth(middle, (0, 11))) == list(range(12))
    assert sorted(smooth(middle, (0, 11), most_filled=1)) == list(range(2, 10)), "gaps of two are longer than that"
    assert sorted(smooth(middle, (1, 9), most_filled=1)) == list(range(1, 10))


def test_motion_that_would_leave_the_picture_stops():
    leaving = {0: (0.6, 0.1, 0.8, 0.2), 1: (0.75, 0.1, 0.95, 0.2)}
    found = smooth(leaving, (0, 3))
    assert found[2] == found[3] == leaving[1]
    assert smooth({1: leaving[1]}, (0, 1))[0] == leaving[1], "one box alone has no motion"


@pytest.mark.parametrize("kind", KINDS)
@given(st.dictionaries(st.integers(0, 15), boxes_of, max_size=12), st.integers(0, 15), st.integers(0, 15))
@settings(max_examples=60)
def test_boxes_stay_valid_and_inside_the_span(kind, boxes, a, b):
    span = (min(a, b), max(a, b))
    found = smooth(boxes, span, steady=KINDS[kind])
    inside = {k for k in boxes if span[0] <= k <= span[1]}
    assert inside <= found.keys()
    assert all(span[0] <= k <= span[1] for k in found)
    assert len(found) <= 3 * len(inside) + 2 * bool(inside), "at most two seconds are filled after each box"
    assert list(found) == sorted(found)
    for left, top, right, bottom in found.values():
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def change(before, after):
    return sum(np.abs(np.subtract(before[k], after[k])).sum() for k in before)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_a_second_pass_changes_less(seed):
    """Of the default, on moving tracks with jitter and outliers."""
    rng = np.random.default_rng(seed)
    noisy = {}
    for k, box in STRAIGHT.items():
        moved = np.add(box, rng.normal(0, 0.01, 4)) + (
            np.tile(rng.uniform(-0.2, 0.2, 2), 2) if rng.random() < 0.2 else 0
        )
        clipped = np.clip(moved, 0, 1)
        if clipped[0] < clipped[2] and clipped[1] < clipped[3]:
            noisy[k] = tuple(clipped)
    once = smooth(noisy, (0, 11))
    twice = smooth(once, (0, 11))
    first = change({k: noisy[k] for k in noisy}, once)
    assert change(once, twice) <= first + 1e-12


@pytest.mark.parametrize(("error", "redrawn"), [(8, False), (9, True)])
def test_an_outlier_is_five_usual_deviations_away(error, redrawn):
    """A slip of `error` steps on a track of constant speed, in the middle of it.

    The median of the five seconds around lies one step ahead, so the slip is error - 1 steps away from it, and the
    usual deviation there is 1.4826 steps: the limit is 5 * 1.4826 = 7.4 steps.
    """
    track = {k: (0.1 + 0.02 * k, 0.2, 0.5 + 0.02 * k, 0.5) for k in range(12)}
    left, top, right, bottom = track[5]
    slipped = (left + 0.02 * error, top, right + 0.02 * error, bottom)
    found = smooth(track | {5: slipped}, (0, 11), steady=KINDS["outliers"])
    assert found[5] == pytest.approx(track[5] if redrawn else slipped)


@pytest.mark.parametrize(
    ("before", "after", "cut", "remark"),
    [
        (0.3, 0.3, True, "it moved less than a third of the step on both sides"),
        (0.4, 0.0, False, "it was on its way"),
        (0.0, 0.4, False, "it goes on"),
    ],
)
def test_a_cut_is_a_step_of_thrice_the_motion_around(before, after, cut, remark):
    """A step of 0.3 pictures across a gap of one second, which is filled unless the step is a cut."""
    places = {0: 0.0, 1: 0.3 * before, 3: 0.3 * (before + 1), 4: 0.3 * (before + 1 + after)}
    track = {k: (x, 0.2, x + 0.05, 0.5) for k, x in places.items()}
    assert (2 not in smooth(track, (0, 4), steady=KINDS["none"])) == cut, remark
