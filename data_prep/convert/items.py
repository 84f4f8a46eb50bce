"""What a source yields: targets, scenes, texts, moments, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_prep.boxes import FrameBoxes
from data_prep.convert.reasons import Reason

# None of the items below is changed once it is made; frozen ones take four times as long to make.


@dataclass(slots=True)
class Dropped:
    """A record that a source itself leaves out."""

    id: str
    reason: Reason
    detail: str


@dataclass(slots=True)
class Target:
    """One target of a clip with its boxes on frames.

    Attributes:
        kind: "declarative", "interrogative" or "tracking".
        video: path under the video root.
        first_frame, num_frames: the clip inside its video, frames.
        fps: frames a second, or None where the source does not say.
        size: (width, height) of the displayed picture, pixels, or None where the source does not say.
        begin, end: the event, frames of the clip, half-open.
        boxes: on frames of the clip, in pixels, half-open; none where the target is not visible.
        extra: added fields of the record.
        events: [begin, end) of each of several events, frames of the clip, in order and apart; else `begin` to `end`.
        num_empty: boxes of no width or height that the source left out, though nothing says that they are hidden.
    """

    id: str
    split: str
    kind: str
    video: str
    query: str
    label: str
    num_frames: int
    begin: int
    end: int
    boxes: FrameBoxes
    fps: float | None = None
    size: tuple[int, int] | None = None
    first_frame: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    num_empty: int = 0
    events: Sequence[tuple[int, int]] = ()


@dataclass(slots=True)
class Scene:
    """All targets of a clip, each under its label (appendix A.1's answer with several labels)."""

    id: str
    split: str
    video: str
    query: str
    num_frames: int
    tracks: Mapping[str, FrameBoxes]
    fps: float | None = None
    size: tuple[int, int] | None = None


@dataclass(slots=True)
class Text:
    """A caption or a question with its answer."""

    id: str
    split: str
    kind: str
    video: str
    query: str
    answer: str
    clip: tuple[float, float] | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Moments:
    """A sentence of which it is known when it happens, and not where.

    Attributes:
        events: [begin, end) each, seconds of the video; none: nothing in the video fits the sentence.
        duration: of the video, seconds, or None where the source does not say.
        num_frames: of the video, or None where the source does not say.
    """

    id: str
    split: str
    kind: str
    video: str
    query: str
    events: Sequence[tuple[float, float]]
    duration: float | None = None
    num_frames: int | None = None
    label: str | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Question:
    """A sentence whose answer is not published (test splits): no record, but `recipe.ground --tracks` can be asked."""

    id: str
    split: str
    video: str
    query: str


Item = Target | Scene | Text | Moments | Question | Dropped
