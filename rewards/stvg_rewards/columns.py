"""Read what a reward function receives: completions, and the data set's columns that hold the truth.

Columns may be as JSON has them, or as pandas, Parquet and numpy do (`stvg_rewards.data_frames`).
"""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

from .data_frames import read_items, to_python, whole
from .tracks import Box, Scale, Span, Track

# What rounding to single precision can add to a box that ends at the picture's edge.
_TOLERANCE = 1e-6
_NUMBERS = frozenset((int, float))


def completion_text(completion: Any) -> str:
    """Return the text of a completion: a plain string, or the last assistant message of a conversation.

    Raises:
        TypeError: the completion is neither a string nor a conversation.

    >>> completion_text([{"role": "assistant", "content": [{"type": "text", "text": "{}"}]}])
    '{}'
    """
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, list):
        completion = to_python(completion)
    if not isinstance(completion, list) or not all(isinstance(message, dict) for message in completion):
        raise TypeError(f"completion: got {_short(completion)}, expected a string or a list of messages")
    for message in reversed(completion):
        if message.get("role", "assistant") == "assistant":
            content = message.get("content")
            if isinstance(content, list):
                return "".join(part.get("text") or "" for part in content if part.get("type", "text") == "text")
            return content or ""
    return ""


def check_column(name: str, column: Sequence[Any] | None, num_rows: int) -> Sequence[Any]:
    """Return the column, or one None for each completion where there is no column.

    Raises:
        ValueError: the column does not have one value for each completion.
    """
    if column is None:
        return [None] * num_rows
    if len(column) != num_rows:
        raise ValueError(f"column {name!r} has {len(column)} values for {num_rows} completions: expected one for each")
    return column


def read_track(value: Any, row: int) -> Track | None:
    """Return the true track of a row, `[{"second": int, "box": [x_min, y_min, x_max, y_max]}, ...]`; None without one.

    Raises:
        ValueError: the track is wrong. It would change the scores silently otherwise.
    """
    value = read_items(value)
    if not value:
        return None
    try:
        boxes: dict[int, Box] = {
            state["second"]: (left, top, right, bottom)
            for state in value
            for left, top, right, bottom in (state["box"],)
            if 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        }
    except (TypeError, KeyError, ValueError):
        boxes = {}
    # Of the usual track all is right at once. Any other is looked at state by state, to accept it or to say why not.
    if len(boxes) == len(value) and _right_types(boxes):
        return Track("", boxes)
    return Track("", _check_states(value, row))


def _right_types(boxes: dict[int, Box]) -> bool:
    return (
        set(map(type, boxes)) == {int}
        and min(boxes) >= 0
        and _NUMBERS.issuperset(map(type, chain.from_iterable(boxes.values())))
    )


def _check_states(value: Any, row: int) -> dict[int, Box]:
    boxes: dict[int, Box] = {}
    value = to_python(value)
    for state in value if isinstance(value, list) else [value]:
        try:
            second, box = whole(state["second"]), tuple(state["box"])
            if isinstance(second, list):  # a dict of lists that are not equally long
                raise TypeError
        except (TypeError, KeyError):
            raise ValueError(
                f"column 'track' row {row}: got {_short(state)}, "
                "expected {'second': int, 'box': [x_min, y_min, x_max, y_max]}"
            ) from None
        fault = _fault_of(second, box)
        if fault is None and second in boxes:
            fault = "it is there twice"
        if fault is not None:
            raise ValueError(f"column 'track' row {row} second {second!r}: {fault}")
        boxes[second] = box
    return boxes


def _fault_of(second: Any, box: tuple[Any, ...]) -> str | None:
    if type(second) is not int or second < 0:
        return "expected a whole number from 0"
    if len(box) != 4 or not all(isinstance(number, (int, float)) and math.isfinite(number) for number in box):
        return f"box {_short(list(box))} is not four finite numbers"
    if not all(-_TOLERANCE <= number <= 1 + _TOLERANCE for number in box):
        return f"box {list(box)} is not normalised to [0, 1]: divide by the width and height"
    if box[0] >= box[2] or box[1] >= box[3]:
        return f"box {list(box)} is empty or inverted (order: x_min, y_min, x_max, y_max)"
    return None


def read_span(value: Any, row: int) -> Span | None:
    """Return the true span of a row, [first, last] seconds, both included; None if the row has none.

    Raises:
        ValueError: it is something else.
    """
    if value is None:
        return None
    if not _is_span(value):
        given, value = value, to_python(value)
        if value is None:
            return None
        value = [whole(second) for second in value] if isinstance(value, list) else value
        if not _is_span(value):
            raise ValueError(
                f"column 'span' row {row}: got {_short(given)}, expected [first, last] seconds, 0 <= first <= last"
            )
    return (value[0], value[1])


def _is_span(value: Any) -> bool:
    return _is_pair(value) and all(type(second) is int for second in value) and 0 <= value[0] <= value[1]


def read_spans(value: Any, row: int) -> list[Span] | None:
    """Return the true spans of a row whose sentence has several events, in order; None if it has none.

    Raises:
        ValueError: it is no list of spans that neither meet nor touch.
    """
    if value is None or (value := to_python(value)) is None:
        return None
    if not isinstance(value, list) or not value:
        raise ValueError(f"column 'spans' row {row}: got {_short(value)}, expected a list of [first, last] seconds")
    spans = sorted(span for one in value if (span := read_span(one, row)) is not None)
    if len(spans) < len(value) or any(before[1] >= after[0] for before, after in zip(spans, spans[1:], strict=False)):
        raise ValueError(
            f"column 'spans' row {row}: got {_short(value)}, expected [first, last] seconds that share no second"
        )
    return spans


def read_flag(name: str, value: Any, row: int) -> bool:
    """Return what a column of yes and no says of a row; nothing is no.

    Raises:
        ValueError: it is no boolean.
    """
    if value is None or type(value) is bool:
        return bool(value)
    if (value := to_python(value)) is None or type(value) is bool:
        return bool(value)
    raise ValueError(f"column {name!r} row {row}: got {_short(value)}, expected true, false or nothing")


def read_scale(value: Any, row: int) -> Scale:
    """Return the units of the width and of the height of a row's boxes in model text; (1000, 1000) if it has none.

    Raises:
        ValueError: it is something else.
    """
    if value is None or (not _is_pair(value) and (value := to_python(value)) is None):
        return (1000, 1000)
    if _is_pair(value) and not _NUMBERS.issuperset(map(type, value)):
        value = to_python(value)
    if not _is_pair(value) or not all(isinstance(units, (int, float)) and 0 < units < math.inf for units in value):
        raise ValueError(f"column 'box_scale' row {row}: got {_short(value)}, expected two positive numbers")
    return (value[0], value[1])


def read_seconds(value: Any, row: int) -> int | None:
    """Return the number of seconds of a row's clip; None if it is not given.

    Raises:
        ValueError: it is something else.
    """
    if value is None or (type(value) is not int and (value := whole(to_python(value))) is None):
        return None
    if type(value) is not int or value < 1:
        raise ValueError(f"column 'seconds' row {row}: got {_short(value)}, expected a whole number of at least 1")
    return value


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
