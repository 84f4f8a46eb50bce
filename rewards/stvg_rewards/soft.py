"""Soft variants of the tube reward from published work. The paper's own reward is tiou_reward + mviou_reward.

The columns are those of `stvg_rewards.tiou_reward`.
"""

from collections.abc import Sequence
from typing import Any

from .batch import rows_of, score_completions
from .columns import check_column, read_seconds
from .images import generalised_iou
from .overlap import score_answer, shared_seconds


def scaled_tiou_reward(
    completions: Sequence[Any],
    track: Sequence[Any],
    span: Sequence[Any] | None = None,
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return tIoU * (1 - |error of the first second| / K) * (1 - |error of the last second| / K), 0 to 1.

    With several events the first and the last second are those of all of them.

    Source: the timestamp-aware IoU of Time-R1 (Wang et al., 2025), in seconds of the answer. K is the column
    `seconds`, which it needs.

    >>> truth = [{"second": k, "box": [0.0, 0.0, 0.5, 0.5]} for k in (2, 3)]
    >>> answer = '{"2": [{"label": "a", "bbox_2d": [0, 0, 9, 9]}]}'
    >>> scaled_tiou_reward([answer], [truth], seconds=[10])  # 0.5 * 1 * 0.9
    [0.45]
    """
    rewards: list[float | None] = []
    scored = score_completions(completions, track, span, seconds, box_scale, **kwargs)
    for row, (one, length) in enumerate(zip(scored, check_column("seconds", seconds, len(scored)), strict=True)):
        if one is None or one.answer_span is None or not one.true_spans:
            rewards.append(one and one.scores.tIoU)
            continue
        num_seconds = read_seconds(length, row)
        if num_seconds is None:
            raise ValueError(f"column 'seconds' row {row}: got None, expected the clip's number of seconds")
        off = [
            abs(ours - theirs) / num_seconds
            for ours, theirs in zip(one.answer_span, (one.true_spans[0][0], one.true_spans[-1][1]), strict=True)
        ]
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
    """Return mvIoU with (1 + generalised IoU) / 2 in place of IoU, 0 to 1, which tells near misses from far ones.

    Source: generalised IoU (Rezatofighi et al., CVPR 2019). A second without a predicted box counts 0, as in mvIoU.

    >>> truth = [{"second": 2, "box": [0.0, 0.0, 0.25, 1.0]}]
    >>> near = '{"2": [{"label": "a", "bbox_2d": [250, 0, 500, 1000]}]}'
    >>> far = near.replace("250", "750").replace("500", "1000")
    >>> generalised_mviou_reward([near, far, "?"], [truth] * 3)  # hulls without and with a gap of half the picture
    [0.5, 0.25, 0.0]
    """
    rewards: list[float | None] = []
    for row in rows_of(completions, track, span, seconds, box_scale, **kwargs):
        if row is None:
            rewards.append(None)
            continue
        true, true_spans = row.read_truth()
        if row.temporal:
            rewards.append(None)
            continue
        answer = row.read_answer()
        if row.no_target:
            scores = score_answer(answer, None, no_target=True)
            rewards.append(scores and scores.mvIoU)
            continue
        shared = shared_seconds(answer, true, true_spans)
        boxes = answer.track.boxes
        total = sum((1 + generalised_iou(boxes[k], true.boxes[k])) / 2 for k in shared if k in boxes)
        rewards.append(total / len(shared) if shared else 0.0)
    return rewards
