"""Rewards beside the paper's: time alone, images, several objects, soft forms. Docstrings have worked examples."""

import json
import math
import pickle
import random
import re
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import stvg_rewards
from stvg_rewards import (
    Track,
    box_iou,
    format_tracks,
    generalised_mviou_reward,
    images,
    interval_iou,
    locate,
    mviou_reward,
    parse_box,
    parse_intervals,
    parse_point,
    scaled_tiou_reward,
    spans,
    tiou_reward,
    tubes_reward,
    tubes_score,
    viou,
)
from stvg_rewards.assignment import best_assignment
from stvg_rewards.images import generalised_iou
from stvg_rewards.spans import merge

if sys.version_info >= (3, 11):
    import re._parser as re_parser
else:
    import sre_parse as re_parser

VARIANTS = [
    "interval_reward",
    "scaled_interval_reward",
    "generalised_interval_reward",
    "box_reward",
    "stepped_box_reward",
    "generalised_box_reward",
    "point_reward",
    "tubes_reward",
    "scaled_tiou_reward",
    "generalised_mviou_reward",
]
STATES = [{"second": k, "box": [0.0, 0.0, 0.5, 0.5]} for k in (0, 1)]
TRUTHS = {
    "intervals": [[1, 3]],
    "duration": 10,
    "box": [0.0, 0.0, 0.5, 0.5],
    "track": STATES,
    "seconds": 10,
    "tracks": [{"label": "a", "track": STATES}],
}
COLUMN = {"interval": "intervals", "box": "box", "point": "box", "tubes": "tracks", "tiou": "track", "mviou": "track"}


def truth_of(name):
    return next(column for part, column in COLUMN.items() if part in name)


def columns_of(name, rows):
    """The columns that a variant needs, `rows` of them its truth or None."""
    columns = {truth_of(name): [TRUTHS[truth_of(name)] if row else None for row in rows]}
    return columns | {"duration": [10] * len(rows), "seconds": [10] * len(rows)}


@pytest.mark.parametrize("name", VARIANTS)
def test_rows_of_other_tasks_score_none_and_bad_text_scores_zero(name):
    reward = getattr(stvg_rewards, name)
    texts = ["a caption", "", "{" * 500, "[[1" * 300, "\ud800[1e999, 2]", "9" * 400 + " to " + "9" * 400]
    assert reward(texts, prompts=["p"] * 6, **columns_of(name, [0, 1, 1, 1, 1, 1])) == [None, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert pickle.loads(pickle.dumps(reward)).__name__ == name
    assert reward([], **{truth_of(name): [], "duration": [], "seconds": []}) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_a_missing_column_is_named(name):
    with pytest.raises(TypeError, match=f"'{truth_of(name)}'"):
        getattr(stvg_rewards, name)(["x"], prompts=["p"])


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("interval_reward", {"intervals": [[[3, 1]]]}, "row 0: .*expected 0 <= start < end"),
        ("interval_reward", {"intervals": [[5]]}, "expected \\[\\[start, end\\]"),
        ("interval_reward", {"intervals": [[[0, 1]]], "duration": [0]}, "column 'duration' row 0"),
        ("scaled_interval_reward", {"intervals": [[[0, 1]]], "duration": [None]}, "column 'duration'"),
        ("box_reward", {"box": [[0, 0, 5, 5]]}, "not normalised"),
        ("scaled_tiou_reward", {"track": [STATES]}, "column 'seconds' row 0"),
        ("tubes_reward", {"tracks": [[1]]}, "column 'tracks' row 0"),
    ],
)
def test_wrong_data_are_refused_and_named(name, columns, message):
    text = '{"0": [{"label": "a", "bbox_2d": [0, 0, 9, 9]}]} from 0 to 1'
    with pytest.raises(ValueError, match=message):
        getattr(stvg_rewards, name)([text], **columns)


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "remark"),
    [
        ("<answer>2.5 to 7</answer>", [(2.5, 7.0)], "Time-R1's form"),
        ("The event happens in 2.5 - 7 seconds.", [(2.5, 7.0)], "a dash"),
        ("2s to 7s", [(2.0, 7.0)], "with a unit"),
        ("0:58 to 1:02", [(58.0, 62.0)], "clock times"),
        ("[2, 7]", [(2.0, 7.0)], "one pair"),
        ("```json\n[[2, 3], [5, 7]]\n```", [(2.0, 3.0), (5.0, 7.0)], "a fence"),
        ("from 1 to 2 and from 4 to 5", [(1.0, 2.0), (4.0, 5.0)], "several in words"),
        ("7 to 2", [], "inverted"),
        ("3 to 3", [], "empty"),
        ("<answer>1 to 2</answer> or <answer>4 to 6</answer>", [(4.0, 6.0)], "the last answer"),
        ("<answer>4 to 6", [(4.0, 6.0)], "cut"),
        ('[[1, "x"], [2, 3], [true, 9]]', [(2.0, 3.0)], "pairs of another kind are discarded"),
        ("[[1, 1e400]]", [], "not finite"),
        ("[[" + "9" * 400 + ", 1]]", [], "a number beyond floats"),
        ('[["00:05", "00:12"]]', [(5.0, 12.0)], "clock times in JSON"),
        ('["5 s", "second 12"]', [(5.0, 12.0)], "one pair of texts"),
        ("[[00:05, 00:12], ['0:20', '0:21']]", [(5.0, 12.0), (20.0, 21.0)], "clock times in what is no JSON"),
        ('{"start": 5, "end": 12}', [(5.0, 12.0)], "named times"),
        ('{"end": "00:12", "start": "00:05"}', [(5.0, 12.0)], "in another order"),
        ('[{"start_time": 1, "end_time": 2}, {"start": 4, "end": 5}]', [(1.0, 2.0), (4.0, 5.0)], "several"),
        ('The event: {"start": 5, "end": 12}.', [(5.0, 12.0)], "inside a sentence"),
        ("Start time: 5 seconds\nEnd time: 12 seconds", [(5.0, 12.0)], "named in words"),
        ("from second 5 to second 12", [(5.0, 12.0)], "the unit first"),
        ("from 5 seconds to 12 seconds", [(5.0, 12.0)], "the unit behind"),
        ('{"start": 12, "end": 5}', [], "named and inverted"),
        ('{"start": true, "end": 5}', [], "no time"),
        ('{"start": 5}', [], "half of one"),
        ("restart: 3, end: 4", [], "another word"),
    ],
)
def test_intervals_of_a_text(text, expected, remark):
    assert parse_intervals(text) == expected, remark


