"""The usual answer, read fast: one label, one valid box inside the picture for every second, seconds in order.

`read_written` reads it from the text, where that is laid out as `format_answer` and `json.dumps` do; `read_plain`
reads it from any layout, after `json`.

Nearly all answers of a trained model look so. Here they cost a few passes in list comprehensions instead of a loop
with a check for every way to go wrong. What differs is left to `read_states`, which gives the same result for these.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter, lt
from typing import Any, NamedTuple

from .locate import after_reasoning, opens_list
from .tracks import Box, Scale, Span, Track

_MAX_SECONDS = 4096
_MAX_UNITS = 2048
# Of a state in the usual layout: what opens its two lists, and what stands before and behind its label between them.
_OPENS_LIST, _BEFORE_LABEL, _BEHIND_LABEL = '": [', '{"label": "', '", "bbox_2d'
# A state without its digits, with a mark for all that; what ends one, and what stands before the next one's second.
_MARK, _STATE, _END, _DIVIDER = "@", b'"@, , , ]}], ', b"]}], ", b']}], "'
_DIGITS, _TO_LIST = b"0123456789", bytes.maketrans(b'"@]}', b" ,  ")
_read_json = json.JSONDecoder().raw_decode


class Written(NamedTuple):
    """A usual answer by columns: its label, its seconds in order, and a side of each box in each column."""

    label: str
    seconds: Sequence[int]
    left: Sequence[float]
    top: Sequence[float]
    right: Sequence[float]
    bottom: Sequence[float]

    def track(self) -> Track:
        """Return the answer as a track."""
        boxes = zip(self.left, self.top, self.right, self.bottom, strict=True)
        return Track(self.label, dict(zip(self.seconds, boxes, strict=True)))


def read_written(text: str, seconds: int | None, scale: Scale) -> Written | None:
    """Return a usual answer in the usual layout; None if the text is anything else.

    What stands between a second and its box is the same in every state and becomes a mark. Without its digits the
    rest must be the layout's, and what divides two states must be whole. Then a digit can only stand where a number
    belongs, and `json` reads all of them as one list. So a text is read only if it is what `format_answer` would
    write, but for spaces beside the commas of a box.

    Args:
        text: the model's text.
        seconds: K of the clip, or None.
        scale: units of the width and of the height; others than whole numbers up to 2048 are not read.
    """
    start, end = text.find("{", after_reasoning(text)), text.rfind("]}]}")
    if start < 0 or end < start or not text.startswith('"', start + 1) or not _whole(scale):
        return None
    # {"3": [{"label": "a", "bbox_2d": [0, 2, 4, 4]}], "4": ... is split into "3  {...  0, 2, 4, 4]}], "4  {...
    parts = text[start + 1 : end].split(_OPENS_LIST)
    between, rest = parts[1::2], parts[::2]
    num_states = len(between)
    label = between[0][len(_BEFORE_LABEL) : -len(_BEHIND_LABEL)] if between else ""
    if (
        not num_states
        or between.count(f"{_BEFORE_LABEL}{label}{_BEHIND_LABEL}") != num_states
        or '"' in label
        or "\\" in label
        or not label.isprintable()
        or text.find("{", end) >= 0  # it may be another answer
        or opens_list(text, start)
    ):
        return None
    try:
        marked = _MARK.join(rest).encode("ascii")
        if marked.translate(None, _DIGITS) != (_STATE * num_states)[: -len(_END)]:
            return None
        if marked.count(_DIVIDER) != num_states - 1:
            return None
        numbers, _ = _read_json(f"[{marked.translate(_TO_LIST).decode('ascii')}]")
        sides = itemgetter(*numbers[1::5], *numbers[3::5])(_shares(int(scale[0])))
        heights = itemgetter(*numbers[2::5], *numbers[4::5])(_shares(int(scale[1])))
    except (ValueError, IndexError):  # a number is missing or lies outside the picture
        return None
    listed = numbers[::5]
    left, right = sides[:num_states], sides[num_states:]
    top, bottom = heights[:num_states], heights[num_states:]
    if not (all(map(lt, left, right)) and all(map(lt, top, bottom))):
        return None
    # Nearly always there is no gap, and that is seen in a tenth of the time.
    if listed != [*range(listed[0], listed[0] + num_states)] and not all(map(lt, listed, listed[1:])):
        return None
    if listed[-1] >= (_MAX_SECONDS if seconds is None else min(seconds, _MAX_SECONDS)):
        return None
    if right[0] * scale[0] <= 1 and bottom[0] * scale[1] <= 1:  # it may be in another scale
        return None
    return Written(label, listed, left, top, right, bottom)


def read_plain(value: dict[str, Any], num_colons: int, seconds: int | None, scale: Scale) -> tuple[Track, Span] | None:
    """Return the track and span of a usual answer; None if the answer is not usual.

    Args:
        value: the object as `json` reads it. It must hold neither true nor false: they would pass as 1 and 0.
        num_colons: number of colons in the object's text.
        seconds: K of the clip, or None.
        scale: units of the width and of the height; others than whole numbers up to 2048 are left to `read_states`.
    """
    # n seconds with a label and a box each are at least 3n keys, each with a colon: no room for a dropped duplicate.
    if not value or num_colons != 3 * len(value):
        return None
    if not _whole(scale):
        return None
    of_width, of_height = _shares(int(scale[0])), _shares(int(scale[1]))
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
    box = boxes[listed[0]]
    if box[2] * scale[0] <= 1 and box[3] * scale[1] <= 1:  # it may be in another scale
        return None
    return Track(label, boxes), (listed[0], listed[-1])


def _whole(scale: Scale) -> bool:
    width, height = scale
    return width <= _MAX_UNITS and height <= _MAX_UNITS and width == int(width) and height == int(height)


@lru_cache(maxsize=1)
def second_by_key() -> dict[str, int]:
    """Return "0" -> 0 and so on. One look-up replaces checking and converting a key."""
    return {str(second): second for second in range(_MAX_SECONDS)}


@lru_cache(maxsize=512)
def _shares(units: int) -> tuple[float, ...]:
    """Return the shares 0/units, 1/units, ..., 1.

    A look-up takes half the time of a division, and a float index is a TypeError.
    """
    return tuple(number / units for number in range(units + 1))
