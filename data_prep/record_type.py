"""State the shape of a record for type checkers; `data_prep/validation.py` checks the values."""

from __future__ import annotations

from typing import Any, TypedDict


class State(TypedDict):
    """One box of a track.

    Attributes:
        second: second of the clip, 0-based.
        box: (x_min, y_min, x_max, y_max), normalised to [0, 1].
    """

    second: int
    box: Any  # a list when read, a tuple when made


class ObjectTrack(TypedDict):
    """One object of a scene."""

    label: str
    track: list[State]


class _Fields(TypedDict):
    """What every validated record has.

    "| Any" marks what is null for some kinds: code that has looked at the kind need not look again, and may.
    """

    schema: int
    id: str
    source: str
    split: str
    kind: str
    video: str
    clip: list[float] | Any
    fps: float | Any
    width: int | Any
    height: int | Any
    seconds: int | Any
    query: str
    label: str | Any
    span: list[int] | Any
    track: list[State] | Any
    answer: str | Any


class Record(_Fields, total=False):
    """A validated record, with the fields that only some have; a source may add others."""

    tracks: list[ObjectTrack] | Any
    spans: list[list[float]] | Any  # schema 2
    no_target: bool | Any
    task: str | Any
    rate: float | Any
    reasoning: str | Any
    distractors: Any  # how many others of the target's kind there are, or their names
    others: Any  # a list of the other objects' names
