"""The usual answer, read fast: one label, one valid box inside the picture for every second, seconds in order.

`read_written` reads it from the text, where that is laid out as `format_answer` and `json.dumps` do; `read_plain`
reads it from any layout, after `json`.

Nearly all answers of a trained model look so. Here they cost a few passes in list comprehensions instead of a loop
with a check for every way to go wrong. What differs is left to `read_states`, which gives the same result for these.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter, lt
from typing import Any, NamedTuple

from .locate import first_brace, opens_list
from .tracks import Box, Scale, Span, Track

_MAX_SECONDS = 4096
_MAX_UNITS = 2048
# Of a state in the usual layout, between its second and its label, and between its label and its box.
_BEFORE_LABEL, _BEHIND_LABEL = '": [{"label": "', '", "bbox_2d": ['


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

    What stands between a second and its box is the same in every state; a mark replaces it. Then the text is split at
    its commas, and each part is looked up with the marks and brackets that belong to it: what stands elsewhere or is
    spelled otherwise is in no table. So a text is read only if it is, character by character, what `format_answer`
    would write.

    Args:
        text: the model's text.
        seconds: K of the clip, or None.
        scale: units of the width and of the height; others than whole numbers up to 2048 are not read.
    """
    start = first_brace(text)
    if start < 0 or not text.startswith('{"', start) or not _whole(scale):
        return None
    key_end = text.find('"', start + 2)
    label_end = text.find('"', key_end + len(_BEFORE_LABEL))
    first_number = label_end + len(_BEHIND_LABEL)
    end = text.rfind("]}]}")
    if (
        end < first_number
        or not (text.startswith(_BEFORE_LABEL, key_end) and text.startswith(_BEHIND_LABEL, label_end))
        or text.find("{", end) >= 0  # it may be another answer
        or opens_list(text, start)
    ):
        return None
    label = text[key_end + len(_BEFORE_LABEL) : label_end]
    if "\\" in label or not label.isprintable():
        return None
    # "3": [{"label": "a", "bbox_2d": [0, 2, 4, 4]}], "4": ... is split into "3@  0  2  4  4]}]  "4@  ...
    parts = "@, ".join(text[start + 1 : end + 3].split(text[key_end:first_number])).split(", ")
    of_width, of_height = _shares_by_text(int(scale[0])), _shares_by_text(int(scale[1]))
    try:
        listed = [*map(_second_by_text().__getitem__, parts[::5])]
        sides = itemgetter(*parts[1::5], *parts[3::5])(of_width)
        top = [*map(of_height.__getitem__, parts[2::5])]
        bottom = [*map(_last_share_by_text(int(scale[1])).__getitem__, parts[4::5])]
    except (KeyError, TypeError):  # TypeError: there are no sides
        return None
    num_states = len(listed)
    if len(parts) != 5 * num_states:
        return None
    left, right = sides[:num_states], sides[num_states:]
    if not (all(map(lt, left, right)) and all(map(lt, top, bottom)) and all(map(lt, listed, listed[1:]))):
        return None
    if seconds is not None and listed[-1] >= seconds:
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


@lru_cache(maxsize=1)
def _second_by_text() -> dict[str, int]:
    return {f'"{second}@': second for second in range(_MAX_SECONDS)}


@lru_cache(maxsize=512)
def _shares_by_text(units: int) -> dict[str, float]:
    return {str(number): share for number, share in enumerate(_shares(units))}


@lru_cache(maxsize=512)
def _last_share_by_text(units: int) -> dict[str, float]:
    """Return the shares by the text of a box's last number, behind which the state's brackets close."""
    return {f"{number}]}}]": share for number, share in enumerate(_shares(units))}
