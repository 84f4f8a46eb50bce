"""EasyR1's reward function, sequential or batch (checked against its main branch at 46c6c210)."""

from collections.abc import Mapping, Sequence
from typing import Any

from .truth import score_or_zeros


def compute_score(
    reward_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, w_t: float = 1.0, w_m: float = 1.0
) -> dict[str, float] | list[dict[str, float]]:
    """Return the scores of one response (`reward_type: sequential`) or of a batch (`batch`); `overall` is the reward.

    Rows of other tasks get zeros: EasyR1 wants a number for each row.

    Args:
        reward_inputs: {"response", "response_length", "ground_truth"}, or a list of them; `ground_truth` as
            `stvg_rewards.adapters.truth.read_truth` takes it.
        w_t, w_m: from `reward_function_kwargs`.

    >>> row = {"response": '{"0": [{"label": "a", "bbox_2d": [0, 0, 500, 1000]}]}', "response_length": 30,
    ...        "ground_truth": '{"track": [{"second": 0, "box": [0, 0, 0.5, 1]}]}'}
    >>> compute_score(row)["overall"], [scores["tIoU"] for scores in compute_score([row, row])]
    (2.0, [1.0, 1.0])
    """
    if not isinstance(reward_inputs, Mapping):
        return [_one(row, w_t, w_m) for row in reward_inputs]
    return _one(reward_inputs, w_t, w_m)


def _one(row: Mapping[str, Any], w_t: float, w_m: float) -> dict[str, float]:
    scores = score_or_zeros(row["response"], row["ground_truth"], (w_t, w_m))
    return {"overall": scores.pop("score"), **scores}
