"""What is reported apart from tIoU and vIoU of tubes: sentences without a target, and truths without boxes.

The rules, by name, hold under every protocol (docs/evaluation.md):

- `boxes_only`: m_tIoU, m_vIoU, vIoU@R and mvIoU are means over the records that have a true track.
- `no_target_apart`: a sentence without a target is right where the answer was read and lists nothing, and wrong where
  it lists a second, cannot be read or is missing. `score` is the share that is right.
- `temporal_apart`: a truth without boxes is scored by tIoU on seconds.
- `events_are_sets`: of several events tIoU, mvIoU and vIoU compare sets of seconds (`second`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from recipe.evaluation.breakdown import intervals
from recipe.evaluation.scores import BOXES, NOTHING, TIMES, Sample

THRESHOLDS = (0.3, 0.5, 0.7)  # of tIoU, as papers on temporal grounding give it


def apart(runs: Sequence[Sequence[Sample]]) -> dict[str, dict[str, Any]]:
    """Return what metrics.json holds of these samples, in fractions; {} where all records have a true track.

    Args:
        runs: the samples of each repeat.

    Returns:
        `no_target`: n, score, false_positive_rate (answers that list a second), false_negative_rate (of the records
        that have a target, answers that were read and list nothing; None without such records), interval95 of score.
        `temporal`: n, m_tIoU, tIoU@0.3, 0.5 and 0.7 (share above), interval95 of m_tIoU. Each is there if records are.
    """
    found: dict[str, dict[str, Any]] = {}
    absent, times = (only(runs, truth) for truth in (NOTHING, TIMES))
    if absent[0]:
        found["no_target"] = {
            "n": len(absent[0]),
            "score": _mean(absent, _time),
            "false_positive_rate": _mean(absent, lambda sample: sample.lists),
            "false_negative_rate": _mean(only(runs, BOXES, TIMES), lambda sample: sample.parsed and not sample.lists),
            "interval95": {"score": _interval(absent)},
        }
    if times[0]:
        found["temporal"] = {"n": len(times[0]), "m_tIoU": _mean(times, _time)}
        for least in THRESHOLDS:
            found["temporal"][f"tIoU@{least}"] = _mean(times, partial(_is_above, least))
        found["temporal"]["interval95"] = {"m_tIoU": _interval(times)}
    return found


def only(runs: Sequence[Sequence[Sample]], *truths: str) -> list[list[Sample]]:
    """Return the samples of each run whose records have one of these truths."""
    return [[sample for sample in run if sample.truth in truths] for run in runs]


def _time(sample: Sample) -> float:
    return sample.scores.tIoU


def _is_above(least: float, sample: Sample) -> bool:
    return sample.scores.tIoU > least


def _mean(runs: Sequence[Sequence[Sample]], value: Callable[[Sample], float]) -> float | None:
    values = [float(value(sample)) for run in runs for sample in run]
    return sum(values) / len(values) if values else None


def _interval(runs: Sequence[Sequence[Sample]]) -> list[float]:
    """Return the bootstrap 95 % interval of the mean of tIoU, which is the score of a sentence without a target."""
    values = np.mean([[_time(sample) for sample in run] for run in runs], axis=0)[:, None]
    numbers: dict[str, int] = {}
    videos = np.array([numbers.setdefault(sample.video, len(numbers)) for sample in runs[0]])
    ((ends,),) = intervals(values, np.ones((len(values), 1), dtype=bool), videos)
    return [float(end) for end in ends]
