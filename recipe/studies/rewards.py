"""Which reward? GRPO with each variant from one SFT checkpoint, over several seeds (figure 3, right); takes hours.

    python -m recipe.studies.rewards --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/rewards.yaml

The same checkpoint, data, settings and seeds for every variant. Writes `reward-study.json`, a page and a figure into
the run's folder: held-out metrics with the range over seeds, and the sampled training scores against the step. What
exists with the same settings is not trained again.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from recipe import grpo
from recipe.cli import run
from recipe.drawing import plots
from recipe.evaluate import EvalArguments
from recipe.evaluation.learning import SMOOTHED, running_mean, steps_to
from recipe.evaluation.logs import read_log, series
from recipe.evaluation.tables import markdown_table
from recipe.inputs.run_folder import stage_files
from recipe.studies.harness import (
    DECODING,
    StudyArguments,
    evaluate_both,
    grpo_data,
    parse_study,
    run_all,
    run_stage,
    summary_metrics,
    variant_of_argv,
    write_result,
)

# Options that the variant's own name holds.
VARIANT_OPTIONS = {"reward", "reward_weights", "format_weight", "length_weight", "dynamic_sampling"}
LOGGED = {"m_vIoU": "vIoU", "m_tIoU": "tIoU"}  # metric -> its name in the trainer's log
SHOWN = ("m_tIoU", "m_vIoU", "vIoU@0.5", "mvIoU")


@dataclass
class RewardStudyArguments(StudyArguments):
    """Settings of the study: its seeds, the variants, and options for every GRPO run."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    rewards: list[str] = field(
        default_factory=lambda: ["tiou_mviou", "mviou", "viou", "tiou"],
        metadata={
            "help": 'what each arm has after --reward: "viou", "tiou_mviou --reward_weights 1 0.5", or with any other '
            'setting of GRPO, such as "tiou_mviou --importance_sampling_level response"'
        },
    )
    study_out: str | None = field(default=None, metadata={"help": "folder of trainings and results; default: run"})
    grpo_words: list[str] = field(default_factory=list, metadata={"help": "GRPO settings on top of its YAML"})

    def __post_init__(self) -> None:
        arms(self)  # what is wrong with one is said before anything is trained
        if len(set(self.seeds)) < 2:
            raise ValueError(f"--seeds {self.seeds}: expected at least 2, or there is no spread to see")


def arms(args: RewardStudyArguments) -> dict[str, list[str]]:
    """Return the options of GRPO that make each arm of the study, by the arm's name: the variant and other settings.

    Raises:
        ValueError: Options make no variant, GRPO does not know one, or two arms are the same.
    """
    configs = [word for path in stage_files(args.configs, "grpo") for word in ("--config", str(path))]
    argv_of: dict[str, list[str]] = {}
    for reward in args.rewards:
        argv = ["--reward", *shlex.split(reward)]
        name = variant_of_argv(args, *argv, *args.grpo_words).name + others_in_name(argv)
        if others_in_name(argv):  # those of the variant are checked by making it
            grpo.parse([*configs, *argv, *args.grpo_words])
        if name in argv_of:
            raise ValueError(f"--rewards {' '.join(args.rewards)}: two arms are the variant {name}; name it once")
        argv_of[name] = argv
    return argv_of


def others_in_name(argv: Sequence[str]) -> str:
    """Return what an arm's options add to its variant's name: settings of GRPO that are no part of a variant.

    >>> others_in_name(["--reward", "tiou_mviou", "--importance_sampling_level", "response", "--format_weight", "0.1"])
    '+importance_sampling_level-response'
    """
    parts: list[list[str]] = []
    for word in argv:
        if word.startswith("--"):
            parts.append(word[2:].replace("-", "_").split("=", 1))
        elif parts:
            parts[-1].append(word)
    return "".join(f"+{'-'.join(part)}" for part in parts if part[0] not in VARIANT_OPTIONS)


def curve(folders: Sequence[Path], name: str) -> dict[str, list[float]]:
    """Return a logged score over seeds: the steps that all share, and mean, low and high of running means."""
    logged = [series(read_log(folder).entries, name) for folder in folders]
    count = min(len(steps) for steps, _ in logged)
    values = [running_mean(scores)[:count] for _, scores in logged]
    columns = list(zip(*values, strict=True))
    return {
        "step": logged[0][0][:count],
        "mean": [sum(column) / len(column) for column in columns],
        "low": [min(column) for column in columns],
        "high": [max(column) for column in columns],
    }


