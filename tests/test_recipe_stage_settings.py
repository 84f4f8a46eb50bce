"""Each setting is known to change the result or not to, and a stamp states only what counts and is not the default."""

import json
from dataclasses import fields
from itertools import combinations

import pytest
from accelerate import PartialState
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe import grpo
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.settings import (
    BY_CONTENT,
    COUNTS,
    HARMLESS,
    IN_VARIANT,
    LENGTHS,
    SECRETS,
    SPLIT,
    _defaults,
    beside,
    counting,
    flat,
)
from recipe.training import supervised

SETS = {"COUNTS": COUNTS, "HARMLESS": HARMLESS, "LENGTHS": LENGTHS, "SPLIT": SPLIT, "BY_CONTENT": BY_CONTENT}
SETS["IN_VARIANT"] = IN_VARIANT
SFT = ["--config", "recipe/configs/tiny/sft.yaml"]
GRPO = ["--config", "recipe/configs/tiny/grpo.yaml"]


def counted(words=(), stage="sft", processes=1):
    module, config = (grpo, GRPO) if stage == "grpo" else (supervised, SFT)
    settings = flat(*module.parse([*config, *words]))
    return counting(settings, grpo=stage == "grpo", processes=processes)


def test_every_field_is_in_one_of_the_lists():
    """An upgrade that brings a field fails here: say in recipe/inputs/settings.py whether it changes the result."""
    classes = (SFTConfig, GRPOConfig, ModelConfig, StageArguments, GRPOArguments)
    there = {field.name for kind in classes for field in fields(kind)}
    known = set().union(*SETS.values())
    assert there - known == set(), "not known to count or not"
    assert known - there == set(), "no such field any more"
    for first, second in combinations(SETS, 2):
        assert SETS[first] & SETS[second] == set(), (first, second)


@pytest.mark.parametrize(
    "words",
    [
        "--logging_steps 1", "--dataloader_num_workers 0", "--save_steps 10", "--log_level info", "--ddp_timeout 5",
        "--torch_empty_cache_steps 5", "--hub_private_repo true", "--report_to wandb", "--run_name x",
        "--output_dir elsewhere", "--gradient_checkpointing true", "--cache_clips 1", "--seed 0", "--bf16 false",
        "--attn_implementation sdpa", "--validation_tracks other.jsonl", "--save_total_limit 7",
    ],
)  # fmt: skip
def test_what_does_not_change_the_result_does_not_count(words):
    assert counted(words.split()) == counted()


@pytest.mark.parametrize(
    "words", ["--media_clips 9", "--held_out_every 7", "--log_completions true", "--shared_prefix false"]
)
def test_what_is_only_shown_of_a_policy_does_not_count(words):
    assert counted(words.split(), "grpo") == counted(stage="grpo")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("--learning_rate 1e-4", "learning_rate"),
        ("--seed 1", "seed"),
        ("--max_steps 401", "max_steps"),
        ("--per_device_train_batch_size 8", "global_batch_size"),
        ("--vision_learning_rate 0", "vision_learning_rate"),
        ("--max_frame_pixels 4608", "max_frame_pixels"),
        ("--dtype bfloat16", "dtype"),
        ("--use_peft true", "use_peft"),
        ("--weight_decay 0.2", "weight_decay"),
    ],
)
def test_what_changes_the_result_counts(words, name):
    before, after = counted(), counted(words.split())
    assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == {name}


def test_video_units_count_with_the_rate_that_they_bring():
    stated = counted(["--video_units", "pairs"])
    assert {key: value for key, value in stated.items() if key not in counted()} == {
        "video_units": "pairs",
        "frame_rate": "2",
    }
    assert counted(["--video_units", "pairs", "--frame_rate", "2"]) == stated
    assert counted(["--video_units", "frames", "--frame_rate", "1"]) == counted(), "runs from before keep their stamp"


