"""A frozen vision tower computes a prompt's features once a rollout; loss, gradients and parameters stay."""

import gc
import logging
import weakref
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures
from trl import GRPOConfig
from trl.data_utils import prepare_multimodal_messages

from recipe.inputs.families import FAMILIES, LANGUAGE_LAYERS
from recipe.training.feature_rows import FeatureRows
from recipe.training.frozen_features import LEARNS, drops, spread, why_not
from recipe.training.trainers import GroundingGRPOTrainer
from tests.helpers.tiny_parts import COMMON, parts

PROMPTS, SAMPLES = 2, 4
OTHERS = sorted(FAMILIES.keys() - {"glm4v", "qwen3_vl"})


def variety(completions, **kwargs):
    return [len(set(completion[0]["content"])) / 50 for completion in completions]


def trainer_of(data, checkpoint, out, *, peft=None, rate=0.0, units="frames", **settings):
    """A trainer that uses a rollout of two prompts in two optimiser steps of SGD at a rate of 1."""
    model, processor, _, rows = parts(data, checkpoint, False, rate, video_units=units)
    steps = {"per_device_train_batch_size": PROMPTS * SAMPLES // 2, "steps_per_generation": 2, "max_steps": 2}
    sampling = {"num_generations": SAMPLES, "max_completion_length": 4, "log_multimodal": False, "seed": 5}
    plain = {"optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant", "warmup_steps": 0}
    settings = COMMON | steps | sampling | plain | {"max_grad_norm": 0.0, "logging_steps": 1} | settings
    args = GRPOConfig(output_dir=str(out), **settings)
    return GroundingGRPOTrainer(
        model=model,
        reward_funcs=[variety],
        args=args,
        train_dataset=rows,
        processing_class=processor,
        peft_config=peft,
    )


def trained(trainer):
    """Train; return losses, parameters and how often a tower ran, the policy's or the reference model's."""
    runs = []
    model = trainer.model.get_base_model() if hasattr(trainer.model, "peft_config") else trainer.model
    for each in filter(None, (model, trainer.ref_model)):
        each.base_model.visual.patch_embed.register_forward_hook(lambda *_: runs.append(1))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, {name: value.clone() for name, value in trainer.model.state_dict().items()}, len(runs)


def assert_same_training(data, checkpoint, tmp_path, **settings):
    """Train with and without kept features; return how often the tower ran with and without, and the trainer with."""
    ends = []
    for kept in (True, False):
        trainer = trainer_of(data, checkpoint, tmp_path / str(kept), **settings)
        trainer.frozen_features = kept
        before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        ends.append((*trained(trainer), trainer))
    (losses, weights, ours, trainer), (expected_losses, expected, theirs, _) = ends
    assert len(losses) == 2
    assert losses == pytest.approx(expected_losses, abs=1e-6)
    moved = [name for name, value in expected.items() if (value - before[name]).abs().max() > 1e-4]
    assert moved, "a step changes parameters by more than what is tolerated"
    assert not any(".visual." in name for name in moved)
    for name, value in expected.items():
        assert torch.allclose(weights[name], value, atol=1e-6, rtol=0), name
    return ours, theirs, trainer


@pytest.mark.parametrize(
    "name", ["glm4v", "qwen3_vl", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_features_computed_once_change_nothing(name, family_checkpoints, tiny_data, tmp_path):
    """Without, the tower runs for generation, for two halves of the old log-probabilities and for two steps."""
    ours, theirs, trainer = assert_same_training(tiny_data, family_checkpoints / name, tmp_path)
    assert (ours, theirs) == (PROMPTS, 1 + 2 + 2)
    parts_kept = [part for batch in trainer._buffered_inputs for part in batch["pixel_values"].parts]
    assert len({part.data_ptr() for part in parts_kept}) == PROMPTS
    assert {part.shape[-1] for part in parts_kept} == {trainer._layout.width}
    assert trainer._layout.deep == (1 if name == "qwen3_vl" else 0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("qwen3_vl", {"units": "pairs", "beta": 0.1, "gradient_checkpointing": True}),
        pytest.param("glm4v", {"beta": 0.1, "peft": True}, marks=pytest.mark.slow),
    ],
    ids=["native-video-reference-checkpointing", "lora"],
)
def test_what_else_runs_the_tower(name, settings, family_checkpoints, tiny_data, tmp_path):
    """Native video, a reference model with a tower of its own, LoRA and gradient checkpointing."""
    if settings.pop("peft", False):
        settings |= {"rate": None, "peft": LoraConfig(r=4, target_modules=LANGUAGE_LAYERS, init_lora_weights=False)}
    ours, theirs, _ = assert_same_training(tiny_data, family_checkpoints / name, tmp_path, **settings)
    assert (ours, theirs) == (PROMPTS, 1 + 2 + 2 + 2), "a pass more, for the reference model"


def test_features_are_freed_with_their_rollout(tiny_base, tiny_data, tmp_path):
    trainer = trainer_of(tiny_data, tiny_base, tmp_path)
    trainer.model.train()
    rows = next(iter(trainer.get_train_dataloader()))
    trainer._prepare_inputs(rows)
    kept = weakref.ref(trainer._buffered_inputs[0]["pixel_values"].parts[0])
    assert kept() is not None
    trainer._step = trainer.args.steps_per_generation  # the next rollout's turn
    trainer._prepare_inputs(rows)
    gc.collect()
    assert kept() is None


def test_a_tower_that_takes_features_takes_pixels_too(tiny_base, tiny_data, tmp_path):
    trainer = trainer_of(tiny_data, tiny_base, tmp_path)
    row = trainer.train_dataset[0]
    _, _, fields = trainer._tokenize_prompts([prompt_of(row)])
    features = fields["pixel_values"][:]
    trainer.frozen_features = False
    _, _, fields = trainer._tokenize_prompts([prompt_of(row)])
    pixels, grids = fields["pixel_values"][:], fields["image_grid_thw"]
    assert features.shape[0] == pixels.shape[0] and features.shape[1] != pixels.shape[1]
    base = trainer.model.base_model
    own, handed = (torch.cat(base.get_image_features(x, grids).pooler_output) for x in (pixels, features))
    assert torch.equal(own, handed)


def prompt_of(row):
    return prepare_multimodal_messages(row["prompt"], images=row["images"])


def test_a_tower_that_learns_keeps_pixels_and_says_so(tiny_base, tiny_data, tmp_path, caplog):
    trainer = trainer_of(tiny_data, tiny_base, tmp_path, rate=None)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            _, _, fields = trainer._tokenize_prompts([prompt_of(trainer.train_dataset[0])])
    assert fields["pixel_values"].shape[-1] == 3 * 2 * 12 * 12
    said = [record for record in caplog.records if "frozen_features" in record.getMessage()]
    assert [record.levelname for record in said] == ["INFO"]
    assert LEARNS in said[0].getMessage()


def model_of(data, checkpoint):
    return parts(data, checkpoint, False, 0.0)[0]


def test_why_features_cannot_stand_for_every_pass(tiny_base, tiny_data):
    model, other = model_of(tiny_data, tiny_base), model_of(tiny_data, tiny_base)
    assert why_not(model) is None
    assert why_not(model, other) is None
    with torch.no_grad():
        other.base_model.visual.patch_embed.proj.bias += 1e-3
    assert "reference model" in why_not(model, other)
    other = model_of(tiny_data, tiny_base).to(torch.bfloat16)
    assert "reference model" in why_not(model, other)
    assert "no vision tower" in why_not(SimpleNamespace(base_model=SimpleNamespace()))
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=r".*visual\.blocks\.\d+\.attn\.qkv"))
    assert why_not(adapted.get_base_model()) == LEARNS
    assert why_not(get_peft_model(other, LoraConfig(r=2, target_modules=LANGUAGE_LAYERS)).get_base_model()) is None


