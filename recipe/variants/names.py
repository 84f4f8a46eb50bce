"""The name of a reward variant: what it sums, with which weights and how groups are drawn, as a part of a file name.

`tiou_mviou`, `tiou_mviou-1-0.5`, `scaled_tiou+my_reward-1-0.5+format-0.1+dynamic-2`: the functions joined by "+" (or
the known name of the sum), their weights in the same order unless all are 1, then the extras. Different functions or
weights never give the same name; the order in which they were written does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import stvg_rewards

DEFAULT = "tiou_mviou"  # the paper's equation 4
KNOWN: dict[str, tuple[str, ...]] = {
    "tiou_mviou": ("tiou", "mviou"),
    "mviou": ("mviou",),
    "viou": ("viou",),
    "tiou": ("tiou",),
    "tiou_viou": ("tiou", "viou"),
}
EXTRAS = ("format", "length")  # beside other functions they are named after them, always with their weight
SUFFIX = "_reward"
OF_PACKAGE = tuple(name.removesuffix(SUFFIX) for name in stvg_rewards.__all__ if name.endswith(SUFFIX))
TAKEN = {*KNOWN, *OF_PACKAGE, *EXTRAS, "dynamic"}  # what a user's function of that name would be mistaken for
LONGEST = 120  # characters; a folder's name, with the stage before and the seed after it, may have 255

_FIRST = ("tiou", "mviou", "viou")  # as the paper writes them


def variant_name(weights: Mapping[str, float], dynamic_sampling: int = 0) -> str:
    """Return the name of a sum of functions.

    Args:
        weights: short name -> weight: a function of `stvg_rewards` without its "_reward", a user's own as it is
            called, "length" for TRL's punishment of long answers.
        dynamic_sampling: rounds in which flat groups are replaced; 0: none.

    Example:
        >>> variant_name({"tiou": 1.0, "mviou": 1.0}), variant_name({"mviou": 0.5, "tiou": 1.0, "format": 0.1}, 2)
        ('tiou_mviou', 'tiou_mviou-1-0.5+format-0.1+dynamic-2')
        >>> variant_name({"scaled_tiou": 1.0, "my_reward": 1.0})
        'scaled_tiou+my_reward'
    """
    names = in_order(weights)
    own = [name for name in names if name not in EXTRAS] or names[:1]
    base = next((known for known, parts in KNOWN.items() if sorted(parts) == sorted(own)), "+".join(own))
    if any(weights[name] != 1 for name in own):
        base += "".join(f"-{number(weights[name])}" for name in own)
    base += "".join(f"+{name}-{number(weights[name])}" for name in names if name not in own)
    if dynamic_sampling:
        base += f"+dynamic-{dynamic_sampling}"
    return shortened(base, LONGEST)


def in_order(names: Iterable[str]) -> list[str]:
    """Return short names in the one order in which functions are summed: the package's, a user's own, the extras."""

    def place(name: str) -> tuple[int, str]:
        if name in _FIRST:
            return _FIRST.index(name), ""
        if name in EXTRAS:
            return 9 + EXTRAS.index(name), ""
        return (7 if name in OF_PACKAGE else 8), name

    return sorted(names, key=place)


def number(weight: float) -> str:
    """Return a weight as a part of a name: the shortest text that gives the same number, without "+" and "-".

    >>> number(1.0), number(0.5), number(1e-05), number(1e22)
    ('1', '0.5', '1em05', '1e22')
    """
    return repr(float(weight) + 0.0).removesuffix(".0").replace("e-", "em").replace("e+", "e")  # + 0.0: no -0.0


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters; the end of a longer one gives way to a digest of all of it."""
    if len(text) <= most:
        return text
    return f"{text[: most - 9]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def variant_of_settings(settings: Mapping[str, Any]) -> str:
    """Return the variant of a GRPO stage from the settings in its stamp, of any version of this recipe.

    Settings that a stamp leaves out have their defaults. Nothing is imported: a run is known by name where the file
    of its reward is gone. What is no setting of a reward at all comes back as text.

    Example:
        >>> variant_of_settings({"reward": "tiou_mviou", "reward_weights": [1.0, 0.5], "format_weight": 0.0})
        'tiou_mviou-1-0.5'
        >>> variant_of_settings({}), variant_of_settings({"variant": "my_reward"})
        ('tiou_mviou', 'my_reward')
    """
    if isinstance(settings.get("variant"), str):
        return str(settings["variant"])
    reward = settings.get("reward", DEFAULT)
    rewards = [reward] if isinstance(reward, str) else reward
    if not isinstance(rewards, list) or not all(isinstance(word, str) for word in rewards):
        return str(reward)
    names = [name for word in rewards for name in KNOWN.get(word, (_called(word),))]
    given = settings.get("reward_weights")
    try:
        values = [1.0] * len(names) if given is None else [float(weight) for weight in given]
        weights = dict(zip(names, values, strict=True))
        extras = {name: float(settings.get(f"{name}_weight") or 0) for name in EXTRAS}
        rounds = int(settings.get("dynamic_sampling") or 0)
    except (TypeError, ValueError):
        return f"{reward}-{given}"
    return variant_name(weights | {name: weight for name, weight in extras.items() if weight}, rounds)


def _called(word: str) -> str:
    if word.startswith("stvg_rewards."):
        return word.rpartition(".")[2].removesuffix(SUFFIX)
    if ".py:" in word:
        return word.rpartition(":")[2]
    return word.rpartition(".")[2] if all(part.isidentifier() for part in word.split(".")) else word


def summed(names: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """Return name -> weight in the order in which functions are summed."""
    by_name = dict(zip(names, weights, strict=True))
    return {name: by_name[name] for name in in_order(by_name)}
