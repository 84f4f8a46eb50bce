"""Write the page of `recipe.studies.paper_mini`: verdicts, tables and figures, and what cannot be tested in small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from recipe.drawing import plots
from recipe.drawing.plots import COLOURS, GREY
from recipe.studies import frame_rates as fps_study
from recipe.studies import questions as retention_study
from recipe.studies import rewards as reward_study
from recipe.studies.claims import Claim
from recipe.studies.harness import DECODING

METRICS = ("m_tIoU", "m_vIoU", "vIoU@0.5")

# (claim, where, why not).
UNTESTABLE = (
    ("the 9B model beats five general models", "table 1", "needs the weights, both data sets and paid models"),
    ("grounding improves Video-MME-v2 over GLM-4.1V-Thinking", "figure 3", "needs 9B weights and the benchmark"),
    (
        "traces with corrected coordinates keep reasoning from drifting",
        "section 3.5",
        "the tiny recipe's reasoning comes from templates, which state no coordinate that could be wrong",
    ),
    (
        "clipping 0.20/0.28 without KL suits this task",
        "section 3.6",
        "not varied here; that the clip acts at all, and what it gives, is in the README's three-seed table",
    ),
    ("gains are largest in long videos with distractors", "section 5.2", "clips of 8 seconds with two shapes at most"),
    ("targets that need world knowledge are found", "figure 4", "coloured shapes need none"),
)


def gains_figure(rewards: Mapping[str, Any], path: Path) -> None:
    """Write a figure of SFT and each reward, one panel a metric: bars are means over seeds, dots are seeds."""
    names = ["SFT", *rewards["rewards"]]
    with atomic_write(path, "wb") as out, plots.drawn(out, 8.4, 4.6, "paper-mini") as page:
        rows = page.subplots(len(DECODING), len(METRICS), squeeze=False)
        for line, decoding in zip(rows, DECODING, strict=True):
            for axes, metric in zip(line, METRICS, strict=True):
                values = [[rewards["sft"][decoding][metric]]]
                values += [
                    [seed[decoding][metric] for seed in seeds.values()] for seeds in rewards["rewards"].values()
                ]
                means = [sum(seeds) / len(seeds) for seeds in values]
                axes.bar(range(len(names)), means, color=[GREY, *COLOURS][: len(names)], alpha=0.7)
                for index, seeds in enumerate(values):
                    axes.plot([index] * len(seeds), seeds, "o", color=GREY, markersize=3)
                axes.set_ylim(0.8 * min(map(min, values)), 1.02 * max(map(max, values)))
                plots.label(axes, f"{metric}, {decoding}")
                axes.set_xticks(range(len(names)), names, rotation=25, fontsize=8)
                plots.soften(axes, lines="y")


def verdicts(claims: Sequence[Claim]) -> str:
    """Return the claims as a Markdown table, followed by their numbers and reasons."""
    lines = ["| | claim | in the paper | verdict |", "|---:|---|---|---|"]
    for number, claim in enumerate(claims, 1):
        lines.append(f"| {number} | {claim.text} | {claim.where} | **{claim.verdict}** |")
    lines.append("")
    for number, claim in enumerate(claims, 1):
        why = f" {claim.why[0].upper()}{claim.why[1:]}." if claim.why else ""
        lines.append(f"{number}. {claim.numbers}.{why}")
    return "\n".join(lines)


def costs(cost: Mapping[str, Any]) -> str:
    """Return the tokens at both levels as Markdown."""
    lines = ["| a clip | second level | frame level | ratio |", "|---|---:|---:|---:|"]
    for key, name in (("prompt_tokens", "prompt, tokens"), ("answer_tokens", "answer, tokens")):
        second, frame = cost["second"][key], cost["frame"][key]
        lines.append(f"| {name} | {second:.0f} | {frame:.0f} | x{frame / second:.1f} |")
    return "\n".join(lines)


def untestable() -> str:
    """Return, as Markdown, the claims that this page cannot test."""
    lines = ["| claim | in the paper | not testable here, because |", "|---|---|---|"]
    return "\n".join(lines + [f"| {claim} | {where} | {why} |" for claim, where, why in UNTESTABLE])


def write_page(
    path: Path,
    found: Sequence[Claim],
    *,
    rewards: Mapping[str, Any],
    rates: Mapping[str, Any],
    questions: Mapping[str, Any],
    cost: Mapping[str, Any],
    minutes: Mapping[str, float],
    settings: Mapping[str, Any],
    command: str,
) -> None:
    """Write the page, and its figures to `images/` beside it.

    Args:
        rewards, rates: results of recipe.studies.rewards and recipe.studies.frame_rates.
        questions: result of recipe.studies.questions.
        cost: from `recipe.studies.frame_cost.compare`.
        minutes: CPU minutes by part.
        settings: of one GRPO run.
        command: what made it all.
    """
    stem = path.stem
    images = path.parent / "images"
    gains_figure(rewards, images / f"{stem}-rewards.svg")
    reward_study.figure(rewards["curves"], images / f"{stem}-steps.svg")
    fps_study.figure(dict(rates), images / f"{stem}-rates.svg")
    batch = settings.get("per_device_train_batch_size", 0) * settings.get("steps_per_generation", 1)
    group = settings.get("num_generations") or 1
    seeds = len(next(iter(rewards["rewards"].values())))
    spent = ", ".join(f"{name} {value:.0f}" for name, value in minutes.items())
    floor = questions["cpt"]["questions"]["floor"]
    steps = settings.get("max_steps")
    n = rewards["sft"]["greedy"]["n"]
    with atomic_write(path) as out:
        out.write(f"""# The paper in miniature

Written by `{command}`, numbers and figures included: every study of the paper on the tiny recipe, a 0.8 M-parameter
model of the real GLM-4.1V class and synthetic clips of coloured shapes. It says whether the recipe behaves as the
paper claims where that can be seen in small, and nothing about how well a 9B model grounds.

{n:.0f} held-out clips, protocol `second`, smoothing off; sampled: T = 1, mean of three runs. GRPO: {steps} steps,
{batch // group} prompts x {group} samples a rollout, {seeds} seeds, one SFT checkpoint. Differences are paired by
clip, means over seeds, with the bootstrap 95 % interval over clips. **Confirmed** asks for an interval above 0 and the
same sign in every seed. CPU minutes: {spent}.

## Claims

{verdicts(found)}

Not testable in small:

{untestable()}

## SFT, RL and the reward

![Held-out scores of SFT and of each reward](images/{stem}-rewards.svg)

*Bars: means over seeds; dots: seeds. The axes do not begin at 0.*

![Scores in training against the step](images/{stem}-steps.svg)

*Sampled answers in training (T = 0.7), running means; lines: mean over seeds, bands: their range.*

{reward_study.table(dict(rewards))}

## Training frame rate

Scenes of two shapes that are all asked for at once; each rate is one training of the same number of steps from the CPT
checkpoint, evaluated at its own rate. HOTA and IDF1 are TrackEval's.

![Scores by training rate](images/{stem}-rates.svg)

{fps_study.table(dict(rates))}

## General questions before and after

Questions about colour, count and order on clips of their own, greedy answers, exact match. Always naming a topic's
most frequent answer is right in {floor:.3f} of the cases. The recipe's SFT has grounding
alone; the other line has questions of CPT among its data. RL trains on grounding in both, mean over seeds.

{retention_study.table(dict(questions))}

## Second level against frame level

The same {cost["n"]} clips with every frame in the prompt and a box a frame in the answer.

{costs(cost)}
""")
