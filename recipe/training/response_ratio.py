"""The importance ratio of whole responses, as eq. 7 writes it: a level of GRPO that TRL lacks."""

from __future__ import annotations

from typing import Any

import torch

RESPONSE = "response"


def summed(per_token: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities of whole responses, repeated for each of their tokens.

    Args:
        per_token: (responses, tokens), log-probabilities.
        mask: (responses, tokens), 1 for tokens of the response and 0 for padding.

    >>> summed(torch.tensor([[-1.0, -2.0, -9.0]]), torch.tensor([[1, 1, 0]])).tolist()
    [[-3.0, -3.0, -3.0]]
    """
    return (per_token * mask).sum(dim=1, keepdim=True).expand_as(per_token)


class ResponseRatio:
    """Mixin for GRPOTrainer: `importance_sampling_level: response` is eq. 7, a ratio of whole responses.

    Adds what TRL 1.16 lacks: its `sequence` takes the geometric mean over tokens. While the loss is computed, every
    token carries its response's whole log-probability, old and new, at TRL's level `token`; the mean over tokens that
    `loss_type: grpo` takes is then the response's own clipped term (eq. 8), and its gradient that of the whole
    response. Overrides `_compute_loss` and `_get_per_token_logps_and_entropies`; it can go when TRL has the level.
    `recipe.checks.trl_settings` refuses it with another loss, with KL and with off-policy masks.
    """

    _response_mask: torch.Tensor | None = None

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        trainer: Any = self
        parent: Any = super()
        if trainer.importance_sampling_level != RESPONSE:
            loss: torch.Tensor = parent._compute_loss(model, inputs)
            return loss
        mask = inputs["completion_mask"]
        if "tool_mask" in inputs:
            mask = mask * inputs["tool_mask"]
        if inputs.get("old_per_token_logps") is not None:
            inputs = {**inputs, "old_per_token_logps": summed(inputs["old_per_token_logps"], mask)}
        self._response_mask, trainer.importance_sampling_level = mask, "token"
        try:
            loss = parent._compute_loss(model, inputs)
        finally:
            self._response_mask, trainer.importance_sampling_level = None, RESPONSE
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        """Return what TRL's method does; while a loss is computed, with the log-probability of whole responses."""
        parent: Any = super()
        logps, *rest = parent._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._response_mask is not None:
            logps = summed(logps, self._response_mask)
        return (logps, *rest)
