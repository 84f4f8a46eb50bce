"""Features of a vision tower in the shape of its pixels: as many rows, of a width by which the tower knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad
from transformers.modeling_outputs import BaseModelOutputWithPooling

DEEP = "deepstack_features"  # Qwen3-VL's, which its language model adds in its first layers


@dataclass(frozen=True)
class FeatureRows:
    """How a tower's features lie in rows, one a patch, so that a trainer can handle them as the pixels of the patches.

    A token's features, the deep ones after the others, fill the rows of the patches that became the token.

    Attributes:
        kind: class of what the tower returns.
        merged: patches that become one token.
        size: values of a token's features.
        deep: how many deep features of that size a token has.
        width: values of a row; another number than a patch of pixels has.
    """

    kind: type[BaseModelOutputWithPooling]
    merged: int
    size: int
    deep: int
    width: int

    @classmethod
    def of(cls, outputs: BaseModelOutputWithPooling, pixels: torch.Tensor) -> FeatureRows:
        """Return the layout for what a model's `get_image_features` gives for `pixels`, (patches, values)."""
        pooled = torch.cat(tuple(outputs.pooler_output))
        deep = len(outputs.get(DEEP) or ())
        merged = len(pixels) // len(pooled)
        width = -(-pooled.shape[-1] * (1 + deep) // merged)
        return cls(type(outputs), merged, pooled.shape[-1], deep, width + (width == pixels.shape[-1]))

    def pack(self, outputs: BaseModelOutputWithPooling) -> torch.Tensor:
        """Return features as rows, (patches, width), in their own dtype."""
        features = torch.cat([torch.cat(tuple(outputs.pooler_output)), *(outputs.get(DEEP) or ())], dim=-1)
        filled = pad(features, (0, self.merged * self.width - features.shape[-1]))
        return filled.reshape(-1, self.width)

    def unpack(self, rows: torch.Tensor) -> BaseModelOutputWithPooling:
        """Return what the tower returns for the patches of `rows`."""
        features = rows.reshape(-1, self.merged * self.width)[:, : self.size * (1 + self.deep)]
        pooled, *deep = torch.split(features, self.size, dim=-1)
        return self.kind(last_hidden_state=None, pooler_output=pooled, **({DEEP: deep} if deep else {}))

    def install(self, tower: nn.Module) -> None:
        """Let a tower hand on rows of features; pixels it takes as before."""
        tower.forward = TakesFeatures(tower.forward, self)


@dataclass
class TakesFeatures:
    """A tower's forward that returns features where it gets them; an object, so that a copied model has its own."""

    upstream: Callable[..., Any]
    layout: FeatureRows

    def __call__(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if hidden_states.shape[-1] == self.layout.width:
            return self.layout.unpack(hidden_states)
        return self.upstream(hidden_states, *args, **kwargs)
