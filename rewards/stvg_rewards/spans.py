"""Spans as text: reading "from 3.2 to 8 seconds", "[[3.2, 8], [12, 14]]" and the like, and their overlap."""

import json
import math
import re
from collections.abc import Iterable, Sequence

from .locate import after_reasoning

Interval = tuple[float, float]
"""(start, end) in seconds on the clip's clock, start < end."""

_CLOCK = r"\d{1,6}(?:\.\d{1,9})?(?::\d{1,2}(?:\.\d{1,9})?){0,2}"
_PAIR = re.compile(rf"({_CLOCK})\s?(?:s|sec|secs|seconds)?\s?(?:to|and|until|-|\u2013|,)\s?({_CLOCK})(?![\d:])", re.I)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)


def parse_intervals(text: str, *, duration: float | None = None) -> list[Interval]:
    """The intervals that a model's text names, merged and in order; [] where there are none.

    What follows the last closing reasoning tag counts, and of it the last <answer> part if there is one: a JSON list
    of pairs, or pairs of times in words, in seconds or as clock times. A pair that is inverted, empty or not finite is
    discarded; intervals are clipped to [0, duration].

    Args:
        text: anything that a model may write. It never raises.
        duration: the clip's length in seconds; None: no limit.

    >>> parse_intervals("<think>0 to 99?</think> It happens from 3.2 to 8 seconds.")
    [(3.2, 8.0)]
    >>> parse_intervals("<answer>[[12, 14], [3.5, 8], [7, 9]]</answer>", duration=13)
    [(3.5, 9.0), (12.0, 13.0)]
    >>> parse_intervals("between 0:05 and 1:05"), parse_intervals("at the end")
    ([(5.0, 65.0)], [])
    """
    text = text[after_reasoning(text) :]
    start = text.rfind("<answer>")
    match = _ANSWER.match(text, start) if start >= 0 else None
    text = match.group(1) if match else text
    pairs = _from_json(text)
    if pairs is None:
        pairs = [(_seconds(a), _seconds(b)) for a, b in _PAIR.findall(text)]
    limit = math.inf if duration is None else duration
    return merge((max(0.0, a), min(b, limit)) for a, b in pairs if math.isfinite(a) and math.isfinite(b))


def _from_json(text: str) -> list[Interval] | None:
    """Pairs of a text that is one JSON list of pairs, or one pair; None where it is something else."""
    text = text.strip().removeprefix("```json").strip("` \n\t")
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    rows = [value] if len(value) == 2 and all(_is_number(item) for item in value) else value
    return [(_to_float(row[0]), _to_float(row[1])) for row in rows if _is_pair(row)]


def _is_pair(row: object) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(_is_number(item) for item in row)


def _is_number(item: object) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _to_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def _seconds(clock: str) -> float:
    """Seconds of "7.5", "1:05" or "1:02:03".

    >>> _seconds("1:05")
    65.0
    """
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part)
    return total


def merge(intervals: Iterable[Sequence[float]]) -> list[Interval]:
    """Intervals in order, those that overlap or touch made one; inverted and empty ones left out.

    >>> merge([(5, 7), (0, 2), (6, 9), (3, 3)])
    [(0.0, 2.0), (5.0, 9.0)]
    """
    merged: list[Interval] = []
    for start, end in sorted((float(a), float(b)) for a, b in intervals if a < b):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def interval_iou(predicted: Iterable[Sequence[float]], true: Iterable[Sequence[float]]) -> float:
    """Length of the intersection over length of the union of two sets of intervals, 0 to 1.

    One interval on each side gives the usual temporal IoU; gaps count, so the hull of two events is not both.

    >>> interval_iou([(0, 4)], [(2, 6)])  # 2 of 6 seconds
    0.3333333333333333
    >>> interval_iou([(0, 10)], [(0, 2), (8, 10)])
    0.4
    """
    ours, theirs = merge(predicted), merge(true)
    shared, i, j = 0.0, 0, 0
    while i < len(ours) and j < len(theirs):
        shared += max(0.0, min(ours[i][1], theirs[j][1]) - max(ours[i][0], theirs[j][0]))
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    total = sum(end - start for start, end in ours) + sum(end - start for start, end in theirs)
    return shared / (total - shared) if total > shared else 0.0
