"""Declare the fields of a record once: msgspec checks values against it, and record.schema.json is made from it.

    python -m data_prep.record_shape > data_prep/record.schema.json

What one field cannot say about another (seconds in order, x_min < x_max, a span inside its clip) is checked in
`data_prep/validation.py`, as are blank texts and the paths of videos, whose patterns here serve other tools: a regular
expression for each text took msgspec longer than all the rest of a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION = 1  # of records with one event, which boxes show; of scenes and texts
EVENTS_VERSION = 2  # of records with several events, with none, or without boxes
TEMPORAL = "temporal"
GROUNDING_KINDS = ("declarative", "interrogative", "tracking")
TEXT_KINDS = ("caption", "qa")
KINDS = (*GROUNDING_KINDS, "scene", *TEXT_KINDS)
MAX_SIDE = 1 << 20
PATH_PATTERN = r"^(?!/)(?!.*//)(?!(.*/)?\.\.?(/|$))[^\\\u0000]*[^\\\u0000/]$"

GroundingKind = Literal["declarative", "interrogative", "tracking"]
Text = Annotated[str, Meta(extra_json_schema={"pattern": r"\S"})]
Id = Annotated[Text, Meta(description="names the record in every message, for example vidstg/test/2401")]
VideoPath = Annotated[
    str,
    Meta(
        description="POSIX path under the video root; no empty, . or .. part, not absolute",
        extra_json_schema={"pattern": PATH_PATTERN},
    ),
]
# A float, because 1.0 is the JSON number 1 too.
Version = Annotated[float, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION, extra_json_schema={"const": SCHEMA_VERSION})]
NewVersion = Annotated[float, Meta(ge=EVENTS_VERSION, le=EVENTS_VERSION, extra_json_schema={"const": EVENTS_VERSION})]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE, description="displayed pixels")]
Positive = Annotated[float, Meta(gt=0)]
Rate = Annotated[Positive, Meta(description="frames a second that it is seen at")]
Seconds = Annotated[int, Meta(ge=1, description="K, the seconds of the clip")]
Clip = Annotated[
    list[Annotated[float, Meta(ge=0)]],
    Meta(
        min_length=2,
        max_length=2,
        description="[start_s, end_s] on the video's clock, start_s < end_s; null: the whole file",
    ),
]
Second = Annotated[int, Meta(ge=0)]
Span = Annotated[
    list[Second],
    Meta(min_length=2, max_length=2, description="[first, last] second on the clip's clock, inclusive"),
]
Spans = Annotated[
    list[Annotated[list[Annotated[float, Meta(ge=0)]], Meta(min_length=2, max_length=2)]],
    Meta(
        min_length=1,
        description="[[begin, end), ...] of each event, seconds on the clip's clock, in order, with time between them",
    ),
]
No = Annotated[bool, Meta(extra_json_schema={"const": False})]
Yes = Annotated[
    bool, Meta(description="nothing in the clip fits the sentence: {} is right", extra_json_schema={"const": True})
]
Box = Annotated[
    list[Annotated[float, Meta(ge=0, le=1)]],
    Meta(
        min_length=4,
        max_length=4,
        description="[x_min, y_min, x_max, y_max] of the displayed picture, normalised, half-open",
    ),
]


class State(Struct):
    """Hold one box of a track."""

    second: Second
    box: Box


class ObjectTrack(Struct):
    """Hold one object of a scene."""

    label: Text
    track: list[State]


Tracks = Annotated[list[ObjectTrack], Meta(min_length=1, description="the objects of a scene; no other kind has it")]


class _Named(Struct, kw_only=True):
    id: Id
    source: Text
    split: Text
    video: VideoPath
    query: Text
    rate: Rate | None = None


class _Common(_Named, kw_only=True):
    schema: Version
    spans: None = None
    no_target: No | None = None


class _Sentence(_Named, kw_only=True):
    schema: NewVersion
    kind: GroundingKind
    clip: Clip
    seconds: Seconds
    span: None = None
    answer: Text | None = None
    tracks: None = None


class GroundingRecord(_Common, kw_only=True):
    """Hold a sentence with one target: when it happens, and a box a second."""

    kind: GroundingKind
    clip: Clip
    fps: Positive
    width: Side
    height: Side
    seconds: Seconds
    label: Text
    span: Span
    track: list[State]
    answer: Text | None = None
    tracks: None = None


class EventsRecord(_Sentence, kw_only=True):
    """Hold a sentence whose target is seen in one or several events, with a box a second."""

    fps: Positive
    width: Side
    height: Side
    label: Text
    spans: Spans
    track: Annotated[list[State], Meta(min_length=1)]
    no_target: No | None = None
    task: None = None


class TemporalRecord(_Sentence, kw_only=True):
    """Hold a sentence of which it is known when it happens, and not where."""

    spans: Spans
    task: Literal["temporal"]
    fps: Positive | None = None
    width: Side | None = None
    height: Side | None = None
    label: Text | None = None
    track: None = None
    no_target: No | None = None


class NoTargetRecord(_Sentence, kw_only=True):
    """Hold a sentence that nothing in the clip fits."""

    no_target: Yes
    fps: Positive | None = None
    width: Side | None = None
    height: Side | None = None
    label: Text | None = None
    spans: None = None
    track: None = None
    task: None = None


class SceneRecord(_Common, kw_only=True):
    """Hold a clip with the tracks of several objects."""

    kind: Literal["scene"]
    clip: Clip
    fps: Positive
    width: Side
    height: Side
    seconds: Seconds
    tracks: Tracks
    label: Text | None = None
    span: Span | None = None
    track: None = None
    answer: Text | None = None


class TextRecord(_Common, kw_only=True):
    """Hold a caption, or a question with its answer, about a clip or about a whole file."""

    kind: Literal["caption", "qa"]
    answer: Text
    clip: Clip | None = None
    fps: Positive | None = None
    width: Side | None = None
    height: Side | None = None
    seconds: Seconds | None = None
    label: None = None
    span: None = None
    track: None = None
    tracks: None = None


AnyRecord = GroundingRecord | EventsRecord | TemporalRecord | NoTargetRecord | SceneRecord | TextRecord
_OF_KIND: dict[str, type[AnyRecord]] = {
    **dict.fromkeys(GROUNDING_KINDS, GroundingRecord),
    "scene": SceneRecord,
    **dict.fromkeys(TEXT_KINDS, TextRecord),
}


def shape_of(record: Mapping[str, Any]) -> type[AnyRecord] | None:
    """Return which fields a record must have: its kind says so, and in schema 2 whether there are events and boxes.

    Returns:
        None for a kind that does not exist.
    """
    kind, version = record.get("kind"), record.get("schema")
    shape = _OF_KIND.get(kind) if isinstance(kind, str) else None
    if shape is not GroundingRecord or type(version) not in (int, float) or version != EVENTS_VERSION:
        return shape
    if record.get("no_target") is True:
        return NoTargetRecord
    return TemporalRecord if record.get("task") == TEMPORAL else EventsRecord


# The same rule for other tools: which fields lead to a shape.
_GROUNDING = {"kind": {"enum": list(GROUNDING_KINDS)}}
_NEW = _GROUNDING | {"schema": {"const": EVENTS_VERSION}}
_TARGET = _NEW | {"no_target": {"not": {"const": True}}}
_CONDITIONS: tuple[tuple[type[AnyRecord], dict[str, Any], list[str]], ...] = (
    (GroundingRecord, _GROUNDING | {"schema": {"not": {"const": EVENTS_VERSION}}}, []),
    (EventsRecord, _TARGET | {"task": {"not": {"const": TEMPORAL}}}, ["schema"]),
    (TemporalRecord, _TARGET | {"task": {"const": TEMPORAL}}, ["schema", "task"]),
    (NoTargetRecord, _NEW | {"no_target": {"const": True}}, ["schema", "no_target"]),
    (SceneRecord, {"kind": {"enum": ["scene"]}}, []),
    (TextRecord, {"kind": {"enum": list(TEXT_KINDS)}}, []),
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a record; its kind and schema choose the fields that it must have."""
    references, definitions = msgspec.json.schema_components(
        [shape for shape, *_ in _CONDITIONS], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Second-level record, schemas {SCHEMA_VERSION} and {EVENTS_VERSION}",
        "description": "One line of a JSONL file. Added fields are allowed. Order of seconds, x_min < x_max, "
        "y_min < y_max, seconds inside the event and events apart and inside the clip are rules too, which only "
        "data_prep/validation.py can check. Generated by python -m data_prep.record_shape.",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "allOf": [
            {"if": {"properties": properties} | ({"required": needed} if needed else {}), "then": reference}
            for (_, properties, needed), reference in zip(_CONDITIONS, references, strict=True)
        ],
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the text of record.schema.json."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
