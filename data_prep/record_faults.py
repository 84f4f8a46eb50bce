"""Word what is wrong with a record in one line: which field or second, what was found, what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data_prep.record_shape import (
    EVENTS_VERSION,
    GROUNDING_KINDS,
    KINDS,
    MAX_SIDE,
    SCHEMA_VERSION,
    TEMPORAL,
    TEXT_KINDS,
    EventsRecord,
    NoTargetRecord,
    TemporalRecord,
    shape_of,
)
from data_prep.seconds import LIMIT_NAME, most_seconds

EDGES = ("x_min", "y_min", "x_max", "y_max")
TEXT = "text that is not blank"
SIDE = f"a whole number from 1 to {MAX_SIDE}"
EXPECTED = {
    "schema": str(SCHEMA_VERSION),
    "kind": f"one of {', '.join(KINDS)}",
    "video": "a path under the video root",
    "fps": "a finite number above 0",
    "rate": "frames a second, above 0 and at most 1000, or null",
    "width": SIDE,
    "height": SIDE,
    "clip": "[start_s, end_s], two finite numbers of at least 0",
    "span": "[first, last], two whole seconds of at least 0",
    "track": "a list of {second, box}",
    "tracks": "a list of {label, track}, at least one",
    "spans": "[[begin, end), ...], pairs of seconds of at least 0, at least one",
    "no_target": "true, false or null",
    "task": f"{TEMPORAL} or null",
}
# What schema 2 says otherwise, by shape.
_OF_EVENTS: dict[type, dict[str, str]] = {
    EventsRecord: {
        "span": "null in schema 2, which has spans",
        "spans": f"{EXPECTED['spans']}, or no_target: true instead (schema 2)",
        "track": f"a list of {{second, box}}, at least one, or task: {TEMPORAL} where nobody drew boxes",
    },
    TemporalRecord: {
        "span": "null in schema 2, which has spans",
        "track": f"null for task {TEMPORAL}, which has no boxes",
    },
    NoTargetRecord: dict.fromkeys(("span", "spans", "track", "task"), "null where no_target is true"),
}
_WHERE = re.compile(r" - at `(?:key` in `)?\$(.*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


class Fault(Exception):
    """Say what is wrong, before it is known which record and line it is in."""


def quote(value: Any, limit: int = 80) -> str:
    """Return a value as it stands in a one-line message: printable, and cut after `limit` characters."""
    if isinstance(value, str):
        text = value[: limit + 1]
    elif isinstance(value, (list, tuple, Mapping)) and len(value) > 8:
        text = f"{type(value).__name__} of {len(value)} entries"
    else:
        try:
            text = repr(value)
        except (ValueError, RecursionError):  # an integer of thousands of digits; a list nested too deeply
            text = f"a {type(value).__name__} too long to show"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def field_fault(field: str, owner: Mapping[str, Any], expected: str) -> Fault:
    """Return the fault of one field of a record, or of an object of a scene."""
    value = quote(owner[field]) if field in owner else "missing"
    return Fault(f"field {field}: {value}, expected {expected}")


def expected_of(field: str, record: Mapping[str, Any]) -> str:
    """Return what a field of a record of this kind must be."""
    kind, known = record["kind"], _OF_EVENTS.get(shape_of(record) or object, {})
    if field in known:
        return known[field]
    if field == "schema":
        return f"{SCHEMA_VERSION} or {EVENTS_VERSION}" if kind in GROUNDING_KINDS else str(SCHEMA_VERSION)
    if field in ("spans", "no_target") and not known:
        return f"none in schema {SCHEMA_VERSION}" if kind in GROUNDING_KINDS else f"none for kind {kind}"
    if field in ("label", "span", "track") and kind in TEXT_KINDS:
        return f"null for kind {kind}"
    if field == "track" and kind == "scene":
        return "null for kind scene, which has tracks"
    if field == "tracks" and kind != "scene":
        return f"none for kind {kind}"
    if field == "seconds":
        value = record.get("seconds")
        raised = f" ({LIMIT_NAME} raises it)" if type(value) is int and value > 1 else ""
        return f"a whole number from 1 to {most_seconds()}{raised}"
    return EXPECTED.get(field, TEXT)


def fault_of(message: str, record: Mapping[str, Any]) -> Fault:
    """Return, in the words of this package, the fault that msgspec found in a record of a known kind.

    Args:
        message: that of msgspec's ValidationError, which ends in the path of the wrong value.
        record: what msgspec was given.

    >>> print(fault_of("Expected `int`, got `str` - at `$.width`", {"kind": "qa", "width": "640"}))
    field width: 640, expected a whole number from 1 to 1048576
    """
    if shape_of(record) is EventsRecord and record.get("task") is not None:  # it decides which fields are due
        return field_fault("task", record, EXPECTED["task"])
    match = _WHERE.search(message)
    path = [name or int(index) for name, index in _STEP.findall(match[1] if match else "")]
    if missing := _MISSING.search(message):
        path.append(missing[1])
    match path:
        case ["tracks", int(index), *rest]:
            entry = record["tracks"][index]
            if not rest or not isinstance(entry, Mapping) or "track" not in entry:
                return Fault(f"field tracks[{index}]: {quote(entry)}, expected {{label, track}}")
            if len(rest) == 1:
                return Fault(f"tracks[{index}] {field_fault(str(rest[0]), entry, EXPECTED.get(str(rest[0]), TEXT))}")
            return _state_fault(entry["track"][rest[1]], int(rest[1]), rest[2:], f"tracks[{index}] ")
        case ["track", int(index), *rest]:
            return _state_fault(record["track"][index], index, rest, "")
        case [str(field), *_]:
            return field_fault(field, record, expected_of(field, record))
    return Fault(quote(message, 120))


def _state_fault(state: Any, index: int, path: list[str | int], owner: str) -> Fault:
    """Return the fault of a track's entry; `path` leads from the entry to the value."""
    if not isinstance(state, Mapping) or "second" not in state or "box" not in state:
        return Fault(f"{owner}field track[{index}]: {quote(state)}, expected {{second, box}}")
    if path[0] == "second":
        value = quote(state["second"])
        return Fault(f"{owner}field track[{index}].second: {value}, expected a whole number of at least 0")
    where = f"{owner}second {quote(state['second'])}"
    if len(path) == 1:
        return Fault(f"{where}: box {quote(state['box'])}, expected [{', '.join(EDGES)}]")
    edge = int(path[1])
    return Fault(f"{where}: {EDGES[edge]} {quote(state['box'][edge])}, expected a number from 0 to 1 (normalised)")
