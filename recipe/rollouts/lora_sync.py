"""Send vLLM a LoRA model's merged weights without touching the base.

TRL merges the adapter into the base, sends the weights and subtracts the adapter again. In bf16 neither is exact, so
the base moves a little with every sync: after 250 of them by 0.29 of what the adapter adds. The saved model, which is
merged on the checkpoint's base, is then not the one that was trained.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.distributed.tensor import DTensor

logger = logging.getLogger(__name__)

PEFT_PREFIX, BASE = "base_model.model.", ".base_layer"


def keep_base(generation: Any) -> None:
    """Make a `VLLMGeneration` send weights that are merged in temporary tensors, in colocate and in server mode.

    Without an adapter nothing changes. Adapters that this module cannot merge are merged as TRL does, with a warning.
    It can go when TRL leaves the base alone.
    """
    model = generation.model
    if not getattr(model, "peft_config", None):
        return
    reason = unmergeable(model, generation._dist.fsdp_version)
    if reason is not None:
        logger.warning("LoRA is merged into the base and subtracted again at each weight sync, %s", reason)
        return
    generation._iter_named_params = partial(merged_weights, generation)


def unmergeable(model: nn.Module, fsdp_version: int | None = None) -> str | None:
    """Return why a PEFT model's layers cannot be merged beside their base, or None where they can.

    Args:
        fsdp_version: 1 or 2 under FSDP; version 1 lays an adapter and its base into buffers of different modules.
    """
    if fsdp_version == 1:
        return "because FSDP 1 shows one module's weights at a time: use FSDP 2"
    for name, layer in model.named_modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        if type(layer) is not Linear:
            return f"because {name} is a {type(layer).__module__}.{type(layer).__name__}: only LoRA of linear layers"
        for adapter in layer.active_adapters:
            if adapter in layer.lora_variant or layer.lora_bias.get(adapter):
                return f"because {name} has more than LoRA's two matrices (DoRA, lora_bias or another variant)"
    return None


def merged_weights(generation: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Give each weight under the name that vLLM knows, adapters merged: base + scaling * B A, rounded once.

    The sum is computed in float32, a layer at a time. Every process must take all of them: gathering a layer's weights
    (ZeRO-3, FSDP 2) is a collective operation.

    Args:
        generation: TRL's VLLMGeneration, of a PEFT model for which `unmergeable` is None.
    """
    model, device = generation.model, generation.accelerator.device
    adapted = {layer.get_base_layer().weight: layer for layer in model.modules() if isinstance(layer, Linear)}
    for name, parameter in model.named_parameters():
        if model.prefix in name or "original_module" in name:  # the adapter; what `modules_to_save` replaces
            continue
        layer = adapted.get(parameter)
        parts = [parameter] if layer is None else [parameter, *layer_matrices(layer)]
        with generation._dist.gather_params(parts):
            weight = whole(parameter, device) if layer is None else merged(layer, device)
            yield vllm_name(generation, name), weight


@torch.no_grad()
def merged(layer: Linear, device: Any = "cpu") -> torch.Tensor:
    """Return a layer's weight with its active adapters added, in the base's dtype; the layer stays as it is."""
    base = layer.get_base_layer().weight
    weight = whole(base, device).float()
    for adapter in adapters_of(layer):
        a, b = (whole(part[adapter].weight, device).float() for part in (layer.lora_A, layer.lora_B))
        delta = (b @ a) * layer.scaling[adapter]
        weight = weight + (delta.T if layer.fan_in_fan_out else delta)
    return weight.to(base.dtype)


def adapters_of(layer: Linear) -> list[str]:
    """Return the names of a layer's active adapters."""
    return [adapter for adapter in layer.active_adapters if adapter in layer.lora_A]


def layer_matrices(layer: Linear) -> list[torch.Tensor]:
    """Return A (rank, inputs) and B (outputs, rank) of each active adapter of a layer."""
    return [part[adapter].weight for adapter in adapters_of(layer) for part in (layer.lora_A, layer.lora_B)]


def whole(parameter: torch.Tensor, device: Any) -> torch.Tensor:
    """Return a parameter's values as one plain tensor; FSDP 2's parts are gathered, on the accelerator."""
    if not isinstance(parameter, DTensor):
        return parameter.data
    there = parameter.to(device) if parameter.is_cpu else parameter
    return there.full_tensor()  # type: ignore[attr-defined]


def vllm_name(generation: Any, name: str) -> str:
    """Return the name by which vLLM knows a parameter of a PEFT model, as TRL makes it."""
    name = name.removeprefix(PEFT_PREFIX).replace(BASE, "")
    fixed: str = generation._fix_param_name_to_vllm(name, extra_prefixes=["modules_to_save.default."])
    return fixed
