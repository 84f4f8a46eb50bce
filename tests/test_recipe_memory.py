"""The memory of a step, worked out by hand: each part of the estimate, and what fits a card."""

from dataclasses import replace

import pytest
import torch
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe.checks.capacity import (
    Footage,
    memory_suffices,
    of_length,
    seconds_that_fit,
    training_hours,
    vllm_gib,
)
from recipe.checks.launches import Launch
from recipe.checks.layer_bytes import Adapters, language_layers
from recipe.checks.live_bytes import LiveBytes
from recipe.checks.loads import load_of
from recipe.checks.memory import GIB, Rollout, head_bytes, held, peak_phase, phases, state_bytes
from recipe.checks.weights import Weights, count_weights, model_without_memory
from recipe.inputs.families import LANGUAGE_LAYERS
from tests.helpers.loads import NINE, PARTS, B
from tests.helpers.published_configs import PUBLISHED

LORA = Weights(PARTS, dict.fromkeys(PARTS, 0), adapters=10**8)
ROLLOUT = Rollout(rows=16, groups=2, prompt=15_360, completion=1024, cache=40_960, vllm_share=0.35, generates=False)


def test_weights_and_states_are_shared_as_each_way_shares_them():
    zero3 = held(NINE)
    # 2 bytes a weight and gradient, and 12 of a float32 copy and Adam's two moments, over 8 GPUs
    assert zero3["weights"] == zero3["gradients"] == pytest.approx(2 * 10 * B / 8)
    assert zero3["optimiser"] == pytest.approx(12 * 10 * B / 8)
    # at most 1e9 gathered weights, and a bucket of 5e8 gradients, 2 bytes each
    assert zero3["gathered"] == pytest.approx(2 * B + B)
    zero2 = held(replace(NINE, sharding="zero2"))
    assert (zero2["weights"], zero2["optimiser"]) == (pytest.approx(20 * B), pytest.approx(15 * B))
    fsdp = held(replace(NINE, sharding="fsdp"))  # weights and gradients in float32, 8 bytes of moments
    assert fsdp["weights"] == fsdp["gradients"] == pytest.approx(4 * 10 * B / 8)
    assert fsdp["optimiser"] == pytest.approx(8 * 10 * B / 8)
    alone = held(replace(NINE, sharding="none", processes=1))
    assert (alone["weights"], alone["gradients"], alone["optimiser"]) == (20 * B, 20 * B, 40 * B)
    assert alone["gathered"] == 0


def test_lora_keeps_states_for_its_adapters_only():
    lora = held(replace(NINE, weights=LORA, each=4, sharding="none", processes=1))
    # 10e9 weights at rest in 2 bytes, 1e8 that learn in 4, with gradient and two moments in 4 each
    assert lora["weights"] == pytest.approx(20 * B + 0.4 * B)
    assert lora["gradients"] == pytest.approx(0.4 * B)
    assert lora["optimiser"] == pytest.approx(0.8 * B)


@pytest.mark.parametrize(
    ("optim", "each", "expected"),
    [
        ("adamw_torch", 2, 4),
        ("adamw_torch_fused", 4, 8),
        ("adamw_bnb_8bit", 2, 2),
        ("paged_adamw_8bit", 4, 2),
        ("lion_8bit", 2, 1),
        ("adafactor", 4, 0),
        ("sgd", 4, 0),
    ],
)
def test_states_of_an_optimiser(optim, each, expected):
    assert state_bytes(optim, each) == expected


def test_the_head_makes_tiles_and_no_logits_of_a_whole_clip():
    # A tile of 1024 positions x 32,768 in bf16, gradients of 1024 hidden states in float32 and bf16, and of the head
    # in float32: 64 MiB + 24 MiB + 2.31 GiB. All logits of the clip would be 16,384 x 151,552 x 4 bytes: 9.2 GiB.
    assert head_bytes(NINE, learns=True) == 2 * 1024 * 32_768 + 6 * 1024 * 4096 + 4 * 151_552 * 4096
    assert head_bytes(NINE, learns=False) == 2 * 1024 * 32_768
    assert head_bytes(replace(NINE, weights=LORA), learns=True) == 2 * 1024 * 32_768 + 6 * 1024 * 4096
    assert head_bytes(replace(NINE, scored=9000), learns=False) == 2 * 4096 * 32_768, "no more than a tile"


def test_layers_keep_what_checkpointing_leaves_them():
    language = phases(NINE)["language backward"]["language activations"] * GIB
    # the embeddings, the final norm's two and its float32 copy; a result a layer; one layer at work
    assert language == pytest.approx(16_384 * (3 * 8192 + 4 * 4096 + 40 * 8192 + 340_000))
    whole = phases(replace(NINE, checkpointing=False))["language backward"]["language activations"] * GIB
    assert whole == pytest.approx(16_384 * (3 * 8192 + 4 * 4096 + 40 * 250_000 + 90_000))
    frozen = replace(NINE, weights=Weights(PARTS, PARTS | {"vision": 0}))
    assert "vision activations" not in phases(frozen)["language backward"]
    assert phases(NINE)["language backward"]["vision activations"] * GIB == pytest.approx(
        61_440 * (6 * 3072 + 40_000 + 2 * 1176 + 24 * 3072)
    )


