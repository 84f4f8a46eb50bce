"""Which runs are seeds of one curve: those of one variant that differ in their seed and in nothing that counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recipe.dashboards.runs import INPUT, UNKNOWN, Run

MOST_NAMED = 3  # differences in a curve's name
LONGEST = 40  # characters of a value


@dataclass
class Curve:
    """Runs of one variant, settings and inputs, each with another seed.

    Attributes:
        repeated: further runs with a seed that the curve has already, each behind the run whose seed it has.
    """

    runs: list[Run]
    repeated: list[tuple[Run, Run]] = field(default_factory=list)


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return curve's name -> its runs, in the order of their first one.

    A curve is called after the variant; where a variant has several, with what tells them apart.
    """
    groups: dict[str, list[Run]] = {}
    for variant, curves in _curves(runs).items():
        for number, curve in enumerate(curves, 1):
            name = _name(variant, curves, curve)
            groups[name if name not in groups else f"{name} ({number})"] = curve.runs
    return groups


def remarks(runs: Sequence[Run]) -> list[str]:
    """Return a line for each pair of runs of one variant that are no seeds of one curve, with what they differ in."""
    lines = []
    for variant, curves in _curves(runs).items():
        first = curves[0]
        for other in curves[1:]:
            pair = _same_seed(first, other) or (first.runs[0], other.runs[0])
            seeds = f"one seed ({pair[0].seed})" if pair[0].seed == pair[1].seed else "two seeds"
            lines.append(
                f"{pair[0].folder} and {pair[1].folder}: one variant ({variant}), {seeds}, and "
                f"{'; '.join(_differences(*pair))}"
            )
        for kept, again in (pair for curve in curves for pair in curve.repeated):
            lines.append(
                f"{again.folder} and {kept.folder}: one variant ({variant}), one seed ({again.seed}) and the same "
                "settings: a copy or a repetition"
            )
    return lines


def _curves(runs: Sequence[Run]) -> dict[str, list[Curve]]:
    by_variant: dict[str, list[Curve]] = {}
    for one in runs:
        curves = by_variant.setdefault(one.variant, [])
        curve = next((curve for curve in curves if not differing(curve.runs[0], one)), None)
        if curve is None:
            curves.append(Curve([one]))
            continue
        same = next((other for other in curve.runs if other.seed == one.seed != UNKNOWN), None)
        if same is None:
            curve.runs.append(one)
        else:
            curve.repeated.append((same, one))
    return by_variant


def _same_seed(first: Curve, other: Curve) -> tuple[Run, Run] | None:
    pairs = ((a, b) for a in first.runs for b in other.runs if a.seed == b.seed)
    return next(pairs, None)


def differing(one: Run, other: Run) -> list[str]:
    """Return the names of the settings and inputs in which two runs differ, seeds and variants apart.

    An input that one stamp does not state (those of version 1 knew no contents) is no difference.
    """
    return [
        name
        for name in sorted(one.shared.keys() | other.shared.keys())
        if one.shared.get(name) != other.shared.get(name)
        and not (name.startswith(INPUT) and not (name in one.shared and name in other.shared))
    ]


def _name(variant: str, curves: Sequence[Curve], curve: Curve) -> str:
    one = curve.runs[0]
    names = sorted({name for other in curves for name in differing(one, other.runs[0])})
    parts = [f"{name} {_short(one.shared.get(name))}" for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        parts.append(f"{len(names) - MOST_NAMED} more")
    return ", ".join([variant, *parts])


def _differences(one: Run, other: Run) -> list[str]:
    return [
        f"{name} {_short(one.shared.get(name))} against {_short(other.shared.get(name))}"
        for name in differing(one, other)
    ]


def _short(value: Any) -> str:
    """Return a value in few characters; a setting that a stamp leaves out has its default."""
    if value is None:
        return "default"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
