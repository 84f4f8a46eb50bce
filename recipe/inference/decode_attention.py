"""Attention of one new token a row, without a copy of the cache for each head, on a CPU.

Where several query heads share a key's head, transformers repeats keys and values for each of them before PyTorch's
attention, because of the mask of padded prompts. While tokens are generated that copies the whole cache in each layer
for each token: a third of the time of the tiny recipe's rollouts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


@contextmanager
def without_copies() -> Iterator[None]:
    """Let models with `sdpa` attention read the cache where it lies while the body generates on a CPU.

    Other attention, other devices and longer queries are left to transformers. It can go when transformers groups the
    heads of masked queries itself.
    """
    upstream = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *args: Any,
        scaling: float | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        plain = not args and not kwargs.get("dropout") and kwargs.get("position_bias") is None
        if query.device.type != "cpu" or query.shape[2] != 1 or not plain:
            result: tuple[torch.Tensor, None] = upstream(
                module, query, key, value, attention_mask, *args, scaling=scaling, **kwargs
            )
            return result
        return grouped(query, key, value, attention_mask, scaling), None

    # Registered for all, as `recipe.training.prefix_attention` does: an entry of this one table would hide that one's.
    ALL_ATTENTION_FUNCTIONS.register("sdpa", attend)
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS.register("sdpa", upstream)


def grouped(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Return the attention of one query a row over its cache, (rows, 1, heads, size).

    Args:
        query: (rows, heads, 1, size).
        key, value: (rows, key heads, tokens, size); the number of heads is a multiple of the number of key heads.
        mask: (rows or 1, 1, 1, tokens), boolean with True where a token is seen, or what is added to the scores.
        scaling: of the scores; None for 1 / sqrt(size).
    """
    rows, heads, _, size = query.shape
    groups = query.view(rows, key.shape[1], heads // key.shape[1], size)  # query heads that share a key's
    scores = groups @ key.transpose(2, 3) * (size**-0.5 if scaling is None else scaling)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    shares = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (shares @ value).view(rows, heads, 1, size).transpose(1, 2)
