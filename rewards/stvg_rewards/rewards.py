"""Reward functions in TRL's form: thin adapters from completions and data set columns to scores.

Each takes the columns of the data set by name, one value a completion:

- `track`: list of {"second": int, "box": [x_min, y_min, x_max, y_max]}, normalised to [0, 1]. Empty or None: the row
  has no true track (or belongs to another task) and its reward is None, which TRL skips.
- `span`: [first, last] true seconds, both included. Left out: those of the track.
- `seconds`: K, the clip's number of seconds; keys from K on are discarded. Left out: no limit.
- `box_scale`: [units of the width, units of the height] of boxes in model text. Left out: [1000, 1000].
- `spans`: a list of [first, last] where the sentence has several events; then seconds count as sets (`score_answer`).
- `no_target`: true where the sentence has no target: an empty answer scores 1, any other 0. There is no `track` then.
- `temporal`: true where the truth is `spans` (or `span`) without boxes: there is no `track`, tIoU is scored, and the
  rewards that look at boxes are None.

Each of them logs the means over the scored rows of a batch through `log_metric` under the same names
(`METRIC_NAMES`), so that runs with different rewards can be compared.
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
    **kwargs: Any,
) -> list[float | None]:
    """Return tIoU (the paper's equation 5) of each completion: how well its seconds meet the true ones.

    The columns are described in the module's docstring.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> tiou_reward(completions, track=[truth, truth, None])  # second 2 of 2..3
    [0.5, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale, **kwargs)
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
    """Return mvIoU (equation 6) of each completion: the mean box IoU over the seconds that answer and truth share.

    The columns are described in the module's docstring.

    On its own it is highest for one confident second; the paper adds `tiou_reward` to it (equation 4).

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> mviou_reward(completions, track=[truth, truth, None])  # half of the box in the one shared second
    [0.5, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale, **kwargs)
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
    **kwargs: Any,
) -> list[float | None]:
    """Return vIoU, the field's tube metric, of each completion.

    It is the sum of the box IoUs of the shared seconds divided by the seconds in either. The columns are described
    in the module's docstring.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 3, "box": [0.0, 0.0, 0.5, 0.5]}]
    >>> completions = ['{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}', "no idea", "another task"]
    >>> viou_reward(completions, track=[truth, truth, None])  # half a box in one of two seconds
    [0.25, 0.0, None]
    """
    scored = score_completions(completions, track, span, seconds, box_scale, **kwargs)
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
    **kwargs: Any,
) -> list[float | None]:
    """Return 1 if the text keeps the answer contract exactly (whole JSON, nothing discarded or salvaged), else 0.

    A word outside the reasoning part and the answer breaks the contract too. The paper has no such term. The columns
    are described in the module's docstring.

        >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}]
        >>> whole = '{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}'
        >>> format_reward([whole, whole[:-1], "another task"], track=[truth, truth, []])
        [1.0, 0.0, None]
        >>> format_reward([f"<think>It sits.</think>{whole}", f"Here it is: {whole}"], track=[truth, truth])
        [1.0, 0.0]
    """
    scored = score_completions(completions, track, span, seconds, box_scale, **kwargs)
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
