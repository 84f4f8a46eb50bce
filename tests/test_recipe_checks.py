"""Each check of the preflight: one case that trips it, and one that does not."""

import json

import pytest
import torch
from transformers import Glm4vConfig, Qwen2_5_VLConfig
from trl import ModelConfig

from data_prep.records import read_records
from recipe.checks.data import (
    Sample,
    answers_fit,
    batches_are_even,
    every_row_has_an_image,
    fits_the_context,
    frames_are_on_the_grid,
    videos_are_usable,
)
from recipe.checks.facts import skeleton
from recipe.checks.machine import (
    data_is_there,
    disk_gib,
    disk_suffices,
    gpu_is_there,
    updates_are_kept,
    vllm_is_there,
    weights_are_there,
)
from recipe.checks.model import lora_covers_the_language_model, tags_survive
from recipe.checks.settings import (
    clip_acts,
    groups_can_be_replaced,
    image_tokens_are_suppressed,
    packing_fits,
    rewards_fit,
    runs_no_foreign_code,
)
from recipe.checks.stage import _video_findings
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.families import FAMILIES
from recipe.inputs.frames import ClipFrames
from tests.helpers.loads import NINE

USUAL_NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def one(findings, topic, refused, *words):
    """The only finding, which has this topic and these words in one line."""
    (finding,) = findings
    assert (finding.topic, finding.refused) == (topic, refused)
    assert "\n" not in str(finding)
    for word in words:
        assert word in finding.text, finding.text


@pytest.mark.parametrize(
    ("steps", "iterations", "accumulation", "acts"),
    [
        (1, 1, 1, False),  # one step a rollout
        (8, 1, 8, False),  # TRL's default: all batches are accumulated into one step
        (2, 2, 8, False),  # two rollouts a step
        (16, 1, 8, True),
        (1, 2, 1, True),
        (3, 1, 2, True),  # the second step begins inside the rollout
    ],
)
def test_the_clip(steps, iterations, accumulation, acts):
    findings = clip_acts(steps, iterations, accumulation)
    if acts:
        assert findings == []
    else:
        one(findings, "clip", False, "the ratio is always 1", f"set steps_per_generation to {2 * accumulation}")


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("tiou_mviou", None, None),
        ("tiou_mviou", [1.0, 0.5], None),
        ("viou", [1.0], None),
        ("tiou_mviou", [1.0], "has 1 values, but reward tiou_mviou has 2 functions (tiou_reward, mviou_reward)"),
        ("viou", [1.0, 1.0], "has 2 values"),
        ("tiou_viou", [0.0, 0.0], "more than 0"),
        ("viou", [-1.0], "from 0 on"),
        ("viou", [float("nan")], "from 0 on"),
    ],
)
def test_reward_weights(name, weights, words):
    if words is None:
        assert rewards_fit(name, weights) == []
    else:
        one(rewards_fit(name, weights), "rewards", True, words)


def test_image_tokens():
    ids = {"<|image|>": 7, "<|video|>": 8}
    assert image_tokens_are_suppressed({"logit_bias": {7: -100.0, "8": -100}}, ids) == []
    for given in (None, {}, {"logit_bias": {7: -100.0}}, {"logit_bias": {7: -100.0, 8: -1.0}}):
        one(image_tokens_are_suppressed(given, ids), "image tokens", True, "<|video|> (8)")


@pytest.mark.parametrize(
    ("samples", "scale", "aggregation", "rounds", "refused"),
    [
        (16, "group", "sum_then_normalize", 2, False),
        (12, "group", "sum_then_normalize", 0, False),  # off
        (12, "group", "sum_then_normalize", 2, True),
        (16, "batch", "sum_then_normalize", 2, True),
        (16, "group", "normalize_then_sum", 2, False),
    ],
)
def test_groups_for_dynamic_sampling(samples, scale, aggregation, rounds, refused):
    findings = groups_can_be_replaced(samples, 8, scale, aggregation, rounds)
    if refused:
        one(findings, "groups", True, "dynamic_sampling needs")
    else:
        assert findings == []


QLORA = {"dtype": "bfloat16", "use_peft": True, "load_in_4bit": True}


