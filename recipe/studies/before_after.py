"""SFT against RL on the same held-out clips: the table, `summary.json` and `report.html` that `make grpo` ends with.

    python -m recipe.studies.before_after --config recipe/configs/tiny/eval.yaml --grpo grpo-tiou_mviou-s0
    python -m recipe.studies.before_after --config recipe/configs/tiny/eval.yaml -- \\
        --config recipe/configs/tiny/grpo.yaml

Words after `--` are GRPO's: what it wrote with them is compared with the checkpoint that it began from. Summary and
report lie in the GRPO run's own folder; the run's folder gets the newest summary and a page that links the newest
report. Greedy decoding once, sampling at T = 1 three times; the gain is paired by clip, with a 95 % interval by
bootstrap.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trl import GRPOConfig

from data_prep.files import atomic_write
from data_prep.stages import read_stamp
from recipe import grpo as grpo_stage
from recipe.cli import Parser, run
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.logs import read_log, series
from recipe.evaluation.scores import METRICS, Sample, paired_gain, per_sample
from recipe.evaluation.tables import markdown_table
from recipe.studies.report import write_report
from recipe.studies.report_places import greedy_answers, grpo_folder, kept_answers, write_newest
from recipe.variants.names import variant_of_settings

# Decoding by name: the paper reports means over three runs without naming a decoding; sampling at T = 1 is our choice.
DECODING: dict[str, dict[str, Any]] = {
    "sampled": {"temperature": 1.0, "repeats": 3},
    "greedy": {"temperature": 0.0, "repeats": 1},
}
SUMMARY_METRICS = (*METRICS, "mvIoU", "parse_failures", "n")


@dataclass
class CompareArguments(EvalArguments):
    """EvalArguments and the run whose stages are compared."""

    run: str = field(default="$RUN", metadata={"help": "folder of the recipe's stages"})
    grpo: str = field(
        default="grpo-tiou_mviou-s0", metadata={"help": "GRPO stage's folder: a name in the run's folder, or a path"}
    )
    sft: str | None = field(default=None, metadata={"help": "what GRPO began from; default: sft in the run's folder"})


def evaluate_both(
    args: EvalArguments, checkpoint: Path, folder: Path | None = None
) -> dict[str, tuple[dict[str, Any], list[list[Sample]]]]:
    """Return metrics and samples of one checkpoint by decoding.

    Args:
        folder: where its answers are kept; None: its own `eval` folder.
    """
    results = {}
    for decoding, settings in DECODING.items():
        out = str((folder or checkpoint / "eval") / f"{decoding}.json")
        results[decoding] = evaluate(replace(args, model=str(checkpoint), out=out, **settings))
    return results


def gains(before: Any, after: Any) -> dict[str, dict[str, dict[str, float]]]:
    """Paired differences by decoding and metric."""
    return {
        decoding: {
            f"m_{score}": paired_gain(per_sample(before[decoding][1], score), per_sample(after[decoding][1], score))
            for score in ("vIoU", "tIoU", "mvIoU")
        }
        for decoding in DECODING
    }


def short(results: Any) -> dict[str, dict[str, float]]:
    """The metrics that the summary states, by decoding."""
    return {decoding: {name: results[decoding][0][name] for name in SUMMARY_METRICS} for decoding in DECODING}


def summarise(stages: dict[str, Path], before: Any, after: Any) -> dict[str, Any]:
    """Return what `summary.json` holds.

    Args:
        stages: "cpt", "sft" and "grpo" -> the stage's folder.
        before, after: what `evaluate_both` returned for SFT and for GRPO.
    """
    stamps = {name: read_stamp(stages[name]) or {} for name in ("cpt", "sft")}
    ratios = {name: stamp.get("results", {}).get("wrong_image_loss_ratio") for name, stamp in stamps.items()}
    settings = (read_stamp(stages["grpo"]) or {}).get("settings", {})
    return {
        "sft": short(before),
        "rl": short(after),
        "gain": gains(before, after),
        "wrong_image_loss_ratio": ratios,
        "clip_ratio_region_mean": mean_logged(stages["grpo"], "clip_ratio/region_mean"),
        "reward": variant_of_settings(settings),
        "seed": settings.get("seed", GRPOConfig.seed),  # a stamp leaves out what is as the class has it
        "folder": str(stages["grpo"]),
    }


def mean_logged(folder: Path, name: str) -> float | None:
    """Mean of a metric over a stage's log, or None where it was not logged."""
    values = series(read_log(folder).entries, name)[1]
    return sum(values) / len(values) if values else None


def table(summary: dict[str, Any]) -> str:
    """The comparison as a Markdown table."""
    rows = []
    for decoding in DECODING:
        for metric in METRICS:
            a, b = summary["sft"][decoding][metric], summary["rl"][decoding][metric]
            gain = summary["gain"][decoding].get(metric)
            interval = f"{gain['mean']:+.3f} [{gain['low95']:+.3f}, {gain['high95']:+.3f}]" if gain else ""
            ratio = f"x{b / a:.2f}" if a else ""
            rows.append([decoding, metric, f"{a:.3f}", f"{b:.3f}", ratio, interval])
    return markdown_table(["decoding", "metric", "SFT", "RL", "RL / SFT", "paired gain (95 %)"], rows, words=2)


def main(args: CompareArguments) -> None:
    """Evaluate both checkpoints, then write the summary and the report."""
    folder, grpo = Path(args.run), grpo_folder(args.run, args.grpo)
    sft = Path(args.sft or folder / "sft")
    kept = kept_answers(sft, grpo)
    base = EvalArguments(**{name: getattr(args, name) for name in EvalArguments.__dataclass_fields__})
    before, after = evaluate_both(base, sft, kept), evaluate_both(base, grpo)
    stages = {"cpt": folder / "cpt", "sft": sft, "grpo": grpo}
    summary = summarise(stages, before, after)
    with atomic_write(grpo / "summary.json") as stream:
        json.dump(summary, stream, indent=1)
    greedy = {"sft": greedy_answers(base, sft, kept), "rl": greedy_answers(base, grpo, grpo / "eval")}
    page = write_report(
        grpo,
        summary=summary,
        tracks=Path(args.tracks),
        video_root=Path(args.video_root),
        stages=stages,
        answers=greedy,
    )
    write_newest(folder, page, summary)
    print(f"{summary['sft']['greedy']['n']} held-out clips; sampled: T = 1, mean of 3 runs\n\n{table(summary)}\n")
    print(f"summary: {grpo / 'summary.json'}\nreport:  {page}")


def parse(args: list[str] | None = None) -> tuple[CompareArguments, ...]:
    """Return the settings from --config YAML and the command line (which wins); an unknown key is an error.

    Words after `--` are read as GRPO's, and name its folder and the checkpoint that it began from.
    """
    words = list(sys.argv[1:] if args is None else args)
    own, told = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, None)
    (settings,) = Parser((CompareArguments,), "eval").parse_args_and_config(own)
    if told is not None:
        _, training_args, model_args = grpo_stage.parse(told)
        folder = training_args.output_dir
        settings.grpo = folder if "/" in folder else f"./{folder}"
        settings.sft = model_args.model_name_or_path
    return (settings,)


if __name__ == "__main__":
    run(parse, main)
