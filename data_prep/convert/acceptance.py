"""Accept at a glance the records that the builders made, so that they need not be checked twice.

`data_prep.validation` checks records of which nothing is known, type by type. Here the types are known, because
`data_prep.convert.building` made them; what is looked at is what an annotation can get wrong all the same.
"""

from __future__ import annotations

import math
from functools import lru_cache

from data_prep.records import Record, RecordError, State
from data_prep.validation import check_video_path

_TEXTS = ("id", "split", "query", "label", "answer")


def is_sound(record: Record) -> bool:
    """Return whether a record from `data_prep.convert.building` is plainly valid.

    False means only that `data_prep.validation.validate_record` has to look at it, which says what is wrong. Halves of
    surrogate pairs and added fields are not looked at here: the writer meets them.
    """
    for field in _TEXTS:
        text = record[field]  # type: ignore[literal-required]  # a loop over the texts' names
        if text is not None and (not text or text.isspace()):
            return False
    clip, seconds, span = record["clip"], record["seconds"], record["span"]
    if clip is not None and not (0 <= clip[0] < clip[1] < math.inf and seconds - 1 <= clip[1] - clip[0] + 1e-3):
        return False
    if span is not None and not 0 <= span[0] <= span[1] < seconds:
        return False
    first, last = span or (0, (seconds or 0) - 1)
    track = record["track"]
    if track is not None and not _are_inside(track, first, last):
        return False
    for entry in record.get("tracks") or ():
        if not entry["label"].strip() or not _are_inside(entry["track"], first, last):
            return False
    return _is_path(record["video"])


def _are_inside(track: list[State], first: int, last: int) -> bool:
    """Return whether seconds increase within [first, last] and boxes are shares of a picture that have an inside."""
    previous = first - 1
    for state in track:
        second = state["second"]
        x_min, y_min, x_max, y_max = state["box"]
        if not (previous < second <= last and 0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1):
            return False
        previous = second
    return True


@lru_cache(maxsize=1024)
def _is_path(video: str) -> bool:
    """Check the path of a video once, however many records it has."""
    try:
        check_video_path(video)
    except RecordError:
        return False
    return True
