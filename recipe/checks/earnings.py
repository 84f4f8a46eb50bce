"""Check what the records can earn: rewards that no row can get, and rewards that hardly differ within a group."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data_prep.events import events_of, is_temporal, num_seconds
from data_prep.records import Record
from recipe.checks.findings import Finding, refuse, warn
from recipe.inputs.dataset import truth_columns
from recipe.rewards import Variant
from recipe.variants.code import of_package

FLAT = 0.8  # tIoU of an answer that names the whole clip, from which on there is hardly an event to be found


def rewards_can_be_earned(
    variant: Variant,
    records: Sequence[Record],
    count: int,
    answer: Callable[[Record], tuple[str, tuple[int, int]]],
) -> list[Finding]:
    """Check that a true answer earns something; otherwise every group is flat, and the loss is 0 at every step.

    Args:
        records: a sample of the data, of records that have frames (no captions, no questions).
        count: of all records.
        answer: makes the true completion of a record and its box scale.
    """
    if not records:
        return [] if not count else [refuse("rewards", f"none of {count} records has a track: {_hint(variant)}")]
    if any(
        not of_package(function) and function.__name__ != "soft_overlong_punishment_reward"
        for function in variant.functions
    ):
        return []  # what a user's own function reads is not known here
    if any(earned(variant, record, *answer(record)) for record in records):
        return []
    return [
        refuse(
            "rewards",
            f"the true answers of all {len(records)} records that were looked at (of {count}) earn nothing: "
            f"{_hint(variant)}",
        )
    ]


def times_can_be_earned(
    variant: Variant,
    records: Sequence[Record],
    temporal: int,
    answer: Callable[[Record], tuple[str, tuple[int, int]]],
) -> list[Finding]:
    """Check that records without boxes earn something: a reward of boxes alone is None for them, and teaches nothing.

    Args:
        records: a sample of the data.
        temporal: how many of all records have times only.
        answer: makes an answer that is right in time, and its box scale.
    """
    times = [record for record in records if is_temporal(record)]
    if not times or any(not of_package(function) for function in variant.functions):
        return []
    if any(earned(variant, record, *answer(record)) for record in times):
        return []
    return [
        warn(
            "rewards",
            f"{temporal} temporal records earn nothing under reward {variant.name}, which looks at boxes alone: their "
            "rollouts teach nothing; leave them out, or name a reward with tiou",
        )
    ]


def _hint(variant: Variant) -> str:
    return (
        f"reward {variant.name} would be 0 for every answer and train nothing; give records with tracks (kind "
        "grounding or scene), or a reward that reads what these have"
    )


def earned(variant: Variant, record: Record, completion: str, scale: tuple[int, int]) -> float:
    """Return the weighted sum of the variant's rewards for one completion of a record; None counts 0.

    Args:
        completion: the model's text.
        scale: (x, y), what its integers are divided by.
    """
    columns = {name: [value] for name, value in truth_columns(record, scale).items()}
    messages = [[{"role": "assistant", "content": completion}]]
    total = 0.0
    for function, weight in zip(variant.functions, variant.weights, strict=True):
        if not of_package(function) or function.__name__ == "format_reward":
            continue  # TRL's punishment of length earns nothing, and format any row
        total += weight * (function(completions=messages, **columns)[0] or 0.0)
    return total


def events_leave_room(records: Sequence[Mapping[str, Any]], functions: Sequence[str]) -> list[Finding]:
    """Check that the events are shorter than their clips; else the whole clip is nearly right, and groups are flat.

    Args:
        records: a sample of the data.
        functions: names of the variant's reward functions.
    """
    if not any("tiou" in name or "viou" in name for name in functions):
        return []
    shares = [
        num_seconds(events) / record["seconds"]
        for record in records
        if record["seconds"] and (events := events_of(record))
    ]
    if not shares or (middle := statistics.median(shares)) < FLAT:
        return []
    return [
        warn(
            "rewards",
            f"half of the {len(shares)} events that were looked at fill {middle:.0%} or more of their clips: the "
            f"whole clip is already an answer of tIoU {middle:.2f}, so groups hardly differ in time; lengthen clips",
        )
    ]
