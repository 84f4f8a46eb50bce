"""Reward functions in TRL's form: thin adapters from completions and data set columns to scores.

Each takes the columns of the data set by name, one value a completion; `tiou_reward` describes them. Each logs the
means over the scored rows of a batch through `log_metric` under the same names (`METRIC_NAMES`), so that runs with
different rewards can be compared.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .batch import Scored, score_completions
from .columns import completion_text
from .framing import stands_alone

DISCARDED = ("key", "late", "shape", "box", "duplicate", "earlier")
REPAIRED = ("objects", "records", "list", "empty", "bracket", "key", "dict", "label", "nested")
METRIC_NAMES = (
    *("tIoU", "mvIoU", "vIoU", "parse_rate", "salvage_rate", "discarded_states"),
    *("span_ratio", "one_second_rate", "whole_clip_rate", "gap_rate", "label_switches", "empty_intersection_rate"),
    *(f"discarded/{reason}" for reason in DISCARDED),
    *(f"repaired/{form}" for form in REPAIRED),
    *("within_one_rate", "beyond_scale_rate"),
)
"""tIoU, mvIoU, vIoU: means, 0 to 1. parse_rate, salvage_rate: share of texts that held an answer, and of those read
from truncated or broken JSON. discarded_states: mean number of states that were discarded, a text. From span_ratio to
empty_intersection_rate: means of `Diagnostics`, the signs of reward hacking. discarded/..., repaired/...: share of
texts with a state discarded for that reason, or with that form (`Answer`). within_one_rate, beyond_scale_rate: share
of texts whose boxes look as if written in another scale (`Answer.scale_sign`)."""

LogMetric = Callable[[str, float], None]
LogExtra = Callable[[str, list[Any]], None]


def tiou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    *,
    spans: Sequence[Any] | None = None,
    no_target: Sequence[Any] | None = None,
    temporal: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return tIoU (the paper's equation 5) of each completion: how well its seconds meet the true ones.

    Args:
        completions: texts, or conversations whose last message of the assistant is the answer.
        track: the true boxes of each row, `[{"second": 3, "box": [x_min, y_min, x_max, y_max]}, ...]` normalised to
            [0, 1]. Empty or None: the row belongs to another task, and its reward is None, which TRL skips.
        span: [first, last] true seconds, both included. Left out: those of the track.
        seconds: the clip's number of seconds; later keys of an answer are discarded. Left out: no limit.
        box_scale: [width, height] of the picture in the units of boxes in the text. Left out: [1000, 1000].
        spans: [[first, last], ...] of a sentence with several events; seconds then count as sets (`score_answer`).
        no_target: true where the sentence has no target and the row no track: an empty answer scores 1, any other 0.
        temporal: true where `spans` or `span` are all that is known, without boxes: rewards of boxes are None.
        log_metric, log_extra: TRL's functions that log; None logs nothing.
        kwargs: other columns and what a trainer adds. Only `schema` is looked at: see Raises.

    Raises:
        TypeError: a completion is neither a text nor a conversation.
        ValueError: a column is wrong, and not only the model's text; the message names column and row. So are `spans`
            beside a column `schema` of 2: those of a track file are times [begin, end).

    Columns may hold lists, arrays of numpy, pandas or Arrow, and dicts of lists; 8.0 is a whole number.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> tiou_reward(completions, track=[truth, truth, None])  # second 2 of 2..3
    [0.5, 0.0, None]
    """
    scored = score_completions(
        completions, track, span, seconds, box_scale, spans=spans, no_target=no_target, temporal=temporal, **kwargs
    )
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
    *,
    spans: Sequence[Any] | None = None,
    no_target: Sequence[Any] | None = None,
    temporal: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return mvIoU (equation 6) of each completion: the mean box IoU over the seconds that answer and truth share.

    On its own it is highest for one confident second; the paper adds `tiou_reward` to it (equation 4).

    Args:
        completions: texts, or conversations whose last message of the assistant is the answer.
        track: the true boxes of each row, `[{"second": 3, "box": [x_min, y_min, x_max, y_max]}, ...]` normalised to
            [0, 1]. Empty or None: the row belongs to another task, and its reward is None, which TRL skips.
        span: [first, last] true seconds, both included. Left out: those of the track.
        seconds: the clip's number of seconds; later keys of an answer are discarded. Left out: no limit.
        box_scale: [width, height] of the picture in the units of boxes in the text. Left out: [1000, 1000].
        spans: [[first, last], ...] of a sentence with several events; seconds then count as sets (`score_answer`).
        no_target: true where the sentence has no target and the row no track: an empty answer scores 1, any other 0.
        temporal: true where `spans` or `span` are all that is known, without boxes: rewards of boxes are None.
        log_metric, log_extra: TRL's functions that log; None logs nothing.
        kwargs: other columns and what a trainer adds. Only `schema` is looked at: see Raises.

    Raises:
        TypeError: a completion is neither a text nor a conversation.
        ValueError: a column is wrong, and not only the model's text; the message names column and row. So are `spans`
            beside a column `schema` of 2: those of a track file are times [begin, end).

    Columns may hold lists, arrays of numpy, pandas or Arrow, and dicts of lists; 8.0 is a whole number.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> mviou_reward(completions, track=[truth, truth, None])  # half of the box in the one shared second
    [0.5, 0.0, None]
    """
    scored = score_completions(
        completions, track, span, seconds, box_scale, spans=spans, no_target=no_target, temporal=temporal, **kwargs
    )
    log_scores("mviou_reward", scored, log_metric, log_extra)
    return [None if row is None or row.temporal else row.scores.mvIoU for row in scored]


def viou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    *,
    spans: Sequence[Any] | None = None,
    no_target: Sequence[Any] | None = None,
    temporal: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return vIoU, the field's tube metric, of each completion.

    It is the sum of the box IoUs of the shared seconds divided by the seconds in either.

    Args:
        completions: texts, or conversations whose last message of the assistant is the answer.
        track: the true boxes of each row, `[{"second": 3, "box": [x_min, y_min, x_max, y_max]}, ...]` normalised to
            [0, 1]. Empty or None: the row belongs to another task, and its reward is None, which TRL skips.
        span: [first, last] true seconds, both included. Left out: those of the track.
        seconds: the clip's number of seconds; later keys of an answer are discarded. Left out: no limit.
        box_scale: [width, height] of the picture in the units of boxes in the text. Left out: [1000, 1000].
        spans: [[first, last], ...] of a sentence with several events; seconds then count as sets (`score_answer`).
        no_target: true where the sentence has no target and the row no track: an empty answer scores 1, any other 0.
        temporal: true where `spans` or `span` are all that is known, without boxes: rewards of boxes are None.
        log_metric, log_extra: TRL's functions that log; None logs nothing.
        kwargs: other columns and what a trainer adds. Only `schema` is looked at: see Raises.

    Raises:
        TypeError: a completion is neither a text nor a conversation.
        ValueError: a column is wrong, and not only the model's text; the message names column and row. So are `spans`
            beside a column `schema` of 2: those of a track file are times [begin, end).

    Columns may hold lists, arrays of numpy, pandas or Arrow, and dicts of lists; 8.0 is a whole number.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> viou_reward(completions, track=[truth, truth, None])  # half a box in one of two seconds
    [0.25, 0.0, None]
    """
    scored = score_completions(
        completions, track, span, seconds, box_scale, spans=spans, no_target=no_target, temporal=temporal, **kwargs
    )
    log_scores("viou_reward", scored, log_metric, log_extra)
    return [None if row is None or row.temporal else row.scores.vIoU for row in scored]


