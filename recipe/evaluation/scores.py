"""Scores of a set of answers under a named protocol; pure: records and answers in, numbers out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from data_prep.records import Record
from recipe.evaluation.protocols import FrameTruth, ceiling, score_by_protocol
from recipe.evaluation.submission import Prediction, read_prediction
from recipe.evaluation.vuestg import Overlap, overlap
from recipe.inference.smoothing import smooth
from stvg_rewards import Answer, Scores, Track, score_answer, summarize

METRICS = ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5")


@dataclass(frozen=True)
class Sample:
    """One scored answer.

    Attributes:
        parsed: whether the text held an answer; an unparsed one has scores of 0 and stays in every mean.
        discarded: states that were discarded.
        ceiling: the best that a second-level answer can score on this record under the protocol.
        overlap: the seconds behind the scores, under the protocol `vuestg`.
        video: the record's; intervals draw videos, because sentences about one video are not independent.
    """

    id: str
    scores: Scores
    parsed: bool
    salvaged: bool
    discarded: int
    ceiling: Scores = Scores(1.0, 1.0, 1.0)
    overlap: Overlap | None = None
    video: str = ""


def true_track(record: Record) -> Track:
    """Return the record's track, with boxes normalised to [0, 1]."""
    return Track(record["label"], {state["second"]: state["box"] for state in record["track"]})


def smoothed(answer: Answer) -> Answer:
    """Return the answer with smoothed boxes; its span, and whether it could be read, do not change."""
    if answer.span is None:
        return answer
    return replace(answer, track=Track(answer.track.label, smooth(answer.track.boxes, answer.span)))


def second_ceiling(true: Track, span: tuple[int, int]) -> Scores:
    """Score the true track against itself: vIoU is below 1 where seconds of the event have no true box.

    A record's boxes all lie inside its span (data_prep/validation.py).

    >>> second_ceiling(Track("cat", {2: (0.0, 0.0, 0.5, 0.5)}), (2, 3))
    Scores(tIoU=1.0, mvIoU=1.0, vIoU=0.5)
    """
    return Scores(1.0, 1.0, len(true.boxes) / (span[1] - span[0] + 1))


def scored(records: Iterable[Record]) -> list[Record]:
    """Return the records that have a true track; the others are skipped and do not count as 0."""
    return [record for record in records if record.get("track")]


def score_records(
    records: Iterable[Record],
    answers: Mapping[str, Prediction],
    scale_of: Callable[[Record], tuple[float, float]] = lambda record: (1000, 1000),
    *,
    protocol: str = "second",
    truths: Mapping[str, FrameTruth] | None = None,
    smoothing: bool = False,
    ceilings: bool = True,
) -> list[Sample]:
    """Return one `Sample` for each record that has a true track; a record without an answer scores 0.

    Args:
        answers: id -> raw model text, or a list of states.
        scale_of: what the coordinates in the text are divided by, for a record.
        protocol: one of `PROTOCOLS`; those on frames need `truths`.
        truths: id -> frame annotation.
        smoothing: steady the boxes first.
        ceilings: work the ceiling out too; without it stays 1.
    """
    samples = []
    for record in scored(records):
        name = record["id"]
        last = None if protocol == "vuestg" else record["seconds"]  # `no_end` (recipe/evaluation/vuestg.py)
        answer = read_prediction(answers.get(name, ""), seconds=last, scale=scale_of(record))
        if smoothing:
            answer = smoothed(answer)
        true, span = true_track(record), (record["span"][0], record["span"][1])
        scores: Scores | None
        seconds = None
        if protocol == "second":
            scores = score_answer(answer, true, span)
            best = second_ceiling(true, span)
        elif protocol == "vuestg":
            seconds = overlap(answer.track.boxes, true.boxes)
            scores, best = seconds.scores(), Scores(1.0, 1.0, 1.0)
        else:
            truth = (truths or {})[name]
            scores = score_by_protocol(protocol, answer.track.boxes, answer.span, truth)
            best = ceiling(protocol, true.boxes, truth) if ceilings else Scores(1.0, 1.0, 1.0)
        assert scores is not None  # the true track is not empty
        samples.append(
            Sample(name, scores, answer.parsed, answer.salvaged, answer.discarded, best, seconds, record["video"])
        )
    return samples


def metrics(samples: Sequence[Sample]) -> dict[str, float]:
    """Return means over samples, fractions in [0, 1]; discarded_states is the mean number per sample."""
    n = len(samples)
    return summarize(sample.scores for sample in samples) | {
        "mvIoU": sum(sample.scores.mvIoU for sample in samples) / n,
        "parse_failures": sum(not sample.parsed for sample in samples) / n,
        "salvaged_answers": sum(sample.salvaged for sample in samples) / n,
        "discarded_states": sum(sample.discarded for sample in samples) / n,
    }


def mean_metrics(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over repeated runs on the same samples; n stays the number of samples."""
    return {name: runs[0][name] if name == "n" else sum(run[name] for run in runs) / len(runs) for name in runs[0]}


def per_sample(runs: Sequence[Sequence[Sample]], score: str) -> list[float]:
    """Return one score for each sample: its mean over repeated runs."""
    return [sum(getattr(s.scores, score) for s in same) / len(same) for same in zip(*runs, strict=True)]


def paired_gain(
    before: Sequence[float],
    after: Sequence[float],
    *,
    videos: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Return the mean of after - before over the same samples, with a bootstrap 95 % interval (percentiles, seeded).

    Args:
        videos: the video of each sample; whole videos are drawn, because their samples are not independent. None:
            each sample is of a video of its own.

    >>> gain = paired_gain([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    >>> [round(gain[key], 6) for key in ("mean", "low95", "high95")]
    [0.1, 0.1, 0.1]
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    of_video: dict[str | int, list[float]] = {}
    for index, difference in enumerate(differences):
        of_video.setdefault(index if videos is None else videos[index], []).append(difference)
    parts = [(sum(values), len(values)) for values in of_video.values()]
    generator = random.Random(seed)
    means = []
    for _ in range(resamples):
        drawn = generator.choices(parts, k=len(parts))
        means.append(sum(total for total, _ in drawn) / sum(count for _, count in drawn))
    means.sort()
    return {
        "mean": sum(differences) / len(differences),
        "low95": means[int(0.025 * resamples)],
        "high95": means[int(0.975 * resamples)],
    }
