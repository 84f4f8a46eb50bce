"""Evaluate a checkpoint, or anybody's predictions, on a track file.

    python -m recipe.evaluate --config recipe/configs/tiny/eval.yaml --model runs/tiny/sft --out metrics.json
    python -m recipe.evaluate --tracks test.jsonl --predictions answers.jsonl --out metrics.json

With `--repeats 3 --temperature 1` the answers are sampled three times and the metrics are means over the runs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trl import ModelConfig

from data_prep.files import atomic_write
from data_prep.records import read_records
from data_prep.stages import StageError, file_digest
from recipe.arguments import StageArguments
from recipe.cli import Parser, run
from recipe.evaluation import Sample, mean_metrics, metrics, score_records
from recipe.loading import load_model, load_processor, row_builder
from recipe.predictions import predict, read_answers

ScaleOf = Callable[[dict[str, Any]], tuple[float, float]]


@dataclass
class EvalArguments:
    """What is evaluated, on what, and how answers are decoded."""

    tracks: str = field(default="", metadata={"help": "records with true tracks (JSONL)"})
    model: str | None = field(default=None, metadata={"help": "checkpoint folder or model id"})
    predictions: str | None = field(default=None, metadata={"help": 'JSONL of {"id", "answer"} instead of a model'})
    protocol: str = field(default="second", metadata={"help": "see docs/definitions.md"})
    out: str = field(default="metrics.json", metadata={"help": "metrics (JSON); answers are kept beside it"})
    video_root: str = field(default="data/videos", metadata={"help": "folder that the records' video paths start at"})
    prompts: str | None = field(default=None, metadata={"help": "folder of prompt templates"})
    max_frame_pixels: int = field(default=448 * 448, metadata={"help": "most pixels of a resized frame"})
    frame_rate: float = field(default=1.0, metadata={"help": "frames a second that the model sees"})
    temperature: float = field(default=0.0, metadata={"help": "0 decodes greedily"})
    repeats: int = field(default=1, metadata={"help": "sampled runs to average"})
    max_new_tokens: int = field(default=512, metadata={"help": "longest answer, tokens"})
    batch_size: int = 50
    limit: int | None = field(default=None, metadata={"help": "only the first records"})
    box_scale: float = field(default=1000, metadata={"help": "what 1.0 is called in raw answers of --predictions"})
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.tracks:
            raise ValueError("--tracks is missing: the file of records to evaluate on")
        if self.protocol != "second":
            raise ValueError(f"--protocol {self.protocol!r}: only 'second' is there")
        if self.repeats < 1 or (self.repeats > 1 and self.temperature == 0):
            raise ValueError("--repeats above 1 needs --temperature above 0: greedy runs are all the same")


# What does not change the answers.
_NOT_DECODING = {"model", "predictions", "protocol", "out", "repeats", "box_scale", "tracks"}


def settings_digest(args: EvalArguments) -> str:
    """Eight hex digits that change with whatever changes the answers, so that old ones are never taken for new."""
    model = Path(args.model or "")
    inputs = [file_digest(Path(args.tracks)), file_digest(model) if model.exists() else args.model]
    settings = {key: value for key, value in vars(args).items() if key not in _NOT_DECODING}
    return hashlib.sha256(json.dumps([inputs, settings], sort_keys=True).encode()).hexdigest()[:8]


def answers_path(args: EvalArguments, repeat: int) -> Path:
    """Where the answers of a repeat lie: beside the metrics."""
    return Path(args.out).with_suffix(f".answers-{settings_digest(args)}-{repeat}.jsonl")


def answers_of_model(args: EvalArguments) -> tuple[list[dict[str, str]], ScaleOf]:
    """One id -> answer mapping a repeat, and what their coordinates are divided by, for a record."""
    model_args = ModelConfig(model_name_or_path=args.model, dtype="auto")
    script_args = StageArguments(
        video_root=args.video_root,
        prompts=args.prompts,
        max_frame_pixels=args.max_frame_pixels,
        frame_rate=args.frame_rate,
    )
    model = load_model(model_args, script_args).eval()
    processor = load_processor(model_args)
    builder = row_builder(script_args, model, processor, completions=False)
    runs = []
    for repeat in range(args.repeats):
        runs.append(
            predict(
                model,
                processor,
                args.tracks,
                builder,
                answers_path(args, repeat),
                temperature=args.temperature,
                seed=args.seed + repeat,
                max_new_tokens=args.max_new_tokens,
                batch_size=args.batch_size,
                limit=args.limit,
            )
        )
    return runs, lambda record: builder.family.box_scale(builder.frame_size(record))


def evaluate(args: EvalArguments) -> tuple[dict[str, Any], list[list[Sample]]]:
    """Metrics (means over repeats) and the scored samples of each repeat; writes the metrics.

    Raises:
        StageError: No such file of predictions, one without any of the records, or records without a true track.
    """
    if args.predictions:
        runs, scale_of = [read_answers(Path(args.predictions))], lambda record: (args.box_scale, args.box_scale)
    else:
        runs, scale_of = answers_of_model(args)
    records = list(read_records(args.tracks))[: args.limit]
    scored = [score_records(records, run, scale_of) for run in runs]
    if not scored[0]:
        raise StageError(f"{args.tracks}: none of its {len(records)} records has a true track to score against")
    check_answered(args, [sample.id for sample in scored[0]], runs[0])
    result: dict[str, Any] = mean_metrics([metrics(samples) for samples in scored])
    result |= {"protocol": args.protocol, "repeats": len(runs), "temperature": args.temperature}
    with atomic_write(args.out) as stream:
        json.dump(result, stream, indent=1)
    return result, scored


def check_answered(args: EvalArguments, ids: list[str], answers: dict[str, str]) -> None:
    """Say how many of the records have no answer, which counts 0.

    Raises:
        StageError: None has one, so the file of predictions is another one than was meant.
    """
    missing = [name for name in ids if name not in answers]
    where = args.predictions or args.model
    if len(missing) == len(ids):
        raise StageError(
            f"{where}: no such file, or no answer in it to any of the {len(ids)} records of {args.tracks}"
        )
    if missing:
        print(
            f"{where}: {len(missing)} of {len(ids)} records have no answer and count 0: {missing[0]}, ...",
            file=sys.stderr,
        )


def parse(args: list[str] | None = None) -> tuple[EvalArguments, ...]:
    """Settings from --config YAML and the command line (which wins); an unknown key is an error."""
    return Parser((EvalArguments,)).parse_args_and_config(args)


def report(args: EvalArguments) -> None:
    """Evaluate and print the metrics as JSON."""
    print(json.dumps(evaluate(args)[0]))


if __name__ == "__main__":
    run(parse, report)
