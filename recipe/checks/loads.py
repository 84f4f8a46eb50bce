"""From a model's config and a stage's settings to the plain values that memory is reckoned from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from trl import GRPOConfig

from recipe.checks.launches import Launch
from recipe.checks.layer_bytes import Adapters, language_layers, vision_layers
from recipe.checks.memory import Load, Rollout
from recipe.checks.weights import count_weights, linear_layers, model_without_memory, part_of
from recipe.inputs.families import LANGUAGE_LAYERS, other_attention
from recipe.inputs.precision import attention_of

FOUR_BITS = 0.52  # bytes of a weight in NF4 with double quantisation: half a byte, and a scale for 64 of them


def load_of(
    config: Any,
    training_args: Any,
    model_args: Any,
    launch: Launch,
    *,
    prompt: int,
    answer: int,
    patches: int,
    frozen_vision: bool = False,
    on_cpu: bool = False,
    padded: bool | None = None,
    model: nn.Module | None = None,
    family_targets: str = LANGUAGE_LAYERS,
    shared_prefix: bool = False,
) -> Load:
    """Return what a stage's memory depends on.

    Args:
        config: of the model.
        training_args, model_args: the stage's settings, as TRL's classes.
        launch: how many processes share the work.
        prompt, answer: tokens of the longest sample.
        patches: of its frames, before they are merged into tokens.
        frozen_vision: whether the vision tower rests.
        on_cpu: whether it runs on a CPU, where TRL's fused head works otherwise.
        padded: whether rows of one batch differ in length, so that attention gets a mask; None: by the settings.
        model: the config's model on the meta device, where the caller has it.
        family_targets: the layers that LoRA adapts where the settings name none.
        shared_prefix: whether GRPO computes a prompt once for its answers, where the model's attention allows it.
    """
    model = model or model_without_memory(config)
    text, vision = config.get_text_config(), config.vision_config
    name = str(config.dtype if model_args.dtype in ("auto", None) else model_args.dtype).removeprefix("torch.")
    dtype = getattr(torch, name) if name != "None" else torch.float32
    lora = None
    if model_args.use_peft:
        targets = model_args.lora_target_modules or family_targets
        lora = Adapters(targets if isinstance(targets, str) else tuple(targets), model_args.lora_r)
    weights = count_weights(
        model,
        frozen_vision=frozen_vision,
        lora_targets=lora.targets if lora else None,
        rank=lora.rank if lora else 0,
    )
    each = dtype.itemsize
    rest = float(each)
    if model_args.load_in_4bit:
        rest = (FOUR_BITS * weights.linear + each * (weights.total - weights.linear)) / weights.total
    bf16 = bool(training_args.bf16)
    grpo = isinstance(training_args, GRPOConfig)
    batch = training_args.per_device_train_batch_size
    rows = batch * training_args.steps_per_generation if grpo else batch
    computes = 2 if bf16 else each
    flash = "flash" in str(attention_of(model_args.attn_implementation, name))
    return Load(
        weights=weights,
        each=4 if lora and not launch.zero_stage else each,
        rest=rest,
        computes=computes,
        optim=str(getattr(training_args.optim, "value", training_args.optim)),
        processes=launch.processes,
        sharding=launch.sharding,
        batch=batch,
        accumulation=training_args.gradient_accumulation_steps,
        tokens=prompt + answer,
        scored=answer,
        patches=patches,
        patch_values=vision.in_channels * vision.temporal_patch_size * vision.patch_size**2,
        language=language_layers(config, model, dtype, bf16, lora),
        vision=vision_layers(config, model, dtype, bf16),
        projector=projector_bytes(model, computes, vision.spatial_merge_size**2),
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        checkpointing=training_args.gradient_checkpointing,
        padded=(rows > 1 if padded is None else padded) and not flash,
        triton=not on_cpu,
        reference=bool(grpo and training_args.beta and not lora),
        rollout=rollout_of(training_args, text, rows, prompt, computes) if grpo else None,
        prompts=prompts_of(batch, rows, training_args.num_generations)
        if grpo and shared_prefix and batch > 1 and not other_attention(text)
        else 0,
    )


def prompts_of(batch: int, rows: int, each: int) -> int:
    """Return how many different prompts a batch holds at most, when TRL has mixed the rows of a rollout.

    Args:
        batch: rows of a batch.
        rows: of a rollout in a process.
        each: rows of a group; one that is larger than the rollout lies on several processes.

    >>> prompts_of(batch=64, rows=128, each=16), prompts_of(batch=4, rows=16, each=16)
    (8, 1)
    """
    return min(batch, max(1, math.ceil(rows / each)))


def rollout_of(training_args: Any, text: Any, rows: int, prompt: int, computes: int) -> Rollout:
    """Return what a rollout of GRPO depends on."""
    colocated = training_args.use_vllm and training_args.vllm_mode == "colocate"
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    each = training_args.num_generations
    whole = rows % each == 0 or each % rows == 0  # else a process may begin and end within a group
    return Rollout(
        rows=rows,
        groups=-(-rows // each) + (not whole),
        prompt=prompt,
        completion=training_args.max_completion_length,
        cache=float(2 * text.num_hidden_layers * text.num_key_value_heads * head * computes),
        vllm_share=training_args.vllm_gpu_memory_utilization if colocated else 0.0,
        sleeps=bool(colocated and training_args.vllm_enable_sleep_mode),
        generates=not training_args.use_vllm,
    )


def projector_bytes(model: nn.Module, computes: int, merged: int) -> float:
    """Return the bytes that the projector keeps for a patch: inputs, results and their activations.

    Args:
        merged: patches that become one token.
    """
    values: dict[str, list[int]] = {}
    for name, (inputs, results) in linear_layers(model).items():
        if part_of(name) == "projector":  # what goes into the first layers of a part is shared, or a result before
            part = values.setdefault(name.rpartition(".")[0], [0, 0])
            values[name.rpartition(".")[0]] = [part[0] + 2 * results, max(part[1], inputs)]
    return computes * sum(sum(part) for part in values.values()) / merged
