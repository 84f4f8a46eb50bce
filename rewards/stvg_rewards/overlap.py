"""Scores of one sample: box IoU, temporal IoU, mvIoU and vIoU. Pure functions of tracks and spans."""

from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from .tracks import Answer, Span, Track

# Below, the area that two boxes share may have lost its digits: sides of 1e-200 have the area 0.
_SMALLEST = 1e-290


class Scores(NamedTuple):
    """The three scores of one sample, each in [0, 1]."""

    tIoU: float  # noqa: N815  the field's own spelling
    mvIoU: float  # noqa: N815
    vIoU: float  # noqa: N815


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes (x_min, y_min, x_max, y_max) in the same unit; 0 to 1.

    Boxes are half-open, so boxes that only touch share nothing. An empty or inverted box overlaps nothing.

    >>> box_iou((0.0, 0.0, 0.4, 0.4), (0.2, 0.0, 0.6, 0.4))  # 0.08 / 0.24
    0.3333333333333333
    >>> box_iou((0, 0, 2, 2), (2, 0, 4, 2))
    0.0
    """
    a_left, a_top, a_right, a_bottom = a
    b_left, b_top, b_right, b_bottom = b
    width = (a_right if a_right < b_right else b_right) - (a_left if a_left > b_left else b_left)
    height = (a_bottom if a_bottom < b_bottom else b_bottom) - (a_top if a_top > b_top else b_top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    if shared < _SMALLEST:
        return _tiny_iou(a, b, width, height)
    return shared / ((a_right - a_left) * (a_bottom - a_top) + (b_right - b_left) * (b_bottom - b_top) - shared)


def _tiny_iou(a: Sequence[float], b: Sequence[float], width: float, height: float) -> float:
    """Return the IoU of boxes that share width and height, when their product is too small for a float.

    Shares of the wider and of the taller box are no such products, and the ratio is the same.
    """
    a_width, a_height, b_width, b_height = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    wider, taller = max(a_width, b_width), max(a_height, b_height)
    shared = (width / wider) * (height / taller)
    both = (a_width / wider) * (a_height / taller) + (b_width / wider) * (b_height / taller)
    return shared / (both - shared) if shared > 0 else 0.0


def temporal_iou(predicted: Span | None, true: Span | None) -> float:
    """Return tIoU (the paper's equation 5) of inclusive second spans: shared seconds / seconds in either; 0 to 1.

    Args:
        predicted: (first, last) seconds, both included; None is a prediction without a span and scores 0.
        true: the same of the ground truth; None scores 0.

    The union of two spans that meet is their hull. Spans that do not meet score 0.

    >>> temporal_iou((2, 5), (4, 7))  # seconds 4, 5 of 2..7
    0.3333333333333333
    >>> temporal_iou((3, 3), (3, 3))  # an event of one second is a normal event
    1.0
    >>> temporal_iou((0, 1), (2, 3))
    0.0
    """
    if predicted is None or true is None:
        return 0.0
    shared = min(predicted[1], true[1]) - max(predicted[0], true[0]) + 1
    if shared <= 0:
        return 0.0
    return shared / (max(predicted[1], true[1]) - min(predicted[0], true[0]) + 1)


def mviou(
    predicted: Track, true: Track, *, predicted_span: Span | None = None, true_span: Span | None = None
) -> float:
    """Return mvIoU (the paper's equation 6): mean box IoU over the seconds of both spans that have a true box; 0 to 1.

    Args:
        predicted, true: tracks in the same unit.
        predicted_span, true_span: (first, last) seconds, both included; left out, those of the track's boxes.

    A second of both spans without a predicted box counts 0. Without any such second the score is 0.

    >>> true = Track("cat", {k: (0.0, 0.0, 0.5, 0.5) for k in range(4)})
    >>> mviou(Track("cat", {1: (0.0, 0.0, 0.5, 0.5)}), true)  # one confident second is enough for mvIoU
    1.0
    >>> mviou(Track("cat", {0: (0.0, 0.0, 0.5, 0.5), 3: (0.0, 0.0, 0.5, 0.5)}), true)  # seconds 1 and 2 count 0
    0.5
    """
    return _scores(predicted, predicted_span or predicted.span, true, true_span or true.span).mvIoU


def viou(predicted: Track, true: Track, *, predicted_span: Span | None = None, true_span: Span | None = None) -> float:
    """Return vIoU, the field's tube metric: the box IoUs of shared seconds summed / seconds in either span; 0 to 1.

    Args:
        predicted, true: tracks in the same unit.
        predicted_span, true_span: (first, last) seconds, both included; left out, those of the track's boxes.

    When every second of the true span has a box, vIoU = tIoU * mvIoU.

    >>> true = Track("cat", {k: (0.0, 0.0, 0.5, 0.5) for k in range(4)})
    >>> viou(Track("cat", {1: (0.0, 0.0, 0.5, 0.5)}), true)
    0.25
    """
    return _scores(predicted, predicted_span or predicted.span, true, true_span or true.span).vIoU


def score_answer(
    answer: Answer,
    true: Track | None,
    true_span: Span | None = None,
    *,
    spans: Sequence[Span] | None = None,
    no_target: bool = False,
) -> Scores | None:
    """Return all three scores of one answer; None where there is no true track (such a sample is skipped, not 0).

    Args:
        answer: what `parse_answer` read.
        true: the true track, normalised to [0, 1] as the answer is; None or without boxes: no score.
        true_span: (first, last) seconds, both included; left out, that of the true track's boxes.
        spans: those of a sentence with several events, in place of `true_span`. Then both sides are sets of seconds:
            the union of the spans, and the seconds that list the target, without those between them.
        no_target: the sentence has no target, so there is no true track: an answer that rightly lists nothing scores
            1, any other 0, one that cannot be read too.

    >>> from stvg_rewards import parse_answer
    >>> answer = parse_answer('{"2": [{"label": "dog", "bbox_2d": [0, 0, 500, 500]}]}')
    >>> true = Track("dog", {2: (0.0, 0.0, 0.5, 1.0), 3: (0.0, 0.0, 0.5, 1.0)})
    >>> score_answer(answer, true)
    Scores(tIoU=0.5, mvIoU=0.5, vIoU=0.25)
    >>> score_answer(answer, true, spans=[(2, 3), (8, 9)])  # one of four seconds
    Scores(tIoU=0.25, mvIoU=0.5, vIoU=0.125)
    >>> score_answer(parse_answer("{}"), None, no_target=True), score_answer(answer, None, no_target=True)
    (Scores(tIoU=1.0, mvIoU=1.0, vIoU=1.0), Scores(tIoU=0.0, mvIoU=0.0, vIoU=0.0))
    """
    if no_target:
        score = float(answer.parsed and answer.span is None)
        return Scores(score, score, score)
    if true is None or not true.boxes:
        return None
    if spans is not None and len(spans) > 1:
        return _scores_of_sets(answer, true, spans)
    return _scores(answer.track, answer.span, true, spans[0] if spans else true_span or true.span)


def score_spans(answer: Answer, spans: Sequence[Span]) -> float:
    """Return the tIoU of an answer to a sentence whose events have spans and no boxes; 0 to 1.

    Seconds count as in `score_answer`: of one event those from the first to the last that the answer lists, of
    several the ones that it lists.

    Args:
        spans: (first, last) seconds of the events, both included; they share none.

    >>> from stvg_rewards import parse_answer
    >>> state = '[{"label": "dog", "bbox_2d": [0, 0, 9, 9]}]'
    >>> answer = parse_answer(f'{{"2": {state}, "5": {state}}}')
    >>> score_spans(answer, [(2, 5)]), score_spans(answer, [(2, 2), (5, 6)])  # 4 of 4; 2 of 3 seconds
    (1.0, 0.6666666666666666)
    """
    if len(spans) == 1:
        return temporal_iou(answer.span, spans[0])
    num_shared, union = _seconds_of_sets(_listed(answer), spans)
    return num_shared / union if num_shared else 0.0


def shared_seconds(answer: Answer, true: Track, spans: Sequence[Span]) -> list[int]:
    """Return the seconds of both sides that have a true box; with several spans the answer's are those it lists."""
    if answer.span is None:
        return []
    if len(spans) == 1:
        first, last = max(answer.span[0], spans[0][0]), min(answer.span[1], spans[0][1])
        return [second for second in true.boxes if first <= second <= last]
    listed = _listed(answer)
    return [second for second in true.boxes if second in listed and _in_any(second, spans)]


def _listed(answer: Answer) -> Set[int]:
    """Return the seconds that list the target, with a valid box or not."""
    return answer.track.boxes.keys() | set(answer.unboxed)


def _seconds_of_sets(listed: Set[int], spans: Sequence[Span]) -> tuple[int, int]:
    """Return how many seconds an answer and the spans share, and how many either has."""
    num_shared = sum(_in_any(second, spans) for second in listed)
    return num_shared, len(listed) + sum(last - first + 1 for first, last in spans) - num_shared


def _in_any(second: int, spans: Sequence[Span]) -> bool:
    return any(first <= second <= last for first, last in spans)


def _scores_of_sets(answer: Answer, true: Track, spans: Sequence[Span]) -> Scores:
    """Return the scores over sets of seconds; the spans do not meet."""
    num_shared, union = _seconds_of_sets(_listed(answer), spans)
    seconds = shared_seconds(answer, true, spans)
    predicted = answer.track.boxes
    total = sum(box_iou(predicted[second], true.boxes[second]) for second in seconds if second in predicted)
    return Scores(num_shared / union, total / len(seconds) if seconds else 0.0, total / union)


def _scores(predicted: Track, predicted_span: Span | None, true: Track, true_span: Span | None) -> Scores:
    if predicted_span is None or true_span is None:
        return Scores(0.0, 0.0, 0.0)
    first, last = max(predicted_span[0], true_span[0]), min(predicted_span[1], true_span[1])
    # Over the true boxes, not over the seconds: a predicted span may be absurdly long.
    shared = [second for second in true.boxes if first <= second <= last]
    pairs = ((*predicted.boxes[k], true.boxes[k]) for k in shared if k in predicted.boxes)
    return scores_of_spans(predicted_span, true_span, sum_of_ious(pairs), len(shared))


def scores_of_spans(predicted: Span, true: Span, sum_of_ious: float, num_seconds: int) -> Scores:
    """Return the scores of two spans.

    Args:
        predicted, true: (first, last) seconds, both included.
        sum_of_ious: of the boxes in the seconds of both spans.
        num_seconds: number of those seconds that have a true box.
    """
    num_shared = min(predicted[1], true[1]) - max(predicted[0], true[0]) + 1
    if num_shared <= 0:
        return Scores(0.0, 0.0, 0.0)
    union = max(predicted[1], true[1]) - min(predicted[0], true[0]) + 1
    return Scores(num_shared / union, sum_of_ious / num_seconds if num_seconds else 0.0, sum_of_ious / union)


def sum_of_ious(pairs: Iterable[tuple[float, float, float, float, Sequence[float]]]) -> float:
    """Return the sum of the IoUs of pairs of boxes that have an area: four numbers, and the other box.

    >>> sum_of_ious([(0.0, 0.0, 0.4, 0.4, (0.2, 0.0, 0.6, 0.4)), (0.0, 0.0, 0.4, 0.4, (0.0, 0.0, 0.4, 0.4))])
    1.3333333333333333
    """
    total, smallest = 0.0, _SMALLEST
    # `box_iou`, written out: calling it would take a quarter of the time of a reward.
    for a_left, a_top, a_right, a_bottom, (left, top, right, bottom) in pairs:
        width = (a_right if a_right < right else right) - (a_left if a_left > left else left)
        if width <= 0.0:
            continue
        height = (a_bottom if a_bottom < bottom else bottom) - (a_top if a_top > top else top)
        if height > 0.0:
            shared = width * height
            if shared < smallest:
                total += box_iou((a_left, a_top, a_right, a_bottom), (left, top, right, bottom))
            else:
                both = (a_right - a_left) * (a_bottom - a_top) + (right - left) * (bottom - top)
                total += shared / (both - shared)
    return total
