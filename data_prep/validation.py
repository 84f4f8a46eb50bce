"""Check records, new ones and read ones: each is valid or ends in one clear line.

The fields are declared in `data_prep/record_shape.py` and checked by msgspec; here is what they cannot say of each
other.
"""

import math
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import msgspec

from data_prep.events import events_of, hull_of, is_inside
from data_prep.record_faults import EDGES, TEXT, Fault, expected_of, fault_of, field_fault, quote
from data_prep.record_shape import (
    GROUNDING_KINDS,
    KINDS,
    SCHEMA_VERSION,
    TEXT_KINDS,
    AnyRecord,
    State,
    shape_of,
)
from data_prep.record_type import Record
from data_prep.seconds import length_problem, most_seconds

__all__ = [
    "FIELDS",
    "GROUNDING_KINDS",
    "KINDS",
    "SCHEMA_VERSION",
    "TEXT_KINDS",
    "RecordError",
    "check_clip",
    "check_video_path",
    "quote",
    "validate_record",
]

FIELDS = (
    "schema", "id", "source", "split", "kind", "video", "clip", "fps", "width", "height", "seconds", "query",
    "label", "span", "track", "answer",
)  # fmt: skip
_TEXTS = ("id", "source", "split", "query", "label", "answer")
_MOST_RATE = 1000


class RecordError(ValueError):
    """Say in one line why a record, or a line that should hold one, is not valid."""


def validate_record(record: Any, where: str = "") -> Record:
    """Check one record and return it as a new dict: the fields of `FIELDS` in order, then the added ones.

    A field that its kind lets be null may be missing and comes back as None: `answer` for grounding kinds and
    scenes; `label`, `span`, `track`, `fps`, `width`, `height`, `clip` and `seconds` for captions and questions
    (a null clip is the whole file); `label`, `span`, `track` and `answer` for scenes, which have `tracks`. A record of
    schema 2 has `spans` in place of `span`; it may lack `track`, `label`, `fps`, `width` and `height` with
    `task: temporal`, and has none of `spans` and `track` with `no_target: true`.

    Args:
        record: what was read or is to be written.
        where: file and line, or whatever says where the record stands; it opens the error's message.

    Raises:
        RecordError: naming the record's id, the field, what was found and what was expected.

    Example:
        >>> record = {"schema": 1, "id": "demo/0", "source": "demo", "split": "train", "kind": "declarative",
        ...     "video": "a/0.mp4", "clip": [0, 3], "fps": 30, "width": 64, "height": 48, "seconds": 3,
        ...     "query": "the dog runs", "label": "dog-1", "span": [1, 2],
        ...     "track": [{"second": 1, "box": [0.44, 0.1, 0.31, 0.2]}]}
        >>> validate_record(record, "tracks.jsonl:7")
        Traceback (most recent call last):
        data_prep.validation.RecordError: tracks.jsonl:7: record demo/0 second 1: x_max 0.31 < x_min 0.44
    """
    prefix = f"{where}: " if where else ""
    if not isinstance(record, Mapping):
        raise RecordError(f"{prefix}{quote(record)}, expected a record (a JSON object)")
    try:
        _check(record)
    except Fault as fault:
        record_id = record.get("id")
        name = f"record {quote(record_id, 200)}" if isinstance(record_id, str) and record_id else "record without id"
        raise RecordError(f"{prefix}{name} {fault}") from None
    if tuple(record)[: len(FIELDS)] == FIELDS:
        return cast(Record, dict(record))
    extra = {field: value for field, value in record.items() if field not in FIELDS}
    return cast(Record, {field: record.get(field) for field in FIELDS} | extra)


def check_video_path(path: Any) -> str:
    """Return a relative POSIX path that stays under its root as it is.

    Raises:
        RecordError: The path is anything else.
    """
    try:
        _check_path(path)
    except Fault as fault:
        raise RecordError(str(fault)) from None
    return cast(str, path)


def check_clip(record: Mapping[str, Any], where: str) -> None:
    """Check `clip` and `seconds` of a line that is no whole record.

    Raises:
        RecordError: One of them is missing, or they do not fit each other.
    """
    stated = {name: record.get(name) for name in ("clip", "seconds")}
    others = dict.fromkeys(("id", "source", "split", "query", "video", "answer"), "-")
    try:
        for name, value in stated.items():
            if value is None:
                raise field_fault(name, record, "clip and seconds together, or neither")
        _check({"schema": SCHEMA_VERSION, "kind": "qa", **others, **stated})
    except Fault as fault:
        raise RecordError(f"{where}: {fault}") from None


def _check(record: Mapping[str, Any]) -> None:
    """Raise a Fault if a record is not valid."""
    shape = shape_of(record)
    if shape is None:
        raise field_fault("kind", record, f"one of {', '.join(KINDS)}")
    try:
        typed: AnyRecord = msgspec.convert(record, shape)
    except (msgspec.ValidationError, UnicodeEncodeError):
        try:
            typed = msgspec.convert(_builtin(record), shape)
        except msgspec.ValidationError as error:
            raise fault_of(str(error), record) from None
    _check_texts(record)
    _check_path(record["video"])
    if typed.fps is not None and typed.fps == math.inf:
        raise field_fault("fps", record, expected_of("fps", record))
    _check_clock(typed, record)
    if typed.no_target and typed.schema == SCHEMA_VERSION:
        raise field_fault("no_target", record, expected_of("no_target", record))
    span = (typed.span[0], typed.span[1]) if typed.span else None
    seconds = typed.seconds or 0
    if span and not span[0] <= span[1] < seconds:
        raise field_fault("span", record, f"0 <= first <= last <= {seconds - 1}")
    if typed.spans:
        _check_spans(typed.spans, seconds, record)
        span = hull_of(events_of(record))
    if typed.track:
        if typed.spans:
            _check_inside(typed.track, record)
        _check_track(typed.track, span, seconds, "", record["track"])
    for index, entry in enumerate(typed.tracks or ()):
        raw = record["tracks"][index]
        if not _is_text(raw["label"]):
            raise Fault(f"tracks[{index}] {_text_fault('label', raw)}")
        _check_track(entry.track, span, seconds, f"tracks[{index}] ", raw["track"])


