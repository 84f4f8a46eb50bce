"""How many frames a second a clip is seen at (sections 3.4 and 4.3 of the paper): a fixed rate, or one chosen for it.

Most records are seen at 1 frame a second. `python -m data_prep mix` gives a small share of the CPT records a higher
rate of their own (the field `rate`). With the policy `dynamic` the rate is chosen under a budget of frames: in
supervised training from the event's length and the clip's duration; at inference, and for RL prompts, from the
duration alone, as the event's length would give the answer away.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

from data_prep.events import events_of, has_no_target

RATES = (0.25, 0.5, 1.0, 2.0, 4.0)  # what `dynamic` chooses from, frames a second
FRAME_BUDGET = 64  # frames of a clip
EVENT_FRAMES = 8  # frames that an event should be seen in, where the budget allows it
DYNAMIC = "dynamic"

Policy = float | str


def parse_policy(value: Any) -> Policy:
    """Return a rate in frames a second, or "dynamic".

    Raises:
        ValueError: Something else.

    >>> parse_policy("0.5"), parse_policy(2), parse_policy("dynamic")
    (0.5, 2.0, 'dynamic')
    """
    if value == DYNAMIC:
        return DYNAMIC
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 < rate <= 1000:
        raise ValueError(f"frame rate {value!r}, expected frames a second such as 1 or 0.5, or {DYNAMIC!r}")
    return rate


def dynamic_rate(seconds: int, *, event_seconds: int | None = None, budget: int = FRAME_BUDGET) -> float:
    """Return the rate for a clip under a budget of frames.

    Args:
        seconds: K of the clip.
        event_seconds: seconds of the event, where it may be known (supervised training); None: the highest rate that
            the budget holds.
        budget: most frames; the lowest rate is used where even it takes more.

    >>> [dynamic_rate(seconds) for seconds in (8, 30, 60, 200, 10_000)]
    [4.0, 2.0, 1.0, 0.25, 0.25]
    >>> dynamic_rate(8, event_seconds=2), dynamic_rate(8, event_seconds=8), dynamic_rate(60, event_seconds=2)
    (4.0, 1.0, 1.0)
    """
    if seconds < 1 or budget < 1:
        raise ValueError(f"{seconds} seconds under a budget of {budget} frames, expected at least 1 of both")
    fitting = [rate for rate in RATES if seconds * rate <= budget] or [RATES[0]]
    if event_seconds is None:
        return fitting[-1]
    # The lowest rate that shows the event in enough frames: more would cost and show little new.
    return next((rate for rate in fitting if event_seconds * rate >= EVENT_FRAMES), fitting[-1])


def rate_of(record: Mapping[str, Any], policy: Policy, *, budget: int = FRAME_BUDGET, training: bool = False) -> float:
    """Return the rate at which a record is seen: its own, else the policy's.

    Args:
        record: a record whose `seconds` is known.
        policy: from `parse_policy`.
        budget: most frames under `dynamic`.
        training: the answer is at hand, so the event's length may be used.

    Of several events the shortest counts. A sentence without a target has no event: it gets the rate of one whose
    length is drawn by the record's id, so that no rate tells that the answer is empty.

    >>> rate_of({"seconds": 8, "span": [2, 3]}, "dynamic", training=True), rate_of({"seconds": 8, "rate": 2}, 1.0)
    (4.0, 2.0)
    """
    if record.get("rate") is not None:
        return float(record["rate"])
    if policy != DYNAMIC:
        return float(policy)
    return dynamic_rate(record["seconds"], event_seconds=_event_seconds(record) if training else None, budget=budget)


def _event_seconds(record: Mapping[str, Any]) -> int | None:
    """Return the seconds of a record's shortest event, or those drawn for a record without a target; else None."""
    if has_no_target(record):
        return 1 + zlib.crc32(record["id"].encode("utf-8", "replace")) % int(record["seconds"])
    return min((last - first + 1 for first, last in events_of(record)), default=None)
