"""Do answers to general questions survive SFT on grounding and RL? With and without questions among the SFT data.

    python -m recipe.studies.questions --config recipe/configs/tiny/eval.yaml \\
        --config recipe/configs/tiny/retention-study.yaml

Two lines from one CPT checkpoint: the recipe's SFT with its RL runs (of recipe.studies.rewards), and an SFT that has a
share of questions with RL runs of its own. Each checkpoint answers the same held-out questions and grounds the same
clips. Writes `retention-study.json`; what exists with the same settings is not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_prep.records import RecordWriter
from recipe.cli import run
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.tables import markdown_table
from recipe.studies.harness import (
    DECODING,
    StudyArguments,
    grpo_data,
    parse_study,
    run_all,
    run_stage,
    variant_of_argv,
    write_result,
)
from recipe.studies.retention import TOPICS, accuracy, answer, questions_of, right

REWARD = "tiou_mviou"
PLAIN, MIXED = "grounding alone", "with questions"


@dataclass
class RetentionArguments(StudyArguments):
    """Settings of the study: its seeds, the questions, and what is trained with them."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    study_out: str = field(default="$RUN/paper-mini", metadata={"help": "folder of trainings and results"})
    questions: str = field(default="$RUN/questions/questions.jsonl", metadata={"help": "held-out questions"})
    question_videos: str = field(default="$RUN/questions/videos", metadata={"help": "their video root"})
    sft_tracks: str = field(default="$RUN/traces/traces.jsonl", metadata={"help": "the recipe's SFT data"})
    more_from: str = field(
        default="$RUN/data/cpt.jsonl", metadata={"help": "file whose first questions are added to them"}
    )
    more: int = field(default=400, metadata={"help": "how many questions are added"})
    sft_words: list[str] = field(default_factory=list, metadata={"help": "SFT settings on top of its YAML"})
    grpo_words: list[str] = field(default_factory=list, metadata={"help": "GRPO settings on top of its YAML"})


def train(args: RetentionArguments, evaluation: EvalArguments) -> dict[str, dict[str, list[Path]]]:
    """Train the line with questions, and return the checkpoints of both.

    Returns:
        line -> {"sft": [checkpoint], "rl": [checkpoint of each seed]}; those of PLAIN are there already.
    """
    run_folder, out = Path(args.run), Path(args.study_out)
    mixed, added = out / "sft-questions", out / "sft-questions.jsonl"
    with RecordWriter(added) as writer:
        for record in questions_of(args.more_from, args.more):
            writer.write(record)
    argv = ["--model_name_or_path", str(run_folder / "cpt"), "--tracks", args.sft_tracks, str(added)]
    argv += ["--video_root", evaluation.video_root, "--validation_tracks", "", *args.sft_words]
    run_stage(args, "sft", mixed, 0, *argv)

    variant = variant_of_argv(args, "--reward", REWARD, *args.grpo_words).name

    def rl(seed: int) -> Path:
        folder = out / f"grpo-{variant}-questions-s{seed}"
        argv = ["--reward", REWARD, "--model_name_or_path", str(mixed), *grpo_data(args, evaluation), *args.grpo_words]
        run_stage(args, "grpo", folder, seed, *argv)
        return folder

    trained = list(run_all(args, rl, args.seeds).values())
    plain = [out / f"grpo-{variant}-s{seed}" for seed in args.seeds]
    return {PLAIN: {"sft": [run_folder / "sft"], "rl": plain}, MIXED: {"sft": [mixed], "rl": trained}}


def measure(
    args: RetentionArguments, evaluation: EvalArguments, checkpoint: Path, *, grounds: bool = True
) -> dict[str, Any]:
    """Return a checkpoint's right answers by topic and by question, and its greedy grounding of the test clips."""
    records = questions_of(args.questions)
    settings = replace(evaluation, tracks=args.questions, video_root=args.question_videos, limit=None)
    answers = answer(settings, checkpoint)
    results: dict[str, Any] = {"questions": accuracy(records, answers), "right": right(records, answers)}
    if grounds:
        greedy = replace(evaluation, model=str(checkpoint), out=str(checkpoint / "eval" / "greedy.json"))
        metrics, _ = evaluate(replace(greedy, **DECODING["greedy"]))
        results |= {name: metrics[name] for name in ("m_tIoU", "m_vIoU", "vIoU@0.5")}
    return results


def table(result: dict[str, Any]) -> str:
    """Return the right answers and the grounding of each checkpoint as Markdown; RL is the mean over seeds."""
    topics = [name for name in TOPICS if name in result["cpt"]["questions"]]

    def line(data: str, after: str, checkpoints: list[dict[str, Any]]) -> list[str]:
        def mean(values: list[float]) -> str:
            return f"{sum(values) / len(values):.3f}" if values else ""

        cells = [mean([checkpoint["questions"][key] for checkpoint in checkpoints]) for key in ("all", *topics)]
        cells += [
            mean([checkpoint[key] for checkpoint in checkpoints if key in checkpoint]) for key in ("m_tIoU", "m_vIoU")
        ]
        return [data, after, *cells]

    rows = [line("", "CPT", [result["cpt"]])]
    for name, stages in result["lines"].items():
        rows += [line(name, "SFT", stages["sft"]), line(name, "RL", stages["rl"])]
    return markdown_table(["SFT data", "after", "questions", *topics, "m_tIoU", "m_vIoU"], rows, text_columns=2)


def main(args: RetentionArguments, evaluation: EvalArguments) -> dict[str, Any]:
    """Train the second line, ask all checkpoints, write the result and print its table."""
    checkpoints = train(args, evaluation)
    result: dict[str, Any] = {"cpt": measure(args, evaluation, Path(args.run) / "cpt", grounds=False)}
    result["lines"] = {
        name: {stage: [measure(args, evaluation, folder) for folder in folders] for stage, folders in stages.items()}
        for name, stages in checkpoints.items()
    }
    write_result(Path(args.study_out) / "retention-study.json", result)
    print(table(result))
    return result


def parse(argv: list[str] | None = None) -> tuple[RetentionArguments, EvalArguments]:
    """Return the study's settings and those it evaluates by (`recipe.studies.harness.parse_study`)."""
    return parse_study(RetentionArguments, argv)


if __name__ == "__main__":
    run(parse, main)
