"""The estimate of a stage's hours: steps, rows and operations, with the arithmetic by hand."""

import math
from dataclasses import replace

import pytest
from trl import GRPOConfig, SFTConfig

from recipe.checks.data import Sample
from recipe.checks.hours import SCORING, UTILISATION, computed_of, duration_of, steps_of
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


# What `python -m bench.shared_prefix` measured on models of the tiny recipe's size, one line a micro-batch: prompts,
# answers of each, rows; tokens of a prompt, of them pictures' (4 a picture), and of all answers; tokens through the
# model with TRL's rows, whose answers are padded to 80, and with shared prompts; how many times fewer operations.
BENCH = [
    pytest.param(1, 4, 4, 90, 32, 233, 680, 322, 3.0 / 1.3, id="1 x 8 s x 4 answers"),
    pytest.param(8, 16, 64, 120, 48, 3421, 12_800, 4373, 60.2 / 18.4, id="8 x 12 s x 16 answers, 64 rows of them"),
    pytest.param(1, 8, 8, 504, 240, 459, 4672, 962, 33.3 / 6.4, id="1 x 60 s x 8 answers"),
]
PARTS = {"language": 444_800, "vision": 138_688, "projector": 147_840, "embeddings": 52_992, "head": 52_992}
TINY = Weights(PARTS, PARTS)


def grpo(tmp_path, **more):
    own = {"num_generations": 8, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "max_steps": 1}
    return GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, **own | more)


def load_with(rows, prompts, batch, *, rollout=None, weights=TINY, sharding="none", processes=1, accumulation=1):
    rolls = Rollout(rows=rollout or rows, groups=prompts, prompt=1, completion=1, cache=1.0)
    common = {"processes": processes, "sharding": sharding, "batch": batch, "accumulation": accumulation}
    return replace(NINE, weights=weights, rollout=rolls, prompts=prompts, checkpointing=False, **common)


@pytest.mark.parametrize(("prompts", "each", "rows", "prompt", "seen", "answers", "theirs", "ours", "ratio"), BENCH)
def test_shared_prompts_are_counted_as_the_bench_measured(
    prompts, each, rows, prompt, seen, answers, theirs, ours, ratio, tmp_path
):
    args = grpo(tmp_path, num_generations=each, per_device_train_batch_size=prompts * each)
    load = load_with(rows, prompts, rows, rollout=prompts * each)
    own = replace(load, prompts=0)
    assert computed_of(load, args, prompt, answers / rows)[0] == pytest.approx(ours, abs=0.5)
    assert computed_of(own, args, prompt, 80)[0] == theirs
    samples = [Sample("a", 1, seen, prompt - seen, length) for length in (answers / rows, 80)]
    shared, usual = (
        duration_of(each_load, args, [sample], 1, 2, 1.0, lora=False).hours
        for each_load, sample in ((load, samples[0]), (own, samples[1]))
    )
    assert usual / shared == pytest.approx(ratio, rel=0.15), "the estimate leaves attention out"


def test_rows_of_a_prompt_meet_as_far_as_batches_allow(tmp_path):
    """Rows of 2 prompts of 8: all in a batch compute 2 prompts; in batches of 4 each group has its prompt twice."""
    whole = grpo(tmp_path, per_device_train_batch_size=16)
    assert computed_of(load_with(16, 2, 16), whole, 101, 10) == (2 * 100 + 160, 2)
    parts = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4, "steps_per_generation": 4}
    load = load_with(16, 2, 4, accumulation=4)
    _, prompts = computed_of(load, grpo(tmp_path, **parts), 101, 10)
    assert prompts == pytest.approx(2 + 3 * (1 - 1 / 15))
    assert computed_of(load, grpo(tmp_path, **parts, loss_type="bnpo"), 101, 10)[1] > prompts
    assert computed_of(replace(load, prompts=0), grpo(tmp_path, **parts), 101, 10) == (16 * 111, 16)
    # 2 prompts of 100 and 16 answers of 10 are 360 tokens: 2 forwards of 200, of which one computes a prompt more.
    assert computed_of(load_with(16, 2, 16), whole, 101, 10, budget=200)[1] == 3


def test_a_tower_at_rest_computes_a_prompt_once_a_rollout(tmp_path):
    """Of 8 answers, whose rollout two steps use, a forward of the tower an eighth of a row; scoring takes none."""
    rests = Weights(TINY.all, TINY.trained | {"vision": 0, "projector": 0})
    args, sample = grpo(tmp_path), [Sample("a", 1, 400, 60, 40)]
    load = replace(load_with(8, 1, 8, weights=rests), prompts=0)
    tower = TINY.all["vision"] + TINY.all["projector"]
    language = SCORING * 6 * (TINY.total - tower) * 8 * 500
    for frozen, sharding, iterations, operations in (
        (False, "none", 1, SCORING * 2 * tower * 8 * 1600),
        (True, "zero3", 1, SCORING * 2 * tower * 8 * 1600),
        (True, "none", 1, 2 * tower * 1600),
        (True, "zero2", 2, 2 * tower * 1600 / 2),
    ):
        args = grpo(tmp_path, num_iterations=iterations)
        found = duration_of(
            replace(load, sharding=sharding), args, sample, 1, 2, 1.0, lora=False, frozen_features=frozen
        )
        assert found.hours == pytest.approx((language + operations) / (1e12 * UTILISATION) / 3600)
