"""Declare the fields of a record once: msgspec checks values against it, and record.schema.json is made from it.

    python -m data_prep.record_shape > data_prep/record.schema.json

What one field cannot say about another (seconds in order, x_min < x_max, a span inside its clip) is checked in
`data_prep/validation.py`, as are blank texts and the paths of videos, whose patterns here serve other tools: a regular
expression for each text took msgspec longer than all the rest of a record.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION = 1
GROUNDING_KINDS = ("declarative", "interrogative", "tracking")
TEXT_KINDS = ("caption", "qa")
KINDS = (*GROUNDING_KINDS, "scene", *TEXT_KINDS)
MAX_SIDE = 1 << 20
PATH_PATTERN = r"^(?!/)(?!.*//)(?!(.*/)?\.\.?(/|$))[^\\\u0000]*[^\\\u0000/]$"

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


class _Common(Struct, kw_only=True):
    schema: Version
    id: Id
    source: Text
    split: Text
    video: VideoPath
    query: Text
    rate: Rate | None = None


class GroundingRecord(_Common, kw_only=True):
    """Hold a sentence with one target: when it happens, and a box a second."""

    kind: Literal["declarative", "interrogative", "tracking"]
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


AnyRecord = GroundingRecord | SceneRecord | TextRecord
_SHAPES: tuple[tuple[type[AnyRecord], tuple[str, ...]], ...] = (
    (GroundingRecord, GROUNDING_KINDS),
    (SceneRecord, ("scene",)),
    (TextRecord, TEXT_KINDS),
)
SHAPE_OF: dict[str, type[AnyRecord]] = {kind: shape for shape, kinds in _SHAPES for kind in kinds}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a record, whose kind chooses the fields that it must have."""
    references, definitions = msgspec.json.schema_components(
        [shape for shape, _ in _SHAPES], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Second-level record, schema {SCHEMA_VERSION}",
        "description": "One line of a JSONL file. Added fields are allowed. Order of seconds, x_min < x_max, "
        "y_min < y_max, seconds inside the span and the span inside the clip are rules too, which only "
        "data_prep/validation.py can check. Generated by python -m data_prep.record_shape.",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "allOf": [
            {"if": {"properties": {"kind": {"enum": list(kinds)}}}, "then": reference}
            for (_, kinds), reference in zip(_SHAPES, references, strict=True)
        ],
        "$defs": definitions,
    }


def schema_text() -> str:
    """Return the text of record.schema.json."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
