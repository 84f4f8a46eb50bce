"""Signs of reward hacking: what an answer looks like beside the truth, whatever a reward pays for it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .tracks import Answer, Box, Span


class Diagnostics(NamedTuple):
    """One answer's signs; a batch logs their means over rows that have a true track.

    Attributes:
        span_ratio: seconds of the answer's span / seconds of the true one; 0 without a span.
        one_second: the span is one second.
        whole_clip: the span covers every second of the clip; False where the clip's length is not known.
        gap_rate: share of the span's seconds without a valid box, 0 to 1; 0 without a span.
        label_switches: how often the labels of a second have none in common with those of the one before.
        empty_intersection: there is a span, and it does not meet the true one.
    """

    span_ratio: float
    one_second: bool
    whole_clip: bool
    gap_rate: float
    label_switches: int
    empty_intersection: bool


def diagnose(answer: Answer, true_span: Span, seconds: int | None = None) -> Diagnostics:
    """Return the signs of one answer.

    Args:
        answer: from `parse_answer`.
        true_span: (first, last) second, both included.
        seconds: K of the clip, or None.

    >>> from stvg_rewards import parse_answer
    >>> text = '{"0": [{"label": "a", "bbox_2d": [0, 0, 9, 9]}], "3": [{"label": "a", "bbox_2d": [9, 9, 0, 0]}]}'
    >>> diagnose(parse_answer(text), (2, 3), seconds=4)  # four seconds for two; 1, 2 and 3 without a box
    Diagnostics(span_ratio=2.0, one_second=False, whole_clip=True, gap_rate=0.75, label_switches=0, \
empty_intersection=False)
    """
    if answer.span is None:
        return Diagnostics(0.0, False, False, 0.0, answer.label_switches, False)
    # All boxes lie in the span.
    return diagnose_span(answer.span, len(answer.track.boxes), true_span, seconds, answer.label_switches)


def diagnose_span(
    span: Span, num_boxes: int, true_span: Span, seconds: int | None = None, label_switches: int = 0
) -> Diagnostics:
    """Return the signs of an answer that has this span and number of valid boxes."""
    length = span[1] - span[0] + 1
    return Diagnostics(
        length / (true_span[1] - true_span[0] + 1),
        length == 1,
        seconds is not None and length >= seconds,
        1 - num_boxes / length,
        label_switches,
        span[1] < true_span[0] or span[0] > true_span[1],
    )


def count_label_switches(by_label: Mapping[str, Mapping[int, Box | None]]) -> int:
    """Count how often consecutive listed seconds share no label, as in an answer that changes its target.

    >>> count_label_switches({"a": {0: None, 1: None}, "b": {1: None, 2: None}, "c": {3: None}})
    1
    """
    if len(by_label) < 2:
        return 0
    labels: dict[int, set[str]] = {}
    for label, listed in by_label.items():
        for second in listed:
            labels.setdefault(second, set()).add(label)
    in_order = [labels[second] for second in sorted(labels)]
    return sum(before.isdisjoint(after) for before, after in _pairs(in_order))


def _pairs(items: list[set[str]]) -> Iterable[tuple[set[str], set[str]]]:
    return zip(items, items[1:], strict=False)
