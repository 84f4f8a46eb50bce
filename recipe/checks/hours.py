"""How long a stage will take on its GPUs: an estimate from the data's own lengths, without rollouts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipe.checks.capacity import training_hours
from recipe.checks.data import Sample
from recipe.checks.memory import Load
from recipe.rollouts.steps import prompts_of_step, step_size

TFLOPS = 312.0  # of an A100 in bfloat16, a second
UTILISATION = 0.3  # share of it that training is taken to reach
SPREAD = ("zero3", "fsdp")  # where a tower cannot be run beside the model's own passes
FORWARD = 2  # operations of a weight and token in a pass forward; of 8 of an update, 6 without checkpointing
SCORING = 1.25  # GRPO's pass forward for the old log-probabilities, a quarter of an update


@dataclass(frozen=True)
class Duration:
    """How long a stage takes, and what that was reckoned from.

    Attributes:
        hours: of all GPUs together at work.
        steps: optimiser steps.
        samples: rows of one step on all GPUs.
        tokens: of a row on average, prompt and answer.
    """

    hours: float
    steps: int
    samples: int
    tokens: float

    def __str__(self) -> str:
        return (
            f"time, estimated: {self.hours:,.1f} h for {self.steps:,} steps of {self.samples} rows of "
            f"{self.tokens:,.0f} tokens on average"
        )


def steps_of(training_args: Any, records: int, processes: int) -> tuple[int, int]:
    """Return (optimiser steps, rows of a step on all GPUs) of a stage.

    Args:
        training_args: SFTConfig or GRPOConfig.
        records: of the data; GRPO has `num_generations` rows of each.
        processes: GPUs.
    """
    rows = training_args.per_device_train_batch_size * training_args.gradient_accumulation_steps * processes
    if training_args.max_steps > 0:
        return training_args.max_steps, rows
    every = records * getattr(training_args, "num_generations", 1)
    return math.ceil(every * training_args.num_train_epochs / rows), rows


def computed_of(
    load: Load, training_args: Any, prompt: float, answer: float, budget: int | None = None
) -> tuple[float, float]:
    """Return (tokens, prompts) that a process computes in an optimiser step on average.

    Args:
        load: its `prompts` says whether a prompt is computed once for the answers of a micro-batch.
        prompt, answer: tokens of a row.
        budget: most tokens of one forward with shared prompts; a larger micro-batch computes a prompt more in each.

    Returns:
        Without shared prompts every row has its own.
    """
    rows = load.batch * load.accumulation
    if not load.prompts or load.rollout is None:
        return rows * (prompt + answer), rows
    size = step_size(training_args, str(training_args.loss_type))
    prompts = prompts_of_step(load.rollout.rows, training_args.num_generations, load.batch, size) / size
    if budget:
        prompts += max(0, math.ceil((prompts * (prompt - 1) + load.batch * answer) / budget) - 1)
    prompts = load.accumulation * min(prompts, load.batch)
    # The prompt's last token stands before each answer, whose own last token is not computed.
    return prompts * (prompt - 1) + rows * answer, prompts


def duration_of(
    load: Load,
    training_args: Any,
    measured: Sequence[Sample],
    records: int,
    merge: int,
    tflops: float,
    *,
    lora: bool,
    budget: int | None = None,
    frozen_features: bool = False,
) -> Duration | None:
    """Return how long a stage takes by the operations of its rows; None where no row could be measured.

    A tower at rest costs a pass forward only. GRPO's rollouts are not counted.

    Args:
        measured: some of the data's rows.
        records: how many records the data has.
        merge: side of the square of patches that becomes one token.
        tflops: what a GPU does at best, 10^12 operations a second in bfloat16.
        budget: see `computed_of`.
        frozen_features: whether a tower at rest computes the features of a prompt once a rollout.
    """
    if not measured:
        return None
    steps, rows = steps_of(training_args, records, load.processes)
    tokens = statistics.fmean(sample.total for sample in measured)
    patches = statistics.fmean(sample.images for sample in measured) * merge**2
    answer = statistics.fmean(sample.answer for sample in measured)
    computed, prompts = computed_of(load, training_args, tokens - answer, answer, budget)
    common: dict[str, Any] = {"gpus": load.processes, "flops": tflops * 1e12, "utilisation": UTILISATION}
    common |= {"checkpointing": load.checkpointing}
    scoring = SCORING if load.rollout else 1.0
    tower = load.weights.all["vision"] + load.weights.all["projector"]
    processed = steps * load.processes
    language = scoring * training_hours(load.parameters - tower, processed * computed, lora=lora, **common)
    if load.weights.trained.get("vision") or load.weights.trained.get("projector"):
        clips, passes = prompts, scoring
    elif load.rollout and frozen_features and load.sharding not in SPREAD:
        uses = min(training_args.num_generations, load.rollout.rows) * training_args.num_iterations
        clips, passes = rows / load.processes / uses, FORWARD / (8 if load.checkpointing else 6)
    else:
        clips, passes = prompts, scoring * FORWARD / (8 if load.checkpointing else 6)
    seen = passes * training_hours(tower, processed * clips * patches, lora=False, **common)
    return Duration(language + seen, steps, rows, tokens)
