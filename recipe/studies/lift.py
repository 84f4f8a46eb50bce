"""Measure how much GRPO lifts over SFT, over several seeds, with two controls; takes as long as it takes.

    python -m recipe.studies.lift --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/lift.yaml

For each seed, from one SFT checkpoint: GRPO with the recipe's settings; GRPO with the other way of using a rollout
(one pass against clip acting, the same number of samples); and SFT continued for the CPU time that GRPO took. Writes
`study-lift.json` and prints a table. What exists with the same settings is not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.stages import read_stamp
from recipe.cli import run
from recipe.evaluate import EvalArguments
from recipe.evaluation.tables import markdown_table
from recipe.studies.harness import (
    DECODING,
    SUMMARY_METRICS,
    Results,
    StudyArguments,
    evaluate_both,
    gains,
    grpo_data,
    mean_logged,
    parse_study,
    run_all,
    run_stage,
    summary_metrics,
    variant_of_argv,
    write_result,
)


@dataclass
class LiftArguments(StudyArguments):
    """Settings of the study: its seeds, and the options of each arm on top of its stage's YAML."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    other_name: str = field(default="other", metadata={"help": "name of the second way of using a rollout"})
    other_grpo: list[str] = field(default_factory=list, metadata={"help": "GRPO settings of that arm"})
    continued_sft: list[str] = field(default_factory=list, metadata={"help": "SFT settings of the control"})


def train_arms(args: LiftArguments, evaluation: EvalArguments, seed: int) -> dict[str, Path]:
    """Train the three arms of a seed and return their checkpoints by name."""
    run = Path(args.run)
    model = ["--model_name_or_path", str(run / "sft")]
    arms = {
        "rl": run / f"grpo-{variant_of_argv(args).name}-s{seed}",
        args.other_name: run / "study" / f"grpo-{args.other_name}-s{seed}",
        "sft_continued": run / "study" / f"sft-continued-s{seed}",
    }
    data = grpo_data(args, evaluation)
    grpo = run_stage(args, "grpo", arms["rl"], seed, *model, *data)
    run_stage(args, "grpo", arms[args.other_name], seed, *model, *data, *args.other_grpo)
    sft = read_stamp(run / "sft")
    assert sft is not None  # GRPO started from it
    a_step = sft["results"]["cpu_seconds"] / sft["settings"]["max_steps"]
    steps = round(grpo["cpu_seconds"] / a_step)
    run_stage(args, "sft", arms["sft_continued"], seed, *model, "--max_steps", str(steps), *args.continued_sft)
    return arms


def summarise_seed(evaluation: EvalArguments, before: Results, arms: dict[str, Path], seed: int) -> dict[str, Any]:
    """Return the metrics of each arm of a seed, and its paired gains over SFT."""
    summary: dict[str, Any] = {"seed": seed, "sft": summary_metrics(before)}
    for name, checkpoint in arms.items():
        after = evaluate_both(evaluation, checkpoint)
        results = (read_stamp(checkpoint) or {}).get("results", {})
        summary[name] = summary_metrics(after) | {
            "gain": gains(before, after),
            "clip_ratio_region_mean": mean_logged(checkpoint, "clip_ratio/region_mean"),
            "cpu_seconds": results.get("cpu_seconds"),
        }
    return summary


def table(seeds: list[dict[str, Any]], arms: list[str]) -> str:
    """Return the means over seeds, and the range of the paired gain in m_vIoU, as Markdown."""
    names = ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5")
    rows = []
    for decoding in DECODING:
        for arm in ["sft", *arms]:
            values = [sum(s[arm][decoding][name] for s in seeds) / len(seeds) for name in names]
            cells = [f"{value:.3f}" for value in values] + ["", ""]
            if arm != "sft":
                found = [s[arm]["gain"][decoding]["m_vIoU"] for s in seeds]
                mean = sum(gain["mean"] for gain in found) / len(found)
                cells[-2] = f"{mean:+.3f} ({min(gain['low95'] for gain in found):+.3f})"
                clip = [s[arm]["clip_ratio_region_mean"] for s in seeds]
                cells[-1] = f"{sum(clip) / len(clip):.4f}" if None not in clip else ""
            rows.append([decoding, arm, *cells])
    heads = ["decoding", "arm", *names, "gain in m_vIoU (lowest low95)", "clip share"]
    return markdown_table(heads, rows, text_columns=2)


def main(args: LiftArguments, evaluation: EvalArguments) -> None:
    """Train the arms of each seed, evaluate them, write the result and print its table."""
    run_folder = Path(args.run)
    arms = run_all(args, lambda seed: train_arms(args, evaluation, seed), args.seeds)
    before = evaluate_both(evaluation, run_folder / "sft")
    seeds = [summarise_seed(evaluation, before, arms[seed], seed) for seed in args.seeds]
    write_result(run_folder / "study-lift.json", {"seeds": seeds, "metrics": SUMMARY_METRICS})
    print(table(seeds, list(arms[args.seeds[0]])))


def parse(argv: list[str] | None = None) -> tuple[LiftArguments, EvalArguments]:
    """Return the study's settings and those it evaluates by (`recipe.studies.harness.parse_study`)."""
    return parse_study(LiftArguments, argv)


if __name__ == "__main__":
    run(parse, main)
