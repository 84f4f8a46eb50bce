"""The adapters, called as the trainers call them: argument names and shapes as read in the named releases."""

import asyncio
import inspect
import json
import re
import sys
import types
from pathlib import Path
from typing import Generic, TypeVar

import pytest
import torch

from stvg_rewards import Track, format_answer
from stvg_rewards.adapters import easyr1, openrlhf, swift, truth, verl

BOX = (0.0, 0.0, 0.5, 1.0)
TRUTH = {"track": [{"second": k, "box": list(BOX)} for k in (2, 3)], "span": [2, 3], "seconds": 8}
HALF = format_answer(Track("dog-1", {2: BOX}), scale=(1000, 1000))  # tIoU 1/2, mvIoU 1, vIoU 1/2


@pytest.mark.parametrize("ground_truth", [TRUTH, json.dumps(TRUTH)])
def test_verl(ground_truth):
    """verl 0.9.1, experimental/reward_loop/reward_manager/naive.py: keywords, a float or a dict with `score` back."""
    result = verl.compute_score(
        data_source="stvg",
        solution_str=HALF,
        ground_truth=ground_truth,
        extra_info={"num_turns": None, "rollout_reward_scores": {}},
        reward_router_address=None,
        reward_model_tokenizer=None,
    )
    assert result == {"score": 1.5, "tIoU": 0.5, "mvIoU": 1.0, "vIoU": 0.5, "parsed": 1.0}
    assert all(type(value) is float for value in result.values()), "verl stacks them by name"
    assert not inspect.iscoroutinefunction(verl.compute_score)
    assert verl.compute_score("stvg", HALF, ground_truth, w_t=0.5, w_m=2.0)["score"] == 0.25 + 2.0


TWICE = {"track": [{"second": 1, "box": list(BOX)}], "spans": [[1, 1], [7, 7]], "seconds": 10}  # unseen in second 7


@pytest.mark.parametrize(
    ("text", "ground_truth", "expected"),
    [
        ("{}", {"no_target": True}, {"score": 2.0, "tIoU": 1.0, "mvIoU": 1.0, "vIoU": 1.0, "parsed": 1.0}),
        (HALF, {"no_target": True}, {"score": 0.0, "tIoU": 0.0, "mvIoU": 0.0, "vIoU": 0.0, "parsed": 1.0}),
        # Second 2 of 2..3; there are no boxes, so w_m has nothing to weigh.
        (
            HALF,
            {"temporal": True, "spans": [[2, 3]]},
            {"score": 0.5, "tIoU": 0.5, "mvIoU": 0.0, "vIoU": 0.0, "parsed": 1.0},
        ),
        # Second 1 of 1 and 7; its box is right.
        (
            HALF.replace('"2"', '"1"'),
            TWICE,
            {"score": 1.5, "tIoU": 0.5, "mvIoU": 1.0, "vIoU": 0.5, "parsed": 1.0},
        ),
    ],
)
def test_sentences_of_other_kinds(text, ground_truth, expected):
    assert verl.compute_score("stvg", text, ground_truth) == expected
    row = {"response": text, "response_length": 1, "ground_truth": json.dumps(ground_truth)}
    assert easyr1.compute_score(row)["overall"] == expected["score"]
    assert openrlhf.reward_func([text], [""], [ground_truth])["rewards"] == [expected["score"]]
    columns = {name: [value] for name, value in ground_truth.items()}
    both = [reward()([text], **columns)[0] for reward in (swift.TIoU, swift.MVIoU)]
    assert sum(one or 0.0 for one in both) == expected["score"]
    assert (both[1] is None) == ("temporal" in ground_truth), "ms-swift skips what is None"


def test_a_row_read_from_a_data_frame():
    numpy = pytest.importorskip("numpy")
    states = numpy.array(
        [{"second": 2, "box": numpy.array(BOX)}, {"second": 3, "box": numpy.array(BOX)}], dtype=object
    )
    row = {"track": states, "span": numpy.array([2, 3]), "seconds": 8, "box_scale": None}
    assert verl.compute_score("stvg", HALF, row)["score"] == 1.5


def test_easyr1():
    """EasyR1, verl/workers/reward/function.py: one dict or a list of them; `overall` is the reward."""
    row = {"response": HALF, "response_length": 40, "ground_truth": json.dumps(TRUTH)}
    one = easyr1.compute_score(row)
    assert one == {"overall": 1.5, "tIoU": 0.5, "mvIoU": 1.0, "vIoU": 0.5, "parsed": 1.0}
    both = easyr1.compute_score([row, row | {"response": "no idea"}], w_t=1.0, w_m=0.0)
    assert [scores["overall"] for scores in both] == [0.5, 0.0]


@pytest.mark.parametrize(("name", "expected"), [("TIoU", 0.5), ("MVIoU", 1.0), ("VIoU", 0.5)])
def test_ms_swift(name, expected):
    """ms-swift 4.6.0, rl_core/grpo_algorithm.py: made with the arguments, called with every column of the batch."""
    reward = getattr(swift, name)(args=object())
    columns = {"track": [TRUTH["track"], None], "span": [[2, 3], None], "seconds": [8, None], "images": [[], []]}
    assert reward([HALF, "a caption"], trainer_state=None, **columns) == [expected, None]
    assert reward(["B"], trainer_state=None, solution=["B"]) == [None]
    assert not inspect.iscoroutinefunction(type(reward).__call__)


