"""Scores of one answer against frame annotations: the protocols `frame`, `tubedetr` and `cgstvg`.

Published evaluators disagree about span ends, about which frames count and about the first frame of HC-STVG, so every
number is named after the protocol that made it (docs/definitions.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.seconds import exact_fps, first_frame_of_second, second_of_frame
from recipe.inference.expand import expand_array
from stvg_rewards import Scores

Array = np.ndarray

FRAME_PROTOCOLS = ("frame", "tubedetr", "cgstvg")
PROTOCOLS = ("second", "vuestg", *FRAME_PROTOCOLS)

TUBEDETR_FPS = 5
TUBEDETR_MOST_FRAMES = 200


@dataclass(frozen=True)
class FrameTruth:
    """The frame annotation of one record.

    Attributes:
        fps: frames a second of the annotated stream.
        begin, end: the event, frames of the clip, half-open: begin <= frame < end.
        boxes: frame of the clip -> (x_min, y_min, x_max, y_max), normalised to [0, 1]; absent where not visible.
        num_frames: frames of the clip.
        first_frame: the clip's first frame in its video, which TubeDETR's choice of frames counts from.
        one_based: whether the source counts frames from 1 (HC-STVG), which TubeDETR takes as they are.
    """

    fps: float
    begin: int
    end: int
    boxes: Mapping[int, Sequence[float]]
    num_frames: int
    first_frame: int = 0
    one_based: bool = False


@dataclass(frozen=True)
class FrameTube:
    """Frames [begin, end) of a clip and their boxes.

    Attributes:
        boxes: (end - begin, 4), NaN where there is none.
    """

    begin: int
    end: int
    boxes: Array


def tube(begin: int, end: int, boxes: Mapping[int, Sequence[float]]) -> FrameTube:
    """Build a tube from frame -> box; boxes outside [begin, end) are left out."""
    values = np.full((end - begin, 4), np.nan)
    for frame, box in boxes.items():
        if begin <= frame < end:
            values[frame - begin] = box
    return FrameTube(begin, end, values)


def predicted_tube(
    boxes: Mapping[int, Sequence[float]], span: tuple[int, int] | None, fps: float, num_frames: int
) -> FrameTube | None:
    """Expand a second-level answer to the clip's frames; return None where no second of it is inside the clip.

    Args:
        boxes: second -> box of the answer.
        span: (first, last) second of the answer, inclusive, or None.
    """
    if span is None or first_frame_of_second(span[0], fps) >= num_frames:
        return None
    begin = first_frame_of_second(span[0], fps)
    end = min(first_frame_of_second(span[1] + 1, fps), num_frames)
    rate = exact_fps(fps)
    ticks = np.arange(num_frames, dtype=np.int64) * rate.denominator  # integers, so that no frame changes its second
    frames, expanded = expand_array(boxes, ticks / rate.numerator, ticks // rate.numerator)
    inside = (begin <= frames) & (frames < end)
    values = np.full((end - begin, 4), np.nan)
    values[frames[inside] - begin] = expanded[inside]
    return FrameTube(begin, end, values)


def tubedetr_frames(first: int, end: int, fps: float) -> list[int]:
    """Return the frames of [first, end) that TubeDETR looks at: about 5 a second, at most 200, spread evenly.

    >>> tubedetr_frames(0, 25, 25)
    [0, 5, 10, 15, 20]
    >>> len(tubedetr_frames(0, 25 * 60, 25))
    200
    """
    rate = min(TUBEDETR_FPS / fps, 1.0)
    # A frame is kept when int(last kept * rate) < int(frame * rate): where the whole part goes up.
    whole = (np.arange(first, max(end, first + 1)) * rate).astype(np.int64)
    kept = [first, *(np.flatnonzero(np.diff(whole) > 0) + first + 1).tolist()]
    if len(kept) > TUBEDETR_MOST_FRAMES:
        kept = [kept[j * len(kept) // TUBEDETR_MOST_FRAMES] for j in range(TUBEDETR_MOST_FRAMES)]
    return kept


def score_frames(predicted: FrameTube | None, true: FrameTube, kept: Array | None = None) -> Scores:
    """Return tIoU, mvIoU and vIoU on frames with half-open spans; all are 0 where the spans do not meet.

    Args:
        kept: the frames whose boxes count (tubedetr), sorted; None: every frame.

    tIoU counts native frames. vIoU is the sum of box IoUs over the true boxes of the intersection, divided by the
    frames of the union.

    >>> box = (0.0, 0.0, 0.5, 0.5)
    >>> score_frames(tube(2, 6, dict.fromkeys(range(6), box)), tube(0, 4, dict.fromkeys(range(6), box)))
    Scores(tIoU=0.3333333333333333, mvIoU=1.0, vIoU=0.3333333333333333)
    """
    if predicted is None:
        return Scores(0.0, 0.0, 0.0)
    inner = max(predicted.begin, true.begin), min(predicted.end, true.end)
    outer = min(predicted.begin, true.begin), max(predicted.end, true.end)
    if inner[1] <= inner[0]:
        return Scores(0.0, 0.0, 0.0)
    ours = predicted.boxes[inner[0] - predicted.begin : inner[1] - predicted.begin]
    theirs = true.boxes[inner[0] - true.begin : inner[1] - true.begin]
    counted = outer[1] - outer[0]
    if kept is not None:
        counted = int(np.count_nonzero((outer[0] <= kept) & (kept < outer[1])))
        chosen = kept[(inner[0] <= kept) & (kept < inner[1])] - inner[0]
        ours, theirs = ours[chosen], theirs[chosen]
    total = float(np.nansum(_ious(ours, theirs)))
    boxes = int(np.count_nonzero(~np.isnan(theirs[:, 0])))
    return Scores(
        (inner[1] - inner[0]) / (outer[1] - outer[0]),
        total / boxes if boxes else 0.0,
        total / counted if counted else 0.0,
    )


def _ious(a: Array, b: Array) -> Array:
    """Return the IoU of each pair of rows, as `stvg_rewards.box_iou` does; NaN where a row has no box."""
    shared = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(axis=1)
    return shared / ((a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared)


def _seen_by(protocol: str, truth: FrameTruth) -> tuple[FrameTube, Array | None]:
    """Return (the event as the protocol takes it, the frames whose boxes count or None for all).

    Raises:
        ValueError: No such protocol.
    """
    if protocol == "frame":
        return tube(truth.begin, truth.end, truth.boxes), None
    if protocol == "cgstvg":
        return tube(truth.begin, truth.end - 1, truth.boxes), None
    if protocol != "tubedetr":
        raise ValueError(f"protocol {protocol!r}, expected one of {', '.join(FRAME_PROTOCOLS)}")
    event = tube(truth.begin, truth.end, truth.boxes)
    if truth.one_based:
        event = replace(event, begin=event.begin + 1, end=event.end + 1)
    video = tubedetr_frames(truth.first_frame, truth.first_frame + truth.num_frames, truth.fps)
    return event, np.array(video) - truth.first_frame


def score_by_protocol(
    protocol: str, boxes: Mapping[int, Sequence[float]], span: tuple[int, int] | None, truth: FrameTruth
) -> Scores:
    """Score a second-level answer under a frame protocol.

    Raises:
        ValueError: No such protocol.
    """
    event, kept = _seen_by(protocol, truth)
    return score_frames(predicted_tube(boxes, span, truth.fps, truth.num_frames), event, kept)


def ceiling(protocol: str, boxes: Mapping[int, Sequence[float]], truth: FrameTruth) -> Scores:
    """Return the best scores of any second-level answer: true boxes, and the best rounding of each end of the span.

    Each score on its own: the span that is best for tIoU need not be the one that is best for vIoU.

    Args:
        boxes: second -> true box, aggregated.
    """
    event, kept = _seen_by(protocol, truth)
    first, last = second_of_frame(truth.begin, truth.fps), second_of_frame(truth.end - 1, truth.fps)
    spans = [(begin, end) for begin in (first, first + 1) for end in (last - 1, last) if begin <= end]
    scores = []
    for span in spans or [(first, last)]:
        inside = {k: box for k, box in boxes.items() if span[0] <= k <= span[1]}
        scores.append(score_frames(predicted_tube(inside, span, truth.fps, truth.num_frames), event, kept))
    return Scores(*(max(score[i] for score in scores) for i in range(3)))