def to_one_score(curves: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return how soon each variant reaches one score, as the summary holds it; NaN where no variant learns."""
    steps, score = steps_to({name: (line["step"], line["mean"]) for name, line in curves.items()})
    return {"score": math.nan if score is None else score, "steps": steps}


def figure(curves: dict[str, dict[str, dict[str, list[float]]]], path: Path) -> None:
    """Draw one panel a metric: the mean over seeds as a line, their range as a band.

    Args:
        curves: metric -> variant -> `curve`.
    """
    with atomic_write(path, "wb") as out, plots.drawn(out, 3.8 * len(curves), 2.8, "reward-study") as page:
        for axes, (metric, lines) in zip(page.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
            for colour, (name, line) in zip(plots.COLOURS, lines.items(), strict=False):
                plots.band(axes, colour, name, line["step"], line["mean"], line["low"], line["high"])
            plots.label(axes, f"{metric} of sampled answers", "step")
            plots.soften(axes)
            plots.legend(axes)


def table(summary: dict[str, Any]) -> str:
    """Return the metrics by variant and decoding, mean over seeds (lowest to highest), and the steps to one score."""
    reach = summary["steps_to"]
    rows = []
    for decoding in DECODING:
        start = [f"{summary['sft'][decoding][metric]:.3f}" for metric in SHOWN]
        rows.append([decoding, "none (SFT)", *start, "", ""])
        for name, seeds in summary["rewards"].items():
            cells = []
            for metric in SHOWN:
                values = [seed[decoding][metric] for seed in seeds.values()]
                cells.append(f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})")
            steps = [reach[metric]["steps"][name] for metric in LOGGED]
            cells += ["" if step is None else f"{step:g}" for step in steps]
            rows.append([decoding, name, *cells])
    scores = ", ".join(f"{metric} {reach[metric]['score']:.3f}" for metric in LOGGED)
    rows_as_text = markdown_table(
        ["decoding", "reward", *SHOWN, "steps to the same m_vIoU", "m_tIoU"], rows, text_columns=2
    )
    return f"{rows_as_text}\n\nThe same score, in training (running mean of {SMOOTHED} log entries): {scores}."


def main(args: RewardStudyArguments, evaluation: EvalArguments) -> None:
    """Train every variant with every seed, evaluate them, write the result, its page and its figure."""
    folder = Path(args.run)
    out_folder = Path(args.study_out or args.run)
    variants = arms(args)
    runs = [(name, seed) for name in variants for seed in args.seeds]
    model = ["--model_name_or_path", str(folder / "sft")]

    def train(one: tuple[str, int]) -> Path:
        name, seed = one
        out = out_folder / f"grpo-{name}-s{seed}"
        run_stage(args, "grpo", out, seed, *variants[name], *model, *grpo_data(args, evaluation), *args.grpo_words)
        return out

    checkpoints = run_all(args, train, runs)
    curves = {
        metric: {name: curve([checkpoints[name, seed] for seed in args.seeds], logged) for name in variants}
        for metric, logged in LOGGED.items()
    }
    scored = {run: summary_metrics(evaluate_both(evaluation, checkpoints[run])) for run in runs}
    summary: dict[str, Any] = {
        "sft": summary_metrics(evaluate_both(evaluation, folder / "sft")),
        "rewards": {name: {str(seed): scored[name, seed] for seed in args.seeds} for name in variants},
        "steps_to": {metric: to_one_score(lines) for metric, lines in curves.items()},
        "curves": curves,
    }
    figure(curves, out_folder / "reward-study.svg")
    write_result(out_folder / "reward-study.json", summary, table(summary))


def parse(argv: list[str] | None = None) -> tuple[RewardStudyArguments, EvalArguments]:
    """Return the study's settings and those it evaluates by (`recipe.studies.harness.parse_study`)."""
    return parse_study(RewardStudyArguments, argv)


if __name__ == "__main__":
    run(parse, main)
