"""What studies share: starting stages with the recipe's own settings, evaluating checkpoints and writing results.

A study has settings of its own, a `StudyArguments`, and beside them the `EvalArguments` by which it evaluates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.stages import read_stamp
from recipe.cli import OneLineParser, Parser
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.logs import read_log, series
from recipe.evaluation.scores import METRICS, Sample, paired_gain, per_sample
from recipe.inputs.config_files import merge
from recipe.inputs.run_folder import stage_files
from recipe.rewards import Variant, make_variant
from recipe.variants.names import DEFAULT

# Decoding by name: the paper reports means over three runs without naming a decoding; sampling at T = 1 is our choice.
DECODING: dict[str, dict[str, Any]] = {
    "sampled": {"temperature": 1.0, "repeats": 3},
    "greedy": {"temperature": 0.0, "repeats": 1},
}
SUMMARY_METRICS = (*METRICS, "mvIoU", "parse_failures", "n")

Results = dict[str, tuple[dict[str, Any], list[list[Sample]]]]  # decoding -> metrics, samples of each repeat
Study = TypeVar("Study")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class StudyArguments:
    """Settings of a study that trains: the run it belongs to, and how its trainings are started."""

    run: str = field(default="$RUN", metadata={"help": "folder of the recipe's stages"})
    configs: str = field(
        default="recipe/configs/tiny",
        metadata={"help": "folder of the stages' YAML files, or an overlay of configs/models; default: --config's"},
    )
    jobs: int = field(default=2, metadata={"help": "trainings at a time"})
    launch: str | None = field(
        default=None, metadata={"help": "file of launch/accelerate to train through; none: one process each"}
    )


def parse_study(kind: type[Study], argv: list[str] | None = None) -> tuple[Study, EvalArguments]:
    """Return the settings of a study and those it evaluates by, from --config YAML and the command line (which wins).

    Raises:
        ValueError: A key is unknown, or a value makes no sense.
    """
    study, evaluation = Parser((kind, EvalArguments), "eval").parse_args_and_config(argv)
    return study, evaluation


def run_stage(args: StudyArguments, stage: str, out: Path, seed: int, *argv: str) -> dict[str, Any]:
    """Run a stage in a process of its own, its log beside its folder, and return the results in its stamp.

    The stage itself skips what its folder holds already, and resumes what was interrupted.

    Args:
        stage: "sft" or "grpo".
        out: the stage's folder.
        argv: options on top of the recipe's YAML files.

    Raises:
        StageError: The stage failed; the message names its log.
    """
    log = out.with_name(f"{out.name}.log")  # a weight in a variant's name has a dot: that is no suffix
    log.parent.mkdir(parents=True, exist_ok=True)
    start = [sys.executable]
    if args.launch:
        start = [str(Path(sys.executable).with_name("accelerate")), "launch", "--config_file", args.launch]
    command = [*start, "-m", f"recipe.{stage}"]
    for path in stage_files(args.configs, stage):
        command += ["--config", str(path)]
    command += ["--output_dir", str(out), "--seed", str(seed), "--disable_tqdm", "true", *argv]
    environment = os.environ | {"RUN": args.run}  # what $RUN in the YAML is, whichever way the study was told
    with log.open("w") as stream:
        code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=environment).returncode
    stamp = read_stamp(out)
    if code != 0 or stamp is None or not stamp["complete"]:
        raise StageError(f"{' '.join(command)} ended with {code}; its output is in {log}")
    print(f"{out}: trained", flush=True)
    return dict(stamp["results"])


def run_all(args: StudyArguments, train: Callable[[Item], Result], items: Iterable[Item]) -> dict[Item, Result]:
    """Call `train` with each item, `args.jobs` at a time, and return the results by item."""
    listed = list(items)
    with ThreadPoolExecutor(args.jobs) as pool:
        return dict(zip(listed, pool.map(train, listed), strict=True))


def variant_of_argv(args: StudyArguments, *argv: str) -> Variant:
    """Return the reward variant of a GRPO run with these options on top of the recipe's YAML files.

    Raises:
        ValueError: They make no variant.
        FileNotFoundError: There is no such YAML file.
    """
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--reward", nargs="+", default=[DEFAULT])
    parser.add_argument("--reward_weights", nargs="+", type=float)
    parser.add_argument("--format_weight", type=float, default=0.0)
    parser.add_argument("--length_weight", type=float, default=0.0)
    parser.add_argument("--dynamic_sampling", type=int, default=0)
    known = {action.dest for action in parser._actions}
    stated = merge(stage_files(args.configs, "grpo"), "grpo")
    parser.set_defaults(**{name: value for name, value in stated.items() if name in known})
    given = vars(parser.parse_known_args(argv)[0])
    return make_variant(given.pop("reward"), given.pop("reward_weights"), **given)


def grpo_data(args: StudyArguments, evaluation: EvalArguments) -> list[str]:
    """Return GRPO's options for the data that the recipe made in the run's folder; none where its YAML names them."""
    data = Path(args.run) / "data"
    if not (data / "grpo.jsonl").is_file():
        return []
    argv = ["--tracks", str(data / "grpo.jsonl"), "--validation_tracks", str(data / "val.jsonl")]
    return [*argv, "--video_root", evaluation.video_root]


def evaluate_both(evaluation: EvalArguments, checkpoint: Path, folder: Path | None = None) -> Results:
    """Return metrics and samples of a checkpoint by decoding; answers that were kept are not asked for again.

    Args:
        folder: where its answers are kept; None: its own `eval` folder.
    """
    results = {}
    for decoding, settings in DECODING.items():
        out = str((folder or checkpoint / "eval") / f"{decoding}.json")
        results[decoding] = evaluate(replace(evaluation, model=str(checkpoint), out=out, **settings))
    return results


def gains(before: Results, after: Results) -> dict[str, dict[str, dict[str, float]]]:
    """Return the differences of two checkpoints, paired by clip, by decoding and metric."""
    return {
        decoding: {
            f"m_{score}": paired_gain(
                per_sample(before[decoding][1], score),
                per_sample(after[decoding][1], score),
                videos=[sample.video for sample in before[decoding][1][0]],
            )
            for score in ("vIoU", "tIoU", "mvIoU")
        }
        for decoding in DECODING
    }


def summary_metrics(results: Results) -> dict[str, dict[str, float]]:
    """Return the metrics that a study's JSON file states, by decoding."""
    return {decoding: {name: results[decoding][0][name] for name in SUMMARY_METRICS} for decoding in DECODING}


def mean_logged(folder: Path, name: str) -> float | None:
    """Return the mean of a metric over a stage's log, or None where it was not logged."""
    values = series(read_log(folder).entries, name)[1]
    return sum(values) / len(values) if values else None


def write_result(path: Path, result: Any, page: str | None = None) -> None:
    """Write a study's result as JSON and, where there is a page, as Markdown beside it; print the page."""
    with atomic_write(path) as stream:
        json.dump(result, stream, indent=1)
    if page is not None:
        with atomic_write(path.with_suffix(".md")) as stream:
            stream.write(page + "\n")
        print(page)
