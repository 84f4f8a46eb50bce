"""What is wrong with a record, or may be: by itself, and by its pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from PIL import Image, ImageChops, ImageStat

from data_prep.show.entries import Entry, Numbers

JUMP_BOXES = 2.0  # a box jumps by more than so many of its own diagonals ...
JUMP_PICTURE = 0.25  # ... and than this share of the picture's longer way, without touching where it was
GROWTH = 6.0  # times its area from one second to the next
FROZEN_SECONDS = 3  # pictures in a row that are one
SAME_MEAN, SAME_MOST = 0.25, 3  # grey levels between two pictures of one sight: on average, and anywhere
MOST_LISTED = 8  # seconds that a problem names


class Kind(str, Enum):
    """What may be wrong, in the words of the page; the first ones make training or its scores wrong."""

    def __str__(self) -> str:
        return self.value

    INVALID = "no valid record"
    VIDEO = "video missing or unusable"
    SHORTER = "video shorter than the clip"
    SIZE = "video of another shape"
    OUTSIDE_PICTURE = "box outside the picture"
    OUTSIDE_SPAN = "box outside the span"
    NO_BOX = "span without any box"
    FROZEN = "frozen picture"
    JUMP = "box that jumps"
    GROWS = "box that changes its size at once"
    GAPS = "seconds of the span without a box"


# To be looked at: often right, as targets hide and cameras cut.
HINTS = {Kind.FROZEN, Kind.JUMP, Kind.GROWS, Kind.GAPS}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a record, or may be, and where."""

    kind: Kind
    text: str

    @property
    def is_hint(self) -> bool:
        """Whether it is only something to look at."""
        return self.kind in HINTS


def problems_of(entry: Entry) -> list[Problem]:
    """Return what is wrong with a record by itself, without its video."""
    found = [] if entry.fault is None else [Problem(Kind.INVALID, entry.fault)]
    several = len(entry.tracks) > 1
    for label, boxes in entry.tracks:
        name = f"{label}: " if several else ""
        found += [Problem(kind, name + text) for kind, text in _box_problems(boxes)]
    if entry.spans and not several and not entry.no_target and entry.record.get("task") != "temporal":
        found += _span_problems(entry.spans, entry.tracks[0][1] if entry.tracks else {})
    return found


def _span_problems(spans: Sequence[tuple[int, int]], boxes: Mapping[int, Numbers]) -> list[Problem]:
    found = []
    outside = [second for second in boxes if not any(first <= second <= last for first, last in spans)]
    if outside:
        found.append(Problem(Kind.OUTSIDE_SPAN, f"boxes at {seconds_text(outside)}, outside {spans_text(spans)}"))
    # A span of a damaged record can name more seconds than there are.
    inside = [k for first, last in spans[:100] for k in range(first, min(last, first + 100_000) + 1)]
    without = [second for second in inside if second not in boxes]
    if len(without) == len(inside):
        found.append(Problem(Kind.NO_BOX, f"no box in {spans_text(spans)}"))
    elif without:
        found.append(Problem(Kind.GAPS, f"no box at {seconds_text(without)} ({len(without)} of {len(inside)})"))
    return found


def _box_problems(boxes: Mapping[int, Numbers]) -> list[tuple[Kind, str]]:
    found = []
    outside = [second for second, box in boxes.items() if min(box) < 0 or max(box) > 1]
    if outside:
        box = boxes[outside[0]]
        text = (
            f"at {seconds_text(outside)}: {[round(value, 4) for value in box]}, expected shares of the picture, 0 to 1"
        )
        in_pixels = sum(max(box) > 2 for box in boxes.values()) * 2 > len(boxes)
        text += "; they look like pixels: divide by the picture's width and height" if in_pixels else ""
        found.append((Kind.OUTSIDE_PICTURE, text))
    for kind, test, says in ((Kind.JUMP, jumps, "from second"), (Kind.GROWS, grows, "from second")):
        pairs = [k for k in sorted(boxes) if k + 1 in boxes and test(boxes[k], boxes[k + 1])]
        if pairs:
            listed = ", ".join(f"{k} to {k + 1}" for k in pairs[:MOST_LISTED])
            found.append((kind, f"{says} {listed}{_more(pairs)}"))
    return found


def jumps(before: Numbers, after: Numbers) -> bool:
    """Return whether a box is farther from where it was a second ago than what it shows is likely to move.

    >>> jumps((0.1, 0.1, 0.2, 0.2), (0.7, 0.7, 0.8, 0.8)), jumps((0.1, 0.1, 0.2, 0.2), (0.25, 0.1, 0.35, 0.2))
    (True, False)
    """
    overlap = all(max(before[axis], after[axis]) < min(before[axis + 2], after[axis + 2]) for axis in (0, 1))
    if overlap:
        return False
    way = math.hypot(*((after[axis] + after[axis + 2] - before[axis] - before[axis + 2]) / 2 for axis in (0, 1)))
    own = max(math.hypot(box[2] - box[0], box[3] - box[1]) for box in (before, after))
    return way > JUMP_BOXES * own and way > JUMP_PICTURE


def grows(before: Numbers, after: Numbers) -> bool:
    """Return whether a box has at once a multiple or a fraction of its area."""
    areas = sorted(max(box[2] - box[0], 0) * max(box[3] - box[1], 0) for box in (before, after))
    return areas[0] > 0 and areas[1] / areas[0] > GROWTH


def frozen_runs(pictures: Iterable[tuple[int, Image.Image]]) -> list[tuple[int, int]]:
    """Return the (first, last) seconds of stretches in which the picture stands still.

    Args:
        pictures: (second, picture) in order, at least one pair for each second that is looked at.
    """
    runs: list[tuple[int, int]] = []
    count, first, previous, last = 1, 0, None, 0
    for second, picture in pictures:
        small = picture.convert("L").resize((96, 54))
        if previous is not None and _same(previous, small):
            count += 1
        else:
            if count >= FROZEN_SECONDS:
                runs.append((first, last))
            count, first = 1, second
        previous, last = small, second
    if count >= FROZEN_SECONDS:
        runs.append((first, last))
    return runs


def _same(one: Image.Image, other: Image.Image) -> bool:
    difference = ImageChops.difference(one, other)
    most = difference.getextrema()[1]
    return isinstance(most, int) and most <= SAME_MOST and ImageStat.Stat(difference).mean[0] <= SAME_MEAN


def seconds_text(seconds: Sequence[int]) -> str:
    """Return seconds in words, the first few.

    >>> seconds_text([3, 1]), seconds_text(range(20))
    ('seconds 1, 3', 'seconds 0, 1, 2, 3, 4, 5, 6, 7 and 12 more')
    """
    listed = ", ".join(map(str, sorted(seconds)[:MOST_LISTED]))
    return f"second{'s' if len(seconds) > 1 else ''} {listed}{_more(seconds)}"


def spans_text(spans: Sequence[tuple[int, int]]) -> str:
    """Return spans in words.

    >>> spans_text([(1, 2)]), spans_text([(1, 2), (5, 9)])
    ('the span 1 to 2', 'the spans 1 to 2, 5 to 9')
    """
    listed = ", ".join(f"{first} to {last}" for first, last in spans[:MOST_LISTED])
    return f"the span{'s' if len(spans) > 1 else ''} {listed}{_more(spans)}"


def _more(listed: Sequence[object]) -> str:
    return f" and {len(listed) - MOST_LISTED} more" if len(listed) > MOST_LISTED else ""
