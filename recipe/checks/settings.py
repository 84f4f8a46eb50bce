"""Check a stage's settings only: no file, model or machine is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.errors import StageError
from recipe.checks.findings import Finding, refuse, warn
from recipe.rewards import make_variant


def clip_acts(steps_per_generation: int, num_iterations: int, gradient_accumulation_steps: int) -> list[Finding]:
    """Check that a rollout serves more than one optimiser step; else the ratio is always 1, and nothing is clipped."""
    batches = steps_per_generation * num_iterations
    if gradient_accumulation_steps % batches:
        return []
    return [
        warn(
            "clip",
            f"the clip never acts: a rollout's {batches} batches (steps_per_generation x num_iterations) all go into "
            f"one optimiser step (gradient_accumulation_steps {gradient_accumulation_steps}), so the ratio is always "
            f"1; set steps_per_generation to {2 * gradient_accumulation_steps} or more",
        )
    ]


def rewards_fit(
    words: str | Sequence[str],
    weights: Sequence[float] | None,
    format_weight: float = 0.0,
    length_weight: float = 0.0,
) -> list[Finding]:
    """Check that there is one weight for each reward function."""
    try:
        make_variant(words, weights, format_weight=format_weight, length_weight=length_weight)
    except ValueError as error:
        return [refuse("rewards", str(error))]
    return []


def image_tokens_are_suppressed(generation_kwargs: Mapping[str, Any] | None, ids: Mapping[str, int]) -> list[Finding]:
    """Check that vLLM cannot sample a token that stands for a picture: one in a completion breaks the batch.

    Args:
        generation_kwargs: of the settings, as the trainer hands them to vLLM.
        ids: token -> id of those that stand for pictures.
    """
    bias = {int(token): value for token, value in (generation_kwargs or {}).get("logit_bias", {}).items()}
    free = [f"{token} ({number})" for token, number in ids.items() if bias.get(number, 0.0) > -100]
    if not free:
        return []
    return [refuse("image tokens", f"vLLM may sample {', '.join(free)}: give each a logit_bias of -100")]


def groups_can_be_replaced(
    samples: int, num_generations: int, scale_rewards: str, aggregation: str, dynamic_sampling: int
) -> list[Finding]:
    """Check that dynamic sampling can replace whole groups: each lies on one process, and no advantage spans groups.

    Args:
        samples: of one rollout on one process: per_device_train_batch_size x steps_per_generation.
    """
    if not dynamic_sampling:
        return []
    if scale_rewards == "batch" and aggregation == "sum_then_normalize":
        return [
            refuse("groups", "dynamic_sampling needs advantages of single groups: set scale_rewards to group or none")
        ]
    if samples % num_generations == 0:
        return []
    return [
        refuse(
            "groups",
            f"dynamic_sampling needs whole groups on each process: per_device_train_batch_size x steps_per_generation "
            f"is {samples}, which is no multiple of num_generations {num_generations}",
        )
    ]


def is_implemented(load_in_8bit: bool, load_in_4bit: bool) -> list[Finding]:
    """Refuse settings of ModelConfig that the recipe does not read."""
    if not (load_in_8bit or load_in_4bit):
        return []
    return [
        refuse(
            "dtype",
            "load_in_8bit and load_in_4bit are not supported: LoRA adapts the checkpoint in its own dtype",
        )
    ]


def runs_no_foreign_code(trust_remote_code: bool) -> list[Finding]:
    """Refuse a setting that asks for a checkpoint's own code: the recipe never runs any."""
    if not trust_remote_code:
        return []
    return [
        refuse(
            "model",
            "trust_remote_code is true, but Python code of a checkpoint is never run here: leave it out, and "
            "name a checkpoint of a family that transformers knows",
        )
    ]


def rollouts_are_whole(args: Any) -> list[Finding]:
    """Check that no checkpoint of GRPO falls inside a rollout.

    What is left of a rollout is not saved, so a run that goes on from there would draw another one and end with other
    weights than a run that was not stopped.

    Args:
        args: GRPOConfig.
    """
    batches = args.steps_per_generation * args.num_iterations
    if args.save_strategy != "steps" or args.save_steps * args.gradient_accumulation_steps % batches == 0:
        return []
    steps = batches / args.gradient_accumulation_steps
    return [
        refuse(
            "save_steps",
            f"save_steps {args.save_steps:g} falls inside a rollout, which is used in {steps:g} optimiser steps "
            "(steps_per_generation x num_iterations / gradient_accumulation_steps); make it a multiple",
        )
    ]


def check_whole_rollouts(args: Any) -> None:
    """Refuse GRPO settings whose checkpoints fall inside a rollout (`rollouts_are_whole`).

    Raises:
        StageError: `save_steps` is no multiple of the optimiser steps that a rollout is used in.
    """
    for finding in rollouts_are_whole(args):
        raise StageError(finding.text)
