"""Reading an answer whose boxes are in another order than the parser's."""

from __future__ import annotations

import math
import re

from stvg_rewards import Answer, parse_answer

_NUMBER = r"\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*"
_FOUR = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


def in_corners(text: str, order: str) -> str:
    """Return an answer's text with each list of four numbers as [x_min, y_min, x_max, y_max].

    Text and not values, so that the parser's rules for broken and cut answers stay the only ones.

    Args:
        order: the text's own order: "xyxy", "yxyx" or "xywh", see `stvg_rewards.prompts.box_format`.

    >>> in_corners('{"2": [{"label": "a", "bbox_2d": [20, 10, 40, 30]}]}', "yxyx")
    '{"2": [{"label": "a", "bbox_2d": [10, 20, 30, 40]}]}'
    >>> in_corners("[10, 20, 5, 7.5]", "xywh")
    '[10, 20, 15, 27.5]'
    """
    if order == "xyxy":
        return text
    return _FOUR.sub(_swapped if order == "yxyx" else _ended, text)


def _swapped(found: re.Match[str]) -> str:
    top, left, bottom, right = found.groups()
    return f"[{left}, {top}, {right}, {bottom}]"


def _ended(found: re.Match[str]) -> str:
    left, top, width, height = found.groups()
    right, bottom = float(left) + float(width), float(top) + float(height)
    if not (math.isfinite(right) and math.isfinite(bottom)):
        return "[]"  # no box: what stands there must not be taken for corners
    return f"[{left}, {top}, {_shortest(right)}, {_shortest(bottom)}]"


def _shortest(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def read_answer(text: str, *, seconds: int, order: str, scale: tuple[float, float]) -> Answer:
    """Read an answer in a given order and unit of boxes; it never raises for anything that a model may write.

    Args:
        seconds: of the clip, or of the part of it that was asked about.
        order: of a box's numbers.
        scale: (x, y) that the numbers are divided by to give [0, 1] of the picture.
    """
    return parse_answer(in_corners(text, order), seconds=seconds, scale=scale)
