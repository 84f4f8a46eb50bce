"""Searches over answers, small enough to try them all: what a shorter span can pay, and that vIoU pays for nothing."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg_rewards import Track, parse_answer, score_answer

UNITS = 16  # a side, so that every number is exact
coordinates = st.integers(0, 7)
boxes = st.tuples(coordinates, coordinates, st.integers(1, 4), st.integers(1, 4)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
predictions = st.dictionaries(st.integers(0, 6), boxes, min_size=1, max_size=7)
truths = st.dictionaries(st.integers(0, 6), boxes, min_size=1, max_size=7)


def text_of(states, others=()):
    """Answer text of the target's states, and of another label's: (second, box)."""
    answer = {str(second): [{"label": "a", "bbox_2d": list(box)}] for second, box in states.items()}
    for second, box in others:
        answer.setdefault(str(second), []).append({"label": "b", "bbox_2d": list(box)})
    return json.dumps(answer)


def true_track(boxes, units=UNITS):
    return Track("", {second: tuple(value / units for value in box) for second, box in boxes.items()})


def scores_of(text, true, units=UNITS):
    return score_answer(parse_answer(text, scale=(units, units)), true)


@given(predictions, truths, st.integers(0, 10**6))
def test_a_later_clock_changes_nothing(states, true, later):
    moved = scores_of(
        text_of({k + later: box for k, box in states.items()}), true_track({k + later: box for k, box in true.items()})
    )
    assert moved == scores_of(text_of(states), true_track(true))


@given(predictions, truths, st.integers(0, 4), st.integers(0, 4))
def test_boxes_elsewhere_in_the_picture_change_nothing(states, true, right, down):
    def moved(boxes):
        return {k: (b[0] + right, b[1] + down, b[2] + right, b[3] + down) for k, b in boxes.items()}

    assert scores_of(text_of(moved(states)), true_track(moved(true))) == pytest.approx(
        scores_of(text_of(states), true_track(true))
    )


@given(predictions, truths, st.sampled_from([2, 4, 32, 1000]))
def test_larger_and_smaller_boxes_and_units_change_nothing(states, true, times):
    def larger(boxes):
        return {k: tuple(value * times for value in box) for k, box in boxes.items()}

    expected = scores_of(text_of(states), true_track(true))
    # Other units, the same boxes; and the same units, boxes of other sizes.
    assert scores_of(text_of(larger(states)), true_track(true), UNITS * times) == pytest.approx(expected)
    small = scores_of(text_of(states), true_track(true, UNITS * times), UNITS * times)
    assert small == pytest.approx(expected)


@given(predictions, truths)
def test_the_two_axes_are_alike(states, true):
    def turned(boxes):
        return {k: (b[1], b[0], b[3], b[2]) for k, b in boxes.items()}

    assert scores_of(text_of(turned(states)), true_track(turned(true))) == pytest.approx(
        scores_of(text_of(states), true_track(true))
    )


# --- what a shorter span pays -------------------------------------------------------------------------------------

WHOLE = (0, 0, UNITS, UNITS)
qualities = st.lists(st.integers(0, UNITS), min_size=1, max_size=8)


def cut(widths, first, last):
    """Answer to `len(widths)` seconds of a whole picture: those of first..last, second k with IoU widths[k]/16."""
    # An inverted box is discarded and its second keeps counting: IoU 0.
    return text_of({k: (0, 0, widths[k], UNITS) for k in range(first, last + 1)})


@given(qualities, st.integers(0, 4))
def test_the_most_that_a_shorter_span_pays(widths, missing):
    """All shorter spans of an answer that covers n of the true u seconds, its second k with IoU b_k, on average m.

    Keeping s of them, m_s on average, changes tIoU by -(n - s)/u, mvIoU by m_s - m and vIoU by -(what is dropped)/u:
    - mvIoU: the best is the best second alone; it pays max(b) - m.
    - tIoU + mvIoU: at most (n - s)(1/n - 1/u), where the kept seconds are right and the dropped ones at IoU 0. So an
      answer that covers the true span (n = u) gains nothing by any cut, and one that does not gains less than 1 - n/u.
    - vIoU: nothing.
    """
    n = len(widths)
    u, ious = n + missing, [width / UNITS for width in widths]
    m = sum(ious) / n
    true = true_track(dict.fromkeys(range(u), WHOLE))
    whole = scores_of(cut(widths, 0, n - 1), true)
    assert whole == pytest.approx((n / u, m, m * n / u))
    best = 0.0
    for first, last in itertools.combinations_with_replacement(range(n), 2):
        s = last - first + 1
        scores = scores_of(cut(widths, first, last), true)
        kept = sum(ious[first : last + 1])
        more_mviou, more_tiou = scores.mvIoU - whole.mvIoU, scores.tIoU - whole.tIoU
        assert more_mviou == pytest.approx(kept / s - m)
        assert more_tiou == pytest.approx(-(n - s) / u)
        assert scores.vIoU - whole.vIoU == pytest.approx(-(m * n - kept) / u)
        assert more_tiou + more_mviou <= (n - s) * (1 / n - 1 / u) + 1e-12
        best = max(best, more_mviou)
    assert best == pytest.approx(max(ious) - m)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 6))
def test_which_answer_gains_the_most(right, wrong, missing):
    """s right seconds, then others at IoU 0: cutting the others pays the whole of (n - s)(1/n - 1/u)."""
    n = right + wrong
    u = n + missing
    true = true_track(dict.fromkeys(range(u), WHOLE))
    widths = [UNITS] * right + [0] * wrong
    before, after = scores_of(cut(widths, 0, n - 1), true), scores_of(cut(widths, 0, right - 1), true)
    gain = after.tIoU + after.mvIoU - before.tIoU - before.mvIoU
    assert gain == pytest.approx(wrong * (1 / n - 1 / u))
    assert after.vIoU == pytest.approx(before.vIoU)


# --- vIoU ---------------------------------------------------------------------------------------------------------


@given(truths, st.lists(boxes, min_size=7, max_size=7))
@settings(max_examples=25)
def test_no_choice_of_seconds_beats_the_honest_answer_in_viou(true, seen):
    """What is seen of second k is box seen[k]. Of all 2^7 choices of seconds none beats listing the true ones."""
    span = range(min(true), max(true) + 1)
    track = true_track(true)
    honest = scores_of(text_of({k: seen[k] for k in span}), track).vIoU
    for size in range(8):
        for chosen in itertools.combinations(range(7), size):
            assert scores_of(text_of({k: seen[k] for k in chosen}), track).vIoU <= honest + 1e-12


EDITS = ("again", "other label", "all labels", "invalid", "late key", "unclosed", "reasoning", "shift", "rename some")


def edited(text, states, kind, second, box):
    """The honest text with one thing done to it that needs no better sight of the object."""
    entries = {str(k): [{"label": "a", "bbox_2d": list(b)}] for k, b in states.items()}
    key = str(second)
    if kind == "again":
        entries.setdefault(key, []).append({"label": "a", "bbox_2d": list(box)})
    elif kind == "other label":
        entries.setdefault(key, []).insert(0, {"label": "b", "bbox_2d": list(box)})
    elif kind == "all labels":
        for listed in entries.values():
            listed.append({"label": "b", "bbox_2d": list(box)})
    elif kind == "invalid":
        entries[key] = [{"label": "a", "bbox_2d": list(box[::-1])}]
    elif kind == "late key":
        entries["9" * 12] = [{"label": "a", "bbox_2d": list(box)}]
    elif kind == "unclosed":
        return json.dumps(entries)[:-3]
    elif kind == "reasoning":
        return f"<think>{json.dumps({key: [{'label': 'a', 'bbox_2d': list(box)}]})}</think>{text}"
    elif kind == "shift":
        return json.dumps({str(int(k) + 1): listed for k, listed in entries.items()})
    elif kind == "rename some" and key in entries:
        entries[key][0]["label"] = "c"
    return json.dumps(entries)


@given(truths, boxes, st.integers(0, 4), st.sampled_from(EDITS), st.integers(0, 9))
@settings(max_examples=300)
def test_no_trick_with_the_text_beats_the_honest_answer_in_viou(true, seen, off, kind, second):
    """The honest answer lists the true seconds with boxes that are `off`; a trick has no better box than those."""
    states = dict.fromkeys(range(min(true), max(true) + 1), (seen[0], seen[1], seen[2] + off, seen[3] + off))
    track = true_track(dict.fromkeys(states, seen))
    honest = text_of(states)
    limit = scores_of(honest, track).vIoU
    assert (limit == 1.0) == (off == 0)
    assert scores_of(edited(honest, states, kind, second, states[min(states)]), track).vIoU <= limit + 1e-12