def test_openrlhf():
    """OpenRLHF 0.11.2, utils/agent.py: three lists of one, special tokens in the query; tensors back."""
    prompt = "<|user|>" + "<|image|>" * 3 + 'Answer like {"0": [{"label": "x", "bbox_2d": [0, 0, 1, 1]}]}<|assistant|>'
    query = prompt.replace("<|image|>", "<|image|>" * 5) + HALF + "<|endoftext|>"
    result = openrlhf.reward_func([query], [prompt], [json.dumps(TRUTH)], tensor=torch.tensor)
    assert result["rewards"].tolist() == [1.5]
    assert result["scores"].tolist() == [0.5]
    assert {name: value.item() for name, value in result["extra_logs"].items()} == {
        "tIoU": 0.5,
        "mvIoU": 1.0,
        "vIoU": 0.5,
        "parsed": 1.0,
    }
    silent = prompt.replace("<|image|>", "<|image|>" * 5) + "I do not know"
    nothing = openrlhf.reward_func([silent], [prompt], [TRUTH])
    assert nothing["rewards"] == [0.0], "the example in the prompt is no answer"


def recorded_verifiers():
    """What the block uses of verifiers 0.4.0 (v1/task.py, v1/utils/decorators.py): data, marks, keyed scores."""
    module = types.ModuleType("verifiers.v1")

    class TaskData:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    class Task(Generic[TypeVar("Data")]):
        def __init__(self, data):
            self.data = data

    def mark(name):
        return lambda function: setattr(function, name, True) or function

    module.TaskData, module.Task, module.Trace = TaskData, Task, object
    module.reward, module.metric = mark("reward"), mark("metric")
    return module


def test_verifiers(monkeypatch):
    """The page's block, with the names of verifiers 0.4.0 as recorded above: it need not be installed."""
    page = (Path(__file__).parents[1] / "docs" / "trainers.md").read_text()
    (block,) = re.findall(r"```python\n(import verifiers.*?)```", page, re.DOTALL)
    package = types.ModuleType("verifiers")
    package.v1 = recorded_verifiers()
    monkeypatch.setitem(sys.modules, "verifiers", package)
    monkeypatch.setitem(sys.modules, "verifiers.v1", package.v1)
    names = {}
    exec(compile(block, "docs/trainers.md", "exec"), names)
    task = names["Grounding"](names["GroundingData"](prompt="Where is the dog?", truth=TRUTH))
    trace = types.SimpleNamespace(last_reply=f"<think>It runs.</think>{HALF}")
    assert task.overlap.reward and task.vIoU.metric
    assert asyncio.run(task.overlap(trace)) == {"tIoU": 0.5, "mvIoU": 1.0}
    assert asyncio.run(task.vIoU(trace)) == 0.5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "is no JSON"),
        ({"tracks": TRUTH["track"], "span": [2, 3]}, "span without 'track'"),
        ({"spans": [[2, 3]]}, "spans without 'track', and neither 'no_target' nor 'temporal' is true"),
        ({"track": [{"second": 0, "box": [0, 0, 2, 1]}]}, "not normalised"),
        ({"track": TRUTH["track"], "seconds": 0}, "at least 1"),
    ],
)
def test_a_wrong_truth_is_refused_and_named(value, message):
    with pytest.raises(ValueError, match=message):
        truth.score_text(HALF, value)


OF_OTHER_TASKS = [None, float("nan"), "", "B", "42", 42, "[1, 2]", {}, {"answer": "B"}, {"track": None}, {"track": []}]


@pytest.mark.parametrize("other", OF_OTHER_TASKS, ids=str)
def test_rows_of_other_tasks_get_what_the_trainer_calls_nothing(other):
    """None where the trainer skips it; a zero with all the usual names where it adds up numbers."""
    assert truth.score_text("The answer is B.", other) is None
    ours = verl.compute_score("stvg", HALF, TRUTH)
    assert verl.compute_score("math", HALF, other) == dict.fromkeys(ours, 0.0)
    rows = [{"response": HALF, "ground_truth": value} for value in (TRUTH, other)]
    assert [row["overall"] for row in easyr1.compute_score(rows)] == [1.5, 0.0]
    result = openrlhf.reward_func([HALF, HALF], ["", ""], [TRUTH, other], tensor=torch.tensor)
    assert result["rewards"].tolist() == [1.5, 0.0]
    assert {name: len(values) for name, values in result["extra_logs"].items()} == dict.fromkeys(list(ours)[1:], 2)


@pytest.mark.parametrize("text", ["", "{" * 1000, "\ud800", "NaN", '{"0": 1}'])
def test_any_text_is_a_score(text):
    assert truth.score_text(text, TRUTH)["score"] == 0.0