LONG = {
    "words": "1 to " * 200_000,
    "digits": "9" * 1_000_000,
    "brackets": "[[" * 500_000,
    "answers": "<answer>" * 125_000,
    "clocks": "1:" * 500_000,
    "starts": "start: 1, " * 100_000,
    "units": "1 second second " * 62_500,
    "boxes": "[1, 1, " * 140_000,
}


@pytest.mark.parametrize("kind", LONG)
def test_what_stands_behind_a_long_text_is_read(kind):
    """A reader that takes quadratic time would need hours."""
    text = LONG[kind] + " . 3 to 5 . (8, 9, 10, 11)"
    assert parse_intervals(text)[-3:] == [(3.0, 5.0), (8.0, 9.0), (10.0, 11.0)]
    assert parse_box(text) == (0.008, 0.009, 0.01, 0.011)
    assert parse_point(text) == pytest.approx((0.009, 0.01))


def unbounded(pattern):
    """The repetitions without a limit in a pattern, as the parser of `re` sees it."""
    parts = [re_parser.parse(pattern.pattern, pattern.flags)]
    count = 0
    while parts:
        part = parts.pop()
        if isinstance(part, re_parser.SubPattern):
            parts.extend(part.data)
        elif isinstance(part, (tuple, list)):
            count += len(part) == 3 and part[1] is re_parser.MAXREPEAT
            parts.extend(part)
    return count


def test_a_long_text_takes_linear_time():
    """At each place of a text a search looks ahead by a bounded length, so the steps grow as the text does."""
    assert unbounded(re.compile("a(?:b|c*)+")) == 2
    patterns = [spans._PAIR, spans._NAMED, spans._TIME, images._BOX, images._POINT, locate._START]
    # The blanks behind a brace end before the next brace.
    assert [unbounded(pattern) for pattern in patterns] == [0, 0, 0, 0, 0, 1]


intervals = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5)


@given(intervals, intervals)
def test_interval_iou_is_that_of_sets_of_seconds(a, b):
    ours, theirs = ({k for start, end in side for k in range(start, end)} for side in (a, b))
    expected = len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0
    assert interval_iou(a, b) == pytest.approx(expected)
    assert interval_iou(b, a) == pytest.approx(expected)
    assert sum(end - start for start, end in merge(a)) == len(ours)


# --- images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(10, 20, 30, 40)", (0.01, 0.02, 0.03, 0.04)),
        ("first [0, 0, 9, 9], then [10.5, 020, 30, 2000]", (0.0105, 0.02, 0.03, 1.0)),
        ("[30, 20, 10, 40]", None),
        ("[1, 2, 3]", None),
        ("[-5, -00.5, 500, 500]", (0.0, 0.0, 0.5, 0.5)),
    ],
)
def test_boxes_of_a_text(text, expected):
    assert parse_box(text) == (None if expected is None else pytest.approx(expected))


sides = st.tuples(st.floats(0, 0.9), st.floats(0.01, 0.1))
boxes = st.tuples(sides, sides).map(lambda b: (b[0][0], b[1][0], sum(b[0]), sum(b[1])))


@given(boxes, boxes)
def test_generalised_iou(a, b):
    value = generalised_iou(a, b)
    assert -1 < value <= 1 + 1e-12
    assert value <= box_iou(a, b) + 1e-12
    assert generalised_iou(a, a) == pytest.approx(1)
    assert generalised_iou(b, a) == pytest.approx(value)


