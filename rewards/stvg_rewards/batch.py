"""Answers and scores of a batch of completions: what every reward of tracks starts from.

A trainer calls its reward functions one after the other on the same batch. So what was read is kept for the batch
that was seen last, and only for that one: a row is used again if its text and all that it is read and scored with are
equal by value.
"""

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from .columns import (
    check_column,
    completion_text,
    read_no_target,
    read_scale,
    read_seconds,
    read_span,
    read_spans,
    read_track,
)
from .diagnostics import Diagnostics, diagnose
from .overlap import Scores, score_answer
from .parsing import parse_answer
from .tracks import Answer, Scale, Span, Track


class Scored(NamedTuple):
    """One completion with its answer and scores, and the truth that they were worked out with."""

    answer: Answer
    scores: Scores
    signs: Diagnostics | None  # None without a target
    true: Track
    spans: Sequence[Span]  # one, or those of several events; none without a target


class _Row(NamedTuple):
    """A row with all that its scores depend on; of the true track, `scored` holds the numbers."""

    text: str
    seconds: int | None
    scale: Scale
    limits: tuple[Span | None, list[Span] | None, bool]  # span, spans, no_target
    scored: Scored


# A batch of more text is read anew each time, so that nothing large stays in memory.
_MOST_CHARACTERS = 64_000_000
# Replaced as a whole, never changed, so threads need no lock.
_last_batch: list[_Row | None] = []

_second_of, _box_of = itemgetter("second"), itemgetter("box")


def score_completions(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    *,
    spans: Sequence[Any] | None = None,
    no_target: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[Scored | None]:
    """Return answers and scores of a batch, None for rows without a true track. Columns as in `stvg_rewards.rewards`.

    Answers are shared between calls on the same batch: do not change them.

    Raises:
        ValueError: a column is wrong; the message names it and the row.
    """
    global _last_batch
    num_rows = len(completions)
    columns = zip(
        completions,
        check_column("track", track, num_rows),
        check_column("span", span, num_rows),
        check_column("seconds", seconds, num_rows),
        check_column("box_scale", box_scale, num_rows),
        check_column("spans", spans, num_rows),
        check_column("no_target", no_target, num_rows),
        strict=True,
    )
    before = _last_batch
    if len(before) != num_rows:
        before = [None] * num_rows
    rows: list[_Row | None] = []
    for row, (last, (completion, states, true_span, num_seconds, scale, true_spans, absent)) in enumerate(
        zip(before, columns, strict=True)
    ):
        if not states and not absent:
            rows.append(None)
            continue
        rows.append(
            _score(
                row,
                last,
                completion_text(completion),
                read_seconds(num_seconds, row),
                read_scale(scale, row),
                states,
                (read_span(true_span, row), read_spans(true_spans, row), read_no_target(absent, row)),
            )
        )
    if sum(len(one.text) for one in rows if one is not None) <= _MOST_CHARACTERS:
        _last_batch = rows
    return [one and one.scored for one in rows]


def _score(
    row: int,
    last: _Row | None,
    text: str,
    seconds: int | None,
    scale: Scale,
    states: Any,
    limits: tuple[Span | None, list[Span] | None, bool],
) -> _Row | None:
    """Return a row with its scores, those of the last batch where all that they depend on is equal; None: no truth."""
    answer = None
    if last is not None and last.text == text and last.seconds == seconds and last.scale == scale:
        if last.limits == limits and _is_same(states, last.scored.true):
            return last
        answer = last.scored.answer
    true = read_track(states, row)
    span, spans, no_target = limits
    if no_target and true is not None:
        raise ValueError(f"column 'no_target' row {row}: got true, but column 'track' has states: expected one of both")
    if not no_target and true is None:
        return None
    if answer is None:
        answer = parse_answer(text, seconds=seconds, scale=scale)
    if true is None:
        scores, signs, true, limits_of_true = score_answer(answer, None, no_target=True), None, Track("", {}), []
    else:
        limits_of_true = spans or [span or true.span or (0, 0)]
        scores = score_answer(answer, true, limits_of_true[0], spans=spans)
        signs = diagnose(answer, (limits_of_true[0][0], limits_of_true[-1][1]), seconds)
    assert scores is not None
    return _Row(text, seconds, scale, limits, Scored(answer, scores, signs, true, limits_of_true))


def _is_same(states: Any, true: Track) -> bool:
    """Return whether a track column's value has the numbers that a true track was read from."""
    if not states:
        return not true.boxes
    try:
        seconds, boxes = list(map(_second_of, states)), list(map(_box_of, states))
        return (
            seconds == list(true.boxes)
            and set(map(type, seconds)) == {int}
            and set(map(len, boxes)) == {4}
            and list(chain.from_iterable(boxes)) == list(chain.from_iterable(true.boxes.values()))
        )
    except (TypeError, KeyError):
        return False
