"""How much GRPO lifts over SFT, over several seeds, with two controls; takes as long as it takes.

    python -m recipe.studies.lift --config recipe/configs/tiny/study.yaml

For each seed, from one SFT checkpoint: GRPO with the recipe's settings; GRPO with the other way of using a rollout
(one pass against clip acting, the same number of samples); and SFT continued for the CPU time that GRPO took. Writes
`study-lift.json` and prints a table. What exists with the same settings is not made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.stages import read_stamp
from data_prep.yaml_files import read_mapping
from recipe.cli import OneLineParser, Parser, run
from recipe.evaluate import EvalArguments
from recipe.evaluation.tables import markdown_table
from recipe.rewards import Variant, make_variant
from recipe.studies.before_after import DECODING, SUMMARY_METRICS, evaluate_both, gains, mean_logged, short
from recipe.variants.names import DEFAULT


@dataclass
class StudyArguments(EvalArguments):
    """EvalArguments, the run, and the settings of each arm.

    `other_grpo` and `continued_sft` are command-line words for the stage, on top of its YAML.
    """

    run: str = field(default="$RUN", metadata={"help": "folder of the recipe's stages"})
    configs: str = field(
        default="recipe/configs/tiny", metadata={"help": "folder of the stages' YAML files; default: --config's own"}
    )
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    jobs: int = field(default=2, metadata={"help": "trainings at a time"})
    launch: str | None = field(
        default=None, metadata={"help": "file of launch/accelerate to train through; none: one process each"}
    )
    other_name: str = field(default="other", metadata={"help": "name of the second way of using a rollout"})
    other_grpo: list[str] = field(default_factory=list, metadata={"help": "GRPO settings of that arm"})
    continued_sft: list[str] = field(default_factory=list, metadata={"help": "SFT settings of the control"})


def run_stage(stage: str, args: StudyArguments, out: Path, seed: int, *words: str) -> dict[str, Any]:
    """Run one stage in a process of its own, its log beside its folder; returns its stamp's results.

    Raises:
        StageError: The stage failed; the message names its log.
    """
    log = out.with_name(f"{out.name}.log")  # a weight in a variant's name has a dot: that is no suffix
    log.parent.mkdir(parents=True, exist_ok=True)
    start = [sys.executable]
    if args.launch:
        start = [str(Path(sys.executable).with_name("accelerate")), "launch", "--config_file", args.launch]
    command = [*start, "-m", f"recipe.{stage}", "--config", f"{args.configs}/{stage}.yaml"]
    command += ["--output_dir", str(out), "--seed", str(seed), "--disable_tqdm", "true", *words]
    own = os.environ | {"RUN": args.run}  # what $RUN in the stage's YAML is, whichever way the study was told
    with log.open("w") as stream:
        code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=own).returncode
    stamp = read_stamp(out)
    if code != 0 or stamp is None or not stamp["complete"]:
        raise StageError(f"{' '.join(command)} ended with {code}; its output is in {log}")
    print(f"{out}: trained", flush=True)
    return dict(stamp["results"])


def variant_of_words(args: StudyArguments, *words: str) -> Variant:
    """Return the reward variant of a GRPO run with these command-line words on top of the study's `grpo.yaml`.

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
    stated = read_mapping(Path(args.configs) / "grpo.yaml")
    parser.set_defaults(**{name: value for name, value in stated.items() if name in known})
    given = vars(parser.parse_known_args(words)[0])
    return make_variant(given.pop("reward"), given.pop("reward_weights"), **given)


def grpo_data(args: StudyArguments) -> list[str]:
    """Words for GRPO on the run's own data, where the recipe made some there; else its YAML says which."""
    data = Path(args.run) / "data"
    if not (data / "grpo.jsonl").is_file():
        return []
    words = ["--tracks", str(data / "grpo.jsonl"), "--validation_tracks", str(data / "val.jsonl")]
    return [*words, "--video_root", args.video_root]


def arms_of_seed(args: StudyArguments, seed: int) -> dict[str, Path]:
    """Train the three arms of a seed; name -> checkpoint."""
    run = Path(args.run)
    model = ["--model_name_or_path", str(run / "sft")]
    arms = {
        "rl": run / f"grpo-{variant_of_words(args).name}-s{seed}",
        args.other_name: run / "study" / f"grpo-{args.other_name}-s{seed}",
        "sft_continued": run / "study" / f"sft-continued-s{seed}",
    }
    grpo = run_stage("grpo", args, arms["rl"], seed, *model, *grpo_data(args))
    run_stage("grpo", args, arms[args.other_name], seed, *model, *grpo_data(args), *args.other_grpo)
    sft = read_stamp(run / "sft")
    assert sft is not None  # GRPO started from it
    a_step = sft["results"]["cpu_seconds"] / sft["settings"]["max_steps"]
    steps = round(grpo["cpu_seconds"] / a_step)
    run_stage("sft", args, arms["sft_continued"], seed, *model, "--max_steps", str(steps), *args.continued_sft)
    return arms


def seed_summary(args: StudyArguments, before: Any, arms: dict[str, Path], seed: int) -> dict[str, Any]:
    """Metrics and paired gains over SFT of each arm of a seed."""
    summary: dict[str, Any] = {"seed": seed, "sft": short(before)}
    for name, checkpoint in arms.items():
        after = evaluate_both(_evaluation(args), checkpoint)
        results = (read_stamp(checkpoint) or {}).get("results", {})
        summary[name] = short(after) | {
            "gain": gains(before, after),
            "clip_ratio_region_mean": mean_logged(checkpoint, "clip_ratio/region_mean"),
            "cpu_seconds": results.get("cpu_seconds"),
        }
    return summary


def _evaluation(args: StudyArguments) -> EvalArguments:
    return EvalArguments(**{name: getattr(args, name) for name in EvalArguments.__dataclass_fields__})


def table(seeds: list[dict[str, Any]], arms: list[str]) -> str:
    """Means over seeds, and the range of the paired gain in m_vIoU, as Markdown."""
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
    return markdown_table(heads, rows, words=2)


def main(args: StudyArguments) -> None:
    """Train, evaluate, write, print."""
    run = Path(args.run)
    with ThreadPoolExecutor(args.jobs) as pool:
        arms = dict(zip(args.seeds, pool.map(lambda seed: arms_of_seed(args, seed), args.seeds), strict=True))
    before = evaluate_both(_evaluation(args), run / "sft")
    seeds = [seed_summary(args, before, arms[seed], seed) for seed in args.seeds]
    with atomic_write(run / "study-lift.json") as stream:
        json.dump({"seeds": seeds, "metrics": SUMMARY_METRICS}, stream, indent=1)
    print(table(seeds, list(arms[args.seeds[0]])))


def parse(args: list[str] | None = None) -> tuple[StudyArguments, ...]:
    """Settings from --config YAML and the command line (which wins); an unknown key is an error."""
    return Parser((StudyArguments,)).parse_args_and_config(args)


if __name__ == "__main__":
    run(parse, main)
