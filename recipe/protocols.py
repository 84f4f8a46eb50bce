"""Scores of one answer against frame annotations: the protocols `frame`, `tubedetr` and `cgstvg`.

Published evaluators disagree about span ends, about which frames count and about the first frame of HC-STVG, so every
number is named after the protocol that made it (docs/definitions.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from data_prep.seconds import first_frame_of_second, frame_time, second_of_frame
from recipe.expand import Box, expand_boxes
from stvg_rewards import Scores, box_iou

FRAME_PROTOCOLS = ("frame", "tubedetr", "cgstvg")
PROTOCOLS = ("second", *FRAME_PROTOCOLS)

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


def predicted_frames(
    boxes: Mapping[int, Sequence[float]], span: tuple[int, int] | None, truth: FrameTruth
) -> tuple[tuple[int, int] | None, dict[int, Box]]:
    """A second-level answer on the clip's frames: ((begin, end) half-open or None, frame -> box).

    Args:
        boxes: second -> box of the answer.
        span: (first, last) second of the answer, inclusive, or None.
    """
    if span is None or first_frame_of_second(span[0], truth.fps) >= truth.num_frames:
        return None, {}
    begin = first_frame_of_second(span[0], truth.fps)
    end = min(first_frame_of_second(span[1] + 1, truth.fps), truth.num_frames)
    times = [float(frame_time(frame, truth.fps)) for frame in range(truth.num_frames)]
    inside = {frame: box for frame, box in expand_boxes(boxes, times).items() if begin <= frame < end}
    return (begin, end), inside


def tubedetr_frames(first: int, end: int, fps: float) -> list[int]:
    """The frames of [first, end) that TubeDETR looks at: about 5 a second, at most 200, spread evenly.

    >>> tubedetr_frames(0, 25, 25)
    [0, 5, 10, 15, 20]
    >>> len(tubedetr_frames(0, 25 * 60, 25))
    200
    """
    rate = min(TUBEDETR_FPS / fps, 1.0)
    kept = [first]
    for frame in range(first, end):
        if int(kept[-1] * rate) < int(frame * rate):
            kept.append(frame)
    if len(kept) > TUBEDETR_MOST_FRAMES:
        kept = [kept[j * len(kept) // TUBEDETR_MOST_FRAMES] for j in range(TUBEDETR_MOST_FRAMES)]
    return kept


def score_frames(
    predicted: tuple[int, int] | None,
    predicted_boxes: Mapping[int, Sequence[float]],
    truth: FrameTruth,
    kept: Sequence[int] | None = None,
) -> Scores:
    """tIoU, mvIoU and vIoU on frames with half-open spans; all 0 where the spans do not meet.

    Args:
        predicted: (begin, end) of the answer, or None.
        predicted_boxes: frame -> box of the answer.
        kept: the frames whose boxes count (tubedetr); None: every frame.

    tIoU counts native frames. vIoU is the sum of box IoUs over the true boxes of the intersection, divided by the
    frames of the union.

    >>> truth = FrameTruth(10, 0, 4, {f: (0.0, 0.0, 0.5, 0.5) for f in range(4)}, 10)
    >>> score_frames((2, 6), {f: (0.0, 0.0, 0.5, 0.5) for f in range(2, 6)}, truth)
    Scores(tIoU=0.3333333333333333, mvIoU=1.0, vIoU=0.3333333333333333)
    """
    if predicted is None:
        return Scores(0.0, 0.0, 0.0)
    inner = max(predicted[0], truth.begin), min(predicted[1], truth.end)
    outer = min(predicted[0], truth.begin), max(predicted[1], truth.end)
    if inner[1] <= inner[0]:
        return Scores(0.0, 0.0, 0.0)
    counted = range(*outer) if kept is None else [frame for frame in kept if outer[0] <= frame < outer[1]]
    total, boxes = 0.0, 0
    for frame in counted:
        if inner[0] <= frame < inner[1] and frame in truth.boxes:
            boxes += 1
            if frame in predicted_boxes:
                total += box_iou(predicted_boxes[frame], truth.boxes[frame])
    return Scores(
        (inner[1] - inner[0]) / (outer[1] - outer[0]),
        total / boxes if boxes else 0.0,
        total / len(counted) if counted else 0.0,
    )


def score_by_protocol(
    protocol: str, boxes: Mapping[int, Sequence[float]], span: tuple[int, int] | None, truth: FrameTruth
) -> Scores:
    """Scores of a second-level answer under a frame protocol.

    Raises:
        ValueError: No such protocol.
    """
    if protocol not in FRAME_PROTOCOLS:
        raise ValueError(f"protocol {protocol!r}, expected one of {', '.join(FRAME_PROTOCOLS)}")
    kept = None
    if protocol == "cgstvg":
        truth = replace(truth, end=truth.end - 1)
    elif protocol == "tubedetr":
        if truth.one_based:
            moved = {frame + 1: box for frame, box in truth.boxes.items()}
            truth = replace(truth, begin=truth.begin + 1, end=truth.end + 1, boxes=moved)
        video = tubedetr_frames(truth.first_frame, truth.first_frame + truth.num_frames, truth.fps)
        kept = [frame - truth.first_frame for frame in video]
    predicted, predicted_boxes = predicted_frames(boxes, span, truth)
    return score_frames(predicted, predicted_boxes, truth, kept)


def ceiling(protocol: str, boxes: Mapping[int, Sequence[float]], truth: FrameTruth) -> Scores:
    """The best that a second-level answer can score: true boxes, and the best rounding of each end of the span.

    Each score on its own: the span that is best for tIoU need not be the one that is best for vIoU.

    Args:
        boxes: second -> true box, aggregated.
    """
    first, last = second_of_frame(truth.begin, truth.fps), second_of_frame(truth.end - 1, truth.fps)
    found = [
        score_by_protocol(protocol, {k: b for k, b in boxes.items() if begin <= k <= end}, (begin, end), truth)
        for begin in (first, first + 1)
        for end in (last - 1, last)
        if begin <= end
    ] or [score_by_protocol(protocol, boxes, (first, last), truth)]
    return Scores(*(max(score[i] for score in found) for i in range(3)))
