"""Scores of a set of answers under a named protocol; pure: records and answers in, numbers out."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_prep.events import events_of, has_no_target, is_judged, is_temporal, num_seconds, runs_of
from data_prep.records import Record
from recipe.evaluation.protocols import FrameTruth, ceiling, score_by_protocol
from recipe.evaluation.submission import Prediction, read_prediction
from recipe.evaluation.vuestg import Overlap, overlap
from recipe.inference.smoothing import smooth
from stvg_rewards import Answer, Scores, Span, Track, score_answer, summarize
from stvg_rewards.overlap import score_spans

METRICS = ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5")
BOXES, TIMES, NOTHING = "boxes", "times", "nothing"  # what a record's truth is


@dataclass(frozen=True)
class Sample:
    """One scored answer.

    Attributes:
        scores: of a truth without boxes only tIoU is a number.
        parsed: whether the text held an answer; an unparsed one has scores of 0 and stays in every mean.
        discarded: states that were discarded.
        ceiling: the best that a second-level answer can score on this record under the protocol.
        overlap: the seconds behind the scores, under the protocol `vuestg`.
        video: the record's; intervals draw videos, because sentences about one video are not independent.
        truth: BOXES, TIMES (without boxes) or NOTHING (a sentence without a target).
        lists: whether the answer lists any second.
    """

    id: str
    scores: Scores
    parsed: bool
    salvaged: bool
    discarded: int
    ceiling: Scores = Scores(1.0, 1.0, 1.0)
    overlap: Overlap | None = None
    video: str = ""
    truth: str = BOXES
    lists: bool = True


def truth_of(record: Record) -> str:
    """Return what the truth of a record that can be scored is: BOXES, TIMES or NOTHING."""
    return NOTHING if has_no_target(record) else TIMES if is_temporal(record) else BOXES


def true_track(record: Record) -> Track:
    """Return the record's track, with boxes normalised to [0, 1]; without boxes where it has none."""
    return Track(record["label"] or "", {state["second"]: state["box"] for state in record["track"] or ()})


def score_record(answer: Answer, record: Record) -> Scores | None:
    """Return the scores of an answer on seconds, whatever the record's truth is; None where it has none.

    Of a truth without boxes only tIoU is a number.
    """
    if has_no_target(record):
        return score_answer(answer, None, no_target=True)
    events = events_of(record)
    if is_temporal(record):
        return Scores(score_spans(answer, events), math.nan, math.nan)
    return score_answer(answer, true_track(record), events[0] if events else None, spans=events or None)


def counted_spans(answer: Answer, events: Sequence[Span]) -> list[Span]:
    """Return the spans of an answer whose seconds count: its own, or where there are several events those it lists."""
    if answer.span is None:
        return []
    return [answer.span] if len(events) < 2 else runs_of([*answer.track.boxes, *answer.unboxed])


def smoothed(answer: Answer, events: Sequence[Span] = ()) -> Answer:
    """Return the answer with smoothed boxes; its span, and whether it could be read, do not change.

    Args:
        events: the true ones. Where there are several, the seconds that an answer lists count and not those between
            them: each run of listed seconds is smoothed by itself, and no box is added to a second that is not listed.
    """
    if answer.span is None:
        return answer
    runs = counted_spans(answer, events)
    boxes = {second: box for run in runs for second, box in smooth(answer.track.boxes, run).items()}
    return replace(
        answer,
        track=Track(answer.track.label, boxes),
        unboxed=tuple(second for second in answer.unboxed if second not in boxes),
    )


def second_ceiling(true: Track, events: Sequence[Span]) -> Scores:
    """Score the true track against itself: vIoU is below 1 where seconds of the events have no true box.

    A record's boxes all lie inside its events (data_prep/validation.py).

    >>> second_ceiling(Track("cat", {2: (0.0, 0.0, 0.5, 0.5)}), [(2, 3)])
    Scores(tIoU=1.0, mvIoU=1.0, vIoU=0.5)
    """
    return Scores(1.0, 1.0, len(true.boxes) / num_seconds(events))


def scored(records: Iterable[Record]) -> list[Record]:
    """Return the records that have a truth; the others are skipped and do not count as 0."""
    return [record for record in records if is_judged(record)]


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
    """Return one `Sample` for each record that has a truth; a record without an answer scores 0.

    The protocol is for records with a true track: sentences without a target and times without boxes are scored on
    seconds under each (recipe/evaluation/apart.py).

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
        truth, events = truth_of(record), events_of(record)
        if truth != BOXES:  # no box is compared, and the record may not state a picture's size
            answer = read_prediction(answers.get(name, ""), seconds=record["seconds"])
            scores, best = score_record(answer, record), Scores(1.0, 1.0, 1.0)
            assert scores is not None
            samples.append(_sample(record, answer, scores, best, None, truth))
            continue
        answer = read_prediction(answers.get(name, ""), seconds=last, scale=scale_of(record))
        if smoothing:
            answer = smoothed(answer, events)
        true = true_track(record)
        seconds = None
        if protocol == "second":
            scores = score_record(answer, record)
            best = second_ceiling(true, events)
        elif protocol == "vuestg":
            seconds = overlap(answer.track.boxes, true.boxes)
            scores, best = seconds.scores(), Scores(1.0, 1.0, 1.0)
        else:
            frames = (truths or {})[name]
            scores = score_by_protocol(protocol, answer.track.boxes, answer.span, frames)
            best = ceiling(protocol, true.boxes, frames) if ceilings else Scores(1.0, 1.0, 1.0)
        assert scores is not None  # the true track is not empty
        samples.append(_sample(record, answer, scores, best, seconds, truth))
    return samples


def _sample(
    record: Record, answer: Answer, scores: Scores, best: Scores, seconds: Overlap | None, truth: str
) -> Sample:
    counts = answer.parsed, answer.salvaged, answer.discarded
    return Sample(
        record["id"], scores, *counts, best, seconds, record["video"], truth=truth, lists=answer.span is not None
    )


def metrics(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return means over samples, fractions in [0, 1]; discarded_states is the mean number per sample.

    Scores and n are those of the records that have a true track; without any of them the scores are None.
    """
    n = len(samples)
    tubes = [sample for sample in samples if sample.truth == BOXES]
    scores: dict[str, Any] = summarize(sample.scores for sample in tubes) | {
        "mvIoU": sum(sample.scores.mvIoU for sample in tubes) / max(len(tubes), 1)
    }
    if not tubes:
        scores = {name: 0 if name == "n" else None for name in scores}
    return scores | {
        "parse_failures": sum(not sample.parsed for sample in samples) / n,
        "salvaged_answers": sum(sample.salvaged for sample in samples) / n,
        "discarded_states": sum(sample.discarded for sample in samples) / n,
    }


def mean_metrics(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of each metric over repeated runs on the same samples; n stays the number of samples."""
    return {
        name: first if name == "n" or first is None else sum(run[name] for run in runs) / len(runs)
        for name, first in runs[0].items()
    }


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
