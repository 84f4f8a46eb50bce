"""Attention over rows in which a prompt stands once and is followed by its answers: no answer sees another.

Prefix Grouper (arXiv 2506.05433) computes such a row in two parts, which no mask over the whole row is needed for: the
prompt attends to itself, and each answer, in a batch of answers, to the prompt and to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ARGUMENT = "shared_prefix"  # the keyword by which a layout reaches the attention layers
# Implementations that take the keyword once `install` has run. Each model has an `eager` function of its own.
IMPLEMENTATIONS = ("sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")


@dataclass
class Layout:
    """Where prompts and answers stand in a row of tokens: pack after pack, in each its prompt and then its answers.

    Attributes:
        prompts: tokens of each pack's prompt, 0 or more.
        answers: tokens of each pack's answers, 1 or more each.
        calls: how often a layer has attended by this layout; `check_used` compares it.
    """

    prompts: Sequence[int]
    answers: Sequence[Sequence[int]]
    calls: int = 0
    _parts: list[tuple[slice, torch.Tensor, torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def parts(self, device: torch.device) -> list[tuple[slice, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Return for each pack what all layers need, made once.

        Returns:
            (prompt, index, valid, mask): the prompt's slice of the row; the positions of the answers' tokens in the
            row, (answers, longest), where a shorter answer's last columns repeat one of its tokens; which of them are
            an answer's own, (answers, longest); and what an answer's tokens see of prompt and answer,
            (longest, prompt + longest).
        """
        if self._parts:
            return self._parts
        begin = 0
        for prompt, answers in zip(self.prompts, self.answers, strict=True):
            starts = torch.tensor([0, *answers[:-1]], device=device).cumsum(0) + begin + prompt
            lengths, longest = torch.tensor(answers, device=device), max(answers)
            offsets = torch.arange(longest, device=device)
            valid = offsets < lengths[:, None]
            index = starts[:, None] + offsets.minimum(lengths[:, None] - 1)
            mask = torch.ones(longest, prompt + longest, dtype=torch.bool, device=device).tril(prompt)
            self._parts.append((slice(begin, begin + prompt), index, valid, mask))
            begin += prompt + sum(answers)
        return self._parts

    def check_used(self, layers: int) -> None:
        """Raise RuntimeError where fewer than `layers` layers attended by this layout: the others mixed answers."""
        if self.calls < layers:
            raise RuntimeError(
                f"shared_prefix: {self.calls} of {layers} attention layers took the layout of the shared prompts, so "
                "answers saw one another; set shared_prefix: false for this model"
            )


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, **options: Any
) -> tuple[torch.Tensor, None]:
    """Return the attention of one row that holds packs of a prompt and its answers.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, size).
        key, value: (1, heads of keys and values, tokens, size).
        layout: of the row.
        options: `scaling` and `dropout` of transformers' attention functions.

    Returns:
        (1, tokens, heads, size) and no weights.
    """
    layout.calls += 1
    pieces = []
    for prompt, index, valid, mask in layout.parts(query.device):
        prompt_key, prompt_value = key[:, :, prompt], value[:, :, prompt]
        if prompt.stop > prompt.start:
            own, _ = sdpa_attention_forward(module, query[:, :, prompt], prompt_key, prompt_value, None, **options)
            pieces.append(own[0])
        keys, values = (
            torch.cat([shared.expand(len(index), -1, -1, -1), states[0][:, index].transpose(0, 1)], dim=2)
            for shared, states in ((prompt_key, key), (prompt_value, value))
        )
        queries = query[0][:, index].transpose(0, 1)
        answers, _ = sdpa_attention_forward(module, queries, keys, values, mask[None, None], **options)
        pieces.append(answers[valid])
    return torch.cat(pieces)[None], None


def install(implementation: str) -> None:
    """Let transformers' attention `implementation` take a layout; without one it works as before.

    Its function is replaced in transformers' own table, under its name: a name of ours would not reach flash
    attention, which chooses its kernel by the name. Rows with shared prompts are computed by sdpa whatever the name.
    """
    upstream: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS[implementation]
    if getattr(upstream, "takes_layout", False):
        return

    def attention(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *args: Any, **options: Any
    ) -> Any:
        layout = options.pop(ARGUMENT, None)
        # The vision tower is given the keyword as well: it sees pictures, which are not shared there.
        if layout is None or not module.is_causal:
            return upstream(module, query, key, value, attention_mask, *args, **options)
        kept = {name: options[name] for name in ("scaling", "dropout") if name in options}
        return attend(module, query, key, value, layout, **kept)

    attention.takes_layout = True  # type: ignore[attr-defined]
    ALL_ATTENTION_FUNCTIONS.register(implementation, attention)
