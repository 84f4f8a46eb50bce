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

TFLOPS = 312.0  # of an A100 in bfloat16, a second
UTILISATION = 0.3  # share of it that training is taken to reach
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


def duration_of(
    load: Load, training_args: Any, measured: Sequence[Sample], records: int, merge: int, tflops: float, *, lora: bool
) -> Duration | None:
    """Return how long a stage takes by the operations of its rows; None where no row could be measured.

    A tower at rest costs a pass forward only. GRPO's rollouts are not counted.

    Args:
        measured: some of the data's rows.
        records: how many records the data has.
        merge: side of the square of patches that becomes one token.
        tflops: what a GPU does at best, 10^12 operations a second in bfloat16.
    """
    if not measured:
        return None
    steps, rows = steps_of(training_args, records, load.processes)
    tokens = statistics.fmean(sample.total for sample in measured)
    patches = statistics.fmean(sample.images for sample in measured) * merge**2
    common: dict[str, Any] = {"gpus": load.processes, "flops": tflops * 1e12, "utilisation": UTILISATION}
    common |= {"checkpointing": load.checkpointing}
    tower = load.weights.all["vision"] + load.weights.all["projector"]
    rests = not (load.weights.trained.get("vision") or load.weights.trained.get("projector"))
    language = training_hours(load.parameters - tower, steps * rows * tokens, lora=lora, **common)
    seen = training_hours(tower, steps * rows * patches, lora=False, **common)
    hours = language + (seen * 2 / (8 if load.checkpointing else 6) if rests else seen)
    return Duration(hours * (SCORING if load.rollout else 1.0), steps, rows, tokens)
