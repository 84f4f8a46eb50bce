"""Score multi-object answers against a scene's true tubes: HOTA and IDF1 through TrackEval, and the matched vIoU.

Seconds are TrackEval's time steps. Answers of one scene are one sequence; HOTA and IDF1 are of all sequences together,
as TrackEval combines them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from data_prep.records import Record
from data_prep.stages import StageError
from stvg_rewards import Track, box_iou, parse_tracks, tubes_score

ScaleOf = Callable[[Record], tuple[float, float]]


def thousandths(record: Record) -> tuple[float, float]:
    """Return the scale of models that write boxes in thousandths of the picture, whatever its size."""
    return (1000.0, 1000.0)


def true_tubes(record: Record) -> list[Track]:
    """Return the true tubes of a scene record."""
    return [
        Track(item["label"], {state["second"]: tuple(state["box"]) for state in item["track"]})
        for item in record["tracks"]
        if item["track"]
    ]


def sequence(predicted: Sequence[Track], true: Sequence[Track], seconds: int) -> dict[str, Any]:
    """Return one scene in the form that TrackEval's metrics take: ids and IoU by time step.

    Args:
        seconds: K of the clip; states past it are left out.
    """
    ids: dict[str, list[Any]] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for second in range(seconds):
        theirs = [(n, track.boxes[second]) for n, track in enumerate(true) if second in track.boxes]
        ours = [(n, track.boxes[second]) for n, track in enumerate(predicted) if second in track.boxes]
        ids["gt_ids"].append(np.array([n for n, _ in theirs], dtype=int))
        ids["tracker_ids"].append(np.array([n for n, _ in ours], dtype=int))
        overlaps = [[box_iou(a, b) for _, b in ours] for _, a in theirs]
        ids["similarity_scores"].append(np.array(overlaps, dtype=float).reshape(len(theirs), len(ours)))
    return ids | {
        "num_gt_ids": len(true),
        "num_tracker_ids": len(predicted),
        "num_gt_dets": sum(map(len, ids["gt_ids"])),
        "num_tracker_dets": sum(map(len, ids["tracker_ids"])),
        "num_timesteps": seconds,
    }


def matched_vious(
    records: Sequence[Record], answers: Mapping[str, str], scale_of: ScaleOf = thousandths
) -> list[float]:
    """Return the matched vIoU of each scene, 0 to 1; a scene without an answer counts as one without tubes."""
    return [tubes_score(predicted_tubes(record, answers, scale_of(record)), true_tubes(record)) for record in records]


def predicted_tubes(record: Record, answers: Mapping[str, str], scale: tuple[float, float]) -> list[Track]:
    """Return the tubes of the answer to a scene; there are none where the answer is missing or cannot be read."""
    return parse_tracks(answers.get(record["id"], ""), seconds=record["seconds"], scale=scale)


def score_scenes(
    records: Sequence[Record], answers: Mapping[str, str], scale_of: ScaleOf = thousandths
) -> dict[str, float]:
    """Return m_vIoU (the mean matched vIoU of a scene), HOTA, IDF1, AssA and DetA, each 0 to 1, and `n`.

    Args:
        records: scene records.
        answers: id -> raw model text; a scene without one is one without tubes.
        scale_of: what the coordinates in the answer to a record are divided by.

    Raises:
        StageError: TrackEval is not installed.
    """
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError:
        raise StageError("HOTA and IDF1 need TrackEval: pip install trackeval") from None
    hota, identity = HOTA(), Identity({"PRINT_CONFIG": False})
    by_scene: dict[str, dict[str, Any]] = {"hota": {}, "identity": {}}
    for record in records:
        data = sequence(predicted_tubes(record, answers, scale_of(record)), true_tubes(record), record["seconds"])
        by_scene["hota"][record["id"]] = hota.eval_sequence(data)
        by_scene["identity"][record["id"]] = identity.eval_sequence(data)
    matched = matched_vious(records, answers, scale_of)
    all_hota = hota.combine_sequences(by_scene["hota"])
    all_identity = identity.combine_sequences(by_scene["identity"])
    return {
        "m_vIoU": float(np.mean(matched)),
        "HOTA": float(np.mean(all_hota["HOTA"])),
        "AssA": float(np.mean(all_hota["AssA"])),
        "DetA": float(np.mean(all_hota["DetA"])),
        "IDF1": float(all_identity["IDF1"]),
        "n": len(matched),
    }
