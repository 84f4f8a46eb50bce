"""What shown frames can tell of a second's true box: the scores of a reader that reads each frame exactly.

Frames are a few moments of a second, its box may be the mean over all of it. The reader states the mean of what the
frames of a second show and knows nothing of the frames between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.aggregate import aggregate
from data_prep.errors import StageError
from data_prep.records import Record, read_records
from data_prep.seconds import frame_times
from recipe.evaluation.scores import metrics, score_records
from stvg_rewards import Box, Track, format_answer

SCALE = 1000  # coordinates of an answer


def shown_boxes(boxes: Mapping[int, Sequence[float]], fps: float, seconds: int, rate: float) -> dict[int, Box]:
    """Return second -> mean box of the frames that are shown in it; a second whose frames show no target is absent.

    Args:
        boxes: frame -> box of a visible target, constant rate.
        fps: frames a second of the video.
        seconds: of the clip.
        rate: shown frames a second, at least 1.

    Raises:
        ValueError: A rate below 1, at which seconds have no frame of their own.

    >>> shown_boxes({2: (0, 0, 2, 2), 6: (2, 0, 4, 2)}, 8, 1, 2)
    {0: (1.0, 0.0, 3.0, 2.0)}
    >>> shown_boxes({2: (0, 0, 2, 2), 6: (2, 0, 4, 2)}, 8, 1, 1)
    {}
    """
    if rate < 1:
        raise ValueError(f"rate {rate}, expected at least 1 shown frame a second")
    frames = {time_s: int(time_s * fps + 1e-6) for time_s in frame_times(seconds, rate)}  # on screen at that time
    return aggregate({time_s: boxes.get(frame) for time_s, frame in frames.items()}, "mean")


def frame_boxes(annotation: Mapping[str, Any], target: Mapping[str, Any]) -> dict[int, Box]:
    """Return frame -> box, normalised to [0, 1], of an object in the synthetic source's frame annotations."""
    width, height = annotation["width"], annotation["height"]
    return {
        target["begin_frame"] + offset: (x / width, y / height, (x + w) / width, (y + h) / height)
        for offset, (x, y, w, h) in enumerate(target["boxes_xywh"])
    }


def ceilings(tracks: str, annotations: str, rates: Iterable[float]) -> dict[float, dict[str, float]]:
    """Return the exact reader's metrics by rate.

    Args:
        tracks: records of the synthetic source, one target each.
        annotations: the frame annotations that were written with them.

    Raises:
        StageError: There are no such annotations, or none of a record's video.
    """
    path = Path(annotations)
    if not path.is_file():
        raise StageError(f"{path}: no such file; `python -m data_prep synthetic` writes it beside the records")
    with path.open(encoding="utf-8") as stream:
        by_video = {item["video"]: item for item in map(json.loads, stream)}
    records = list(read_records(tracks))
    missing = [record["video"] for record in records if record["video"] not in by_video]
    if missing:
        raise StageError(f"{path}: no annotation of {missing[0]}, a video of {tracks}")
    return {rate: _metrics(records, by_video, rate) for rate in rates}


def _metrics(records: Sequence[Record], by_video: Mapping[str, Any], rate: float) -> dict[str, float]:
    answers = {}
    for record in records:
        annotation = by_video[record["video"]]
        target = annotation["objects"][int(record["id"].rsplit("/", 1)[1])]
        boxes = shown_boxes(frame_boxes(annotation, target), annotation["fps"], record["seconds"], rate)
        answers[record["id"]] = format_answer(Track(record["label"], boxes), scale=(SCALE, SCALE))
    return metrics(score_records(records, answers))
