"""TRL's trainers with two learning rates: one for the vision tower, one for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer
from trl import SFTTrainer

from recipe.inputs.families import is_vision
from recipe.rollouts.dynamic_sampling import DynamicSampling
from recipe.rollouts.vllm import ImageGRPOTrainer
from recipe.training.checkpoints import WholeCheckpoints
from recipe.training.phases import PhaseTimes
from recipe.training.response_ratio import ResponseRatio
from stvg_rewards import format_reward, mviou_reward, tiou_reward, viou_reward
from stvg_rewards.batch import score_completions
from stvg_rewards.rewards import log_scores

LOG_SCORES = (tiou_reward, mviou_reward, viou_reward, format_reward)


class TwoRates:
    """Mixin: `vision_learning_rate` for the vision tower's parameters.

    Mends: Trainer gives one rate to all parameters, and at a rate that suits a small language model its vision tower
    collapses. Overrides `create_optimizer` alone, after which the scheduler treats both groups alike. It can go when
    TrainingArguments takes a rate by parameter pattern.
    """

    vision_learning_rate: float | None = None

    def create_optimizer(self, model: Any = None) -> Optimizer:
        fresh = self.optimizer is None  # type: ignore[attr-defined]
        optimizer: Optimizer = super().create_optimizer(model)  # type: ignore[misc]
        if not fresh or self.vision_learning_rate is None:
            return optimizer
        vision = {id(p) for name, p in (model or self.model).named_parameters() if is_vision(name)}  # type: ignore[attr-defined]
        for group in list(optimizer.param_groups):
            tower = [p for p in group["params"] if id(p) in vision]
            if tower:
                group["params"] = [p for p in group["params"] if id(p) not in vision]
                rest = {key: value for key, value in group.items() if key != "params"}
                optimizer.add_param_group(rest | {"params": tower, "lr": self.vision_learning_rate})
        return optimizer


class GroundingSFTTrainer(WholeCheckpoints, TwoRates, SFTTrainer):
    """SFTTrainer with `vision_learning_rate`, whose every token weighs the same, however a batch is divided.

    Mends: transformers says of the supported models that their loss takes no count of tokens, so Trainer counts none,
    and each process and each accumulated piece is averaged by itself: tokens of a short piece weigh more. TRL's SFT
    loss does not come from the model's own and takes the count. It can go when TRL sets the attribute itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = True


class ScoresLogged:
    """Mixin for GRPOTrainer: scores and signs of reward hacking are logged whatever is rewarded.

    The paper's rewards and `format_reward` log them; others, a user's own among them, do not, and a run without them
    could be compared with none. Overrides `_calculate_rewards`.
    """

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: Any, completions: Sequence[Any], *rest: Any
    ) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, *rest)  # type: ignore[misc]
        trainer: Any = self
        if not any(function in LOG_SCORES for function in trainer.reward_funcs):
            track, *others = ([row.get(name) for row in inputs] for name in ("track", "span", "seconds", "box_scale"))
            log_scores("scores", score_completions(completions, track, *others), trainer._log_metric, None)
        return rewards


class TextPrompts:
    """Mixin for GRPOTrainer: `log_completions` logs prompts as text, with <image> where a frame stood.

    Mends: TRL logs them as lists of parts of two shapes, which W&B's tables refuse with a TypeError that ends training
    at the first log. Overrides `log`; it can go when TRL logs such prompts to W&B.
    """

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        prompts = self._logs["prompt"]  # type: ignore[attr-defined]
        for place, messages in enumerate(prompts):
            prompts[place] = [message | {"content": joined(message["content"])} for message in messages]
        super().log(logs, start_time)  # type: ignore[misc]


def joined(content: str | list[dict[str, Any]]) -> str:
    """Join a message's parts to one text.

    >>> joined([{"type": "text", "text": "0s"}, {"type": "image", "image": None}, {"type": "text", "text": "Where?"}])
    '0s<image>Where?'
    """
    if isinstance(content, str):
        return content
    return "".join(str(part["text"]) if part.get("type") == "text" else f"<{part.get('type')}>" for part in content)


class GroundingGRPOTrainer(
    WholeCheckpoints, TextPrompts, PhaseTimes, ScoresLogged, TwoRates, ResponseRatio, DynamicSampling, ImageGRPOTrainer
):
    """GRPOTrainer with two rates, eq. 7's ratio, `dynamic_sampling`, times, scores in logs, and vLLM that sees."""
