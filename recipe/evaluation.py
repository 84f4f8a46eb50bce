"""Scores of a set of answers under protocol `second`; pure: records and answers in, numbers out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stvg_rewards import Scores, Track, parse_answer, score_answer, summarize

METRICS = ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5")


@dataclass(frozen=True)
class Sample:
    """One scored answer.

    Attributes:
        parsed: whether the text held an answer; an unparsed one has scores of 0 and stays in every mean.
        discarded: states that were discarded.
    """

    id: str
    scores: Scores
    parsed: bool
    salvaged: bool
    discarded: int


def true_track(record: dict[str, Any]) -> Track:
    """The record's track, boxes normalised to [0, 1]."""
    return Track(record["label"], {state["second"]: tuple(state["box"]) for state in record["track"]})


def score_records(
    records: Iterable[dict[str, Any]],
    answers: dict[str, str],
    scale_of: Callable[[dict[str, Any]], tuple[float, float]] = lambda record: (1000, 1000),
) -> list[Sample]:
    """One `Sample` a record that has a true track; a record without an answer scores 0.

    Args:
        answers: id -> raw model text.
        scale_of: what the coordinates in the text are divided by, for a record.
    """
    samples = []
    for record in records:
        if not record.get("track"):
            continue
        answer = parse_answer(answers.get(record["id"], ""), seconds=record["seconds"], scale=scale_of(record))
        scores = score_answer(answer, true_track(record), tuple(record["span"]))
        assert scores is not None  # the true track is not empty
        samples.append(Sample(record["id"], scores, answer.parsed, answer.salvaged, answer.discarded))
    return samples


def metrics(samples: Sequence[Sample]) -> dict[str, float]:
    """Means over samples, fractions in [0, 1]; discarded_states is their number a sample."""
    n = len(samples)
    return summarize(sample.scores for sample in samples) | {
        "mvIoU": sum(sample.scores.mvIoU for sample in samples) / n,
        "parse_failures": sum(not sample.parsed for sample in samples) / n,
        "salvaged_answers": sum(sample.salvaged for sample in samples) / n,
        "discarded_states": sum(sample.discarded for sample in samples) / n,
    }


def mean_metrics(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over repeated runs on the same samples; n stays the number of samples."""
    return {name: runs[0][name] if name == "n" else sum(run[name] for run in runs) / len(runs) for name in runs[0]}


def per_sample(runs: Sequence[Sequence[Sample]], score: str) -> list[float]:
    """One score a sample: its mean over repeated runs."""
    return [sum(getattr(s.scores, score) for s in same) / len(same) for same in zip(*runs, strict=True)]


def paired_gain(
    before: Sequence[float], after: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Mean of after - before over the same samples, with a bootstrap 95 % interval (percentiles, seeded).

    >>> gain = paired_gain([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    >>> [round(gain[key], 6) for key in ("mean", "low95", "high95")]
    [0.1, 0.1, 0.1]
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    n = len(differences)
    generator = random.Random(seed)
    means = sorted(sum(generator.choices(differences, k=n)) / n for _ in range(resamples))
    return {
        "mean": sum(differences) / n,
        "low95": means[int(0.025 * resamples)],
        "high95": means[int(0.975 * resamples)],
    }
