"""The usual answer, read fast: one label, one valid box inside the picture for every second, seconds in order.

Nearly all answers of a trained model look so. Here they cost a few passes in list comprehensions instead of a loop
with a check for every way to go wrong. What differs is left to `read_states`, which gives the same result for these.
"""

from functools import lru_cache
from typing import Any

from .tracks import Box, Scale, Span, Track

_MAX_SECONDS = 4096
_MAX_UNITS = 2048


def read_plain(value: dict[str, Any], num_colons: int, seconds: int | None, scale: Scale) -> tuple[Track, Span] | None:
    """The track and span of a usual answer; None if it is not one.

    Args:
        value: the object as `json` reads it. It must hold neither true nor false: they would pass as 1 and 0.
        num_colons: number of colons in the object's text.
        seconds: K of the clip, or None.
        scale: units of the width and of the height; others than whole numbers up to 2048 are left to `read_states`.
    """
    # n seconds with a label and a box each are at least 3n keys, each with a colon: no room for a dropped duplicate.
    if not value or num_colons != 3 * len(value):
        return None
    width, height = scale
    if not (width <= _MAX_UNITS and height <= _MAX_UNITS and width == int(width) and height == int(height)):
        return None
    of_width, of_height = _shares(int(width)), _shares(int(height))
    second_of = second_by_key()
    try:
        label = next(iter(value.values()))[0]["label"]
        # A box that reaches past the picture on the right or below is an IndexError.
        boxes: dict[int, Box] = {
            second_of[key]: (of_width[left], of_height[top], of_width[right], of_height[bottom])
            for key, (entry,) in value.items()
            if entry["label"] == label
            for left, top, right, bottom in (entry["bbox_2d"],)
            if 0 <= left < right and 0 <= top < bottom
        }
    except (LookupError, TypeError, ValueError):  # another shape
        return None
    listed = list(boxes)
    if len(listed) != len(value) or type(label) is not str or listed != sorted(listed):
        return None
    if seconds is not None and listed[-1] >= seconds:
        return None
    return Track(label, boxes), (listed[0], listed[-1])


@lru_cache(maxsize=1)
def second_by_key() -> dict[str, int]:
    """ "0" -> 0 and so on: one look-up instead of checking and converting a key."""
    return {str(second): second for second in range(_MAX_SECONDS)}


@lru_cache(maxsize=512)
def _shares(units: int) -> tuple[float, ...]:
    """The shares 0/units, 1/units, ..., 1: looked up in half the time of a division. A float index is a TypeError."""
    return tuple(number / units for number in range(units + 1))
