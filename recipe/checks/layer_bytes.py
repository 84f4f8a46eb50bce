"""What the layers of a model keep in memory for a token, found by running one of them on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from recipe.checks.live_bytes import LiveBytes
from recipe.checks.model import adapted

TOKENS = 4096  # a layer is run on so many and on twice as many; the difference is what tokens cost
# Without its kernels, linear attention loops over the tokens. With 128 what is kept is that of 1024 and the most at
# once is 1 to 3 percent lower; a check of Qwen3.5 takes half the time that it takes with 512.
LOOPED_TOKENS = 128
KNOWN: dict[Any, Layers] = {}
IMAGE = 1024  # patches of a picture, within which the vision tower's attention stays


Make = partial[nn.Module]  # makes a layer
Call = Callable[[nn.Module, torch.Tensor], Callable[[], torch.Tensor]]  # gives what runs it
Shape = Callable[[int], tuple[int, ...]]  # of the hidden states of so many tokens


@dataclass(frozen=True)
class Layers:
    """Bytes that layers of one kind need for each token (of a vision tower: for each patch).

    Attributes:
        count: how many layers there are.
        output: of a layer's result, which the next one starts from.
        kept: of all that a layer keeps for its backward pass, its result among it.
        forward: the most at once in a layer that keeps nothing.
        backward: the most at once from a layer's forward pass to the end of its backward pass.
    """

    count: int
    output: float
    kept: float
    forward: float
    backward: float


@dataclass(frozen=True)
class Adapters:
    """LoRA as a layer gets it: modules by a pattern over full names or by endings, and the rank."""

    targets: str | tuple[str, ...]
    rank: int


def language_layers(config: Any, model: nn.Module, dtype: torch.dtype, bf16: bool, lora: Adapters | None) -> Layers:
    """Return what a token costs in the layers of the language model.

    Args:
        config: of the whole model, as the model was made with it.
        model: the whole model, on the meta device.
        dtype: of its weights.
        bf16: whether the trainer computes in bfloat16 by autocast.
        lora: None where the weights themselves learn.
    """
    text, stack = config.get_text_config(), _part(model, "language_model")

    def call(layer: nn.Module, hidden: torch.Tensor) -> Any:
        positions = torch.zeros(3, 1, hidden.shape[1], dtype=torch.long)
        embeddings = type(stack.rotary_emb)(config=text)(hidden.detach(), positions)
        return lambda: _tensor(layer(hidden, position_embeddings=embeddings, attention_mask=None))

    kinds = getattr(text, "layer_types", None) or ["attention"] * len(stack.layers)
    costs = [
        _cost(
            partial(stack.layers[index].__class__, text, index),
            call,
            lambda tokens: (1, tokens, text.hidden_size),
            dtype,
            bf16,
            lora,
            LOOPED_TOKENS if kinds[index] == "linear_attention" else TOKENS,
        )
        for index in (kinds.index(kind) for kind in dict.fromkeys(kinds))
    ]
    shares = [kinds.count(kind) / len(kinds) for kind in dict.fromkeys(kinds)]
    return Layers(
        count=len(kinds),
        output=costs[0].output,
        kept=sum(share * cost.kept for share, cost in zip(shares, costs, strict=True)),
        forward=max(cost.forward for cost in costs),
        backward=max(cost.backward for cost in costs),
    )


def vision_layers(config: Any, model: nn.Module, dtype: torch.dtype, bf16: bool) -> Layers:
    """Return what a patch costs in the layers of the vision tower; see `language_layers`."""
    vision, tower = config.vision_config, _part(model, "visual")
    heads = getattr(vision, "num_heads", None) or vision.num_attention_heads

    def call(layer: nn.Module, hidden: torch.Tensor) -> Any:
        patches = hidden.shape[0]
        embeddings = tuple(torch.zeros(patches, vision.hidden_size // heads) for _ in range(2))
        # Not a tensor, because the layer asks for its values.
        ends = np.arange(0, patches + 1, IMAGE)
        return lambda: _tensor(layer(hidden, cu_seqlens=ends, position_embeddings=embeddings, max_seqlen=IMAGE))

    cost = _cost(
        partial(tower.blocks[0].__class__, vision),
        call,
        lambda patches: (patches, vision.hidden_size),
        dtype,
        bf16,
        None,
    )
    return replace(cost, count=len(tower.blocks))


def _part(model: nn.Module, name: str) -> Any:
    """Return the one module of that name."""
    return next(module for path, module in model.named_modules() if path.split(".")[-1] == name)


def _tensor(result: Any) -> torch.Tensor:
    return result[0] if isinstance(result, tuple) else result


def _cost(
    make: Make, call: Call, shape: Shape, dtype: torch.dtype, bf16: bool, lora: Adapters | None, tokens: int = TOKENS
) -> Layers:
    """Return what a token costs in one layer; found once for each kind, since it takes a second."""
    layer_class, config, *index = make.func, *make.args
    key = (layer_class, config.to_json_string(), *index, dtype, bf16, lora)
    if key not in KNOWN:
        KNOWN[key] = _find_cost(make, call, shape, dtype, bf16, lora, tokens)
    return KNOWN[key]


def _find_cost(
    make: Make, call: Call, shape: Shape, dtype: torch.dtype, bf16: bool, lora: Adapters | None, tokens: int
) -> Layers:
    autocast = torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext()
    with FakeTensorMode(), autocast, default_dtype(dtype):
        layer = make().train()
        if lora:
            layer = _with_adapters(layer, lora)
        few, many = (_run(layer, call, torch.zeros(shape(n), dtype=dtype)) for n in (tokens, 2 * tokens))
    return Layers(1, *((more - less) / tokens for less, more in zip(few, many, strict=True)))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make weights that are made in the body be of this type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _run(layer: nn.Module, call: Call, hidden: torch.Tensor) -> tuple[int, int, int, int]:
    hidden.requires_grad_(True)
    step = call(layer, hidden)
    with torch.no_grad(), LiveBytes() as still:
        step()
    with LiveBytes() as live:
        result = step()
        kept = live.now
        torch.autograd.backward(result, torch.zeros_like(result))
    return result.untyped_storage().nbytes(), kept, still.peak, live.peak


class AdaptedLinear(nn.Module):
    """A linear layer at rest with LoRA beside it, computed as PEFT does, which cannot be made without memory."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False, dtype=torch.float32)
        self.up = nn.Linear(rank, base.out_features, bias=False, dtype=torch.float32)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the sum of both, in the base's type."""
        result: torch.Tensor = self.base(hidden)
        return (result + self.up(self.down(hidden.float())) * 2.0).to(result.dtype)


def _with_adapters(layer: nn.Module, lora: Adapters) -> nn.Module:
    """Return the layer with adapters in it; only they learn."""
    layer.requires_grad_(False)
    prefix = "model.language_model.layers.0."
    linears = {prefix + name: module for name, module in layer.named_modules() if isinstance(module, nn.Linear)}
    for name in adapted(list(linears), lora.targets):
        layer.set_submodule(name.removeprefix(prefix), AdaptedLinear(linears[name], lora.rank))
    return layer
