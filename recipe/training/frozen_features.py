"""The features of a vision tower that does not learn, computed once a rollout and kept instead of the pixels.

With `vision_learning_rate: 0`, and with LoRA on language layers only, the tower gives the same features in every pass:
generation, old and reference log-probabilities, and each optimiser step on the rollout. TRL computes them in each.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import nn

from recipe.training.feature_rows import FeatureRows
from recipe.training.pixels import GRID
from recipe.training.shared_prefix import inner_model

logger = logging.getLogger(__name__)

LEARNS = "the vision tower learns"


class FrozenFeatures:
    """Mixin for GRPOTrainer that keeps a frozen vision tower's features of each distinct prompt, not its pixels.

    They take the pixels' place in the rollout (`FeatureRows`), so TRL divides, shuffles and frees them as it does
    pixels, and the towers of policy and reference model hand them on. Loss and gradients are those without it.

    It overrides `_to_keep` of `SharedPixels`, which comes after it. Where features cannot stand for every pass
    (`why_not`), pixels are kept and one line of the log says why. It can go when TRL keeps features.
    """

    frozen_features: bool = True
    _layout: FeatureRows | None = None
    _why_pixels: frozenset[str] = frozenset()  # what the log has said

    def _to_keep(self, fields: dict[str, Any]) -> torch.Tensor:
        """Return what a rollout keeps of a prompt's pictures, (patches, values): features or pixels."""
        trainer: Any = self
        pixels: torch.Tensor = super()._to_keep(fields)  # type: ignore[misc]
        if not self.frozen_features:
            return pixels
        accelerator = trainer.accelerator
        model = inner_model(accelerator, trainer.model)
        reference = None if trainer.ref_model is None else inner_model(accelerator, trainer.ref_model)
        if self._layout is None or learns(model.base_model.visual):
            reason = spread(accelerator) or why_not(model, reference)
            if reason is not None:
                self._say_pixels(reason)
                return pixels
        with torch.no_grad(), accelerator.autocast():
            outputs = model.base_model.get_image_features(
                pixels.to(accelerator.device), fields[GRID].to(accelerator.device), return_dict=True
            )
        if self._layout is None:
            self._layout = FeatureRows.of(outputs, pixels)
            for each in (model, reference):
                if each is not None:
                    self._layout.install(each.base_model.visual)
        return self._layout.pack(outputs)

    def _say_pixels(self, reason: str) -> None:
        if reason not in self._why_pixels:
            self._why_pixels |= {reason}
            # A tower that learns is the usual case; what else keeps features from being used is worth a warning.
            level = logging.INFO if reason == LEARNS else logging.WARNING
            logger.log(level, "frozen_features: %s; its features are computed in every pass", reason)


def why_not(model: Any, reference: Any = None) -> str | None:
    """Return why features computed once cannot stand for those of every pass, None where they can.

    Args:
        model: the transformers model that learns.
        reference: another one that scores the same rollout with a tower of its own.
    """
    tower = getattr(model.base_model, "visual", None)
    if tower is None:
        return f"{type(model).__name__} has no vision tower that is known here"
    if learns(tower):
        return LEARNS
    if drops(tower):
        return "the vision tower has dropout"
    if reference is not None and not same_weights(tower, reference.base_model.visual):
        return "the reference model's vision tower has other weights or another dtype"
    return None


def spread(accelerator: Any) -> str | None:
    """Return why a tower cannot be run beside the model's own passes: its weights are spread over the processes.

    All processes would have to run it equally often, and may hold different numbers of prompts.
    """
    plugin = getattr(accelerator.state, "deepspeed_plugin", None)
    if accelerator.distributed_type == DistributedType.FSDP or (plugin is not None and plugin.zero_stage == 3):
        return "the vision tower's weights are spread over the processes"
    return None


def learns(tower: nn.Module) -> bool:
    """Return whether any of a tower's weights learns, an adapter's among them."""
    return any(parameter.requires_grad for parameter in tower.parameters())


def drops(tower: nn.Module) -> bool:
    """Return whether a tower drops values at random while it is in training mode."""
    return any(
        getattr(module, "attention_dropout", 0) or (isinstance(module, nn.Dropout) and module.p > 0)
        for module in tower.modules()
    )


def same_weights(tower: nn.Module, other: nn.Module) -> bool:
    """Return whether two towers have equal weights in the same dtypes."""
    ours, theirs = tower.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        value.dtype == theirs[name].dtype and torch.equal(value, theirs[name].to(value.device))
        for name, value in ours.items()
    )
