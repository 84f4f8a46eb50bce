"""The reward functions as TRL calls them."""

import inspect
import json
import pickle
import re

import pytest

import stvg_rewards
from stvg_rewards import METRIC_NAMES, format_reward, mviou_reward, tiou_reward, viou_reward

REWARDS = [tiou_reward, mviou_reward, viou_reward, format_reward]
HALF = [0.0, 0.0, 0.5, 1.0]
TRUTH = [{"second": second, "box": HALF} for second in (2, 3)]


def text_of(boxes):
    return json.dumps({str(second): [{"label": "a", "bbox_2d": box}] for second, box in boxes.items()})


RIGHT = text_of({2: [0, 0, 500, 1000], 3: [0, 0, 500, 1000]})
SHORT = text_of({2: [0, 0, 500, 500]})  # one of two seconds, half of the box: 0.5, 0.5, 0.25
COMPLETIONS = [RIGHT, SHORT, "no idea", "a caption", SHORT[:-1]]
TRACKS = [TRUTH, TRUTH, TRUTH, None, TRUTH]


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (tiou_reward, [1.0, 0.5, 0.0, None, 0.5]),
        (mviou_reward, [1.0, 0.5, 0.0, None, 0.5]),
        (viou_reward, [1.0, 0.25, 0.0, None, 0.25]),
        (format_reward, [1.0, 1.0, 0.0, None, 0.0]),
    ],
)
def test_values(reward, expected):
    assert reward(COMPLETIONS, track=TRACKS) == expected
    # As the trainer calls it, with columns and arguments of its own.
    called = reward(
        prompts=["p"] * 5,
        completions=COMPLETIONS,
        completion_ids=[[1]] * 5,
        track=TRACKS,
        span=[[2, 3]] * 5,
        seconds=[4] * 5,
        box_scale=[[1000, 1000]] * 5,
        query=["q"] * 5,
        trainer_state=None,
    )
    assert called == expected
    assert all(type(value) is float for value in called if value is not None)


@pytest.mark.parametrize("reward", REWARDS)
def test_an_empty_batch(reward):
    assert reward([], track=[]) == []


@pytest.mark.parametrize("reward", REWARDS)
def test_rows_without_truth_score_none(reward):
    assert reward([RIGHT, RIGHT], track=[None, []], span=[[2, 3], None]) == [None, None]


@pytest.mark.parametrize(
    "completion",
    [
        [{"role": "assistant", "content": RIGHT}],
        [{"role": "assistant", "content": [{"type": "text", "text": RIGHT[:9]}, {"type": "text", "text": RIGHT[9:]}]}],
        [
            {"role": "assistant", "content": SHORT},
            {"role": "tool", "content": "2"},
            {"role": "assistant", "content": RIGHT},
        ],
        [{"content": RIGHT}],
    ],
)
def test_conversational_completions(completion):
    assert viou_reward([completion], track=[TRUTH]) == [1.0]


@pytest.mark.parametrize(
    "completion", [[], [{"role": "assistant", "content": None}], [{"role": "user", "content": RIGHT}]]
)
def test_conversations_without_an_answer_score_zero(completion):
    assert viou_reward([completion], track=[TRUTH]) == [0.0]


@pytest.mark.parametrize("completion", [None, 7, {"content": RIGHT}, ["text"]])
def test_completions_of_another_type_are_refused(completion):
    with pytest.raises(TypeError, match="completion"):
        viou_reward([completion], track=[TRUTH])


def test_span_column_is_the_true_span():
    # The target is hidden in 4 and 5, which belong to the true span: 2 of 4 seconds.
    assert tiou_reward([RIGHT], track=[TRUTH], span=[[2, 5]]) == [0.5]
    assert viou_reward([RIGHT], track=[TRUTH], span=[[2, 5]]) == [0.5]
    assert mviou_reward([RIGHT], track=[TRUTH], span=[[2, 5]]) == [1.0]