def test_autocast_copies_float32_weights():
    whole = replace(NINE, sharding="none", each=4, rest=4, computes=2)
    assert phases(whole)["head"]["autocast copies"] * GIB == pytest.approx(2 * 10 * B)
    assert "autocast copies" not in phases(replace(whole, computes=4))["head"]


def test_the_pixels_of_a_step_and_of_a_rollout():
    clip = 4 * 61_440 * 1176 / GIB  # 0.27 GiB
    # Trainer collects the eight batches of a step; where there is no GPU, the next one lies in the same memory
    assert phases(NINE)["head"]["pixels"] == pytest.approx(8 * clip)
    assert phases(replace(NINE, triton=False))["head"]["pixels"] == pytest.approx(9 * clip)
    grpo, clip = phases(replace(NINE, rollout=ROLLOUT)), clip / 2  # kept in bf16
    assert grpo["head"]["pixels"] == pytest.approx(2 * clip)  # of two prompts, whose 8 samples each share them
    assert grpo["scoring"]["pixels"] == pytest.approx(4 * clip)  # the last rollout's and this one's
    assert grpo["rollout put aside"]["pixels"] == pytest.approx(4 * clip)
    several = phases(replace(NINE, batch=4, rollout=ROLLOUT))
    assert several["head"]["pixels"] == pytest.approx(6 * clip), "a forward pass has a copy of its four rows' pixels"
    written = replace(ROLLOUT, generates=True)
    assert phases(replace(NINE, rollout=written))["generation"]["pixels"] == pytest.approx(20 * clip)


def test_shared_prompts_count_once_and_their_keys_for_each_answer():
    own = replace(NINE, batch=4, accumulation=2, rollout=ROLLOUT)
    shared = replace(own, prompts=1)
    assert (own.batch_tokens, own.batch_patches) == (4 * 16_384, 4 * 61_440)
    assert (shared.batch_tokens, shared.batch_patches) == (15_360 + 4 * 1024, 61_440)
    before, after = (phases(load)["language backward"] for load in (own, shared))
    assert after["vision activations"] == pytest.approx(before["vision activations"] / 4)
    # a token as ever, and keys and values of four rows (2 x 4096 x 2 bytes a token) with their gradients
    copies = 4 * 16_384 * 2 * 4096 * 2
    tokens = shared.batch_tokens * (3 * 8192 + 4 * 4096 + 40 * 8192 + 340_000)
    assert after["language activations"] * GIB == pytest.approx(tokens + 2 * copies)
    assert after["mask"] * GIB == pytest.approx(1024 * 16_384 * 3), "1024 tokens of an answer see all before them"
    assert sum(after.values()) < sum(before.values())


def test_vllm_asleep_gives_its_share_back():
    awake, asleep = (phases(replace(NINE, rollout=replace(ROLLOUT, sleeps=it)), 80) for it in (False, True))
    assert awake["head"]["vLLM"] == awake["generation"]["vLLM"] == asleep["generation"]["vLLM"] == pytest.approx(28)
    assert "vLLM" not in asleep["head"]
    assert sum(awake["head"].values()) - sum(asleep["head"].values()) == pytest.approx(28)


def test_generation_without_vllm_keeps_keys_and_values_of_all_rows():
    parts = phases(replace(NINE, rollout=replace(ROLLOUT, vllm_share=0.0, generates=True)))["generation"]
    prefill = (
        16 * 15_360 * (2 * 8192 + 120_000 + 40_960)
    )  # more than 16 x 16,384 x 40,960 of the cache when it is full
    assert parts["KV cache and prefill"] * GIB == pytest.approx(max(prefill, 16 * 61_440 * 50_000))
    assert parts["gathered"] * GIB == pytest.approx(3 * B + 20 * B), "ZeRO-3 gathers the whole model to generate"


def test_refused_is_what_cannot_fit_and_warned_what_is_close():
    load = replace(NINE, rollout=ROLLOUT)
    need = sum(peak_phase(load, 80)[1].values()) - 28
    assert memory_suffices(load, None) == []
    assert memory_suffices(load, 200) == []
    (close,) = memory_suffices(load, (need / 0.65) * 1.05)
    assert (close.refused, close.topic) == (False, "memory")
    (over,) = memory_suffices(load, 60)
    assert over.refused
    assert "of 60 at its highest" in over.text
    assert "vllm_enable_sleep_mode" in over.text
    small = memory_suffices(replace(load, rollout=replace(ROLLOUT, vllm_share=0.1)), 160)
    assert [finding.refused for finding in small] == [True]
    # 20e9 bytes of weights, and 16,384 tokens x 40,960 bytes
    assert "vllm_gpu_memory_utilization 0.1 of 160 GiB is 16.0, and vLLM needs 19.3" in small[0].text
    assert vllm_gib(load, 1) == pytest.approx((20 * B + 16_384 * 40_960) / GIB)


