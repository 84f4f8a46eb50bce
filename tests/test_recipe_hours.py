"""The estimate of a stage's hours: steps, rows and operations, with the arithmetic by hand."""

import math
from dataclasses import replace

import pytest
from trl import GRPOConfig, SFTConfig

from recipe.checks.data import Sample
from recipe.checks.hours import SCORING, UTILISATION, duration_of, steps_of
from recipe.checks.memory import Rollout
from recipe.checks.weights import Weights
from tests.helpers.loads import NINE

SAMPLES = [Sample("a", 10, 900, 60, 40), Sample("b", 20, 1900, 60, 40)]  # 1,000 and 2,000 tokens


def sft(tmp_path, **more):
    own = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "num_train_epochs": 2}
    return SFTConfig(str(tmp_path), use_cpu=True, bf16=False, max_length=None, **own | more)


def test_steps_follow_from_the_records_or_are_stated(tmp_path):
    assert steps_of(sft(tmp_path), 1000, processes=8) == (math.ceil(2000 / 64), 64)
    assert steps_of(sft(tmp_path, max_steps=7), 1000, processes=8) == (7, 64)
    grpo = GRPOConfig(
        str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=8, num_generations=8, num_train_epochs=1
    )
    assert steps_of(grpo, 100, processes=1) == (100, 8), "each record has as many rows as it has answers"


def test_hours_are_the_rows_operations_over_what_the_cards_do(tmp_path):
    load = replace(NINE, rollout=None, checkpointing=True)
    found = duration_of(load, sft(tmp_path, max_steps=10), SAMPLES, 100, 2, 100.0, lora=False)
    rows = 2 * 4 * load.processes
    tower = load.weights.all["vision"] + load.weights.all["projector"]
    tokens, patches = 10 * rows * 1500, 10 * rows * 1400 * 4
    learns = load.weights.trained["vision"] or load.weights.trained["projector"]
    operations = 8 * (load.parameters - tower) * tokens + (8 if learns else 2) * tower * patches
    assert (found.steps, found.samples, found.tokens) == (10, rows, 1500)
    assert found.hours == pytest.approx(operations / (load.processes * 100e12 * UTILISATION) / 3600)
    assert str(found).startswith("time, estimated: ")


def test_a_tower_at_rest_costs_a_pass_forward(tmp_path):
    """2 of the 8 operations of one that learns, where activations are made again; 2 of 6 where they are kept."""
    rests = Weights(NINE.weights.all, NINE.weights.trained | {"vision": 0, "projector": 0})
    for checkpointing, share in ((True, 2 / 8), (False, 2 / 6)):
        learning = replace(NINE, rollout=None, checkpointing=checkpointing)
        args = sft(tmp_path, max_steps=10)
        whole, part = (
            duration_of(load, args, SAMPLES, 100, 2, 100.0, lora=False).hours
            for load in (learning, replace(learning, weights=rests))
        )
        tower, rows = NINE.weights.all["vision"], 10 * 2 * 4 * NINE.processes
        seen = (8 if checkpointing else 6) * tower * rows * 1400 * 4 / (NINE.processes * 100e12 * UTILISATION) / 3600
        assert whole - part == pytest.approx((1 - share) * seen)


def test_grpo_scores_its_rows_once_more_and_lora_costs_less(tmp_path):
    args = sft(tmp_path, max_steps=10)
    plain = duration_of(replace(NINE, rollout=None), args, SAMPLES, 100, 2, 100.0, lora=False)
    rollout = Rollout(rows=8, groups=1, prompt=1000, completion=1000, cache=1.0)
    scored = duration_of(replace(NINE, rollout=rollout), args, SAMPLES, 100, 2, 100.0, lora=False)
    assert scored.hours == pytest.approx(SCORING * plain.hours)
    assert duration_of(replace(NINE, rollout=None), args, SAMPLES, 100, 2, 100.0, lora=True).hours < plain.hours


def test_data_without_rows_to_measure_have_no_estimate(tmp_path):
    assert duration_of(NINE, sft(tmp_path), [], 100, 2, 100.0, lora=False) is None