@pytest.mark.parametrize(
    ("settings", "sharding", "vllm", "there", "words"),
    [
        ({}, "zero3", True, False, None),  # nothing is packed
        (QLORA, "none", False, True, None),
        (QLORA, "zero2", False, True, None),
        (
            QLORA | {"load_in_4bit": False, "load_in_8bit": True},
            "none",
            False,
            True,
            "load_in_8bit is not implemented",
        ),
        (QLORA | {"use_peft": False}, "none", False, True, "needs LoRA"),
        (QLORA, "none", False, False, "needs the package bitsandbytes"),
        (QLORA | {"dtype": "auto"}, "none", False, True, "dtype is auto: set dtype: bfloat16"),
        (QLORA, "zero3", False, True, "cannot be shared by zero3"),
        (QLORA, "fsdp", False, True, "cannot be shared by fsdp"),
        (QLORA, "none", True, True, "does not go with vLLM"),
    ],
)
def test_weights_packed_in_4_bits(settings, sharding, vllm, there, words):
    findings = packing_fits(ModelConfig(**settings), sharding, vllm, lambda name: there)
    if words is None:
        assert findings == []
    else:
        one(findings, "dtype", True, words)


def test_code_of_a_checkpoint():
    assert runs_no_foreign_code(False) == []
    one(runs_no_foreign_code(True), "model", True, "never run here")


def test_the_context():
    sample = Sample("vidstg/1", 60, images=15_000, text=500, answer=2_000)
    assert fits_the_context(sample, {"context": 17_500, "max_length": None}) == []
    assert fits_the_context(None, {"context": 1}) == []
    words = ("vidstg/1 (60 s) takes 17500 tokens (15000 of pictures", "max_length is 1024")
    one(fits_the_context(sample, {"context": 32_768, "max_length": 1024}), "context", True, *words)


def test_answers():
    lengths = {f"a/{k}": k for k in range(1, 101)}
    assert answers_fit(lengths, 100) == []
    assert answers_fit({}, 1) == []
    one(answers_fit(lengths, 95), "answers", False, "5 of 100", "(a/100) takes 100 tokens")
    one(answers_fit(lengths, 94), "answers", False, "max_completion_length 94 cuts true answers")