def test_seconds_column_discards_late_keys():
    late = text_of({2: [0, 0, 500, 1000], 3: [0, 0, 500, 1000], 9: [0, 0, 500, 1000]})
    assert tiou_reward([late, late], track=[TRUTH, TRUTH], seconds=[4, None]) == [1.0, 0.25]  # 2 of 2..9
    assert format_reward([late, late], track=[TRUTH, TRUTH], seconds=[4, None]) == [0.0, 1.0]


def test_box_scale_column_travels_with_the_row():
    pixels = text_of({2: [0, 0, 320, 360], 3: [0, 0, 320, 360]})
    scales = [[640, 360], None]
    # Read in thousandths the box is 0.32 by 0.36: 0.1152 / 0.5.
    assert viou_reward([pixels] * 2, track=[TRUTH] * 2, box_scale=scales) == [1.0, pytest.approx(0.1152 / 0.5)]


@pytest.mark.parametrize("reward", REWARDS)
def test_metrics_have_the_same_names_and_values_whatever_the_reward(reward):
    logged = {}
    reward(COMPLETIONS, track=TRACKS, log_metric=logged.__setitem__)
    assert tuple(logged) == METRIC_NAMES
    assert logged == {
        "tIoU": pytest.approx((1 + 0.5 + 0 + 0.5) / 4),
        "mvIoU": pytest.approx((1 + 0.5 + 0 + 0.5) / 4),
        "vIoU": pytest.approx((1 + 0.25 + 0 + 0.25) / 4),
        "parse_rate": pytest.approx(3 / 4),
        "salvage_rate": pytest.approx(1 / 4),
        "discarded_states": 0.0,
        "span_ratio": pytest.approx((1 + 0.5 + 0 + 0.5) / 4),
        "one_second_rate": pytest.approx(2 / 4),
        "whole_clip_rate": 0.0,
        "gap_rate": 0.0,
        "label_switches": 0.0,
        "empty_intersection_rate": 0.0,
        **{name: 0.0 for name in METRIC_NAMES if name.startswith(("discarded/", "repaired/"))},
        "within_one_rate": 0.0,
        "beyond_scale_rate": 0.0,
    }
    assert all(type(value) is float for value in logged.values())


def test_discarded_states_are_logged():
    logged = {}
    completions = [text_of({2: [0, 0, 500, 1000], 3: [9, 9, 1, 1], "x": [0, 0, 1, 1]}), RIGHT]
    tiou_reward(completions, track=[TRUTH] * 2, log_metric=logged.__setitem__)
    assert logged["discarded_states"] == 1.0  # 2 and 0


@pytest.mark.parametrize("reward", REWARDS)
def test_a_batch_of_other_tasks_logs_no_metric(reward):
    logged = {}
    assert reward(["text"], track=[None], log_metric=logged.__setitem__) == [None]
    assert logged == {}


def test_extra_columns_have_one_value_a_row_and_no_two_rewards_share_one():
    columns = {}

    def log_extra(name, values):
        assert name not in columns
        columns[name] = values

    for reward in REWARDS:
        reward(COMPLETIONS, track=TRACKS, log_extra=log_extra)
    assert all(len(values) == len(COMPLETIONS) for values in columns.values())
    assert columns["viou_reward/vIoU"] == [1.0, 0.25, 0.0, None, 0.25]
    assert columns["tiou_reward/span"] == ["2-3", "2-2", "", None, "2-2"]