def test_seconds_that_fit():
    footage = Footage(patches=1024, tokens=262)
    seconds = seconds_that_fit(NINE, 80, footage)
    assert 60 < seconds < 3600
    fits, over = (sum(peak_phase(of_length(NINE, footage, n), 80)[1].values()) for n in (seconds, seconds + 1))
    assert fits <= 72 < over
    assert seconds_that_fit(NINE, 20, footage) == 0
    assert seconds_that_fit(NINE, 160, footage) > seconds


def test_hours():
    # 8 operations x 1e10 weights x 1e9 tokens, on 8 cards that do 1e14 a second
    assert training_hours(10**10, 1e9, gpus=8, flops=2e14, utilisation=0.5, lora=False) == pytest.approx(1e5 / 3600)
    assert training_hours(10**10, 1e9, gpus=8, flops=2e14, utilisation=0.5, lora=True) == pytest.approx(7.5e4 / 3600)


def test_live_bytes_counts_views_once_and_forgets_what_is_gone():
    base = torch.ones(1000)
    with LiveBytes() as live:
        view = base.view(10, 100).t()
        assert live.now == 0, "made before"
        one = view + 1
        two = one[:5]
        assert live.now == 4000
        del one
        assert live.now == 4000, "a view holds all"
        del two
    assert (live.now, live.peak) == (0, 4000)


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_the_published_ones(name):
    make, thousand_millions = PUBLISHED[name]
    weights = count_weights(model_without_memory(make()))
    assert weights.total / 1e9 == pytest.approx(thousand_millions, rel=0.01)
    assert weights.learning == weights.total
    assert (weights.all["head"] == 0) == (name in ("qwen3-vl-2b", "qwen3-vl-4b")), "tied ones count once"
    assert all(weights.all[part] > 0 for part in ("language", "vision", "projector", "embeddings"))


def test_weights_that_rest():
    config = PUBLISHED["qwen3-vl-2b"][0]()
    model = model_without_memory(config)
    frozen = count_weights(model, frozen_vision=True)
    assert frozen.trained["vision"] == frozen.trained["projector"] == 0
    assert frozen.learning == frozen.total - frozen.all["vision"] - frozen.all["projector"]
    lora = count_weights(model, lora_targets=LANGUAGE_LAYERS, rank=8)
    # a layer: q 2048 -> 2048, k and v 2048 -> 1024, o 2048 -> 2048, gate and up 2048 -> 6144, down 6144 -> 2048
    assert lora.learning == 28 * 8 * (2 * 4096 + 2 * 3072 + 3 * 8192)
    assert lora.total == frozen.total


def test_a_layer_costs_what_its_classes_keep():
    config = PUBLISHED["qwen3-vl-2b"][0]()
    model = model_without_memory(config)
    cost = language_layers(config, model, torch.bfloat16, True, None)
    assert (cost.count, cost.output) == (28, 2048 * 2)
    assert cost.forward < cost.kept < cost.backward
    # q, k, v and the attention's result alone are 2 x 2048 + 2 x 1024 values; gate, up and their product 4 x 6144
    assert cost.kept > 2 * (2 * 2048 + 2 * 1024 + 4 * 6144)
    lora = language_layers(config, model, torch.bfloat16, True, Adapters(LANGUAGE_LAYERS, 64))
    assert 0.8 * cost.kept < lora.kept < 1.5 * cost.kept


def test_a_load_takes_the_settings_of_a_stage():
    config = PUBLISHED["qwen3-vl-2b"][0]()
    common = {
        "output_dir": "x",
        "bf16": False,
        "use_cpu": True,
        "gradient_accumulation_steps": 4,
        "optim": "adafactor",
    }
    grpo = GRPOConfig(per_device_train_batch_size=2, steps_per_generation=8, num_generations=4, **common)
    load = load_of(
        config, grpo, ModelConfig(dtype="bfloat16"), Launch(8, "zero2"), prompt=1000, answer=200, patches=4000
    )
    assert (load.each, load.rest, load.optim, load.processes, load.sharding) == (2, 2.0, "adafactor", 8, "zero2")
    assert load.patch_values == 3 * 2 * 16 * 16
    assert (load.tokens, load.scored, load.padded) == (1200, 200, True)
    assert load.rollout.rows == 16
    assert load.rollout.cache == 2 * 28 * 8 * 128 * 2  # keys and values of 28 layers, 8 heads of 128, 2 bytes
    assert load.rollout.generates
    sft = SFTConfig(per_device_train_batch_size=1, max_length=None, **common)
    model = ModelConfig(dtype="bfloat16", use_peft=True, load_in_4bit=True, attn_implementation="flash_attention_2")
    lora = load_of(config, sft, model, Launch(), prompt=1000, answer=200, patches=4000)
    assert (lora.each, lora.padded, lora.rollout) == (4, False, None)
    assert 0.52 < lora.rest < 1.3, "embeddings and the tower stay in 16 bits"