tiny = st.tuples(
    st.just(0.0) | st.floats(0, 1e-150) | st.floats(0, 0.9),
    st.floats(0, 1e-150) | st.sampled_from([5e-324, 1e-310, 1e-200]),
).map(lambda side: (side[0], max(side[0] + side[1], math.nextafter(side[0], 2))))
long = st.tuples(st.floats(0, 0.9), st.floats(0.01, 0.1)).map(lambda side: (side[0], sum(side)))
tiny_boxes = st.tuples(tiny | long, tiny | long).map(lambda b: (b[0][0], b[1][0], b[0][1], b[1][1]))


@given(tiny_boxes, tiny_boxes)
@example((0.0, 0.0, 1e-200, 1e-200), (0.0, 0.0, 1e-200, 1e-200))
@example((0.0, 0.0, 5e-324, 5e-324), (0.0, 0.0, 1e-310, 1.0))
@example((0.0, 0.0, 5e-324, 1.0), (0.0, 0.0, 1.0, 5e-324))
@example((0.0, 0.0, 5e-324, 5e-324), (1e-200, 1e-200, 1.0, 1.0))
def test_boxes_whose_areas_vanish_have_an_iou(a, b):
    assert box_iou(a, a) == generalised_iou(a, a) == pytest.approx(1.0)
    assert 0.0 <= box_iou(a, b) <= 1.0
    assert box_iou(a, b) == pytest.approx(box_iou(b, a))
    assert -1 <= generalised_iou(a, b) <= 1 + 1e-12
    assert viou(Track("", {0: a}), Track("", {0: b})) == pytest.approx(box_iou(a, b))
    text = json.dumps({"0": [{"label": "a", "bbox_2d": list(a)}]})
    for reward in (mviou_reward, generalised_mviou_reward):
        (score,) = reward([text], [[{"second": 0, "box": list(b)}]], box_scale=[[1, 1]])
        assert 0 <= score <= 1 + 1e-12


def test_the_iou_of_tiny_boxes_is_that_of_their_shape():
    assert box_iou((0, 0, 2e-200, 1e-200), (0, 0, 1e-200, 1e-200)) == pytest.approx(0.5)
    assert box_iou((0, 0, 2e-160, 1e-160), (0, 0, 1e-160, 1e-160)) == pytest.approx(0.5), "an area below 1e-308"


# --- several objects ----------------------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6))
def test_the_assignment_is_scipys(rows, columns, seed):
    gains = np.random.default_rng(seed).integers(0, 5, (rows, columns)) / 4
    pairs = best_assignment(gains.tolist())
    expected = gains[linear_sum_assignment(gains, maximize=True)].sum()
    assert len(pairs) == min(rows, columns)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert sum(gains[i, j] for i, j in pairs) == pytest.approx(expected)


def test_tubes_do_not_depend_on_names_or_order():
    rng = random.Random(0)
    true = [
        Track(str(i), {k: (x := 0.2 * i, 0.1, x + 0.1, 0.3 + 0.05 * rng.random()) for k in range(3)}) for i in range(4)
    ]
    shuffled = [Track(f"p-{i}", track.boxes) for i, track in enumerate(true)]
    rng.shuffle(shuffled)
    assert tubes_score(shuffled, true) == pytest.approx(1.0)
    assert tubes_score(shuffled[:3], true) == pytest.approx(0.75)
    assert tubes_score([true[0]], [true[0]]) == viou(true[0], true[0]) == 1.0


def test_an_answer_with_very_many_tubes_is_bounded():
    text = format_tracks([Track(f"p-{i}", {0: (0.0, 0.0, 0.5, 0.5)}) for i in range(2000)], scale=(1000, 1000))
    (reward,) = tubes_reward([text], [TRUTHS["tracks"]], most_tubes=50)
    assert reward == pytest.approx(0.5 / 2000), "one of 2000 tubes is right in one of two seconds"


# --- soft forms ---------------------------------------------------------------------------------------------------

predictions = st.dictionaries(st.integers(0, 8), boxes, min_size=1, max_size=8)


@given(predictions, predictions)
def test_soft_forms_are_bounded_and_right_answers_get_one(states, true):
    texts = [format_tracks([Track("a", side)], scale=(10**9, 10**9)) for side in (states, true)]
    truth = [{"second": k, "box": list(box)} for k, box in true.items()]
    columns = {"track": [truth] * 2, "seconds": [9] * 2, "box_scale": [[10**9, 10**9]] * 2}
    scaled, plain = scaled_tiou_reward(texts, **columns), tiou_reward(texts, **columns)
    soft, hard = generalised_mviou_reward(texts, **columns), mviou_reward(texts, **columns)
    assert 0 <= scaled[0] <= plain[0] + 1e-12
    assert 0 <= hard[0] / 2 <= soft[0] + 1e-9, "generalised IoU is above -1 and, mapped, above half the IoU"
    assert scaled[1] == pytest.approx(1)
    assert soft[1] == pytest.approx(hard[1], abs=1e-6)
    assert not math.isnan(soft[0])
