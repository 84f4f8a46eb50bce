"""Which records a mixture takes, and how many of each group: only by ids and seed, so that every machine agrees."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from data_prep.events import events_of, has_no_target, num_seconds
from data_prep.records import Record

SPAN_BINS = ((2, "1-2 s"), (5, "3-5 s"), (10, "6-10 s"), (20, "11-20 s"), (math.inf, "above 20 s"))


def rank_of(seed: int, purpose: str, name: str) -> float:
    """Return a number in [0, 1) that depends only on seed, purpose and name.

    >>> rank_of(0, "draw", "a") == rank_of(0, "draw", "a"), rank_of(0, "draw", "a") == rank_of(1, "draw", "a")
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def span_bin(record: Record) -> str:
    """Return the bin of the length of the event, or of all events; "" for records that state none."""
    if has_no_target(record):
        return "no target"
    length = num_seconds(events_of(record))
    if not length:
        return ""
    return next(name for most, name in SPAN_BINS if length <= most)


def shares(sizes: dict[Any, int], total: int) -> dict[Any, int]:
    """Return how many to take of each group: equal numbers as far as the groups allow, `total` together.

    >>> shares({"a": 2, "b": 10, "c": 10}, 12)
    {'a': 2, 'b': 5, 'c': 5}
    """
    taken = dict.fromkeys(sizes, 0)
    left = min(total, sum(sizes.values()))
    while left:
        room = [group for group in sizes if taken[group] < sizes[group]]
        each = max(1, left // len(room))
        for group in room:
            more = min(each, sizes[group] - taken[group], left)
            taken[group] += more
            left -= more
    return taken


def filled(sizes: list[int], weights: list[float], total: int) -> list[int]:
    """Return how many to take of each group in the ratio of the weights; other groups give what one lacks.

    Groups of weight 0 give nothing. The sum is `total`, or all that the groups with a weight have.

    >>> filled([300, 300, 10], [3, 1, 1], 50), filled([300, 300, 300], [1, 1, 1], 100)
    ([30, 10, 10], [34, 33, 33])
    """
    taken = [0] * len(sizes)
    room = [index for index, size in enumerate(sizes) if size and weights[index] > 0]
    left = total
    while room:
        scale = left / math.fsum(weights[index] for index in room)
        short = [index for index in room if sizes[index] <= weights[index] * scale]
        if not short:
            break
        for index in short:
            taken[index] = sizes[index]
            left -= sizes[index]
        room = [index for index in room if index not in short]
    if room:
        exact = {index: weights[index] * scale for index in room}
        for index in room:
            taken[index] = math.floor(exact[index])
        # Whole numbers: the largest fractions are rounded up, in the order of the groups where they tie.
        rest = left - sum(taken[index] for index in room)
        for index in sorted(room, key=lambda index: taken[index] - exact[index])[: max(0, rest)]:
            taken[index] += 1
    return taken
