"""Answers and scores of a batch of completions: what the rewards of tracks start from.

A trainer calls its reward functions one after the other on the same batch. So the scores are kept for the batch that
was seen last, and only for that one: a row's are used again if its text and all that it is read and scored with are
equal by value. Boxes are not kept: they would be nearly all of the memory.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .aligned import TrueStates, copy_states, is_usual, score_aligned
from .columns import (
    check_column,
    completion_text,
    read_flag,
    read_scale,
    read_seconds,
    read_span,
    read_spans,
    read_track,
)
from .data_frames import read_items, to_python
from .diagnostics import Diagnostics, diagnose, diagnose_span
from .overlap import Scores, score_answer, score_spans
from .parsing import parse_answer
from .plain import read_written
from .tracks import Answer, Scale, Span, Track

COLUMNS = ("track", "span", "seconds", "box_scale", "spans", "no_target", "temporal")
"""The columns that the truth of a row and the reading of its answer take, in the order of `rows_of`."""


class Row(NamedTuple):
    """One completion and its columns, all read but the true track."""

    position: int
    text: str
    seconds: int | None
    scale: Scale
    states: Any  # the column `track`
    span: Span | None
    spans: list[Span] | None
    no_target: bool
    temporal: bool

    def read_answer(self) -> Answer:
        """Read the answer."""
        return parse_answer(self.text, seconds=self.seconds, scale=self.scale)

    def read_truth(self) -> tuple[Track, list[Span]]:
        """Return the true track and its spans in order: one, or those of several events; none without a target.

        A temporal row has spans and a track without boxes.

        Raises:
            ValueError: the row has a true track and no target or no boxes, or is temporal and has no span.
        """
        true, row = read_track(self.states, self.position), f"row {self.position}: got true, but"
        for name, flag in (("no_target", self.no_target), ("temporal", self.temporal)):
            if true is not None and flag:
                raise ValueError(f"column {name!r} {row} its 'track' has states: drop one")
        if self.no_target:
            if self.temporal or self.spans or self.span:
                raise ValueError(f"column 'no_target' {row} it is temporal or has a span: drop one")
            return Track("", {}), []
        true = true or Track("", {})
        span = self.span or true.span
        if span is None and not self.spans:
            raise ValueError(f"column 'temporal' {row} neither 'spans' nor 'span' is there")
        return true, self.spans or ([span] if span else [])


class Scored(NamedTuple):
    """The scores of one completion, and what its answer was like (see `Answer`)."""

    scores: Scores  # of a temporal row only tIoU is a number
    signs: Diagnostics | None  # None where the truth has no boxes: without a target, or temporal
    temporal: bool
    answer_span: Span | None
    true_spans: list[Span]
    parsed: bool
    salvaged: bool
    complete: bool
    discarded: int
    discarded_by: Mapping[str, int]
    repaired: Mapping[str, int]
    scale_sign: str


class _Kept(NamedTuple):
    """A row's scores with all that they depend on, by value."""

    text: str
    settings: tuple[Any, ...]  # seconds, scale, span, spans, no_target, temporal
    truth: TrueStates | None
    scored: Scored


# A batch of more text is read anew each time, so that nothing large stays in memory.
_MOST_CHARACTERS = 64_000_000
# Replaced as a whole and never changed, so that threads need no lock.
_last_batch: list[_Kept | None] = []


def rows_of(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    *,
    spans: Sequence[Any] | None = None,
    no_target: Sequence[Any] | None = None,
    temporal: Sequence[Any] | None = None,
    **kwargs: Any,
) -> Iterator[Row | None]:
    """Yield the rows of a batch, None for those without a truth. Columns as in `stvg_rewards.tiou_reward`.

    Raises:
        TypeError: a completion is neither a text nor a conversation.
        ValueError: a column is wrong; the message names it and the row. So are `spans` beside a column `schema` of 2.
    """
    given = {
        "track": track,
        "span": span,
        "seconds": seconds,
        "box_scale": box_scale,
        "spans": spans,
        "no_target": no_target,
        "temporal": temporal,
    }
    columns = [check_column(name, column, len(completions)) for name, column in given.items()]
    _refuse_records(columns[4], check_column("schema", kwargs.get("schema"), len(completions)))
    for row, (completion, states, one, length, scale, several, absent, boxless) in enumerate(
        zip(completions, *columns, strict=True)
    ):
        states = read_items(states)
        no_box = read_flag("no_target", absent, row), read_flag("temporal", boxless, row)
        if not states and not any(no_box):
            yield None
            continue
        yield Row(
            row,
            completion_text(completion),
            read_seconds(length, row),
            read_scale(scale, row),
            states,
            read_span(one, row),
            read_spans(several, row),
            *no_box,
        )


