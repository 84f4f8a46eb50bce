"""Long videos: overlapping windows that are grounded one by one, and the join of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stvg_rewards import Box, box_iou

JOIN_VIOU = 0.3
LONGEST_WINDOW = 300  # seconds; what the context of some models would hold is too much for attention
UNKNOWN_CONTEXT_WINDOW = 120  # seconds, for served models that do not say how much they take
ANSWER_TOKENS = 48  # of one second's state in the answer, generously
OTHER_TOKENS = 1024  # of the prompt's words and the reasoning
_TIMESTAMP_TOKENS = 12  # of one frame's timestamp and its picture's marks


@dataclass(frozen=True)
class Window:
    """One window and its answer, on the video's clock.

    Attributes:
        first, end: seconds of the window, half-open.
        span: (first, last) second of the answer, inclusive, or None.
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1].
        listed: the seconds that list the target, with a valid box or not.
    """

    first: int
    end: int
    span: tuple[int, int] | None = None
    boxes: Mapping[int, Box] | None = None
    listed: frozenset[int] = frozenset()


def window_that_fits(context: int | None, frame_tokens: int, rate: float) -> int:
    """Return the longest window that fits a model's context together with its answer, seconds.

    Args:
        context: tokens that the model's positions reach; None where that is not known.
        frame_tokens: of one frame's picture.
        rate: frames a second.

    >>> window_that_fits(65_536, 256, 1.0), window_that_fits(4096, 4, 1.0), window_that_fits(None, 256, 1.0)
    (204, 48, 120)
    """
    if context is None:
        return UNKNOWN_CONTEXT_WINDOW
    second = ANSWER_TOKENS + rate * (frame_tokens + _TIMESTAMP_TOKENS)
    return max(1, min(LONGEST_WINDOW, int((context - OTHER_TOKENS) / second)))


def windows_of(seconds: int, length: int, overlap: int) -> list[tuple[int, int]]:
    """Return [first, end) of each window over `seconds` seconds; one window where it fits.

    Raises:
        ValueError: a window of no second, or an overlap that is not shorter than the window.

    >>> windows_of(10, 60, 10), windows_of(130, 60, 10)
    ([(0, 10)], [(0, 60), (50, 110), (100, 130)])
    """
    if length < 1 or not 0 <= overlap < length:
        raise ValueError(f"window {length} s with overlap {overlap} s, expected 0 <= overlap < window")
    starts = range(0, max(seconds - overlap, 1), length - overlap)
    return [(start, min(start + length, seconds)) for start in starts]


def overlap_viou(a: Window, b: Window) -> float:
    """Return the vIoU of two windows' answers over the seconds of both windows; 0 where neither has a box there."""
    first, end = max(a.first, b.first), min(a.end, b.end)
    ours, theirs = a.boxes or {}, b.boxes or {}
    listed = [k for k in range(first, end) if k in ours or k in theirs]
    if not listed:
        return 0.0
    both = (box_iou(ours[k], theirs[k]) for k in listed if k in ours and k in theirs)
    return sum(both) / len(listed)


def join(windows: Sequence[Window]) -> tuple[tuple[int, int] | None, dict[int, Box], list[int]]:
    """Join the windows' answers to one answer.

    Neighbours whose answers agree on their overlap (vIoU of at least 0.3) are one tube; boxes that both give are
    averaged. The tube with most boxes is the answer (ties: the earlier one): a query names one event.

    Returns:
        (span or None, second -> box, indices of the windows that it was joined from).
    """
    chains: list[list[int]] = []
    for index, window in enumerate(windows):
        if window.span is None:
            continue
        if chains and chains[-1][-1] == index - 1 and overlap_viou(windows[index - 1], window) >= JOIN_VIOU:
            chains[-1].append(index)
        else:
            chains.append([index])
    if not chains:
        return None, {}, []
    best = max(chains, key=lambda chain: (len({k for i in chain for k in windows[i].boxes or {}}), -chain[0]))
    given: dict[int, list[Box]] = {}
    for index in best:
        for second, box in (windows[index].boxes or {}).items():
            given.setdefault(second, []).append(box)
    boxes: dict[int, Box] = {}
    for second in sorted(given):
        left, top, right, bottom = (sum(side) / len(given[second]) for side in zip(*given[second], strict=True))
        boxes[second] = (left, top, right, bottom)
    spans = [span for index in best if (span := windows[index].span)]
    return (min(first for first, _ in spans), max(last for _, last in spans)), boxes, best
