"""Reward temporal grounding only: the answer is one or several time spans in words or as a JSON list.

Columns: `intervals`, a list of [start, end] in seconds (half-open, floats), None or empty for rows of other tasks; and
`duration`, the clip's length in seconds.
"""

import math
from collections.abc import Sequence
from typing import Any

from .columns import check_column, completion_text
from .data_frames import to_python
from .spans import Interval, interval_iou, merge, parse_intervals


def interval_reward(
    completions: Sequence[Any], intervals: Sequence[Any], duration: Sequence[Any] | None = None, **kwargs: Any
) -> list[float | None]:
    """Return the IoU of the answer's and the true intervals, as sets of seconds; 0 to 1.

    For one interval this is the usual reward of temporal grounding, as in Time-R1 (Wang et al., 2025) and VideoChat-R1
    (Li et al., 2025). For several it is the length of the intersection over that of the union.

    >>> interval_reward(["from 2 to 6 s", "[[0, 1], [3, 4]]", "no idea", "x"], [[[0, 4]], [[0, 1]], [[0, 1]], None])
    [0.3333333333333333, 0.5, 0.0, None]
    """
    return [None if row is None else interval_iou(row[0], row[1]) for row in _rows(completions, intervals, duration)]


def scaled_interval_reward(
    completions: Sequence[Any], intervals: Sequence[Any], duration: Sequence[Any], **kwargs: Any
) -> list[float | None]:
    """Return IoU * (1 - |start error| / duration) * (1 - |end error| / duration): Time-R1's timestamp-aware IoU.

    Source: Time-R1 (Wang et al., 2025). Where there are several intervals, start and end are those of their hull. The
    reward tells answers of equal IoU apart by the errors of their ends.

    >>> scaled_interval_reward(["2 to 6"], [[[0, 4]]], [20])  # 1/3 * (1 - 2/20) * (1 - 2/20)
    [0.27]
    """
    rewards: list[float | None] = []
    for row in _rows(completions, intervals, duration):
        if row is None or not row[0]:
            rewards.append(None if row is None else 0.0)
            continue
        ours, theirs, length = row
        if length is None:
            raise ValueError("column 'duration': got None, expected the clip's length in seconds")
        off = (abs(ours[0][0] - theirs[0][0]), abs(ours[-1][1] - theirs[-1][1]))
        scale = max(0.0, 1 - off[0] / length) * max(0.0, 1 - off[1] / length)
        rewards.append(round(interval_iou(ours, theirs) * scale, 12))
    return rewards


def generalised_interval_reward(
    completions: Sequence[Any], intervals: Sequence[Any], duration: Sequence[Any] | None = None, **kwargs: Any
) -> list[float | None]:
    """Return (1 + generalised IoU) / 2, 0 to 1: of intervals that do not meet, nearer ones get more.

    Source: generalised IoU (Rezatofighi et al., CVPR 2019) in one dimension: IoU - (hull - union) / hull. An answer
    without intervals gets 0, equal intervals get 1.

    >>> generalised_interval_reward(["0 to 2", "0 to 2", "?"], [[[0, 2]], [[6, 8]], [[0, 2]]])  # (1 + 0 - 4/8) / 2
    [1.0, 0.25, 0.0]
    """
    rewards: list[float | None] = []
    for row in _rows(completions, intervals, duration):
        if row is None or not row[0]:
            rewards.append(None if row is None else 0.0)
            continue
        both = merge([*row[0], *row[1]])
        hull, union = both[-1][1] - both[0][0], sum(end - start for start, end in both)
        rewards.append((1 + interval_iou(row[0], row[1]) - (hull - union) / hull) / 2)
    return rewards


def _rows(
    completions: Sequence[Any], intervals: Sequence[Any], duration: Sequence[Any] | None
) -> list[tuple[list[Interval], list[Interval], float | None] | None]:
    """Return (predicted, true, duration) of each row; None for rows of other tasks."""
    rows: list[tuple[list[Interval], list[Interval], float | None] | None] = []
    columns = zip(
        completions,
        check_column("intervals", intervals, len(completions)),
        check_column("duration", duration, len(completions)),
        strict=True,
    )
    for number, (completion, true, length) in enumerate(columns):
        true, length = to_python(true), to_python(length)
        if not true:
            rows.append(None)
            continue
        if length is not None and not (isinstance(length, (int, float)) and 0 < length < math.inf):
            raise ValueError(f"column 'duration' row {number}: got {length!r}, expected seconds above 0")
        spans = _true_intervals(true, number)
        rows.append((parse_intervals(completion_text(completion), duration=length), spans, length))
    return rows


def _true_intervals(value: Any, row: int) -> list[Interval]:
    try:
        pairs = [(float(start), float(end)) for start, end in value]
    except (TypeError, ValueError):
        raise ValueError(f"column 'intervals' row {row}: got {value!r}, expected [[start, end], ...]") from None
    for start, end in pairs:
        if not (0 <= start < end < math.inf):
            raise ValueError(f"column 'intervals' row {row}: [{start}, {end}], expected 0 <= start < end, seconds")
    return merge(pairs)
