"""Reward grounding in one image: the answer is a box, or a point in a box.

Columns: `box`, (x_min, y_min, x_max, y_max) normalised to [0, 1], None for rows of other tasks; `box_scale` as in
`stvg_rewards.tiou_reward`.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from .columns import check_column, completion_text, read_scale, read_track
from .data_frames import to_python
from .locate import after_reasoning
from .overlap import box_iou
from .parsing import read_box
from .tracks import Box, Scale

# Four, or two, numbers in brackets: JSON, a tuple, or a box in tags. Digits are bounded, so matching is linear.
_NUMBER = r"\s{0,9}(-?\d{1,12}(?:\.\d{1,12})?)\s{0,9}"
_BOX = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")
_POINT = re.compile(rf"[\[(]{_NUMBER},{_NUMBER}[\])]")


def parse_box(text: str, *, scale: Scale = (1000, 1000)) -> Box | None:
    """Return the last box after the reasoning, clipped and normalised; None if it is invalid.

    >>> parse_box('<think>[0, 0, 9, 9]?</think>{"bbox_2d": [100, 250, 500, 750]}')
    (0.1, 0.25, 0.5, 0.75)
    >>> parse_box("nowhere") is None
    True
    """
    matches = _BOX.findall(text, after_reasoning(text))
    return read_box([json.loads(_plain(number)) for number in matches[-1]], scale) if matches else None


def parse_point(text: str, *, scale: Scale = (1000, 1000)) -> tuple[float, float] | None:
    """Return the last point (x, y) after the reasoning, normalised; the centre of the last box if there is no point.

    >>> parse_point("click (500, 250)"), parse_point("[0, 0, 500, 500]")
    ((0.5, 0.25), (0.25, 0.25))
    """
    matches = _POINT.findall(text, after_reasoning(text))
    if matches:
        x, y = (float(number) for number in matches[-1])
        return x / scale[0], y / scale[1]
    box = parse_box(text, scale=scale)
    return None if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def _plain(number: str) -> str:
    """Return a number as JSON accepts it, without leading zeros."""
    sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
    return sign + (digits.lstrip("0") if digits.lstrip("0")[:1].isdigit() else "0" + digits.lstrip("0"))


def box_reward(
    completions: Sequence[Any], box: Sequence[Any], box_scale: Sequence[Any] | None = None, **kwargs: Any
) -> list[float | None]:
    """Return the IoU of the answer's and the true box, 0 to 1, as in Visual-RFT and VLM-R1 (2025).

    >>> box_reward(["[0, 0, 500, 500]", "?", "x"], [[0, 0, 0.5, 1.0], [0, 0, 0.5, 1.0], None])
    [0.5, 0.0, None]
    """
    return _scored(completions, box, box_scale, lambda answer, true: box_iou(answer, true) if answer else 0.0)


def stepped_box_reward(
    completions: Sequence[Any], box: Sequence[Any], box_scale: Sequence[Any] | None = None, **kwargs: Any
) -> list[float | None]:
    """Return 1 where the IoU is above 0.5, else 0: the hard step of Seg-Zero (Liu et al., 2025).

    >>> stepped_box_reward(["[0, 0, 500, 510]", "[0, 0, 500, 500]"], [[0, 0, 0.5, 1.0]] * 2)  # IoU 0.51, 0.5
    [1.0, 0.0]
    """
    return _scored(
        completions, box, box_scale, lambda answer, true: float(answer is not None and box_iou(answer, true) > 0.5)
    )


def generalised_box_reward(
    completions: Sequence[Any], box: Sequence[Any], box_scale: Sequence[Any] | None = None, **kwargs: Any
) -> list[float | None]:
    """Return (1 + generalised IoU) / 2, 0 to 1, which still differs between boxes that do not meet.

    Generalised IoU is IoU - (hull - union) / hull (Rezatofighi et al., CVPR 2019). No valid box gives 0.

    >>> generalised_box_reward(["[0, 0, 500, 1000]", "[500, 0, 1000, 1000]"], [[0, 0, 0.5, 1.0]] * 2)
    [1.0, 0.5]
    """
    return _scored(
        completions, box, box_scale, lambda answer, true: (1 + generalised_iou(answer, true)) / 2 if answer else 0.0
    )


def point_reward(
    completions: Sequence[Any], box: Sequence[Any], box_scale: Sequence[Any] | None = None, **kwargs: Any
) -> list[float | None]:
    """Return 1 if the answer's point lies in the true box, else 0, as in GUI-R1 (Luo et al., 2025).

    >>> point_reward(["(250, 500)", "(500, 500)", "?"], [[0, 0, 0.5, 1.0]] * 3)  # boxes are open on the right
    [1.0, 0.0, 0.0]
    """
    rewards: list[float | None] = []
    for text, true, scale in _rows(completions, box, box_scale):
        if true is None:
            rewards.append(None)
            continue
        point = parse_point(text, scale=scale)
        rewards.append(float(point is not None and true[0] <= point[0] < true[2] and true[1] <= point[1] < true[3]))
    return rewards


def generalised_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return IoU - (hull - union) / hull of two boxes with an area, -1 to 1.

    >>> generalised_iou((0, 0, 1, 1), (3, 0, 4, 1))  # 0 - (4 - 2) / 4
    -0.5
    """
    # In shares of the hull's sides, so that no product of small sides vanishes unless the boxes are far apart in it.
    width, height = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    shared = (
        max(0.0, min(a[2], b[2]) - max(a[0], b[0])) / width * (max(0.0, min(a[3], b[3]) - max(a[1], b[1])) / height)
    )
    both = sum((box[2] - box[0]) / width * ((box[3] - box[1]) / height) for box in (a, b))
    union = both - shared
    return (shared / union if shared > 0 else 0.0) - (1 - union)


def _rows(
    completions: Sequence[Any], box: Sequence[Any], box_scale: Sequence[Any] | None
) -> list[tuple[str, Box | None, Scale]]:
    """Return (text, true box or None, scale) of each row."""
    num_rows = len(completions)
    rows: list[tuple[str, Box | None, Scale]] = []
    columns = zip(
        completions, check_column("box", box, num_rows), check_column("box_scale", box_scale, num_rows), strict=True
    )
    for row, (completion, true, scale) in enumerate(columns):
        true = None if true is None else to_python(true)
        # Read as a track of one second: the same checks, the same errors.
        track = None if true is None else read_track([{"second": 0, "box": true}], row)
        rows.append((completion_text(completion), track.boxes[0] if track else None, read_scale(scale, row)))
    return rows


def _scored(
    completions: Sequence[Any],
    box: Sequence[Any],
    box_scale: Sequence[Any] | None,
    score: Callable[[Box | None, Box], float],
) -> list[float | None]:
    return [
        None if true is None else score(parse_box(text, scale=scale), true)
        for text, true, scale in _rows(completions, box, box_scale)
    ]
