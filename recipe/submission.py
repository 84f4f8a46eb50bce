"""Anybody's predictions: a JSONL file of `{"id", "answer"}` (raw model text) or `{"id", "track"}`, read and checked.

What cannot be read is counted and named, never silent; a record without a usable line scores 0.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stvg_rewards import Answer, Box, Track, parse_answer
from stvg_rewards.parsing import read_box, read_second

Prediction = str | list[Any]
"""Raw model text, or a list of {"second": int, "box": [x_min, y_min, x_max, y_max] normalised to [0, 1]}."""


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
    """Read a predictions file; a file that is not there is an empty one."""
    found = Submission()
    if not path.is_file():
        return found
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            item, problem = _read_line(line)
            if problem:
                found.broken.append(f"line {number}: {problem}")
            elif item["id"] in found.predictions:
                found.duplicates.append(item["id"])
            else:
                found.predictions[item["id"]] = item["answer"] if "answer" in item else item["track"]
    return found


def _read_line(line: str) -> tuple[dict[str, Any], str]:
    """(the line's object, what is wrong with it or an empty string)."""
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "no JSON" if line.endswith("\n") else "no JSON, the file ends in it"
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return {}, "no object with an id that is a text"
    if "answer" in item:
        return item, "" if isinstance(item["answer"], str) else "its answer is no text"
    if "track" in item:
        return item, "" if isinstance(item["track"], list) else "its track is no list"
    return item, "neither answer nor track"


def read_prediction(
    prediction: Prediction, *, seconds: int | None = None, scale: tuple[float, float] = (1000, 1000)
) -> Answer:
    """The answer in a prediction.

    Args:
        seconds: K of the clip: states from K on are discarded.
        scale: what raw text's coordinates are divided by; a `track` is normalised already.

    >>> read_prediction([{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.5, 0.0, 0.1, 0.5]}]).span
    (2, 3)
    """
    if isinstance(prediction, str):
        return parse_answer(prediction, seconds=seconds, scale=scale)
    return _read_track(prediction, seconds)


def _read_track(states: Sequence[Any], seconds: int | None) -> Answer:
    """The rules of raw text (docs/definitions.md) on a list of states."""
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
    """What is wrong with a submission, by name; each with everything that it concerns.

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
