"""The usual row of a batch, scored fast: an answer and a truth that list each second from their first to their last.

Their boxes are compared by columns, without making a track of either. Scores are those of `score_answer`.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from .overlap import Scores, scores_of_spans, sum_of_ious
from .plain import Written
from .tracks import Span

_second_of, _box_of = itemgetter("second"), itemgetter("box")
_NUMBERS = frozenset((int, float))


class TrueStates(NamedTuple):
    """The column `track` of a row as it was given. Two that are equal stand for the same true track."""

    seconds: tuple[int, ...]
    numbers: tuple[float, ...]  # of all boxes, one after the other


def copy_states(states: Any) -> TrueStates | None:
    """Return a true track as it is given, unchecked but for its shape; None if that is another."""
    if not states:
        return TrueStates((), ())
    try:
        boxes = [*map(_box_of, states)]
        seconds = tuple(map(_second_of, states))
        # 2.0 and True equal whole numbers that are right.
        if set(map(len, boxes)) != {4} or set(map(type, seconds)) != {int}:
            return None
        return TrueStates(seconds, tuple(chain.from_iterable(boxes)))
    except (TypeError, LookupError):
        return None


def is_usual(truth: TrueStates) -> bool:
    """Return whether a true track is right and lists each second from its first to its last, in order."""
    seconds, numbers = truth
    if not seconds or seconds[0] < 0 or seconds != tuple(range(seconds[0], seconds[0] + len(seconds))):
        return False
    try:
        for left, top, right, bottom in boxes_of(numbers):
            if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
                return False
        return type(sum(numbers)) in _NUMBERS  # a sum has another type as soon as one of its numbers has
    except (TypeError, ValueError):
        return False


def boxes_of(numbers: Sequence[float]) -> Iterable[tuple[float, ...]]:
    """Return an iterator of four numbers at a time."""
    each = iter(numbers)
    return zip(each, each, each, each, strict=True)


def score_aligned(written: Written, truth: TrueStates, true_span: Span) -> Scores | None:
    """Return the scores of a usual answer and a usual truth; None if the answer leaves out a second.

    Args:
        written: from `read_written`.
        truth: one that `is_usual`.
        true_span: (first, last) second, both included.
    """
    ours, theirs = written.seconds, truth.seconds
    if ours[-1] - ours[0] >= len(ours):
        return None
    first, last = max(ours[0], theirs[0], true_span[0]), min(ours[-1], theirs[-1], true_span[1])
    if first > last:
        return scores_of_spans((ours[0], ours[-1]), true_span, 0.0, 0)
    answer = slice(first - ours[0], last + 1 - ours[0])
    pairs = zip(
        written.left[answer],
        written.top[answer],
        written.right[answer],
        written.bottom[answer],
        boxes_of(truth.numbers[4 * (first - theirs[0]) : 4 * (last + 1 - theirs[0])]),
        strict=True,
    )
    return scores_of_spans((ours[0], ours[-1]), true_span, sum_of_ious(pairs), last + 1 - first)
