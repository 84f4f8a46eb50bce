"""Which verifier functions a run sums, and with which weights (eq. 4): the variant, and the name that it goes by."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trl.rewards import get_soft_overlong_punishment

from recipe.variants.code import code_digest, of_package, own_code
from recipe.variants.loading import load
from recipe.variants.names import OF_PACKAGE, SUFFIX, TAKEN, summed, variant_name
from stvg_rewards import format_reward, mviou_reward, tiou_reward, viou_reward

Reward = Callable[..., Any]  # completions and columns by name -> list[float | None]; or a coroutine of it

REWARDS: dict[str, list[Reward]] = {
    "tiou_mviou": [tiou_reward, mviou_reward],
    "mviou": [mviou_reward],
    "viou": [viou_reward],
    "tiou": [tiou_reward],
    "tiou_viou": [tiou_reward, viou_reward],
}


@dataclass(frozen=True)
class Variant:
    """A sum of reward functions.

    Attributes:
        name: derived from the rest, a part of file names (`recipe.variants.names`).
        functions: in the order in which they are summed.
        weights: one for each function, from 0 on.
    """

    name: str
    functions: tuple[Reward, ...]
    weights: tuple[float, ...]

    @cached_property
    def code_digest(self) -> str:
        """Return the digest of the code that computes these rewards (`recipe.variants.code`), 64 hex digits."""
        return code_digest(function for function in self.functions if _short(function) != "length")

    @property
    def label(self) -> str:
        """Return the name, with the first digits of the code's digest where a function is a user's own.

        Where runs of many checkouts meet (W&B), a function's name does not say which function it is.
        """
        own = any(not of_package(function) and _short(function) != "length" for function in self.functions)
        return f"{self.name}@{self.code_digest[:6]}" if own else self.name


def reward_functions(words: str | Sequence[str]) -> list[Reward]:
    """Return the functions that `--reward` names, in its order.

    Args:
        words: each a variant of `REWARDS`, a dotted path (`stvg_rewards.scaled_tiou_reward`, `my_module.my_reward`)
            or `path/to/file.py:my_reward`.

    Raises:
        ValueError: One line: a name that is unknown, something that cannot be loaded or called, or two functions of
            one name, which would share their panels.
    """
    words = [words] if isinstance(words, str) else list(words)
    if not words:
        raise ValueError(f"reward names nothing; choose {_choices()}")
    functions: list[Reward] = []
    for word in words:
        if word in REWARDS:
            functions += REWARDS[word]
        elif "." in word and "/" not in word.rpartition(".")[2] and not word.endswith(".py"):
            functions.append(load(word))
        else:
            raise ValueError(f"reward {word!r} is unknown; choose {_choices()}{_hint(word)}")
    _check_names(functions)
    return functions


def _choices() -> str:
    return (
        f"one of {', '.join(REWARDS)}, a dotted path such as stvg_rewards.scaled_tiou_reward, or path/to/file.py:"
        "function"
    )


def _hint(word: str) -> str:
    paths = {name: f"stvg_rewards.{name}{SUFFIX}" for name in OF_PACKAGE if name not in REWARDS}
    near = difflib.get_close_matches(word.removesuffix(SUFFIX), [*REWARDS, *paths], n=1)
    return f"; did you mean {paths.get(near[0], near[0])!r}?" if near else ""


def _check_names(functions: Sequence[Reward]) -> None:
    names = [function.__name__ for function in functions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"reward names two functions called {twice}, which would be logged as one; name it once")


def make_variant(
    words: str | Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    format_weight: float = 0.0,
    length_weight: float = 0.0,
    dynamic_sampling: int = 0,
    max_completion_length: int = 512,
) -> Variant:
    """Return the variant that these settings make.

    Args:
        words: as for `reward_functions`.
        weights: one for each of their functions, in their order; None: 1 for each.
        format_weight: of `format_reward` (1 for an answer that keeps the contract); 0 leaves it out.
        length_weight: of TRL's soft punishment of long answers: 0 up to 4/5 of `max_completion_length` tokens, then
            down to -1 at all of them; 0 leaves it out.
        dynamic_sampling: rounds in which flat groups are replaced: another way to learn from the same rewards.

    Raises:
        ValueError: As `reward_functions`; or another number of weights than functions, or weights that reward nothing.

    Example:
        >>> variant = make_variant("tiou_viou", [1.0, 2.0], format_weight=0.1)
        >>> variant.name, [function.__name__ for function in variant.functions], variant.weights
        ('tiou_viou-1-2+format-0.1', ['tiou_reward', 'viou_reward', 'format_reward'], (1.0, 2.0, 0.1))
    """
    functions = reward_functions(words)
    chosen = [1.0] * len(functions) if weights is None else [float(weight) for weight in weights]
    own = len(functions)
    names = ", ".join(function.__name__ for function in functions)
    given = words if isinstance(words, str) else " ".join(words)
    if len(chosen) != own:
        raise ValueError(
            f"reward_weights {chosen} has {len(chosen)} values, but reward {given} has {own} functions "
            f"({names}): give one weight for each; format and length have format_weight and length_weight"
        )
    extras = (
        (format_reward, format_weight),
        (get_soft_overlong_punishment(max_completion_length, max_completion_length // 5), length_weight),
    )
    functions += [extra for extra, weight in extras if weight]
    chosen += [float(weight) for _, weight in extras if weight]
    _check_names(functions)
    if not all(math.isfinite(weight) and weight >= 0 for weight in chosen) or not any(chosen[:own]):
        raise ValueError(f"reward weights {chosen}: expected numbers from 0 on, and more than 0 for one of {names}")
    by_name = {_short(function): function for function in functions}
    weight_of = summed(list(by_name), chosen)
    return Variant(
        variant_name(weight_of, dynamic_sampling),
        tuple(by_name[name] for name in weight_of),
        tuple(weight_of.values()),
    )


def _short(function: Reward) -> str:
    """Return what a function is called in a variant's name; a digest tells a user's own from one that is taken."""
    name = str(function.__name__)
    if of_package(function):
        return name.removesuffix(SUFFIX)
    if getattr(function, "__module__", "").startswith("trl.") and name == "soft_overlong_punishment_reward":
        return "length"
    return f"{name}~{own_code(function)[:6]}" if name in TAKEN else name


def variant_of(script_args: Any, training_args: Any) -> Variant:
    """Return the variant of a GRPO stage's settings: `GRPOArguments` and `GRPOConfig`, before training has begun.

    Raises:
        ValueError: As `make_variant`.
    """
    return make_variant(
        script_args.reward,
        training_args.reward_weights,
        format_weight=script_args.format_weight,
        length_weight=script_args.length_weight,
        dynamic_sampling=script_args.dynamic_sampling,
        max_completion_length=training_args.max_completion_length,
    )
