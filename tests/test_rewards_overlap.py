"""Scores of one sample: worked examples, the identity vIoU = tIoU * mvIoU, and bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg_rewards import Answer, Scores, Track, box_iou, mviou, score_answer, temporal_iou, viou

LEFT_HALF = (0.0, 0.0, 0.5, 1.0)
LEFT_QUARTER = (0.0, 0.0, 0.25, 1.0)  # IoU with LEFT_HALF: 0.25 / 0.5 = 0.5
RIGHT_HALF = (0.5, 0.0, 1.0, 1.0)


def answer(track: Track, span=None) -> Answer:
    return Answer(track, span or track.span, parsed=True, salvaged=False, complete=True, discarded=0)


@pytest.mark.parametrize(
    ("a", "b", "expected", "remark"),
    [
        ((0, 0, 4, 4), (0, 0, 4, 4), 1.0, "equal"),
        ((0, 0, 4, 4), (2, 0, 6, 4), 8 / 24, "shifted by half a width: 2*4 / (16 + 16 - 8)"),
        ((0, 0, 4, 4), (1, 1, 3, 3), 4 / 16, "inside"),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0, "touching: boxes are open on the right"),
        ((0, 0, 2, 2), (3, 3, 4, 4), 0.0, "apart in both directions (the product of two negatives is no overlap)"),
        ((1, 1, 1, 3), (0, 0, 4, 4), 0.0, "empty"),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0.0, "both empty: not 0/0"),
        ((3, 0, 1, 4), (0, 0, 4, 4), 0.0, "inverted"),
        ((3, 3, 1, 1), (3, 3, 1, 1), 0.0, "inverted in both directions: their product is positive"),
    ],
)
def test_box_iou(a, b, expected, remark):
    assert box_iou(a, b) == pytest.approx(expected), remark
    assert box_iou(b, a) == pytest.approx(expected), remark


@pytest.mark.parametrize(
    ("predicted", "true", "expected", "remark"),
    [
        (None, (0, 3), 0.0, "no prediction"),
        ((0, 3), None, 0.0, "no truth"),
        ((2, 5), (2, 5), 1.0, "equal"),
        ((2, 2), (2, 2), 1.0, "one second is one second long"),
        ((2, 5), (4, 7), 2 / 6, "seconds 4, 5 of 2..7"),
        ((0, 9), (3, 4), 2 / 10, "inside"),
        ((0, 1), (2, 3), 0.0, "neighbours share no second"),
        ((5, 6), (0, 1), 0.0, "apart"),
        ((0, 10**14), (0, 0), 1e-14, "absurdly long spans cost no time"),
    ],
)
def test_temporal_iou(predicted, true, expected, remark):
    assert temporal_iou(predicted, true) == pytest.approx(expected), remark


def test_empty_prediction_scores_zero_and_empty_truth_none():
    true = Track("", {0: LEFT_HALF})
    nothing = Answer(Track("", {}), None, parsed=False, salvaged=False, complete=False, discarded=0)
    assert score_answer(nothing, true) == Scores(0.0, 0.0, 0.0)
    assert score_answer(answer(true), None) is None
    assert score_answer(answer(true), Track("", {}), (0, 3)) is None
    assert mviou(Track("", {}), true) == 0.0
    assert viou(true, Track("", {})) == 0.0


def test_worked_example():
    # Seconds       0    1    2    3    4    5
    # true               half half half half       span 1..4
    # predicted               half quarter  right  span 2..5, no box in 4
    # IoU                     1    0.5  0
    true = Track("", dict.fromkeys((1, 2, 3, 4), LEFT_HALF))
    predicted = Track("", {2: LEFT_HALF, 3: LEFT_QUARTER, 5: RIGHT_HALF})
    scores = score_answer(answer(predicted), true)
    assert scores.tIoU == pytest.approx(3 / 5)  # 2, 3, 4 of 1..5
    assert scores.mvIoU == pytest.approx((1 + 0.5 + 0) / 3)  # second 4 has no box and counts 0
    assert scores.vIoU == pytest.approx((1 + 0.5 + 0) / 5)
    assert mviou(predicted, true) == scores.mvIoU
    assert viou(predicted, true) == scores.vIoU


def test_only_seconds_with_a_true_box_count_in_mviou():
    # The true span is 0..3, but the target is hidden in 1 and 2: Omega is {0, 3}.
    true = Track("", {0: LEFT_HALF, 3: LEFT_HALF})
    predicted = Track("", dict.fromkeys(range(4), LEFT_HALF))
    assert score_answer(answer(predicted), true, (0, 3)) == Scores(1.0, 1.0, 0.5)  # vIoU: 2 of 4 seconds


def test_spans_that_share_only_hidden_seconds_have_an_empty_omega():
    true = Track("", {0: LEFT_HALF, 3: LEFT_HALF})
    predicted = Track("", {1: LEFT_HALF, 2: LEFT_HALF})
    assert score_answer(answer(predicted), true, (0, 3)) == Scores(0.5, 0.0, 0.0)


def test_boxes_outside_the_true_span_do_not_count():
    true = Track("", dict.fromkeys(range(6), LEFT_HALF))
    predicted = Track("", dict.fromkeys(range(6), LEFT_HALF))
    # The span given for the truth is 2..3: 2 of 6 seconds, and two perfect boxes.
    assert score_answer(answer(predicted), true, (2, 3)) == pytest.approx((2 / 6, 1.0, 2 / 6))


def test_the_predicted_span_counts_seconds_whose_state_was_discarded():
    true = Track("", dict.fromkeys(range(4), LEFT_HALF))
    predicted = answer(Track("a", {0: LEFT_HALF, 1: LEFT_HALF}), span=(0, 3))
    assert score_answer(predicted, true) == pytest.approx((1.0, 0.5, 0.5))


def test_eq_6_alone_pays_for_one_confident_second_and_viou_does_not():
    true = Track("", dict.fromkeys(range(10), LEFT_HALF))
    honest = Track("", dict.fromkeys(range(10), LEFT_QUARTER))
    short = Track("", {4: LEFT_HALF})
    assert (mviou(honest, true), mviou(short, true)) == (0.5, 1.0)
    assert (viou(honest, true), viou(short, true)) == (0.5, 0.1)


coordinates = st.integers(0, 20)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates).map(
    lambda c: (min(c[0], c[2]) / 21, min(c[1], c[3]) / 21, (max(c[0], c[2]) + 1) / 21, (max(c[1], c[3]) + 1) / 21)
)
tracks = st.dictionaries(st.integers(0, 12), boxes, max_size=13).map(lambda states: Track("", states))
full_tracks = st.tuples(st.integers(0, 8), st.lists(boxes, min_size=1, max_size=8)).map(
    lambda start_boxes: Track("", {start_boxes[0] + k: box for k, box in enumerate(start_boxes[1])})
)


@given(tracks, full_tracks)
def test_identity_when_every_true_second_has_a_box(predicted, true):
    scores = score_answer(answer(predicted), true)
    assert scores.vIoU == pytest.approx(scores.tIoU * scores.mvIoU, abs=1e-12)


@given(tracks, tracks, st.integers(0, 3), st.integers(0, 3))
def test_bounds_and_order(predicted, true, more_before, more_behind):
    if not true:
        return
    first, last = true.span
    scores = score_answer(answer(predicted), true, (max(0, first - more_before), last + more_behind))
    assert all(0.0 <= score <= 1.0 + 1e-12 for score in scores)
    assert scores.vIoU <= min(scores.tIoU, scores.mvIoU) + 1e-12


@given(tracks, tracks)
def test_scores_agree_with_the_definition_written_out(predicted, true):
    if not true:
        return
    seconds_true = set(range(true.span[0], true.span[1] + 1))
    seconds_predicted = set(range(predicted.span[0], predicted.span[1] + 1)) if predicted else set()
    shared, either = seconds_true & seconds_predicted, seconds_true | seconds_predicted
    omega = [second for second in shared if second in true.boxes]
    total = sum(box_iou(predicted.boxes[k], true.boxes[k]) for k in omega if k in predicted.boxes)
    expected = (
        len(shared) / len(either) if shared else 0.0,
        total / len(omega) if omega else 0.0,
        total / len(either),
    )
    assert score_answer(answer(predicted), true) == pytest.approx(expected)


@given(boxes, boxes, st.floats(0.1, 10), st.floats(-5, 5), st.floats(0.1, 10))
def test_box_iou_does_not_change_with_unit_or_origin(a, b, stretch_x, shift, stretch_y):
    def moved(box):
        return (
            box[0] * stretch_x + shift,
            box[1] * stretch_y - shift,
            box[2] * stretch_x + shift,
            box[3] * stretch_y - shift,
        )

    assert box_iou(moved(a), moved(b)) == pytest.approx(box_iou(a, b), abs=1e-9)
    assert 0.0 <= box_iou(a, b) <= 1.0 + 1e-12
    assert box_iou(a, a) == pytest.approx(1.0)
