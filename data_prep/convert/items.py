"""What a source yields: targets, scenes, texts, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
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
class Question:
    """A sentence whose answer is not published (test splits): no record, but `recipe.ground --tracks` can be asked."""

    id: str
    split: str
    video: str
    query: str


Item = Target | Scene | Text | Question | Dropped
