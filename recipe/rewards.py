"""The reward variants by name: which verifier functions a run sums, and with which weights (eq. 4)."""

from __future__ import annotations

from collections.abc import Callable

from stvg_rewards import mviou_reward, tiou_reward, viou_reward

REWARDS: dict[str, list[Callable[..., list[float | None]]]] = {
    "tiou_mviou": [tiou_reward, mviou_reward],
    "mviou": [mviou_reward],
    "viou": [viou_reward],
    "tiou": [tiou_reward],
}


def reward_functions(name: str) -> list[Callable[..., list[float | None]]]:
    """The functions of a variant.

    Raises:
        ValueError: An unknown name; the message lists the known ones.
    """
    if name not in REWARDS:
        raise ValueError(f"reward {name!r} is unknown; choose one of {', '.join(REWARDS)}")
    return REWARDS[name]
