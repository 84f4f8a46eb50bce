"""How weights are loaded: the attention that is chosen, and weights packed in 4 bits that LoRA trains on."""

import importlib.util
import re

import pytest
import torch
from transformers import AutoModelForImageTextToText
from trl import ModelConfig

from recipe.inputs import precision
from recipe.inputs.arguments import StageArguments
from recipe.inputs.families import FAMILIES
from recipe.inputs.loading import load_model
from recipe.inputs.precision import attention_of, packing_of
from tests.test_recipe_family_steps import moved, run, weights

QLORA = ["--use_peft", "true", "--load_in_4bit", "true"]
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="pip install -e '.[qlora]'"
)


@pytest.mark.parametrize(
    ("setting", "dtype", "gpu", "flash", "chosen"),
    [
        ("auto", "bfloat16", True, True, "flash_attention_2"),
        ("auto", "float32", True, True, "sdpa"),  # flash attention has no kernels for 32 bits
        ("auto", "bfloat16", True, False, "sdpa"),
        ("auto", "bfloat16", False, True, "sdpa"),
        ("eager", "bfloat16", True, True, "eager"),
        (None, "bfloat16", True, True, None),
    ],
)
def test_attention(setting, dtype, gpu, flash, chosen, monkeypatch):
    monkeypatch.setattr(precision.importlib.util, "find_spec", lambda name: flash or None)
    assert attention_of(setting, dtype, on_gpu=gpu) == chosen


def test_a_model_is_loaded_with_the_attention_that_is_there(tiny_base):
    args = ModelConfig(model_name_or_path=str(tiny_base), dtype="float32", attn_implementation="auto")
    assert load_model(args, StageArguments()).config._attn_implementation == "sdpa"


def test_what_is_packed_and_how():
    assert packing_of(ModelConfig(dtype="bfloat16")) is None
    packing = packing_of(ModelConfig(dtype="bfloat16", load_in_4bit=True, use_bnb_nested_quant=True))
    assert (packing.bnb_4bit_quant_type, packing.bnb_4bit_compute_dtype) == ("nf4", torch.bfloat16)
    assert packing.bnb_4bit_use_double_quant


@needs_bitsandbytes
@pytest.mark.slow
@pytest.mark.parametrize("name", ["glm4v", "qwen3_vl"])
def test_lora_over_packed_weights_takes_a_step_and_leaves_a_whole_model(name, family_checkpoints, tiny_data, tmp_path):
    import bitsandbytes

    args = ModelConfig(model_name_or_path=str(family_checkpoints / name), dtype="float32", load_in_4bit=True)
    packed = {
        part
        for part, module in load_model(args, StageArguments()).named_modules()
        if isinstance(module, bitsandbytes.nn.Linear4bit)
    }
    assert packed
    assert all(re.fullmatch(FAMILIES[name].lora_targets, part) for part in packed), "neither tower nor output layer"
    base = weights(family_checkpoints / name)
    after = run("sft", family_checkpoints / name, "ground.jsonl", tmp_path / "sft", tiny_data, *QLORA)
    names = moved(base, after)
    assert {changed.removesuffix(".weight") for changed in names} == packed
    for changed in names:  # the adapter is added to the checkpoint's own weights, not to what 4 bits left of them
        assert (after[changed] - base[changed]).abs().max() < 0.05 * base[changed].abs().max()
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "sft")
    assert getattr(loaded.config, "quantization_config", None) is None
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}


@needs_bitsandbytes
@pytest.mark.slow
def test_grpo_over_packed_weights_takes_a_step(family_checkpoints, tiny_data, tmp_path):
    words = [*QLORA, "--length_weight", "1.0"]
    run("grpo", family_checkpoints / "qwen3_vl", "ground.jsonl", tmp_path / "grpo", tiny_data, *words)
    assert (tmp_path / "grpo" / "adapter" / "adapter_config.json").is_file()
