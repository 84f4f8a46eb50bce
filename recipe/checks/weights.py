"""How many weights a model has in each of its parts and which of them learn, without memory for any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from recipe.checks.model import adapted
from recipe.inputs.families import is_vision

PROJECTOR = ("merger", "downsample")  # modules of the vision tower that make language tokens of patches


@dataclass(frozen=True)
class Weights:
    """Numbers of weights by part: "language", "vision", "projector", "embeddings" and "head" (0 where it is tied).

    Attributes:
        all: of each part.
        trained: those of them that learn.
        adapters: of LoRA, which lie beside the others.
        linear: of the language model's linear layers, which 4-bit quantisation packs.
    """

    all: dict[str, int]
    trained: dict[str, int]
    adapters: int = 0
    linear: int = 0

    @property
    def total(self) -> int:
        """All weights of the model, without adapters."""
        return sum(self.all.values())

    @property
    def learning(self) -> int:
        """Weights that get gradients and optimiser states."""
        return sum(self.trained.values()) + self.adapters


def model_without_memory(config: Any) -> nn.Module:
    """Return the model of a config on the meta device, where weights have shapes and no values."""
    with torch.device("meta"):  # the class itself: under ZeRO-3, from_config would wait for the other processes
        model: nn.Module = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)](config)
    return model


def linear_layers(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Return (inputs, outputs) of the linear layers by full name."""
    return {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }


def part_of(name: str) -> str:
    """Return the part that a weight belongs to, by its full name.

    >>> part_of("model.visual.merger.proj.weight"), part_of("lm_head.weight")
    ('projector', 'head')
    """
    if is_vision(name):
        return "projector" if any(word in name for word in PROJECTOR) else "vision"
    if "embed_tokens" in name:
        return "embeddings"
    return "head" if name.startswith("lm_head") else "language"


def count_weights(
    model: nn.Module, *, frozen_vision: bool = False, lora_targets: str | Iterable[str] | None = None, rank: int = 0
) -> Weights:
    """Return the numbers of weights by part; tied ones count once.

    Args:
        frozen_vision: whether the vision tower rests.
        lora_targets: modules that LoRA adapts, None without LoRA; with it, only adapters learn.
        rank: of the adapters.
    """
    parts = dict.fromkeys(("language", "vision", "projector", "embeddings", "head"), 0)
    for name, parameter in model.named_parameters():  # names a tied one once
        parts[part_of(name)] += parameter.numel()
    layers = linear_layers(model)
    linear = sum(a * b for name, (a, b) in layers.items() if part_of(name) == "language")
    if lora_targets is not None:
        targets = lora_targets if isinstance(lora_targets, str) else list(lora_targets)
        adapters = sum(rank * sum(layers[name]) for name in adapted(list(layers), targets))
        return Weights(parts, dict.fromkeys(parts, 0), adapters, linear)
    still = ("vision", "projector") if frozen_vision else ()
    return Weights(parts, {name: 0 if name in still else count for name, count in parts.items()}, 0, linear)
