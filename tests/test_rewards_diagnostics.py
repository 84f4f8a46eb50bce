"""The signs of reward hacking, answer by answer."""

import json

import pytest

from stvg_rewards import METRIC_NAMES, parse_answer, tiou_reward
from stvg_rewards.diagnostics import Diagnostics, diagnose

BOX = [0, 0, 500, 500]


def signs(states, true_span=(2, 3), seconds=8):
    """`states`: second -> labels, each with a valid box, or None for a discarded one."""
    text = json.dumps(
        {
            str(second): [{"label": label, "bbox_2d": BOX} for label in labels or []]
            or [{"label": "a", "bbox_2d": []}]
            for second, labels in states.items()
        }
    )
    return diagnose(parse_answer(text, seconds=seconds), true_span, seconds)


@pytest.mark.parametrize(
    ("states", "expected", "remark"),
    [
        ({}, (0.0, False, False, 0.0, 0, False), "no answer"),
        ({2: "a", 3: "a"}, (1.0, False, False, 0.0, 0, False), "right"),
        ({3: "a"}, (0.5, True, False, 0.0, 0, False), "one confident second"),
        (dict.fromkeys(range(8), "a"), (4.0, False, True, 0.0, 0, False), "the whole clip"),
        ({0: "a", 7: "a"}, (4.0, False, True, 0.75, 0, False), "its ends alone"),
        ({2: "a", 3: None}, (1.0, False, False, 0.5, 0, False), "a discarded box is a gap"),
        ({5: "a"}, (0.5, True, False, 0.0, 0, True), "elsewhere"),
        ({1: "a", 2: "a", 3: "b", 4: "b"}, (1.0, False, False, 0.0, 1, False), "handed over: a is the target"),
        ({1: "a", 2: "ab", 3: "b"}, (1.0, False, False, 0.0, 0, False), "two at once are no switch"),
        ({1: "a", 2: "b", 3: "a", 5: "b"}, (1.5, False, False, 1 / 3, 3, False), "there and back"),
    ],
)
def test_signs(states, expected, remark):
    assert signs(states) == pytest.approx(Diagnostics(*expected)), remark


def test_a_clip_of_unknown_length_has_no_whole():
    assert not signs(dict.fromkeys(range(8), "a"), seconds=None).whole_clip


def test_means_over_the_rows_with_truth():
    truth = [{"second": k, "box": [0.0, 0.0, 0.5, 0.5]} for k in (2, 3)]
    one = json.dumps({"2": [{"label": "a", "bbox_2d": BOX}]})
    far = json.dumps({"5": [{"label": "a", "bbox_2d": BOX}], "6": [{"label": "b", "bbox_2d": BOX}]})
    logged = {}
    tiou_reward([one, far, "x", far], [truth, truth, truth, None], seconds=[8] * 4, log_metric=logged.__setitem__)
    assert tuple(logged) == METRIC_NAMES
    assert logged["one_second_rate"] == pytest.approx(2 / 3)
    assert logged["empty_intersection_rate"] == pytest.approx(1 / 3)
    assert logged["label_switches"] == pytest.approx(1 / 3)
    assert logged["span_ratio"] == pytest.approx((0.5 + 0.5 + 0) / 3)
