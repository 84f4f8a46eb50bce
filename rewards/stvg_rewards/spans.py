"""Read time spans from text, such as "from 3.2 to 8 seconds" or "[[3.2, 8], [12, 14]]", and compute their overlap."""

import json
import math
import re
from collections.abc import Iterable, Sequence

from .locate import after_reasoning

Interval = tuple[float, float]
"""(start, end) in seconds on the clip's clock, start < end."""

# Not from the middle of a number, which a long one has many of.
_CLOCK = r"(?<!\d)\d{1,6}(?:\.\d{1,9})?(?::\d{1,2}(?:\.\d{1,9})?){0,2}"
_UNIT = r"(?:s|secs?|seconds?)"
# Each part is optional and short, so matching takes linear time.
_PAIR = re.compile(
    rf"({_CLOCK})[\"']?\s?{_UNIT}?\s?(?:to|and|until|-|\u2013|,)\s?{_UNIT}?\s?[\"']?({_CLOCK})(?![\d:])", re.I
)
# "start": 5, "end": 12, in JSON or in words; what stands between the two is short.
_OF = r"(?:[ _]?(?:time|second))?[\"']?\s?[:=]\s?[\"']?"
_NAMED = re.compile(
    rf"\b(?:start|begin){_OF}({_CLOCK})[\"']?\s?{_UNIT}?[\"']?\s?[,;]?\s{{0,9}}[\"']?end{_OF}({_CLOCK})(?![\d:])", re.I
)
_TIME = re.compile(rf"\s?{_UNIT}?\s?({_CLOCK})\s?{_UNIT}?\s?", re.I)
_STARTS = ("start", "start_time", "start_second", "begin")
_ENDS = ("end", "end_time", "end_second")
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)


def parse_intervals(text: str, *, duration: float | None = None) -> list[Interval]:
    """Return the intervals that a model's text names, merged and in order; [] where there are none.

    What follows the last closing reasoning tag counts, and of it the last <answer> part if there is one: in JSON a
    list of pairs, one pair, or {"start": ..., "end": ...}, one or a list of them; or pairs of times in words. Times
    are seconds or clock times. A pair that is inverted, empty or not finite is
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
    >>> parse_intervals('[["00:05", "00:12"]]') == parse_intervals('{"start": 5, "end": 12}')
    True
    >>> parse_intervals("from second 5 to second 12")
    [(5.0, 12.0)]
    """
    text = text[after_reasoning(text) :]
    start = text.rfind("<answer>")
    match = _ANSWER.match(text, start) if start >= 0 else None
    text = match.group(1) if match else text
    pairs = _from_json(text)
    if pairs is None:
        pairs = [(_seconds(a), _seconds(b)) for a, b in _NAMED.findall(text) or _PAIR.findall(text)]
    limit = math.inf if duration is None else duration
    return merge((max(0.0, a), min(b, limit)) for a, b in pairs if math.isfinite(a) and math.isfinite(b))


def _from_json(text: str) -> list[Interval] | None:
    """Return the pairs of a text that is JSON and nothing else; None where it is no list or object of times."""
    text = text.strip().removeprefix("```json").strip("` \n\t")
    if not text.startswith(("[", "{")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        return None if (pair := _pair(value)) is None else [pair]
    one = _pair(value)
    return [one] if one is not None else [pair for row in value if (pair := _pair(row)) is not None]


def _pair(row: object) -> Interval | None:
    """Return (start, end) of [start, end] or of {"start": ..., "end": ...}; None for anything else."""
    if isinstance(row, dict):
        named = [next((row[name] for name in names if name in row), None) for names in (_STARTS, _ENDS)]
        return _pair(named)
    if not isinstance(row, list) or len(row) != 2:
        return None
    start, end = map(_time, row)
    return None if start is None or end is None else (start, end)


def _time(item: object) -> float | None:
    """Return the seconds of a number, or of a text such as "5", "5 s", "second 5" and "00:05"; else None."""
    if isinstance(item, str):
        match = _TIME.fullmatch(item)
        return _seconds(match.group(1)) if match else None
    return _to_float(item) if isinstance(item, (int, float)) and not isinstance(item, bool) else None


def _to_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def _seconds(clock: str) -> float:
    """Return the seconds of a clock time such as "7.5", "1:05" or "1:02:03".

    >>> _seconds("1:05")
    65.0
    """
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part)
    return total


def merge(intervals: Iterable[Sequence[float]]) -> list[Interval]:
    """Return the intervals in order, with those that overlap or touch merged and inverted and empty ones left out.

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
    """Return length of the intersection / length of the union of two sets of intervals, 0 to 1.

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
