"""The usual row of a batch, scored fast: an answer and a truth that list each second from their first to their last.

Their boxes are compared by columns, without making a track of either. Scores are those of `score_answer`.
"""

from operator import itemgetter, lt
from typing import Any, NamedTuple

from .overlap import Scores, scores_of_spans, sum_of_ious
from .plain import Written
from .tracks import Span

_second_of, _box_of = itemgetter("second"), itemgetter("box")
_NUMBERS = frozenset((int, float))


class TrackColumns(NamedTuple):
    """The column `track` of a row by its columns. Two that are equal stand for the same true track."""

    seconds: tuple[int, ...]
    sides: tuple[tuple[float, ...], ...]  # left, top, right, bottom; none if there are no boxes


def track_columns(states: Any) -> TrackColumns | None:
    """Return a true track as it is given, unchecked but for its shape; None if that is another."""
    if not states:
        return TrackColumns((), ())
    try:
        left, top, right, bottom = zip(*map(_box_of, states), strict=True)
        seconds = tuple(map(_second_of, states))
    except (TypeError, LookupError, ValueError):
        return None
    # 2.0 and True equal whole numbers that are right.
    return TrackColumns(seconds, (left, top, right, bottom)) if set(map(type, seconds)) == {int} else None


def is_usual(truth: TrackColumns) -> bool:
    """Return whether a true track is right and lists each second from its first to its last, in order."""
    seconds = truth.seconds
    if not seconds or seconds[0] < 0 or seconds != tuple(range(seconds[0], seconds[0] + len(seconds))):
        return False
    try:
        left, top, right, bottom = truth.sides
        # NaN is not below anything; then there is none, and the smallest and the largest are what they seem.
        return (
            all(map(lt, left, right))
            and all(map(lt, top, bottom))
            and min(left) >= 0
            and min(top) >= 0
            and max(right) <= 1
            and max(bottom) <= 1
            # A sum has another type as soon as one of its numbers has.
            and _NUMBERS.issuperset(type(sum(side)) for side in truth.sides)
        )
    except (TypeError, ValueError):
        return False


def score_aligned(written: Written, truth: TrackColumns, true_span: Span) -> Scores | None:
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
    answer, true = slice(first - ours[0], last + 1 - ours[0]), slice(first - theirs[0], last + 1 - theirs[0])
    if first > last:
        answer = true = slice(0, 0)
    pairs = zip(
        written.left[answer],
        written.top[answer],
        written.right[answer],
        written.bottom[answer],
        *(side[true] for side in truth.sides),
        strict=True,
    )
    return scores_of_spans((ours[0], ours[-1]), true_span, sum_of_ious(pairs), max(0, last + 1 - first))
