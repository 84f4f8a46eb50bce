"""Write the page of `recipe.studies.video_units`: inputs, scores at both budgets, differences and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recipe.evaluation.tables import markdown_table
from recipe.evaluation.two_level import TwoLevelGain
from recipe.studies.video_units_verdict import BUDGETS, SCORES, Arm, verdict

SEES = 1.3  # least ratio of the wrong-image check


@dataclass(frozen=True)
class Found:
    """What the study measured.

    Attributes:
        base: the arm that the others are compared with.
        seeds: of the trainings.
        clips: number of clips that were answered.
        inputs: arm -> mean `pictures` and `prompt_tokens` of a clip.
        budgets: arm -> budget -> steps.
        scores: arm -> `looks` (a ratio a seed) and budget -> metrics, one a seed.
        gains: budget -> arm -> metric -> difference from the first arm.
        ceilings: rate -> metrics of a reader who reads the shown frames exactly.
    """

    base: str
    seeds: Sequence[int]
    clips: int
    inputs: Mapping[str, Mapping[str, float]]
    budgets: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, Mapping[str, Any]]
    gains: Mapping[str, Mapping[str, Mapping[str, TwoLevelGain]]]
    ceilings: Mapping[float, Mapping[str, float]]

    def verdicts(self) -> dict[str, str]:
        """Return the verdict of each arm over the first."""
        arms = [arm for arm in self.inputs if arm != self.base]
        return {arm: verdict({budget: self.gains[budget][arm] for budget in BUDGETS}) for arm in arms}

    def blind(self) -> list[str]:
        """Return the arms of which a training fails the wrong-image check: their scores say nothing of the input."""
        return [arm for arm, found in self.scores.items() if any(r is not None and r < SEES for r in found["looks"])]

    def as_json(self) -> dict[str, Any]:
        """Return everything, verdicts too, as JSON-like values."""
        return asdict(self) | {"verdicts": self.verdicts(), "blind": self.blind()}


def page_of(found: Found, command: str) -> str:
    """Return the page as Markdown.

    Args:
        command: what made it.
    """
    parts = [
        "# Pairs of frames or still pictures",
        f"Written by `{command}`, numbers included. The tiny recipe's model is trained by SFT from one checkpoint on "
        "clips whose true boxes are means over their seconds and whose shapes move within them, once a seed and an "
        f"input; `pairs@2` means `video_units: pairs` at 2 frames a second. Greedy answers to {found.clips} held-out "
        f"clips, protocol `second`; {len(found.seeds)} seeds. Differences from `{found.base}` are paired by seed and "
        "clip; their 95 % intervals resample seeds and videos together, and are not corrected for their number.",
        "## Inputs",
        _inputs(found),
        "The last columns are what a reader scores who reads each shown frame exactly and states the mean of a "
        "second's frames: what the input lets be known without the neighbouring seconds. *Looks* is the loss with "
        f"another clip's frames over the loss with the right ones, the smallest of the seeds ({SEES} is asked for).",
        "## Scores",
        *(_scores(found, budget) for budget in BUDGETS),
        "## Verdict",
        _verdicts(found),
    ]
    return "\n\n".join(parts) + "\n"


def _inputs(found: Found) -> str:
    rows = []
    for arm, counted in found.inputs.items():
        known = found.ceilings.get(Arm.parse(arm).rate)
        ratios = [ratio for ratio in found.scores[arm]["looks"] if ratio is not None]
        rows.append(
            [
                f"`{arm}`",
                f"{counted['pictures']:.1f}",
                f"{counted['prompt_tokens']:.1f}",
                *(str(found.budgets[arm][budget]) for budget in BUDGETS),
                f"{min(ratios):.1f}" if ratios else "",
                *(f"{known[f'm_{score}']:.3f}" if known else "" for score in SCORES),
            ]
        )
    heads = ["input", "pictures or grids a clip", "prompt tokens", "steps", "steps at equal tokens", "looks"]
    return markdown_table([*heads, *(f"m_{score} known" for score in SCORES)], rows)


def _scores(found: Found, budget: str) -> str:
    rows = []
    for arm, by_budget in found.scores.items():
        cells = []
        for score in SCORES:
            values = [seed[f"m_{score}"] for seed in by_budget[budget]]
            cells += [f"{sum(values) / len(values):.3f}"]
            cells += [str(found.gains[budget][arm][f"m_{score}"]) if arm != found.base else ""]
        rows.append([f"`{arm}`", str(found.budgets[arm][budget]), *cells])
    heads = ["input", "steps", *(head for score in SCORES for head in (f"m_{score}", f"over `{found.base}`"))]
    return f"At equal {budget}:\n\n" + markdown_table(heads, rows)


def _verdicts(found: Found) -> str:
    lines = [f"- `{arm}` against `{found.base}`: **{says}**." for arm, says in found.verdicts().items()]
    lines += [
        "",
        "Better: in one score at least, at either budget, interval and every seed lie above 0, and in none below it. "
        "Worse is the other way round; mixed where scores or budgets disagree.",
    ]
    if found.blind():
        named = ", ".join(f"`{arm}`" for arm in found.blind())
        lines += ["", f"A training of {named} hardly looks at its frames: its scores say nothing about the input."]
    return "\n".join(lines)
