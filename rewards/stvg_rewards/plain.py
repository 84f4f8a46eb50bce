"""The usual answer, read fast: one label, one valid box inside the picture for every second, seconds in order.

Nearly all answers of a trained model look so. Here they cost a few passes in list comprehensions instead of a loop
with a check for every way to go wrong. What differs is left to `read_states`, which gives the same result for these.
"""

from functools import lru_cache
from operator import lt
from typing import Any

from .tracks import Box, Scale, Span, Track

_MAX_SECONDS = 4096


def read_plain(value: dict[str, Any], num_colons: int, seconds: int | None, scale: Scale) -> tuple[Track, Span] | None:
    """The track and span of a usual answer; None if it is not one.

    Args:
        value: the object as `json` reads it. It must hold neither true nor false: they would pass as 1 and 0.
        num_colons: number of colons in the object's text.
        seconds: K of the clip, or None.
        scale: units of the width and of the height.
    """
    # n seconds with a label and a box each are at least 3n keys, each with a colon: no room for a dropped duplicate.
    if not value or num_colons != 3 * len(value):
        return None
    width, height = scale
    try:
        listed = list(map(second_by_key().__getitem__, value))
        label = next(iter(value.values()))[0]["label"]
        boxes: list[Box] = [
            (left / width, top / height, right / width, bottom / height)
            for (entry,) in value.values()
            if entry["label"] == label
            for left, top, right, bottom in (entry["bbox_2d"],)
            if 0 <= left < right <= width and 0 <= top < bottom <= height
        ]
    except (LookupError, TypeError, ValueError):  # another shape
        return None
    if len(boxes) != len(value) or type(label) is not str or not all(map(lt, listed, listed[1:])):
        return None
    if seconds is not None and listed[-1] >= seconds:
        return None
    return Track(label, dict(zip(listed, boxes, strict=True))), (listed[0], listed[-1])


@lru_cache(maxsize=1)
def second_by_key() -> dict[str, int]:
    """ "0" -> 0 and so on: one look-up instead of checking and converting a key."""
    return {str(second): second for second in range(_MAX_SECONDS)}