def test_the_same_batch_divided_otherwise_is_the_same():
    halved = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2"]
    assert counted()["global_batch_size"] == 16
    assert counted(halved) == counted()
    assert counted(["--per_device_train_batch_size", "8"], processes=2) == counted()
    # A rollout of 128 samples in optimiser steps of 64, on one process and on two.
    rollout = counted(stage="grpo")
    assert (rollout["global_batch_size"], rollout["rollout_size"]) == (64, 128)
    halves = [
        "--per_device_train_batch_size",
        "32",
        "--gradient_accumulation_steps",
        "2",
        "--steps_per_generation",
        "4",
    ]
    assert counted(halves, "grpo") == rollout
    assert counted(["--per_device_train_batch_size", "32"], "grpo", processes=2) == rollout


def test_only_what_differs_from_the_defaults_is_stated():
    settings = counted()
    assert settings["learning_rate"] == 1.5e-3
    assert "adam_beta1" not in settings  # 0.9, TrainingArguments' own
    assert "weight_decay" in settings
    assert len(settings) < 20, sorted(settings)


def test_settings_beside_are_kept_without_secrets():
    script_args, training_args, model_args = supervised.parse([*SFT, "--logging_steps", "7"])
    training_args.hub_token = "hf_secret"  # the parser refuses it; a script may set it
    settings = flat(script_args, training_args, model_args)
    kept = beside(settings, grpo=False, processes=2)
    assert kept["logging_steps"] == 7
    assert kept["processes"] == 2
    assert kept["prompts"] == "tiny"
    assert not SECRETS & kept.keys()
    assert "hf_secret" not in json.dumps(kept)
    script_args, training_args, model_args = grpo.parse([*GRPO, "--use_vllm", "true"])
    training_args.vllm_server_base_url = "http://user:password@host"
    settings = flat(script_args, training_args, model_args)
    stated = beside(settings, grpo=True, processes=1) | counting(settings, grpo=True)
    assert "password" not in json.dumps(stated)


def test_settings_of_a_version_1_stamp_count_alike():
    """Those stamps held every value, defaults too."""
    settings = flat(*supervised.parse(SFT))
    assert counting(dict(settings), grpo=False) == counted()
    del settings["adam_beta1"], settings["router_aux_loss_coef"]  # fields that an older release did not have
    assert counting(settings, grpo=False) == counted()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("--reward_weights 1 1", "tiou_mviou"),
        ("--reward stvg_rewards.mviou_reward stvg_rewards.tiou_reward", "tiou_mviou"),
        ("--reward_weights 1 0.5", "tiou_mviou-1-0.5"),
        ("--format_weight 0.1 --dynamic_sampling 2", "tiou_mviou+format-0.1+dynamic-2"),
        ("--reward stvg_rewards.scaled_tiou_reward", "scaled_tiou"),
    ],
)
def test_rewards_count_by_the_variant_that_they_make(words, name):
    before, after = counted(stage="grpo"), counted(words.split(), stage="grpo")
    assert after == before | {"variant": name}
    kept = beside(flat(*grpo.parse([*GRPO, *words.split()])), grpo=True, processes=1)
    assert IN_VARIANT & kept.keys(), "as they were written, for people"


def test_the_variant_of_a_version_1_stamp():
    settings = flat(*grpo.parse(GRPO))
    del settings["variant"]
    settings["reward"] = "tiou_mviou"  # it was one word
    assert counting(settings, grpo=True) == counted(stage="grpo")
    settings["reward_weights"] = [1.0, 0.5]
    assert counting(settings, grpo=True)["variant"] == "tiou_mviou-1-0.5"


@pytest.mark.parametrize("is_grpo", [False, True])
def test_looking_up_the_defaults_leaves_the_processes_as_they_are(monkeypatch, is_grpo):
    """It made two processes two single ones: both wrote the stamp, and no barrier held before a marker."""
    state = PartialState()
    monkeypatch.setitem(state.__dict__, "num_processes", 2)
    before = dict(state.__dict__)
    _defaults.cache_clear()
    _defaults(is_grpo)
    assert PartialState().__dict__ == before
