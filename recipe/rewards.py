"""The reward variants by name: which verifier functions a run sums, and with which weights (eq. 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from trl.rewards import get_soft_overlong_punishment

from stvg_rewards import format_reward, mviou_reward, tiou_reward, viou_reward

Reward = Callable[..., list[float | None]]

REWARDS: dict[str, list[Reward]] = {
    "tiou_mviou": [tiou_reward, mviou_reward],
    "mviou": [mviou_reward],
    "viou": [viou_reward],
    "tiou": [tiou_reward],
    "tiou_viou": [tiou_reward, viou_reward],
}


def reward_functions(name: str) -> list[Reward]:
    """The functions of a variant.

    Raises:
        ValueError: An unknown name; the message lists the known ones.
    """
    if name not in REWARDS:
        raise ValueError(f"reward {name!r} is unknown; choose one of {', '.join(REWARDS)}")
    return REWARDS[name]


def weighted_rewards(
    name: str,
    weights: Sequence[float] | None,
    *,
    format_weight: float = 0.0,
    length_weight: float = 0.0,
    max_completion_length: int = 512,
) -> tuple[list[Reward], list[float]]:
    """The functions that a run sums and the weight of each.

    Args:
        weights: one for each function of the variant, in the order of `REWARDS`; None: 1 for each.
        format_weight: of `format_reward` (1 for an answer that keeps the contract); 0 leaves it out.
        length_weight: of TRL's soft punishment of long answers: 0 up to 4/5 of `max_completion_length` tokens, then
            down to -1 at all of them; 0 leaves it out.

    Raises:
        ValueError: An unknown name, another number of weights than functions, or weights that reward nothing.

    >>> functions, weights = weighted_rewards("tiou_viou", [1.0, 2.0], format_weight=0.1)
    >>> [function.__name__ for function in functions], weights
    (['tiou_reward', 'viou_reward', 'format_reward'], [1.0, 2.0, 0.1])
    """
    functions = list(reward_functions(name))
    chosen = [1.0] * len(functions) if weights is None else [float(weight) for weight in weights]
    own = len(functions)
    names = ", ".join(function.__name__ for function in functions)
    if len(chosen) != own:
        raise ValueError(
            f"reward_weights {chosen} has {len(chosen)} values, but reward {name} has {own} functions "
            f"({names}): give one weight for each; format and length have format_weight and length_weight"
        )
    for extra, weight in (
        (format_reward, format_weight),
        (get_soft_overlong_punishment(max_completion_length, max_completion_length // 5), length_weight),
    ):
        if weight:
            functions.append(extra)
            chosen.append(float(weight))
    if not all(math.isfinite(weight) and weight >= 0 for weight in chosen) or not any(chosen[:own]):
        raise ValueError(f"reward weights {chosen}: expected numbers from 0 on, and more than 0 for one of {names}")
    return functions, chosen
