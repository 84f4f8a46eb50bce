"""SFT against RL on the same held-out clips: the table, `summary.json` and `report.html` that `make grpo` ends with.

    python -m recipe.before_after --config recipe/configs/tiny/eval.yaml --run runs/tiny --grpo grpo-tiou_mviou-s0

Greedy decoding once, sampling at T = 1 three times; the gain is paired by clip, with a bootstrap 95 % interval.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from data_prep.stages import read_stamp
from recipe.cli import Parser, run
from recipe.evaluate import EvalArguments, answers_path, evaluate
from recipe.evaluation import METRICS, Sample, paired_gain, per_sample
from recipe.report import write_report
from recipe.reward_names import variant_of_settings

# Decoding by name: the paper reports means over three runs without naming a decoding; sampling at T = 1 is our choice.
DECODING: dict[str, dict[str, Any]] = {
    "sampled": {"temperature": 1.0, "repeats": 3},
    "greedy": {"temperature": 0.0, "repeats": 1},
}
SUMMARY_METRICS = (*METRICS, "mvIoU", "parse_failures", "n")


@dataclass
class CompareArguments(EvalArguments):
    """EvalArguments and the run whose stages are compared."""

    run: str = field(default="runs/tiny", metadata={"help": "folder of the recipe's stages"})
    grpo: str = field(default="grpo-tiou_mviou-s0", metadata={"help": "name of the GRPO stage's folder in it"})


def evaluate_both(args: EvalArguments, checkpoint: Path) -> dict[str, tuple[dict[str, Any], list[list[Sample]]]]:
    """Metrics and samples of one checkpoint by decoding; answers are kept in its `eval` folder."""
    results = {}
    for decoding, settings in DECODING.items():
        out = str(checkpoint / "eval" / f"{decoding}.json")
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


def summarise(run: Path, grpo: Path, before: Any, after: Any) -> dict[str, Any]:
    """What `summary.json` holds."""
    stamps = {name: read_stamp(folder) or {} for name, folder in (("cpt", run / "cpt"), ("sft", run / "sft"))}
    ratios = {name: stamp.get("results", {}).get("wrong_image_loss_ratio") for name, stamp in stamps.items()}
    settings = (read_stamp(grpo) or {}).get("settings", {})
    return {
        "sft": short(before),
        "rl": short(after),
        "gain": gains(before, after),
        "wrong_image_loss_ratio": ratios,
        "clip_ratio_region_mean": mean_logged(grpo, "clip_ratio/region_mean"),
        "reward": variant_of_settings(settings),
        "seed": settings.get("seed"),
    }


def mean_logged(folder: Path, name: str) -> float | None:
    """Mean of a metric over a stage's log, or None where it was not logged."""
    history = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    values = [entry[name] for entry in history if name in entry]
    return sum(values) / len(values) if values else None


def table(summary: dict[str, Any]) -> str:
    """The comparison as a Markdown table."""
    lines = [
        "| decoding | metric | SFT | RL | RL / SFT | paired gain (95 %) |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for decoding in DECODING:
        for metric in METRICS:
            a, b = summary["sft"][decoding][metric], summary["rl"][decoding][metric]
            gain = summary["gain"][decoding].get(metric)
            interval = f"{gain['mean']:+.3f} [{gain['low95']:+.3f}, {gain['high95']:+.3f}]" if gain else ""
            ratio = f"x{b / a:.2f}" if a else ""
            lines.append(f"| {decoding} | {metric} | {a:.3f} | {b:.3f} | {ratio} | {interval} |")
    return "\n".join(lines)


def main(args: CompareArguments) -> None:
    """Evaluate both checkpoints, then write the summary and the report."""
    run, grpo = Path(args.run), Path(args.run) / args.grpo
    base = EvalArguments(**{name: getattr(args, name) for name in EvalArguments.__dataclass_fields__})
    before, after = evaluate_both(base, run / "sft"), evaluate_both(base, grpo)
    summary = summarise(run, grpo, before, after)
    with atomic_write(run / "summary.json") as stream:
        json.dump(summary, stream, indent=1)
    greedy = {
        name: answers_path(replace(base, model=str(folder), out=str(folder / "eval" / "greedy.json")), 0)
        for name, folder in (("sft", run / "sft"), ("rl", grpo))
    }
    page = write_report(
        run,
        summary=summary,
        tracks=Path(args.tracks),
        video_root=Path(args.video_root),
        stages={"cpt": run / "cpt", "sft": run / "sft", "grpo": grpo},
        answers=greedy,
    )
    print(f"{summary['sft']['greedy']['n']} held-out clips; sampled: T = 1, mean of 3 runs\n\n{table(summary)}\n")
    print(f"summary: {run / 'summary.json'}\nreport:  {page}")


def parse(args: list[str] | None = None) -> tuple[CompareArguments, ...]:
    """Settings from --config YAML and the command line (which wins); an unknown key is an error."""
    return Parser((CompareArguments,)).parse_args_and_config(args)


if __name__ == "__main__":
    run(parse, main)