def test_frames():
    def keeps(width, height):
        return (width // 28) * (height // 28)

    assert frames_are_on_the_grid([(448, 252), (28, 28)], 28, keeps) == []
    one(frames_are_on_the_grid([(448, 252), (450, 252)], 28, keeps), "frames", True, "450 x 252", "grid is 28")
    one(frames_are_on_the_grid([(56, 56)], 28, lambda w, h: 9), "frames", True, "makes 4 image tokens", "makes 9")


def test_rows_without_images():
    assert every_row_has_an_image({"a": 3}, 3) == []
    assert every_row_has_an_image({"a": 0}, 2) == []
    one(every_row_has_an_image({"a": 0, "b": 2}, 3), "images", True, "1 records have no frame (a)", "hang ZeRO-3")


def test_batches():
    assert batches_are_even(128, 8, records=16) == []
    one(batches_are_even(128, 8, records=15), "batch", True, "15 records, but a rollout of 128 samples takes 16")
    one(batches_are_even(128, 8, records=0), "batch", True, "no record is left to train on")
    one(batches_are_even(12, 8, records=99), "batch", True, "no multiple of num_generations 8")


@pytest.fixture(scope="module")
def layers():
    """Names of the linear layers of the published sizes' classes, by family; no weight is made."""
    return {
        "glm4v": list(skeleton(Glm4vConfig())[0]),
        "qwen2_5_vl": list(skeleton(Qwen2_5_VLConfig(text_config={"num_hidden_layers": 2}))[0]),
    }


@pytest.mark.parametrize("name", ["glm4v", "qwen2_5_vl"])
def test_lora_of_the_families_own(layers, name):
    assert lora_covers_the_language_model(layers[name], FAMILIES[name].lora_targets) == []


def test_lora_by_the_usual_names(layers):
    """On GLM-4.1V they miss the fused layer and hit the tower; on Qwen2.5-VL they hit the tower too."""
    vision, missed = lora_covers_the_language_model(layers["glm4v"], USUAL_NAMES)
    one([vision], "LoRA", False, "touches", "vision tower (model.visual.")
    one([missed], "LoRA", False, "leaves out the language model's mlp.gate_up_proj;")
    one(lora_covers_the_language_model(layers["qwen2_5_vl"], USUAL_NAMES), "LoRA", False, "vision tower")


@pytest.mark.parametrize("targets", [r".*visual.*qkv", ["qkv"], "language_model"])
def test_lora_that_misses_the_language_model(layers, targets):
    one(lora_covers_the_language_model(layers["glm4v"], targets), "LoRA", True, "misses the language model")


def test_tags():
    tags = ["<think>", "</think>"]
    pieces = {"<think>": 1, "</think>": 1, "<i>": 1}
    text = "0s<i>1s<i><think>so</think>{}"
    assert tags_survive(tags, "<i>", pieces, ["<i>"], text, images=2) == []
    one(tags_survive(tags, "<i>", pieces | {"<i>": 3}, [], text, 2), "tags", True, "does not know <i>")
    one(tags_survive(tags, "<i>", pieces, [], text, 3), "tags", True, "writes 2 <i> for a prompt with 3 pictures")
    one(tags_survive(tags, "<i>", pieces, [], "<i><i>{}", 2), "tags", True, "drops <think>, </think>")
    one(tags_survive(tags, "<i>", pieces, ["</think>"], text, 2), "tags", False, "</think> are special tokens")
    one(tags_survive(tags, "<i>", pieces | {"<think>": 3}, [], text, 2), "tags", False, "spells <think> (3 tokens)")


def test_what_is_missing(tmp_path):
    track = tmp_path / "a.jsonl"
    track.touch()
    assert data_is_there([str(track)], str(tmp_path), str(track)) == []
    one(data_is_there([str(track), "no/b.jsonl"], str(tmp_path)), "data", True, "no such track file: no/b.jsonl;")
    one(data_is_there([str(track)], str(tmp_path), "no/v.jsonl"), "data", True, "no/v.jsonl")
    one(data_is_there([str(track)], "no/videos"), "videos", True, "no/videos")
    one(data_is_there([], str(tmp_path)), "data", True, "tracks is empty")
    assert gpu_is_there(False, 8) == gpu_is_there(True, 0) == []
    one(gpu_is_there(False, 0), "GPU", True, "none found")
    assert vllm_is_there(True, True) == vllm_is_there(False, False) == []
    one(vllm_is_there(True, False), "vLLM", True, "not installed")


def test_weights(tmp_path):
    assert weights_are_there("a/b", None) == []
    one(weights_are_there("zai-org/GLM", "x"), "weights", True, "run `hf download zai-org/GLM`")
    one(weights_are_there("runs/none/sft", "x"), "weights", True, "no checkpoint there; an earlier stage makes it")
    one(weights_are_there(str(tmp_path), "no config.json"), "weights", True, "cannot be read: no config.json")
    one(weights_are_there(None, "x"), "weights", True, "model_name_or_path is missing")


GIB = 2**30


def test_sixteen_bits():
    assert updates_are_kept(4, "none", False) == updates_are_kept(2, "zero2", False) == []
    assert updates_are_kept(2, "none", True) == []
    one(updates_are_kept(2, "none", False), "dtype", False, "rounded away")


def test_disk():
    # three checkpoints of 2 + 12 bytes a weight while the third is written, and the model
    assert disk_gib(NINE, 2, only_model=False) == pytest.approx((3 * 14 + 2) * 10**10 / GIB)
    assert disk_gib(NINE, -1, only_model=True) == pytest.approx(2 * 10**10 / GIB)
    assert disk_suffices(10, 100, "/data") == []
    one(disk_suffices(90, 100, "/data"), "disk", False, "90.00 GiB", "100.00 free at /data")
    one(disk_suffices(101, 100, "/data"), "disk", True, "save_total_limit")


def test_no_memory_is_taken_to_look_at_a_model():
    layers, parameters, vision = skeleton(Glm4vConfig())
    assert 9e9 < parameters < 11e9, "the published size"
    assert 5e8 < vision < 3e9
    assert layers["model.language_model.layers.0.mlp.gate_up_proj"] == (4096, 2 * 13696)
    assert not torch.cuda.is_initialized()


def test_few_videos_may_be_of_no_use():
    assert videos_are_usable("a.jsonl", 0, 5, "", 0.05) == []
    one(videos_are_usable("a.jsonl", 1, 100, "1 of 100 records", 0.05), "videos", False, "they are left out")
    one(videos_are_usable("a.jsonl", 6, 100, "6 of 100 records", 0.05), "videos", True, "at most 5% (max_missing)")
    one(videos_are_usable("a.jsonl", 5, 5, "5 of 5 records", 1.0), "videos", True, "5 of 5 records")


def test_preflight_looks_at_validation_clips_too(tiny_data, tmp_path):
    (tmp_path / "empty.mp4").touch()
    record = next(read_records(tiny_data / "test.jsonl")) | {"video": "empty.mp4"}
    (tmp_path / "val.jsonl").write_text(json.dumps(record))
    clips = ClipFrames(tmp_path, 24, 48 * 48)
    for made, more, refused in (
        (StageArguments, {}, True),
        (GRPOArguments, {"held_out_every": 5}, True),
        (GRPOArguments, {"held_out_every": 0}, False),
    ):
        settings = made(dataset_name=None, validation_tracks=str(tmp_path / "val.jsonl"), **more)
        findings, lost = _video_findings(settings, clips)
        assert lost == 0, "they are not trained on"
        assert [finding.refused for finding in findings] == [True] * refused
        assert not findings or "1 unreadable" in findings[0].text
