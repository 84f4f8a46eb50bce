"""verl's custom reward function (checked against verl 0.9.1: `custom_reward_function.path` and `.name`)."""

from typing import Any

from .truth import score_or_zeros


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    *,
    w_t: float = 1.0,
    w_m: float = 1.0,
    **kwargs: Any,
) -> dict[str, float]:
    """Return the reward of one response, w_t * tIoU + w_m * mvIoU, as `score`; tIoU, mvIoU, vIoU and parsed for logs.

    Rows of other tasks get zeros: verl adds a number for each row, and stacks the logged values by name.

    Args:
        data_source: not used; verl passes it.
        solution_str: the response.
        ground_truth: `reward_model.ground_truth` of the row: see `stvg_rewards.adapters.truth.read_truth`.
        w_t, w_m: from `custom_reward_function.reward_kwargs`.

    >>> truth = {"track": [{"second": 0, "box": [0.0, 0.0, 0.5, 1.0]}]}
    >>> compute_score("stvg", '{"0": [{"label": "a", "bbox_2d": [0, 0, 500, 1000]}]}', truth)["score"]
    2.0
    >>> compute_score("math", "The answer is 42.", "42")["score"]
    0.0
    """
    return score_or_zeros(solution_str, ground_truth, (w_t, w_m))
