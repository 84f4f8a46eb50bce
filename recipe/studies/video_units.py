"""Pairs of frames or still pictures? Trained and compared at equal steps and at equal prompt tokens.

    python -m recipe.studies.video_units --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/video-units.yaml

Each arm is a kind of input, such as `pairs@2`: `video_units` and `frame_rate`. All are trained by SFT from one
checkpoint on the same records in the same order, once a seed, for the steps of the study and for as many steps as
show the tokens that the first arm saw. Writes `video-units.json` and a page. What exists with the same settings is not
made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trl import ModelConfig

from data_prep.files import atomic_write
from data_prep.records import read_records
from data_prep.stages import StageError, read_stamp
from recipe.cli import run
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.scores import Sample, per_sample
from recipe.evaluation.two_level import two_level_gain
from recipe.inputs.loading import load_answering, load_processor, row_builder
from recipe.studies.frame_rates import prompt_tokens
from recipe.studies.harness import StudyArguments, parse_study, run_all, run_stage
from recipe.studies.shown_boxes import ceilings
from recipe.studies.video_units_page import Found, page_of
from recipe.studies.video_units_verdict import BUDGETS, SCORES, Arm, steps_at_equal_tokens

COUNTED = 40  # records whose prompts are counted


@dataclass
class UnitsArguments(StudyArguments):
    """Settings of the study: its arms, and what they are trained on."""

    arms: list[str] = field(
        default_factory=lambda: ["frames@1", "pairs@2", "frames@2", "pairs@1"],
        metadata={"help": "units@frames a second; the first is what the others are compared with"},
    )
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    steps: int = field(default=300, metadata={"help": "optimiser steps of the first arm"})
    train: list[str] = field(default_factory=list, metadata={"help": "track files to train on"})
    validation: str = field(default="", metadata={"help": "track file of the wrong-image check"})
    annotations: str = field(default="", metadata={"help": "frame annotations of the records evaluated on"})
    start: str = field(default="$RUN/base", metadata={"help": "checkpoint that every training starts from"})
    study_out: str = field(default="$RUN/video-units", metadata={"help": "folder of trainings and results"})
    page: str = field(default="$RUN/video-units.md", metadata={"help": "the page that is written"})
    command: str = field(default="make video-units", metadata={"help": "what the page says that it was made by"})
    sft_words: list[str] = field(default_factory=list, metadata={"help": "SFT settings on top of its YAML"})

    def __post_init__(self) -> None:
        self.parsed = [Arm.parse(arm) for arm in self.arms]
        if len(set(self.arms)) != len(self.arms) or len(self.arms) < 2:
            raise ValueError(f"--arms {' '.join(self.arms)}: expected at least two, each once")
        if self.steps < 1 or not self.seeds:
            raise ValueError(f"--steps {self.steps} --seeds {self.seeds}: expected at least one step and one seed")
        if not self.train:
            raise ValueError("--train is missing: the track files to train on")


def as_seen(evaluation: EvalArguments, arm: Arm) -> EvalArguments:
    """Return the evaluation's settings with the arm's input."""
    return replace(evaluation, video_units=arm.settings["video_units"], frame_rate=arm.settings["frame_rate"])


def count_inputs(evaluation: EvalArguments, arm: Arm, start: str) -> dict[str, float]:
    """Return the mean number of pictures (with pairs: of grids) and of prompt tokens of a record."""
    script = as_seen(evaluation, arm).frames_seen()
    model_args = ModelConfig(model_name_or_path=start, dtype="auto")
    processor = load_processor(model_args, script.video_units)
    builder = row_builder(script, load_answering(model_args, script), processor, completions=False)
    rows = [builder.row(record) for record in list(read_records(evaluation.tracks))[:COUNTED]]
    return {
        "pictures": sum(len(row["images"]) for row in rows) / len(rows),
        "prompt_tokens": sum(prompt_tokens(processor, row) for row in rows) / len(rows),
    }


def train(args: UnitsArguments, evaluation: EvalArguments, arm: Arm, seed: int, budgets: Sequence[int]) -> Path:
    """Train an arm for the largest of its budgets, with a checkpoint at the smallest; return its folder.

    The rate of learning is constant after its warm-up, so a checkpoint is what a training of so many steps gives.
    """
    out = Path(args.study_out) / f"{arm.folder}-s{seed}"
    argv = ["--model_name_or_path", args.start, "--tracks", *args.train, "--validation_tracks", args.validation]
    argv += ["--video_root", evaluation.video_root]
    argv += [word for name, value in arm.settings.items() for word in (f"--{name}", value)]
    argv += [*args.sft_words, "--max_steps", str(max(budgets)), "--save_steps", str(min(budgets))]
    argv += ["--save_total_limit", str(1 + max(budgets) // min(budgets))]
    run_stage(args, "sft", out, seed, *argv)
    return out


def evaluate_budget(
    evaluation: EvalArguments, arm: Arm, folder: Path, steps: int, most: int
) -> tuple[dict[str, Any], list[Sample]]:
    """Return metrics and samples of an arm's greedy answers after so many steps.

    Raises:
        StageError: There is no checkpoint of that step.
    """
    model = folder if steps == most else folder / f"checkpoint-{steps}"
    if not model.is_dir():
        raise StageError(f"{model}: no such checkpoint; remove {folder} and run the study again")
    out = str(folder / "eval" / f"greedy-{steps}.json")
    given = replace(as_seen(evaluation, arm), model=str(model), out=out, temperature=0.0, repeats=1)
    metrics, runs = evaluate(given)
    return metrics, runs[0]


def looks(folder: Path) -> float | None:
    """Return the ratio of a training's wrong-image check, or None where it was not made."""
    results = (read_stamp(folder) or {}).get("results") or {}
    ratio = results.get("wrong_image_loss_ratio")
    return None if ratio is None else float(ratio)


