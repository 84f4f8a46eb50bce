"""Reward functions in TRL's form: thin adapters from completions and data set columns to scores.

Each takes the columns of the data set by name, one value a completion:

- `track`: list of {"second": int, "box": [x_min, y_min, x_max, y_max]}, normalised to [0, 1]. Empty or None: the row
  has no true track (or belongs to another task) and its reward is None, which TRL skips.
- `span`: [first, last] true seconds, both included. Left out: those of the track.
- `seconds`: K, the clip's number of seconds; keys from K on are discarded. Left out: no limit.
- `box_scale`: [units of the width, units of the height] of boxes in model text. Left out: [1000, 1000].

Whatever the variant, each logs through `log_metric` the means over the scored rows of a batch under the same names,
so that runs with different rewards can be compared: `METRIC_NAMES`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .columns import check_column, completion_text, read_scale, read_seconds, read_span, read_track
from .diagnostics import Diagnostics, diagnose
from .overlap import Scores, score_answer
from .parsing import parse_answer
from .tracks import Answer

METRIC_NAMES = (
    *("tIoU", "mvIoU", "vIoU", "parse_rate", "salvage_rate", "discarded_states"),
    *("span_ratio", "one_second_rate", "whole_clip_rate", "gap_rate", "label_switches", "empty_intersection_rate"),
)
"""tIoU, mvIoU, vIoU: means, 0 to 1. parse_rate, salvage_rate: share of texts that held an answer, and of those read
from truncated or broken JSON. discarded_states: mean number of states that were discarded, a text. The others are the
means of `Diagnostics`, the signs of reward hacking."""

LogMetric = Callable[[str, float], None]
LogExtra = Callable[[str, list[Any]], None]


class Scored(NamedTuple):
    """One completion with its answer and scores."""

    answer: Answer
    scores: Scores
    signs: Diagnostics


def score_completions(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
) -> list[Scored | None]:
    """Answers and scores of a batch, None for rows without a true track: what every reward here starts from."""
    num_rows = len(completions)
    scored: list[Scored | None] = []
    rows = zip(
        completions,
        check_column("track", track, num_rows),
        check_column("span", span, num_rows),
        check_column("seconds", seconds, num_rows),
        check_column("box_scale", box_scale, num_rows),
        strict=True,
    )
    for row, (completion, true_states, true_span, num_seconds, scale) in enumerate(rows):
        true = read_track(true_states, row)
        if true is None:
            scored.append(None)
            continue
        clip_seconds = read_seconds(num_seconds, row)
        answer = parse_answer(completion_text(completion), seconds=clip_seconds, scale=read_scale(scale, row))
        limits = read_span(true_span, row) or true.span
        scores = score_answer(answer, true, limits)
        assert scores is not None and limits is not None
        scored.append(Scored(answer, scores, diagnose(answer, limits, clip_seconds)))
    return scored


def tiou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """tIoU (the paper's equation 5): how well the seconds of the answer meet the true ones. Columns as above.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> tiou_reward(completions, track=[truth, truth, None])  # second 2 of 2..3
    [0.5, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale)
    log_scores("tiou_reward", scored, log_metric, log_extra)
    return [row and row.scores.tIoU for row in scored]


def mviou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """mvIoU (equation 6): mean box IoU over the seconds that answer and truth share. Columns as above.

    Alone it is highest for one confident second; the paper adds `tiou_reward` to it (equation 4).

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> mviou_reward(completions, track=[truth, truth, None])  # half of the box in the one shared second
    [0.5, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale)
    log_scores("mviou_reward", scored, log_metric, log_extra)
    return [row and row.scores.mvIoU for row in scored]


def viou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """vIoU, the field's tube metric: box IoUs of the shared seconds over the seconds of either. Columns as above.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> viou_reward(completions, track=[truth, truth, None])  # half a box in one of two seconds
    [0.25, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale)
    log_scores("viou_reward", scored, log_metric, log_extra)
    return [row and row.scores.vIoU for row in scored]


def format_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """1 if the text keeps the answer contract exactly: whole JSON, nothing discarded or salvaged; else 0.

    The paper has no such term.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> whole = '{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}'
    >>> format_reward([whole, whole[:-1], "another task"], track=[truth, truth, []])
    [1.0, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale)
    log_scores("format_reward", scored, log_metric, log_extra)
    return [row and float(row.answer.complete) for row in scored]


def log_scores(
    name: str, scored: Sequence[Scored | None], log_metric: LogMetric | None, log_extra: LogExtra | None
) -> None:
    """Log the means of METRIC_NAMES over the scored rows, and columns of the reward's own name for the table."""
    rows = [row for row in scored if row is not None]
    if log_metric is not None and rows:
        columns = zip(
            *((*row.scores, row.answer.parsed, row.answer.salvaged, row.answer.discarded, *row.signs) for row in rows),
            strict=True,
        )
        for metric, values in zip(METRIC_NAMES, columns, strict=True):
            log_metric(metric, sum(values) / len(rows))
    if log_extra is not None:
        # TRL appends the values of equal column names: two rewards in one trainer must not share one.
        log_extra(f"{name}/vIoU", [row and row.scores.vIoU for row in scored])
        log_extra(f"{name}/span", [row and _span_text(row.answer) for row in scored])


def _span_text(answer: Answer) -> str:
    return "" if answer.span is None else f"{answer.span[0]}-{answer.span[1]}"
