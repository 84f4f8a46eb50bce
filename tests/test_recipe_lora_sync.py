"""What vLLM is sent of a LoRA model: base + delta, while the base stays bit for bit what it was."""

import logging
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForImageTextToText
from trl.distributed import DistributedBackend
from trl.generation.vllm_generation import VLLMGeneration

from recipe.inputs.families import FAMILIES
from recipe.rollouts.lora_sync import keep_base, merged_weights, unmergeable
from recipe.training.lora import save_whole

TARGETS = FAMILIES["glm4v"].lora_targets
SCALING = 16 / 4


def load(folder, dtype=torch.float32):
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)


def draw_adapter(model, seed):
    """Give the adapter weights as training would leave them: neither matrix is zero."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=noise))


def adapted(folder, dtype=torch.float32, **settings):
    config = LoraConfig(r=4, lora_alpha=16, **({"target_modules": TARGETS} | settings))
    model = get_peft_model(load(folder, dtype), config)
    draw_adapter(model, 0)
    return model


def generation_of(model, mode="colocate"):
    """TRL's own class around the model, with an engine and a client that note what they are sent."""
    generation = VLLMGeneration.__new__(VLLMGeneration)
    generation.model, generation.mode, generation.enable_sleep_mode = model, mode, False
    state = SimpleNamespace(deepspeed_plugin=None)
    generation.accelerator = SimpleNamespace(state=state, is_main_process=True, device=torch.device("cpu"))
    generation._dist, generation._weight_metadata = DistributedBackend(generation.accelerator), None
    generation.llm, generation.vllm_client, generation.sent = MagicMock(), MagicMock(), {}
    engine = generation.llm.llm_engine.model_executor.driver_worker.model_runner.model
    engine.load_weights = lambda weights: generation.sent.update((name, value.clone()) for name, value in weights)
    generation.vllm_client.update_named_params = lambda metadata, weights: engine.load_weights(weights)
    return generation


def base_of(model):
    return {name: value.clone() for name, value in model.state_dict().items() if "lora_" not in name}


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_a_hundred_syncs_leave_the_base_bit_for_bit(tiny_base, mode):
    model = adapted(tiny_base, torch.bfloat16)
    generation, before = generation_of(model, mode), base_of(model)
    keep_base(generation)
    for sync in range(100 if mode == "colocate" else 2):
        draw_adapter(model, sync)
        generation.sync_weights()
    assert all(torch.equal(value, before[name]) for name, value in base_of(model).items())
    layer = model.base_model.model.model.language_model.layers[0].self_attn.q_proj
    delta = layer.lora_B["default"].weight.float() @ layer.lora_A["default"].weight.float()
    merged = layer.base_layer.weight.float() + SCALING * delta
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(generation.sent[name], merged.bfloat16()), "rounded once"
    assert not torch.equal(generation.sent[name], layer.base_layer.weight)


def test_what_is_sent_answers_as_the_trained_model(tiny_base):
    model = adapted(tiny_base, modules_to_save=["lm_head"])
    with torch.no_grad():
        model.base_model.model.lm_head.modules_to_save["default"].weight.mul_(1.5)
    generation, theirs = generation_of(model), generation_of(model)
    keep_base(generation)
    generation.sync_weights()
    theirs.sync_weights()
    assert generation.sent.keys() == theirs.sent.keys()
    for name, value in theirs.sent.items():
        assert generation.sent[name].dtype == value.dtype
        torch.testing.assert_close(generation.sent[name], value, atol=1e-6, rtol=0)
    fresh, ids = load(tiny_base), torch.arange(100, 140).view(2, 20)
    untrained = fresh(input_ids=ids).logits
    assert not fresh.load_state_dict(generation.sent, strict=False).unexpected_keys
    torch.testing.assert_close(fresh(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-5, rtol=0)
    assert (untrained - model(input_ids=ids).logits).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_saved_model_is_the_one_that_vllm_had(tiny_base, tmp_path, dtype):
    load(tiny_base, dtype).save_pretrained(tmp_path / "base")
    model = adapted(tmp_path / "base", dtype)
    generation = generation_of(model)
    keep_base(generation)
    for _ in range(10):
        generation.sync_weights()
    trainer = SimpleNamespace(
        args=SimpleNamespace(output_dir=str(tmp_path / "out")),
        save_model=model.save_pretrained,
        accelerator=SimpleNamespace(is_main_process=True, wait_for_everyone=lambda: None),
        processing_class=SimpleNamespace(save_pretrained=lambda folder: None),
    )
    save_whole(trainer, SimpleNamespace(use_peft=True, model_name_or_path=str(tmp_path / "base")))
    saved = load_file(tmp_path / "out" / "model.safetensors")
    assert saved.keys() <= generation.sent.keys()
    assert all(torch.equal(value, generation.sent[name]) for name, value in saved.items())
    ids = torch.arange(100, 140).view(2, 20)
    bound = {torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]  # one rounding of each weight and activation
    logits = load(tmp_path / "out", dtype)(input_ids=ids).logits
    torch.testing.assert_close(logits, model(input_ids=ids).logits, atol=bound, rtol=0)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"target_modules": ["embed_tokens"]}, "Embedding"),
        ({"lora_bias": True, "target_modules": r".*language_model.*q_proj"}, "more than LoRA's two matrices"),
    ],
)
def test_other_adapters_are_merged_as_upstream_does_with_a_warning(tiny_base, caplog, settings, word):
    generation = generation_of(adapted(tiny_base, **settings))
    with caplog.at_level(logging.WARNING):
        keep_base(generation)
    assert "_iter_named_params" not in vars(generation)
    (line,) = caplog.messages
    assert "subtracted again at each weight sync" in line
    assert word in line


def test_ia3_and_fsdp_1_say_why(tiny_base):
    config = IA3Config(target_modules=r".*language_model.*q_proj", feedforward_modules=[])
    assert "ia3" in unmergeable(get_peft_model(load(tiny_base), config))
    assert "FSDP 2" in unmergeable(nn.Linear(1, 1), fsdp_version=1)


def test_a_model_without_adapter_is_upstreams(tiny_base):
    generation = generation_of(load(tiny_base))
    keep_base(generation)
    assert "_iter_named_params" not in vars(generation)


def test_fsdp_2_gathers_a_layer_at_a_time(tiny_base, tmp_path):
    """One process and gloo: the parameters are DTensors, as on several GPUs."""
    model = adapted(tiny_base)
    expected = dict(merged_weights(generation_of(model)))
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        for layer in model.base_model.model.model.language_model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        assert all(type(parameter.data).__name__ == "DTensor" for parameter in model.parameters())
        sent = dict(merged_weights(generation_of(model)))
        assert sent.keys() == expected.keys()
        for name, value in sent.items():
            assert type(value) in (torch.Tensor, nn.Parameter)
            assert torch.equal(value, expected[name])
    finally:
        torch.distributed.destroy_process_group()