def compare(samples: Mapping[str, Sequence[Sequence[Sample]]], base: str) -> dict[str, dict[str, Any]]:
    """Return each arm's difference from the first by score, over seeds and videos.

    Args:
        samples: arm -> scored samples, one list a seed.
    """
    videos = [sample.video for sample in samples[base][0]]
    return {
        arm: {
            f"m_{score}": two_level_gain(
                [per_sample([run], score) for run in samples[base]], [per_sample([run], score) for run in runs], videos
            )
            for score in SCORES
        }
        for arm, runs in samples.items()
        if arm != base
    }


def main(args: UnitsArguments, evaluation: EvalArguments) -> Found:
    """Count tokens, train each arm and seed, evaluate at both budgets, and write the result and its page."""
    arms, base = args.parsed, args.parsed[0]
    inputs = {arm.name: count_inputs(evaluation, arm, args.start) for arm in arms}
    tokens = {name: counted["prompt_tokens"] for name, counted in inputs.items()}
    budgets = {
        name: {"steps": args.steps, "tokens": steps_at_equal_tokens(args.steps, tokens[base.name], tokens[name])}
        for name in tokens
    }
    jobs = [(arm, seed) for seed in args.seeds for arm in arms]
    folders = run_all(args, lambda job: train(args, evaluation, *job, list(budgets[job[0].name].values())), jobs)
    trained: dict[str, dict[str, Any]] = {}
    samples: dict[str, dict[str, list[list[Sample]]]] = {budget: {} for budget in BUDGETS}
    for arm in arms:
        most = max(budgets[arm.name].values())
        trained[arm.name] = {"looks": [looks(folders[arm, seed]) for seed in args.seeds]} | {
            budget: [] for budget in BUDGETS
        }
        for budget in BUDGETS:
            steps = budgets[arm.name][budget]
            answered = [evaluate_budget(evaluation, arm, folders[arm, seed], steps, most) for seed in args.seeds]
            samples[budget][arm.name] = [runs for _, runs in answered]
            trained[arm.name][budget] = [{f"m_{score}": one[f"m_{score}"] for score in SCORES} for one, _ in answered]
    found = Found(
        base=base.name,
        seeds=args.seeds,
        clips=len(samples[BUDGETS[0]][base.name][0]),
        inputs=inputs,
        budgets=budgets,
        scores=trained,
        gains={budget: compare(samples[budget], base.name) for budget in BUDGETS},
        ceilings=ceilings(evaluation.tracks, args.annotations, {arm.rate for arm in arms}) if args.annotations else {},
    )
    folder = Path(args.study_out)
    with atomic_write(folder / "video-units.json") as stream:
        json.dump(found.as_json(), stream, indent=1)
    page = page_of(found, args.command)
    with atomic_write(Path(args.page)) as stream:
        stream.write(page)
    print(page)
    return found


def parse(argv: list[str] | None = None) -> tuple[UnitsArguments, EvalArguments]:
    """Return the study's settings and those it evaluates by (`recipe.studies.harness.parse_study`)."""
    return parse_study(UnitsArguments, argv)


if __name__ == "__main__":
    run(parse, main)