def _refuse_records(spans: Sequence[Any], schema: Sequence[Any]) -> None:
    """Raise a ValueError where a track file itself is the data set: a record's spans are half-open, the column's not.

    Read as the column, [[2, 4]] would be the seconds 2 to 4 without a word.
    """
    for row, (value, version) in enumerate(zip(spans, schema, strict=True)):
        if version is not None and to_python(version) == 2 and to_python(value):
            raise ValueError(
                f"column 'spans' row {row}: those of a record (schema 2) are times [begin, end), expected [first, "
                "last] seconds, both included: make the columns of the record (docs/data.md), or leave out 'schema'"
            )


def score_completions(
    completions: Sequence[Any], track: Sequence[Any], *args: Any, **kwargs: Any
) -> list[Scored | None]:
    """Return the scores of a batch, None for rows without a truth. Arguments and errors as those of `rows_of`."""
    global _last_batch
    before = _last_batch
    if len(before) != len(completions):
        before = [None] * len(completions)
    kept: list[_Kept | None] = []
    num_characters = 0
    usual: TrueStates | None = None  # the usual truth that was seen last: answers to one prompt share theirs
    for last, row in zip(before, rows_of(completions, track, *args, **kwargs), strict=True):
        if row is None:
            kept.append(None)
            continue
        settings = row[2:4] + row[5:]
        truth = copy_states(row.states)
        if last is None or last.text != row.text or last.settings != settings or truth is None or last.truth != truth:
            scored = None
            if truth is not None and (truth == usual or is_usual(truth)):
                usual = truth
                scored = _score_usual(row, usual)
            last = _Kept(row.text, settings, truth, scored or _score(row))
        kept.append(last)
        num_characters += len(row.text)
    if num_characters <= _MOST_CHARACTERS:
        _last_batch = kept
    return [one and one.scored for one in kept]


def _score_usual(row: Row, truth: TrueStates) -> Scored | None:
    """Read and score a row whose truth is usual; None if its answer is not, or asks for more than one span."""
    if row.spans is not None or row.no_target or row.temporal:
        return None
    written = read_written(row.text, row.seconds, row.scale)
    true_span = row.span or (truth.seconds[0], truth.seconds[-1])
    scores = score_aligned(written, truth, true_span) if written is not None else None
    if written is None or scores is None:
        return None
    span = (written.seconds[0], written.seconds[-1])
    signs = diagnose_span(span, len(written.seconds), true_span, row.seconds)
    return Scored(scores, signs, False, span, [true_span], True, False, True, 0, {}, {}, "")


def _score(row: Row) -> Scored:
    """Read and score any row."""
    true, true_spans = row.read_truth()
    answer = row.read_answer()
    signs = None
    if row.no_target:
        scores = score_answer(answer, None, no_target=True)
    elif row.temporal:
        scores = Scores(score_spans(answer, true_spans), math.nan, math.nan)
    else:
        scores = score_answer(answer, true, true_spans[0], spans=row.spans)
        signs = diagnose(answer, (true_spans[0][0], true_spans[-1][1]), row.seconds)
    assert scores is not None
    return Scored(
        scores,
        signs,
        row.temporal,
        answer.span,
        true_spans,
        answer.parsed,
        answer.salvaged,
        answer.complete,
        answer.discarded,
        answer.discarded_by,
        answer.repaired,
        answer.scale_sign,
    )
