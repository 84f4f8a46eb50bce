"""Sentences with times and without boxes: what sets of temporal grounding share."""

from __future__ import annotations

import math
from typing import Any

from data_prep.convert.conversion import Dropped, Item, Moments
from data_prep.convert.reasons import Reason
from data_prep.validation import quote


def moments_item(record_id: str, split: str, video: Any, query: Any, events: Any, duration: Any, where: str) -> Item:
    """Return the item of one sentence, or why there is none.

    Args:
        events: a list of [begin, end], seconds; an empty list says that nothing in the video fits the sentence.
        duration: of the video, seconds; None where the source does not say.
        where: file and line or entry, for messages.
    """
    if type(video) is not str or type(query) is not str:
        texts = f"video {quote(video)}, query {quote(query)}"
        return Dropped(record_id, Reason.MALFORMED, f"{where}: {texts}, expected texts")
    if duration is not None and not _is_number(duration):
        return Dropped(record_id, Reason.MALFORMED, f"{where}: duration {quote(duration)}, expected seconds")
    if type(events) is not list:
        return Dropped(record_id, Reason.MALFORMED, f"{where}: {quote(events)}, expected a list of [begin, end]")
    for pair in events:
        if type(pair) is not list or len(pair) != 2 or not all(map(_is_number, pair)):
            return Dropped(record_id, Reason.BAD_SPAN, f"{where}: {quote(pair)}, expected [begin, end], seconds")
        if not 0 <= pair[0] < pair[1]:
            return Dropped(record_id, Reason.BAD_SPAN, f"{where}: {quote(pair)}, expected 0 <= begin < end")
    kind = "interrogative" if query.rstrip().endswith("?") else "declarative"
    times = [(float(begin), float(end)) for begin, end in events]
    return Moments(record_id, split, kind, video, query, times, None if duration is None else float(duration))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9 and math.isfinite(value)
