"""Anybody's predictions: a JSONL file of `{"id", "answer"}` (raw model text) or `{"id", "track"}`, read and checked.

A track may come with its `span`, and with `spans` of several events, as `recipe.ground` writes them; where a line has
track and answer, the track counts. An empty track is the empty answer, unless the line says `"no_target": false`.

A first line `{"about": {...}}`, which says how our own answers were made, is no prediction. What cannot be read is
counted and named, never silent; a record without a usable line scores 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_prep.events import events_of, hull_of, is_inside
from recipe.inference.about import about_of
from stvg_rewards import Answer, Box, Track, parse_answer
from stvg_rewards.parsing import read_box, read_second

Prediction = str | list[Any] | dict[str, Any]
"""Raw model text; or a list of {"second": int, "box": [x_min, y_min, x_max, y_max] normalised to [0, 1]}; or such a
list as `track` beside its `span`, [first, last] second, inclusive, or `spans`, [[begin, end), ...] seconds."""


@dataclass
class Submission:
    """What a predictions file holds.

    Attributes:
        predictions: id -> prediction; of two lines with one id the first stands.
        duplicates: ids that came again, once for each time.
        broken: "line 7: no JSON" and the like, for each line that was left out.
    """

    predictions: dict[str, Prediction] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def read_submission(path: Path) -> Submission:
    """Read a predictions file; a missing file is an empty one."""
    submission = Submission()
    if not path.is_file():
        return submission
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            item, problem = _read_line(line)
            if number == 1 and about_of(item) is not None:
                continue
            if problem:
                submission.broken.append(f"line {number}: {problem}")
            elif item["id"] in submission.predictions:
                submission.duplicates.append(item["id"])
            else:
                submission.predictions[item["id"]] = _prediction_in(item)
    return submission


def _read_line(line: str) -> tuple[dict[str, Any], str]:
    """Return (the line's object, the problem with it or an empty string)."""
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "no JSON" if line.endswith("\n") else "no JSON, the file ends in it"
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return item if isinstance(item, dict) else {}, "no object with an id that is a text"
    if "track" in item:
        if not isinstance(item["track"], list):
            return item, "its track is no list"
        if not _are_spans(item.get("spans")):
            return item, "its spans are not [[begin, end), ...]"
        return item, "" if _is_span(item.get("span")) else "its span is not [first, last]"
    if "answer" in item:
        return item, "" if isinstance(item["answer"], str) else "its answer is no text"
    return item, "neither answer nor track"


def _is_span(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, list) or len(value) != 2 or not all(type(second) is int for second in value):
        return False
    return bool(0 <= value[0] <= value[1])


def _are_spans(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and all(
        isinstance(span, list)
        and len(span) == 2
        and all(type(time) in (int, float) for time in span)
        and 0 <= span[0] < span[1] < math.inf
        for span in value
    )


def _prediction_in(item: dict[str, Any]) -> Prediction:
    if "track" not in item:
        return str(item["answer"])
    if item.get("span") or item.get("spans"):
        return {name: item[name] for name in ("track", "span", "spans") if item.get(name) is not None}
    if not item["track"] and item.get("no_target") is False:
        return ""  # nothing could be read, which is no answer that there is nothing
    return list(item["track"])


def read_prediction(
    prediction: Prediction, *, seconds: int | None = None, scale: tuple[float, float] = (1000, 1000)
) -> Answer:
    """Read the answer in a prediction.

    Args:
        seconds: K of the clip: states from K on are discarded.
        scale: what raw text's coordinates are divided by; a `track` is normalised already.

    >>> read_prediction([{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.5, 0.0, 0.1, 0.5]}]).span
    (2, 3)
    """
    if isinstance(prediction, str):
        return parse_answer(prediction, seconds=seconds, scale=scale)
    if isinstance(prediction, list):
        return _read_track(prediction, seconds)
    answer = _read_track(prediction["track"], seconds)
    times = [(begin, end if seconds is None else min(end, seconds)) for begin, end in prediction.get("spans") or ()]
    events = events_of({"schema": 2, "spans": [time for time in times if time[0] < time[1]]}) if seconds else []
    first, last = prediction.get("span") or hull_of(events) or answer.span or (0, -1)
    last = last if seconds is None else min(last, seconds - 1)
    boxes = {second: box for second, box in answer.track.boxes.items() if first <= second <= last}
    unboxed: tuple[int, ...] = ()
    if events:
        boxes = {second: box for second, box in boxes.items() if is_inside(second, events)}
        listed = (second for start, end in events for second in range(start, end + 1))
        unboxed = tuple(second for second in listed if second not in boxes)
    span = (first, last) if first <= last else None
    return replace(answer, span=span, track=replace(answer.track, boxes=boxes), unboxed=unboxed)


def _read_track(states: Sequence[Any], seconds: int | None) -> Answer:
    """Apply the rules of raw text (docs/definitions.md) to a list of states."""
    listed: dict[int, Box | None] = {}
    discarded: dict[str, int] = {}
    for state in states:
        reason = ""
        second = _second_of(state)
        if not isinstance(state, dict):
            reason = "shape"
        elif second is None:
            reason = "key"
        elif seconds is not None and second >= seconds:
            reason = "late"
        elif second in listed:
            reason = "duplicate"
        else:
            listed[second] = box = read_box(state.get("box"), (1.0, 1.0))
            reason = "" if box else "box"
        if reason:
            discarded[reason] = discarded.get(reason, 0) + 1
    boxes = {second: box for second, box in sorted(listed.items()) if box is not None}
    num_discarded = sum(discarded.values())
    return Answer(
        track=Track("target" if listed else "", boxes),
        span=(min(listed), max(listed)) if listed else None,
        parsed=bool(listed) or not num_discarded,
        salvaged=False,
        complete=not num_discarded,
        discarded=num_discarded,
        discarded_by=discarded,
    )


def _second_of(state: Any) -> int | None:
    value = state.get("second") if isinstance(state, dict) else None
    if type(value) is int and value >= 0:
        return value
    if type(value) is float and value >= 0 and value.is_integer():
        return int(value)
    return read_second(value) if isinstance(value, str) else None


def problems(submission: Submission, wanted: Sequence[str], known: Collection[str]) -> dict[str, list[str]]:
    """Return the problems of a submission: name -> every id or line that has the problem.

    Args:
        wanted: ids of the records that are scored.
        known: ids of all records, those that no score exists for included.
    """
    predictions = submission.predictions
    return {
        "missing_ids": [name for name in wanted if name not in predictions],
        "unknown_ids": [name for name in predictions if name not in known],
        "duplicate_ids": submission.duplicates,
        "broken_lines": submission.broken,
    }