@pytest.mark.parametrize("reward", REWARDS)
def test_names_signatures_and_pickles(reward):
    assert reward is getattr(stvg_rewards, reward.__name__)
    assert pickle.loads(pickle.dumps(reward)) is reward
    assert list(inspect.signature(reward).parameters) == [
        *("completions", "track", "span", "seconds", "box_scale", "log_metric", "log_extra"),
        *("spans", "no_target", "temporal", "kwargs"),
    ]
    text = inspect.getdoc(reward)
    named = set(re.findall(r"^    (\w+(?:, \w+)*):", text.split("Args:")[1].split("Raises:")[0], re.MULTILINE))
    assert {name for names in named for name in names.split(", ")} == set(inspect.signature(reward).parameters)
    with pytest.raises(TypeError, match="track"):
        reward(COMPLETIONS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"track": [TRUTH]}, "column 'track' has 1 values for 2 completions"),
        ({"span": [[2, 3]]}, "column 'span' has 1 values for 2"),
        ({"track": [TRUTH, [{"second": 2}]]}, r"column 'track' row 1: got .*expected \{'second'"),
        ({"track": [TRUTH, [[2, HALF]]]}, "column 'track' row 1: got .*expected"),
        ({"track": [TRUTH, [{"second": 2.5, "box": HALF}]]}, "row 1 second 2.5: expected a whole number"),
        ({"track": [TRUTH, [{"second": -1, "box": HALF}]]}, "row 1 second -1: expected a whole number"),
        ({"track": [TRUTH, TRUTH + TRUTH]}, "row 1 second 2: it is there twice"),
        ({"track": [TRUTH, [{"second": 2, "box": [0, 0, 1]}]]}, "row 1 second 2: box .* not four"),
        (
            {"track": [TRUTH, [{"second": 2, "box": [0, 0, 1, float("nan")]}]]},
            "row 1 second 2: box .* not four finite",
        ),
        ({"track": [TRUTH, [{"second": 2, "box": [0, 0, 640, 360]}]]}, "row 1 second 2: box .* not normalised"),
        ({"track": [TRUTH, [{"second": 2, "box": [0.44, 0, 0.31, 1]}]]}, "row 1 second 2: box .* inverted"),
        ({"span": [[2, 3], [3, 2]]}, "column 'span' row 1"),
        ({"span": [[2, 3], [2, 3, 4]]}, "column 'span' row 1"),
        ({"span": [[2, 3], [2.0, 3.5]]}, "column 'span' row 1"),
        ({"span": [[2, 3], [2.0, float("nan")]]}, "column 'span' row 1"),
        ({"seconds": [4, 4.5]}, "column 'seconds' row 1: got 4.5"),
        ({"seconds": [4, True]}, "column 'seconds' row 1: got True"),
        ({"track": [TRUTH, {"second": [2, 3], "box": [HALF]}]}, "column 'track' row 1: got .*expected"),
        ({"track": [TRUTH, "[]"]}, "column 'track' row 1: got .*expected"),
        ({"box_scale": [[1000, 1000], [0, 1000]]}, "column 'box_scale' row 1"),
        ({"seconds": [4, 0]}, "column 'seconds' row 1"),
    ],
)
def test_wrong_columns_are_refused_and_named(columns, message):
    with pytest.raises(ValueError, match=message):
        tiou_reward([RIGHT, RIGHT], **{"track": [TRUTH, TRUTH], **columns})


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        ("{}", 1.0),
        ("  <think>It enters. It leaves.</think>\n\n<answer>{}</answer>\n", 1.0),
        ("<think>\nIt enters.\n</think>\n\n```json\n{}\n```", 1.0),
        ("It enters.</think>{}", 1.0),  # the prompt opened the reasoning
        ("◁think▷It enters.◁/think▷{}", 1.0),
        ("<|begin_of_box|>{}<|end_of_box|><|im_end|>", 1.0),  # of trainers that keep special tokens
        ("Here it is: {}", 0.0),
        ("{} I am sure.", 0.0),
        ("<think>It enters.</think>So: {}", 0.0),
        ("Well. <think>It enters.</think>{}", 0.0),
        ("<think>It enters.</think>Or <think>it leaves.</think>{}", 0.0),
        ("It enters.</think>Or it leaves.</think>{}", 0.0),
        ("<think>{}", 0.0),  # reasoning that never ends
        ("[{'type': 'text', 'text': '{}'}]", 0.0),  # what a chat template makes of a list of parts
    ],
)
def test_a_word_outside_reasoning_and_answer_pays_no_format_reward(text, paid):
    """Other scores read such an answer as ever."""
    completion = text.replace("{}", RIGHT)
    assert format_reward([completion], track=[TRUTH]) == [paid]
    assert viou_reward([completion], track=[TRUTH]) == [1.0]
