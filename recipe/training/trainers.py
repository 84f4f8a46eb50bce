"""The recipe's trainers: TRL's, with a learning rate for the vision tower and what else TRL lacks."""

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
from recipe.training.decode_ahead import DecodesAhead
from recipe.training.frozen_features import FrozenFeatures
from recipe.training.phases import PhaseTimes
from recipe.training.pixels import SharedPixels
from recipe.training.response_ratio import ResponseRatio
from recipe.training.row_order import PromptsByLength, RowsByLength
from recipe.training.shared_prefix import SharedPrefix
from stvg_rewards import format_reward, mviou_reward, tiou_reward, viou_reward
from stvg_rewards.batch import COLUMNS, score_completions
from stvg_rewards.rewards import log_scores

LOG_SCORES = (tiou_reward, mviou_reward, viou_reward, format_reward)


class TwoRates:
    """Mixin that gives the vision tower's parameters the rate `vision_learning_rate`.

    Trainer gives one rate to all parameters, and at a rate that suits a small language model its vision tower
    collapses. The mixin overrides `create_optimizer` only, after which the scheduler treats both groups alike. It can
    go when TrainingArguments takes a rate by parameter pattern.
    """

    vision_learning_rate: float | None = None

    def create_optimizer(self, model: Any = None) -> Optimizer:
        # A second `train()` calls this with the optimizer in place: the tower must not be split off again.
        fresh = self.optimizer is None  # type: ignore[attr-defined]
        optimizer: Optimizer = super().create_optimizer(model)  # type: ignore[misc]
        if not fresh or self.vision_learning_rate is None:
            return optimizer
        vision = {id(p) for name, p in (model or self.model).named_parameters() if is_vision(name)}  # type: ignore[attr-defined]
        for group in list(optimizer.param_groups):
            tower = [p for p in group["params"] if id(p) in vision]
            if tower:  # split off its group, so that weight decay stays as Trainer chose it for each parameter
                group["params"] = [p for p in group["params"] if id(p) not in vision]
                rest = {key: value for key, value in group.items() if key != "params"}
                optimizer.add_param_group(rest | {"params": tower, "lr": self.vision_learning_rate})
        return optimizer


class GroundingSFTTrainer(WholeCheckpoints, RowsByLength, TwoRates, SFTTrainer):
    """SFTTrainer with `vision_learning_rate`, in which every token weighs the same, however a batch is divided.

    transformers declares that the loss of the supported models takes no count of tokens. So Trainer counts none and
    averages each process and each accumulated piece by itself, and tokens of a short piece weigh more. TRL's SFT loss
    is not the model's own and does take the count. This override can go when TRL sets the attribute itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Set after the constructor, which takes the attribute from the model and would overwrite ours.
        self.model_accepts_loss_kwargs = True


class ScoresLogged:
    """Mixin for GRPOTrainer that logs scores and signs of reward hacking, whatever is rewarded.

    The paper's rewards and `format_reward` log them, and other functions, such as a user's own, do not. A run without
    them could be compared with no other. The mixin overrides `_calculate_rewards`, the one method that sees the
    completions of a rollout together with their rows.
    """

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: Any, completions: Sequence[Any], *rest: Any
    ) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, *rest)  # type: ignore[misc]
        trainer: Any = self
        if not any(function in LOG_SCORES for function in trainer.reward_funcs):
            columns = {name: [row.get(name) for row in inputs] for name in COLUMNS}
            log_scores("scores", score_completions(completions, **columns), trainer._log_metric, None)
        return rewards


class TextPrompts:
    """Mixin for GRPOTrainer whose `log_completions` logs prompts as text, with <image> where a frame stood.

    TRL logs prompts as lists of parts of two shapes, which W&B's tables refuse with a TypeError that ends training at
    the first log. The mixin overrides `log` and can go when TRL logs such prompts to W&B.
    """

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        prompts = self._logs["prompt"]  # type: ignore[attr-defined]
        for index, messages in enumerate(prompts):
            # Replaced in TRL's own buffer, because its `log` reads the prompts from there.
            prompts[index] = [message | {"content": joined(message["content"])} for message in messages]
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
    WholeCheckpoints,
    DecodesAhead,
    PromptsByLength,
    TextPrompts,
    PhaseTimes,
    ScoresLogged,
    TwoRates,
    ResponseRatio,
    DynamicSampling,
    SharedPrefix,
    FrozenFeatures,
    SharedPixels,
    ImageGRPOTrainer,
):
    """GRPOTrainer with two rates, eq. 7's ratio, `dynamic_sampling`, times, scores in logs, and images for vLLM.

    The order of the bases is the order of their overrides: `ScoresLogged` and `DynamicSampling` both override
    `_calculate_rewards`, and each passes the call on; every draw of `DynamicSampling` has pixels that are shared.
    """
