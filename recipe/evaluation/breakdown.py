"""Metrics of groups of samples, and bootstrap 95 % intervals: which sentences, events, clips and targets are hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from data_prep.events import events_of, num_seconds
from data_prep.records import Record
from recipe.evaluation.scores import BOXES, Sample

Array = np.ndarray
NAMES = ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5", "mvIoU")
RESAMPLES = 1000
_BLOCK = 1 << 18  # resampled weights held at a time: what fits into a processor's cache

# Upper ends, inclusive, and the unit that is shown.
EVENT_SECONDS = (2, 5, 10, 20, 60)
CLIP_SECONDS = (10, 30, 60, 180)
SIZE_PERCENT = (1, 4, 16, 36)


def bin_name(value: float, ends: Sequence[float], whole: bool = True) -> str:
    """Return the bin of a value: above the end of the bin before, up to its own end, inclusive.

    >>> [bin_name(v, EVENT_SECONDS) for v in (1, 2, 3, 61)]
    ['1-2', '1-2', '3-5', '61+']
    >>> [bin_name(v, SIZE_PERCENT, whole=False) for v in (0.5, 1.5, 90)]
    ['0-1', '1-4', '36+']
    """
    low: float = 1 if whole else 0
    for end in ends:
        if value <= end:
            return f"{low}-{end}"
        low = end + 1 if whole else end
    return f"{low}+"


def target_percent(record: Record) -> float:
    """Return the mean area of the true boxes, percent of the picture."""
    total = 0.0
    for state in record["track"]:
        left, top, right, bottom = state["box"]
        total += (right - left) * (bottom - top)
    return 100 * total / len(record["track"])


def distractors(record: Record) -> str | None:
    """Return the number of distractors, where the record states it."""
    value = record.get("distractors")
    count = len(value) if isinstance(value, list) else value
    return None if type(count) is not int else str(count) if count < 4 else "4+"


GROUPS: dict[str, Callable[[Record], str | None]] = {
    "kind": lambda record: record.get("kind"),
    "event_seconds": lambda record: bin_name(num_seconds(events_of(record)), EVENT_SECONDS),
    "events": lambda record: "1" if len(events_of(record)) == 1 else "2+",
    "clip_seconds": lambda record: bin_name(record["seconds"], CLIP_SECONDS),
    "target_percent": lambda record: bin_name(target_percent(record), SIZE_PERCENT, whole=False),
    "distractors": distractors,
}


def score_table(runs: Sequence[Sequence[Sample]], of: str = "scores") -> Array:
    """Return an array (samples, 5) of the columns `NAMES`: each sample's mean over repeated runs.

    Args:
        of: "scores" or "ceiling".
    """
    tables = []
    for samples in runs:
        scores = np.array([getattr(sample, of) for sample in samples], dtype=np.float64).reshape(-1, 3)
        t_iou, mv_iou, v_iou = scores.T
        tables.append(np.column_stack([t_iou, v_iou, v_iou > 0.3, v_iou > 0.5, mv_iou]))
    return np.mean(tables, axis=0)


def intervals(
    values: Array, members: Array, videos: Array | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> Array:
    """Return percentile bootstrap intervals of the means of several groups of the same samples, drawn together.

    Args:
        values: (samples, metrics).
        members: (samples, groups) of booleans.
        videos: (samples,), the number of each sample's video, from 0 without gaps; whole videos are drawn, because
            their samples are not independent. None: each sample is of a video of its own.

    Returns:
        (groups, metrics, 2): low and high end; NaN where a group is never drawn.
    """
    n, num_metrics = values.shape
    groups = members.shape[1]
    # One product gives every group's sums and sizes: columns are (group, metric) and (group,).
    columns = np.hstack([(members[:, :, None] * values[:, None, :]).reshape(n, -1), members])
    if videos is not None:
        of_video = np.zeros((int(videos.max()) + 1, columns.shape[1]))
        np.add.at(of_video, videos, columns)
        columns, n = of_video, len(of_video)
    rng = np.random.default_rng(seed)
    means = []
    block = max(1, _BLOCK // max(n, 1))
    for begin in range(0, resamples, block):
        size = min(block, resamples - begin)
        weights = np.empty((size, n))
        for repeat in range(size):
            weights[repeat] = np.bincount(rng.integers(0, n, n, dtype=np.int32), minlength=n)
        sums = weights @ columns
        counts = sums[:, -groups:]
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(sums[:, :-groups].reshape(size, groups, num_metrics) / counts[:, :, None])
    drawn_means = np.concatenate(means)
    percentiles = np.nanpercentile if np.isnan(drawn_means).any() else np.percentile  # the first is slow
    ends = percentiles(drawn_means, [2.5, 97.5], axis=0)
    return np.moveaxis(ends, 0, -1)


def breakdown(records: Sequence[Record], runs: Sequence[Sequence[Sample]]) -> dict[str, Any]:
    """Return the intervals, ceilings and groups of an evaluation in the form of metrics.json.

    Args:
        records: those of the samples, in their order.
        runs: the samples of each repeat.

    Returns:
        `interval95`: name -> [low, high]; `ceiling`: name -> mean; `groups`: kind of group -> group -> its n, metrics,
        interval95 and ceiling. Kinds that no record states are left out, as is the number of events where each record
        has one. Only records that have a true track count; without any of them all three are empty.
    """
    kept = [index for index, sample in enumerate(runs[0]) if sample.truth == BOXES]
    if not kept:
        return {"interval95": {}, "ceiling": {}, "groups": {}}
    records, runs = [records[index] for index in kept], [[run[index] for index in kept] for run in runs]
    values, best = score_table(runs), score_table(runs[:1], "ceiling")
    n = len(records)
    keys: list[tuple[str, str]] = []
    masks = [np.ones(n, dtype=bool)]
    for kind, group_of in GROUPS.items():
        names = np.array([group_of(record) or "" for record in records])
        if kind == "events" and set(names) == {"1"}:
            continue
        for name in sorted(set(names) - {""}, key=_in_order):
            keys.append((kind, name))
            masks.append(names == name)
    numbers: dict[str, int] = {}
    videos = np.array([numbers.setdefault(record["video"], len(numbers)) for record in records])
    ends = intervals(values, np.column_stack(masks), videos)
    parts = [_part(values[mask], best[mask], ends[index]) for index, mask in enumerate(masks)]
    groups: dict[str, dict[str, Any]] = {}
    for (kind, name), part in zip(keys, parts[1:], strict=True):
        groups.setdefault(kind, {})[name] = part
    return {"interval95": parts[0]["interval95"], "ceiling": parts[0]["ceiling"], "groups": groups}


def _part(values: Array, best: Array, ends: Array) -> dict[str, Any]:
    part: dict[str, Any] = {"n": len(values)} | dict(zip(NAMES, values.mean(axis=0).tolist(), strict=True))
    part["interval95"] = {name: [float(low), float(high)] for name, (low, high) in zip(NAMES, ends, strict=True)}
    part["ceiling"] = dict(zip(NAMES, best.mean(axis=0).tolist(), strict=True))
    return part


def _in_order(name: str) -> tuple[float, str]:
    """Return a sort key: bins by their lower end, text alphabetically."""
    number = name.split("-")[0].rstrip("+")
    return (float(number), name) if number.isdigit() else (0.0, name)
