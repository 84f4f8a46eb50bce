"""Write the answer text of a track: the inverse of `parse_answer`."""

import json
import math
import re
from collections.abc import Sequence

from .tracks import Track

# Escaped in labels, so that a label can neither look like a closing tag nor fail to encode as UTF-8.
_UNSAFE = re.compile("[<\\[\u25c1\ud800-\udfff]")


def format_answer(track: Track, *, scale: Sequence[int]) -> str:
    """Return the answer text of a track (the paper's appendix A.1): keys by ascending second, one label.

    Args:
        track: boxes normalised to [0, 1]; they are rounded to the scale's units.
        scale: (units of the width, units of the height), whole numbers: (1000, 1000), or the frame's pixels.

    Raises:
        ValueError: a second below 0, or a box that is not four finite numbers within [0, 1] with x_min < x_max and
            y_min < y_max; a scale that is not two whole numbers of at least 1.

    Rounding never empties a box: a side shorter than a unit becomes the unit that holds its middle. Reading the text
    again with `parse_answer(text, scale=scale)` gives the track back, rounded.

    >>> format_answer(Track("cat-1", {4: (0.25, 0.5, 0.75, 1.0), 3: (0.0, 0.5, 0.5, 1.0)}), scale=(8, 4))
    '{"3": [{"label": "cat-1", "bbox_2d": [0, 2, 4, 4]}], "4": [{"label": "cat-1", "bbox_2d": [2, 2, 6, 4]}]}'
    """
    return format_tracks([track], scale=scale)


def format_tracks(tracks: Sequence[Track], *, scale: Sequence[int]) -> str:
    """Return the answer text of several objects: each second lists those that are seen in it, in their given order.

    Arguments and errors are those of `format_answer`, and one more:

    Raises:
        ValueError: two tracks have one label, so a reader could not tell them apart.

    >>> cat, dog = Track("cat-1", {3: (0.0, 0.5, 0.5, 1.0)}), Track("dog-1", {3: (0.25, 0.5, 0.75, 1.0)})
    >>> format_tracks([cat, dog], scale=(8, 4))
    '{"3": [{"label": "cat-1", "bbox_2d": [0, 2, 4, 4]}, {"label": "dog-1", "bbox_2d": [2, 2, 6, 4]}]}'
    """
    if len(scale) != 2 or not all(isinstance(units, int) and units >= 1 for units in scale):
        raise ValueError(f"scale {scale!r}: expected two whole numbers of at least 1, such as (1000, 1000)")
    labels = [track.label for track in tracks]
    if len(set(labels)) < len(labels):
        raise ValueError(f"labels {labels!r}: each track needs a label of its own")
    states: dict[int, list[str]] = {}
    for track in tracks:
        label = _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", json.dumps(track.label, ensure_ascii=False))
        for second, box in track.boxes.items():
            left, top, right, bottom = _round_box(box, scale, f"track {track.label!r} second {second}", second)
            state = f'{{"label": {label}, "bbox_2d": [{left}, {top}, {right}, {bottom}]}}'
            states.setdefault(second, []).append(state)
    return "{" + ", ".join(f'"{second}": [{", ".join(states[second])}]' for second in sorted(states)) + "}"


def _round_box(box: Sequence[float], scale: Sequence[int], where: str, second: int) -> tuple[int, int, int, int]:
    if second < 0:
        raise ValueError(f"{where}: a second is never below 0")
    if len(box) != 4 or not all(0.0 <= value <= 1.0 for value in box):
        raise ValueError(f"{where}: box {list(box)} is not four numbers normalised to [0, 1]")
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(f"{where}: box {list(box)} is empty or inverted (order: x_min, y_min, x_max, y_max)")
    left, right = _round_side(box[0], box[2], scale[0])
    top, bottom = _round_side(box[1], box[3], scale[1])
    return left, top, right, bottom


def _round_side(low: float, high: float, units: int) -> tuple[int, int]:
    first, last = round(low * units), round(high * units)
    if first < last:
        return first, last
    first = min(math.floor((low + high) / 2 * units), units - 1)
    return first, first + 1
