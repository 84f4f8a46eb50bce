"""How TRL divides a rollout's rows among optimiser steps, and how many prompts a step then computes."""

from __future__ import annotations

import math
from typing import Any


def step_size(args: Any, loss_type: str) -> int:
    """Return how many micro-batches of a rollout one optimiser step takes; 1 where their rows must not be exchanged.

    `bnpo` divides by the tokens of a micro-batch, so there it matters which rows meet.
    """
    accumulated, there = args.gradient_accumulation_steps, args.steps_per_generation
    if loss_type == "bnpo":
        return 1
    if there % accumulated == 0:
        return int(accumulated)
    return int(there) if accumulated % there == 0 else 1


def prompts_of_step(rows: int, each: int, batch: int, size: int) -> float:
    """Return how many prompts `size` micro-batches compute on average, where rows with the same prompt share it.

    TRL shuffles a rollout's rows; those of a step are then put in the order of their prompts, and a group that lies in
    two micro-batches has its prompt in both.

    Args:
        rows: of a rollout in a process.
        each: rows of a prompt; more than `rows` where a group lies on several processes.
        batch: rows of a micro-batch, not more than `rows` / `size`.
        size: see `step_size`.

    >>> prompts_of_step(rows=8, each=8, batch=8, size=1), prompts_of_step(rows=8, each=8, batch=2, size=4)
    (1.0, 4.0)
    >>> round(prompts_of_step(rows=128, each=16, batch=64, size=1), 3)
    8.0
    >>> round(prompts_of_step(rows=16, each=8, batch=2, size=1), 3)  # 7 of 15 times both rows have one prompt
    1.533
    """
    drawn, each = min(batch * size, rows), min(each, rows)
    prompts = rows / each * (1 - math.comb(rows - each, drawn) / math.comb(rows, drawn))
    if drawn == 1:
        return prompts
    within = 1 - (prompts - 1) / (drawn - 1)  # share of the places between two rows that lie within a group
    return prompts + (size - 1) * within
