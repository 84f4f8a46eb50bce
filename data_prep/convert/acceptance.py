"""Accept at a glance the records that the builders made, so that they need not be checked twice.

`data_prep.validation` checks records of which nothing is known, type by type. Here the types are known, because
`data_prep.convert.building` made them; what is looked at is what an annotation can get wrong all the same.
"""

from __future__ import annotations

import math
from functools import lru_cache

from data_prep.records import SCHEMA_VERSION, Record, RecordError, State
from data_prep.validation import TEXT_KINDS, check_video_path


def is_sound(record: Record) -> bool:
    """Return whether a record from `data_prep.convert.building` is plainly valid.

    False means only that `data_prep.validation.validate_record` has to look at it, which says what is wrong. Halves of
    surrogate pairs and added fields are not looked at here: the writer meets them.
    """
    if record["schema"] != SCHEMA_VERSION:
        return False
    if not (record["id"].strip() and record["split"].strip() and record["query"].strip()):
        return False
    clip, seconds = record["clip"], record["seconds"]
    if clip is not None:
        start, end = clip
        if not (0 <= start < end < math.inf and seconds - 1 <= end - start + 1e-3):
            return False
    if record["kind"] in TEXT_KINDS:
        return bool(record["answer"].strip()) and _is_path(record["video"])
    return _has_sound_tracks(record, seconds) and _is_path(record["video"])


def _has_sound_tracks(record: Record, seconds: int) -> bool:
    """Return whether the target of a record, or each object of a scene, has a label, and a track inside the event."""
    if record["kind"] == "scene":
        return all(
            entry["label"].strip() and _are_inside(entry["track"], 0, seconds - 1) for entry in record["tracks"]
        )
    first, last = record["span"]
    inside = 0 <= first <= last < seconds and _are_inside(record["track"], first, last)
    return inside and bool(record["label"].strip())


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