def format_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    log_metric: LogMetric | None = None,
    log_extra: LogExtra | None = None,
    *,
    spans: Sequence[Any] | None = None,
    no_target: Sequence[Any] | None = None,
    temporal: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return 1 if the text keeps the answer contract exactly (whole JSON, nothing discarded or salvaged), else 0.

    A word outside the reasoning part and the answer breaks the contract too. The paper has no such term.

    Args:
        completions: texts, or conversations whose last message of the assistant is the answer.
        track: the true boxes of each row, `[{"second": 3, "box": [x_min, y_min, x_max, y_max]}, ...]` normalised to
            [0, 1]. Empty or None: the row belongs to another task, and its reward is None, which TRL skips.
        span: [first, last] true seconds, both included. Left out: those of the track.
        seconds: the clip's number of seconds; later keys of an answer are discarded. Left out: no limit.
        box_scale: [width, height] of the picture in the units of boxes in the text. Left out: [1000, 1000].
        spans: [[first, last], ...] of a sentence with several events; seconds then count as sets (`score_answer`).
        no_target: true where the sentence has no target and the row no track: an empty answer scores 1, any other 0.
        temporal: true where `spans` or `span` are all that is known, without boxes: rewards of boxes are None.
        log_metric, log_extra: TRL's functions that log; None logs nothing.
        kwargs: other columns and what a trainer adds. Only `schema` is looked at: see Raises.

    Raises:
        TypeError: a completion is neither a text nor a conversation.
        ValueError: a column is wrong, and not only the model's text; the message names column and row. So are `spans`
            beside a column `schema` of 2: those of a track file are times [begin, end).

    Columns may hold lists, arrays of numpy, pandas or Arrow, and dicts of lists; 8.0 is a whole number.

        >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}]
        >>> whole = '{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}'
        >>> format_reward([whole, whole[:-1], "another task"], track=[truth, truth, []])
        [1.0, 0.0, None]
        >>> format_reward([f"<think>It sits.</think>{whole}", f"Here it is: {whole}"], track=[truth, truth])
        [1.0, 0.0]
    """
    scored = score_completions(
        completions, track, span, seconds, box_scale, spans=spans, no_target=no_target, temporal=temporal, **kwargs
    )
    log_scores("format_reward", scored, log_metric, log_extra)
    return [
        row and float(row.complete and stands_alone(completion_text(completion)))
        for row, completion in zip(scored, completions, strict=True)
    ]


def log_scores(
    name: str, scored: Sequence[Scored | None], log_metric: LogMetric | None, log_extra: LogExtra | None
) -> None:
    """Log the means of METRIC_NAMES over the rows with a true track, and columns of the reward's name for the table.

    Rows without a target are reported apart, as `no_target/score`, and temporal ones as `temporal/tIoU`, where a batch
    has some.
    """
    if log_metric is not None:
        rows = [row for row in scored if row is not None and row.signs is not None]
        if rows:
            for metric, mean in zip(METRIC_NAMES, _means(rows), strict=True):
                log_metric(metric, mean)
        for metric, temporal in (("no_target/score", False), ("temporal/tIoU", True)):
            apart = [
                row.scores.tIoU for row in scored if row is not None and row.signs is None and row.temporal is temporal
            ]
            if apart:
                log_metric(metric, sum(apart) / len(apart))
    if log_extra is not None:
        # TRL appends the values of equal column names: two rewards in one trainer must not share one.
        log_extra(f"{name}/vIoU", [None if row is None or row.temporal else row.scores.vIoU for row in scored])
        log_extra(f"{name}/span", [row and _span_text(row) for row in scored])


def _means(rows: Sequence[Scored]) -> list[float]:
    """Return the means of METRIC_NAMES over rows."""
    columns: list[Sequence[float]] = [*zip(*(row.scores for row in rows), strict=True)]
    columns += [[row.parsed for row in rows], [row.salvaged for row in rows], [row.discarded for row in rows]]
    columns += zip(*(row.signs for row in rows if row.signs is not None), strict=True)
    odd = [row for row in rows if not row.complete]  # the others have nothing discarded or repaired
    columns += [[reason in row.discarded_by for row in odd] for reason in DISCARDED]
    columns += [[form in row.repaired for row in odd] for form in REPAIRED]
    columns += [[row.scale_sign == sign for row in rows] for sign in ("within_one", "beyond")]
    return [sum(column) / len(rows) for column in columns]


def _span_text(row: Scored) -> str:
    return "" if row.answer_span is None else f"{row.answer_span[0]}-{row.answer_span[1]}"