def _builtin(value: Any) -> Any:
    """Return a value with what msgspec does not take, such as numpy's floats and halves of surrogates, replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_builtin(entry) for entry in value]
    if isinstance(value, Mapping):
        return {key: _builtin(entry) for key, entry in value.items() if isinstance(key, str)}
    return value


def _is_text(text: str) -> bool:
    """Return whether a text is not blank and can be written as UTF-8."""
    if text.isascii():
        return text != "" and not text.isspace()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not text.isspace()


def _text_fault(field: str, owner: Mapping[str, Any]) -> Fault:
    blank = not owner[field].strip()
    return field_fault(field, owner, TEXT if blank else "Unicode text (it holds half of a surrogate pair)")


def _check_texts(record: Mapping[str, Any]) -> None:
    for field in _TEXTS:
        text = record.get(field)
        if text is not None and not _is_text(text):
            raise _text_fault(field, record)


def _check_path(path: Any) -> None:
    if not isinstance(path, str) or not path:
        problem = "expected a path under the video root"
    elif "\0" in path or "\\" in path:
        problem = "expected a path with / and without backslashes or NUL"
    elif path[0] == "/":
        problem = "an absolute path, expected one relative to the video root"
    elif not {"", ".", ".."}.isdisjoint(path.split("/")):
        problem = 'expected a path without empty, "." or ".." parts'
    elif not _is_text(path) and not path.isspace():
        problem = "expected Unicode text (it holds half of a surrogate pair)"
    else:
        return
    raise Fault(f"field video: {quote(path)}, {problem}")


def _check_clock(typed: AnyRecord, record: Mapping[str, Any]) -> None:
    """Check the length of the clip against the limits, the rate and the ends of the clip."""
    seconds, rate = typed.seconds, typed.rate
    if rate is not None and rate > _MOST_RATE:
        raise field_fault("rate", record, expected_of("rate", record))
    if seconds is not None:
        if seconds > most_seconds():
            raise field_fault("seconds", record, expected_of("seconds", record))
        if rate is not None and (problem := length_problem(seconds, record["rate"])):
            raise Fault(f"field rate: {problem}")
    if typed.clip is None:
        return
    start, end = record["clip"]
    if end == math.inf or start == math.inf:
        raise field_fault("clip", record, expected_of("clip", record))
    if not start < end:
        raise field_fault("clip", record, "0 <= start_s < end_s")
    # The last second holds a frame, so the clip reaches at least to its beginning.
    if seconds is not None and seconds - 1 > end - start + 1e-3:
        most = math.floor(end - start) + 1
        raise field_fault("seconds", record, f"at most {most} for clip {quote(record['clip'])}")


def _check_spans(spans: list[list[float]], seconds: int, record: Mapping[str, Any]) -> None:
    """Check that events have a length, lie inside the clip, and stand in order with time between them."""
    previous = -1.0
    for index, (begin, end) in enumerate(spans):
        shown = f"field spans[{index}]: {quote(record['spans'][index])}"
        if not begin < end <= seconds:  # infinity is beyond any clip
            raise Fault(f"{shown}, expected 0 <= begin < end <= {seconds}, the clip's seconds")
        if begin <= previous:
            touches = begin == previous
            after = quote(record["spans"][index - 1])
            problem = "it touches the one before: one event is one span" if touches else "expected increasing spans"
            raise Fault(f"{shown} after {after}, {problem}")
        previous = end


def _check_inside(track: list[State], record: Mapping[str, Any]) -> None:
    """Check that boxes lie in seconds of an event, and not between events."""
    events = events_of(record)
    for state in track:
        if not is_inside(state.second, events):
            raise Fault(f"second {state.second}: expected a second inside spans {quote(record['spans'])}")


def _check_track(track: list[State], span: tuple[int, int] | None, seconds: int, owner: str, raw: Any) -> None:
    """Check that the seconds increase inside the span or clip, and that each box has an inside.

    Args:
        raw: the track as it arrived; messages show its numbers.
    """
    first, last = span or (0, seconds - 1)
    previous = first - 1
    for index, state in enumerate(track):
        second = state.second
        x_min, y_min, x_max, y_max = state.box
        if not (previous < second <= last and x_min < x_max and y_min < y_max):
            _refuse_state(second, raw[index]["box"], previous, span, (first, last), owner)
        previous = second


def _refuse_state(
    second: int, box: Any, previous: int, span: tuple[int, int] | None, allowed: tuple[int, int], owner: str
) -> NoReturn:
    """Raise the Fault of a state whose values are right one by one."""
    if not allowed[0] <= second <= allowed[1]:
        inside = f"span {list(span)}" if span else f"the clip's seconds {list(allowed)}"
        raise Fault(f"{owner}second {quote(second)}: expected a second inside {inside}")
    if second <= previous:
        raise Fault(f"{owner}second {second}: after second {previous}, expected increasing seconds")
    axis = 0 if not box[0] < box[2] else 1
    low, high = box[axis], box[axis + 2]
    raise Fault(f"{owner}second {second}: {EDGES[axis + 2]} {high} {'<' if high < low else '='} {EDGES[axis]} {low}")
