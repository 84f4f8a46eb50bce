"""Soft variants of the tube reward from published work. The paper's own reward is tiou_reward + mviou_reward.

Columns as in `stvg_rewards.rewards`.
"""

from collections.abc import Sequence
from typing import Any

from .columns import check_column, read_seconds, read_span, read_track
from .images import generalised_iou
from .rewards import score_completions


def scaled_tiou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """tIoU * (1 - |error of the first second| / K) * (1 - |error of the last second| / K), 0 to 1.

    Source: the timestamp-aware IoU of Time-R1 (Wang et al., 2025), in seconds of the answer. K is the column
    `seconds`, which it needs.

    >>> truth = [{"second": k, "box": [0.0, 0.0, 0.5, 0.5]} for k in (2, 3)]
    >>> answer = '{"2": [{"label": "a", "bbox_2d": [0, 0, 9, 9]}]}'
    >>> scaled_tiou_reward([answer], [truth], seconds=[10])  # 0.5 * 1 * 0.9
    [0.45]
    """
    rewards: list[float | None] = []
    scored = score_completions(completions, track, span, seconds, box_scale)
    spans, lengths = (check_column(*column, len(scored)) for column in (("span", span), ("seconds", seconds)))
    for row, (one, states, true_span, length) in enumerate(zip(scored, track, spans, lengths, strict=True)):
        if one is None or one.answer.span is None:
            rewards.append(None if one is None else 0.0)
            continue
        num_seconds = read_seconds(length, row)
        if num_seconds is None:
            raise ValueError(f"column 'seconds' row {row}: got None, expected the clip's number of seconds")
        true = read_span(true_span, row) or read_track(states, row).span  # type: ignore[union-attr]
        assert true is not None
        off = [abs(ours - theirs) / num_seconds for ours, theirs in zip(one.answer.span, true, strict=True)]
        rewards.append(one.scores.tIoU * max(0.0, 1 - off[0]) * max(0.0, 1 - off[1]))
    return rewards


def generalised_mviou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """mvIoU with (1 + generalised IoU) / 2 in place of IoU, 0 to 1: near misses are told from far ones.

    Source: generalised IoU (Rezatofighi et al., CVPR 2019). A second without a predicted box counts 0, as in mvIoU.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.25, 1.0]}]
    >>> near = '{"2": [{"label": "a", "bbox_2d": [250, 0, 500, 1000]}]}'
    >>> far = near.replace("250", "750").replace("500", "1000")
    >>> generalised_mviou_reward([near, far, "?"], [truth] * 3)  # hulls without and with a gap of half the picture
    [0.5, 0.25, 0.0]
    """
    rewards: list[float | None] = []
    scored = score_completions(completions, track, span, seconds, box_scale)
    spans = check_column("span", span, len(scored))
    for row, (one, states, true_span) in enumerate(zip(scored, track, spans, strict=True)):
        true = read_track(states, row)
        if one is None or true is None:
            rewards.append(None)
            continue
        limits, ours = read_span(true_span, row) or true.span, one.answer.span
        if ours is None or limits is None:
            rewards.append(0.0)
            continue
        first, last = max(limits[0], ours[0]), min(limits[1], ours[1])
        shared = [second for second in true.boxes if first <= second <= last]
        boxes = one.answer.track.boxes
        total = sum((1 + generalised_iou(boxes[k], true.boxes[k])) / 2 for k in shared if k in boxes)
        rewards.append(total / len(shared) if shared else 0.0)
    return rewards
