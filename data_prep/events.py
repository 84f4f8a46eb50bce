"""When a record's sentence happens, in whole seconds, whichever schema of the record says so.

Schema 1 has one event, `span`: its first and its last second. Schema 2 has `spans`, half-open times `[begin, end)`; or
`no_target`, where nothing in the clip fits the sentence; `task: temporal` says that nobody drew boxes. All other code
asks here, so that it need not know the schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from data_prep.record_shape import EVENTS_VERSION, GROUNDING_KINDS, SCHEMA_VERSION, TEMPORAL
from data_prep.record_type import Record
from stvg_rewards import Span
from stvg_rewards.spans import merge

FIELDS_OF_EVENTS = ("spans", "no_target", "task")
# A microsecond is what rounding adds to a time, and no part of a second that an event lasts.
_NOISE = 1e-6


def has_no_target(record: Mapping[str, Any]) -> bool:
    """Return whether nothing in the clip fits the record's sentence, so that the empty answer is right."""
    return record.get("schema") == EVENTS_VERSION and record.get("no_target") is True


def is_temporal(record: Mapping[str, Any]) -> bool:
    """Return whether the record says when its sentence happens, and nobody drew boxes."""
    return record.get("schema") == EVENTS_VERSION and record.get("task") == TEMPORAL


def is_judged(record: Mapping[str, Any]) -> bool:
    """Return whether an answer can be scored against the record: there are boxes, times, or surely no target."""
    return bool(record.get("track")) or has_no_target(record) or is_temporal(record)


def events_of(record: Mapping[str, Any]) -> list[Span]:
    """Return the record's events in order, each (first, last) second, both included; [] where none is stated.

    An event has every second that it reaches into. Events whose seconds meet or touch are one: no answer in whole
    seconds could tell them apart.

    >>> events_of({"schema": 1, "span": [2, 5]}), events_of({"schema": 2, "spans": [[2.5, 4], [7, 9.2]]})
    ([(2, 5)], [(2, 3), (7, 9)])
    >>> events_of({"schema": 2, "spans": [[0, 2.4], [2.6, 4]]}), events_of({"schema": 2, "no_target": True})
    ([(0, 3)], [])
    """
    if record.get("schema") != EVENTS_VERSION:
        span = record.get("span")
        return [(span[0], span[1])] if span else []
    events: list[Span] = []
    for first, last in sorted(map(_whole, record.get("spans") or ())):
        if events and first <= events[-1][1] + 1:
            events[-1] = (events[-1][0], max(last, events[-1][1]))
        else:
            events.append((first, last))
    return events


def _whole(span: Sequence[float]) -> Span:
    """Return the first and the last second that times [begin, end) reach into."""
    first = math.floor(span[0] + _NOISE)
    return first, max(first, math.ceil(span[1] - _NOISE) - 1)


def runs_of(seconds: Iterable[int], most_missing: int = 0) -> list[Span]:
    """Return seconds as spans in order, cut wherever more than `most_missing` seconds are left out.

    >>> runs_of([7, 1, 2, 5]), runs_of([1, 2, 5, 7], most_missing=2)
    ([(1, 2), (5, 5), (7, 7)], [(1, 7)])
    """
    runs: list[Span] = []
    for second in sorted(set(seconds)):
        if runs and second - runs[-1][1] - 1 <= most_missing:
            runs[-1] = (runs[-1][0], second)
        else:
            runs.append((second, second))
    return runs


def hull_of(events: Sequence[Span]) -> Span | None:
    """Return (first, last) second of all events together; None without any.

    >>> hull_of([(2, 3), (7, 9)])
    (2, 9)
    """
    return (events[0][0], events[-1][1]) if events else None


def num_seconds(events: Iterable[Span]) -> int:
    """Return how many seconds events have together.

    >>> num_seconds([(2, 3), (7, 9)])
    5
    """
    return sum(last - first + 1 for first, last in events)


def in_words(events: Sequence[Span]) -> str:
    """Return events as a phrase; "" without any.

    >>> in_words([(1, 2), (6, 6), (8, 9)])
    'from second 1 to 2, in second 6 and from second 8 to 9'
    """
    parts = [f"from second {first} to {last}" if last > first else f"in second {first}" for first, last in events]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def is_inside(second: int, events: Iterable[Span]) -> bool:
    """Return whether a second is one of the events'."""
    return any(first <= second <= last for first, last in events)


def times_of(record: Mapping[str, Any]) -> list[list[float]]:
    """Return the record's events as times [begin, end), as exactly as the record states them.

    >>> times_of({"schema": 1, "span": [2, 5]}), times_of({"schema": 2, "spans": [[2.5, 4]]})
    ([[2, 6]], [[2.5, 4]])
    """
    if record.get("schema") == EVENTS_VERSION:
        return [list(span) for span in record.get("spans") or []]
    return [[first, last + 1] for first, last in events_of(record)]


def spans_of(times: Iterable[Sequence[float]], seconds: int) -> list[list[float]]:
    """Return any times [begin, end) in the form of a record's `spans`: inside the clip, in order, apart.

    Times that overlap or touch are merged; what is empty, or outside the clip, is left out.

    Args:
        seconds: K of the clip.

    >>> spans_of([(8, 31), (0, 2), (2, 3.5), (40, 50)], seconds=30)
    [[0.0, 3.5], [8.0, 30.0]]
    """
    inside = ((max(0.0, begin), min(float(end), float(seconds))) for begin, end in times)
    return [[begin, end] for begin, end in merge(inside)]


def in_first_schema(record: Record) -> Record:
    """Return a valid record in schema 1 where that says all of it: one event in whole seconds, with boxes.

    >>> record = {"schema": 2, "kind": "tracking", "span": None, "track": [], "spans": [[2, 4.0]], "task": None}
    >>> in_first_schema(record)
    {'schema': 1, 'kind': 'tracking', 'span': [2, 3], 'track': []}
    """
    if record["schema"] == SCHEMA_VERSION or record["kind"] not in GROUNDING_KINDS:
        return record
    spans = record.get("spans") or []
    if has_no_target(record) or is_temporal(record) or len(spans) != 1 or any(time % 1 for time in spans[0]):
        return record
    begin, end = map(int, spans[0])
    older: dict[str, Any] = {name: value for name, value in record.items() if name not in FIELDS_OF_EVENTS}
    return cast(Record, older | {"schema": SCHEMA_VERSION, "span": [begin, end - 1]})