def test_dropout_and_spread_weights_keep_pixels():
    assert not drops(nn.Sequential(nn.Dropout(0.0)))
    assert drops(nn.Sequential(nn.Dropout(0.1)))
    attention = nn.Identity()
    attention.attention_dropout = 0.1
    assert drops(nn.Sequential(attention))
    for kind, stage, expected in (
        (DistributedType.MULTI_GPU, None, False),
        (DistributedType.FSDP, None, True),
        (DistributedType.DEEPSPEED, 2, False),
        (DistributedType.DEEPSPEED, 3, True),
    ):
        plugin = None if stage is None else SimpleNamespace(zero_stage=stage)
        accelerator = SimpleNamespace(distributed_type=kind, state=SimpleNamespace(deepspeed_plugin=plugin))
        assert (spread(accelerator) is not None) == expected


@pytest.mark.parametrize(("size", "deep", "patch"), [(8, 0, 12), (8, 0, 2), (6, 0, 12), (6, 2, 5)])
def test_features_fill_the_rows_of_their_patches(size, deep, patch):
    """4 patches a token: of 8 values 2 a row, of 6 + 2 x 6 values 5 with 2 left free; never the width of a patch."""
    tokens = torch.arange(3.0 * size).view(3, size)
    others = [tokens + 100 * (k + 1) for k in range(deep)]
    outputs = (
        BaseModelOutputWithDeepstackFeatures(pooler_output=tokens.split([1, 2]), deepstack_features=others)
        if deep
        else BaseModelOutputWithPooling(pooler_output=tokens.split([1, 2]))
    )
    layout = FeatureRows.of(outputs, torch.zeros(12, patch))
    rows = layout.pack(outputs)
    assert rows.shape == (12, layout.width)
    assert layout.width != patch
    again = layout.unpack(torch.cat([rows[:4], rows[4:]]))
    assert torch.equal(again.pooler_output, tokens)
    assert all(torch.equal(a, b) for a, b in zip(again.get("deepstack_features") or [], others, strict=True))
