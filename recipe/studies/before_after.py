"""SFT against RL on the same held-out clips: the table, `summary.json` and `report.html` that `make grpo` ends with.

    python -m recipe.studies.before_after --config recipe/configs/tiny/eval.yaml --grpo grpo-tiou_mviou-s0
    python -m recipe.studies.before_after --config recipe/configs/tiny/eval.yaml -- \\
        --config recipe/configs/tiny/grpo.yaml

Options after `--` are GRPO's: what it wrote with them is compared with the checkpoint that it began from. Summary and
report lie in the GRPO run's own folder; the run's folder gets the newest summary and a page that links the newest
report. Greedy decoding once, sampling at T = 1 three times; the gain is paired by clip, with a 95 % interval by
bootstrap.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from trl import GRPOConfig

from data_prep.stages import read_stamp
from recipe import grpo as grpo_stage
from recipe.cli import run
from recipe.evaluate import EvalArguments
from recipe.evaluation.scores import METRICS
from recipe.evaluation.tables import markdown_table
from recipe.studies.harness import (
    DECODING,
    Results,
    evaluate_both,
    gains,
    mean_logged,
    parse_study,
    summary_metrics,
    write_result,
)
from recipe.studies.report import write_report
from recipe.studies.report_places import (
    ComparedArguments,
    greedy_answers,
    grpo_folder,
    kept_answers,
    write_newest,
)
from recipe.variants.names import variant_of_settings


def summarise(stages: dict[str, Path], before: Results, after: Results) -> dict[str, Any]:
    """Return what `summary.json` holds.

    Args:
        stages: "cpt", "sft" and "grpo" -> the stage's folder.
        before, after: what `evaluate_both` returned for SFT and for GRPO.
    """
    stamps = {name: read_stamp(stages[name]) or {} for name in ("cpt", "sft")}
    ratios = {name: stamp.get("results", {}).get("wrong_image_loss_ratio") for name, stamp in stamps.items()}
    stamps["grpo"] = read_stamp(stages["grpo"]) or {}
    settings = stamps["grpo"].get("settings", {})
    return {
        "sft": summary_metrics(before),
        "rl": summary_metrics(after),
        "gain": gains(before, after),
        "wrong_image_loss_ratio": ratios,
        "signs": {name: stamp.get("results", {}).get("signs", []) for name, stamp in stamps.items()},
        "clip_ratio_region_mean": mean_logged(stages["grpo"], "clip_ratio/region_mean"),
        "reward": variant_of_settings(settings),
        "seed": settings.get("seed", GRPOConfig.seed),  # a stamp leaves out what is as the class has it
        "folder": str(stages["grpo"]),
    }


def table(summary: dict[str, Any]) -> str:
    """Return the comparison as a Markdown table."""
    rows = []
    for decoding in DECODING:
        for metric in METRICS:
            a, b = summary["sft"][decoding][metric], summary["rl"][decoding][metric]
            gain = summary["gain"][decoding].get(metric)
            interval = f"{gain['mean']:+.3f} [{gain['low95']:+.3f}, {gain['high95']:+.3f}]" if gain else ""
            ratio = f"x{b / a:.2f}" if a else ""
            rows.append([decoding, metric, f"{a:.3f}", f"{b:.3f}", ratio, interval])
    return markdown_table(["decoding", "metric", "SFT", "RL", "RL / SFT", "paired gain (95 %)"], rows, text_columns=2)


def main(args: ComparedArguments, evaluation: EvalArguments) -> None:
    """Evaluate both checkpoints, then write the summary and the report."""
    folder, grpo = Path(args.run), grpo_folder(args.run, args.grpo)
    sft = Path(args.sft or folder / "sft")
    kept = kept_answers(sft, grpo)
    before, after = evaluate_both(evaluation, sft, kept), evaluate_both(evaluation, grpo)
    stages = {"cpt": folder / "cpt", "sft": sft, "grpo": grpo}
    summary = summarise(stages, before, after)
    write_result(grpo / "summary.json", summary)
    greedy = {"sft": greedy_answers(evaluation, sft, kept), "rl": greedy_answers(evaluation, grpo, grpo / "eval")}
    page = write_report(
        grpo,
        summary=summary,
        tracks=Path(evaluation.tracks),
        video_root=Path(evaluation.video_root),
        stages=stages,
        answers=greedy,
    )
    write_newest(folder, page, summary)
    print(f"{summary['sft']['greedy']['n']} held-out clips; sampled: T = 1, mean of 3 runs\n\n{table(summary)}\n")
    print(f"summary: {grpo / 'summary.json'}\nreport:  {page}")


def parse(argv: list[str] | None = None) -> tuple[ComparedArguments, EvalArguments]:
    """Return which run is compared and how it is evaluated, from --config YAML and the command line (which wins).

    Options after `--` are read as GRPO's, and name its folder and the checkpoint that it began from.

    Raises:
        ValueError: A key is unknown.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    own, of_grpo = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, None)
    settings, evaluation = parse_study(ComparedArguments, own)
    if of_grpo is not None:
        _, training_args, model_args = grpo_stage.parse(of_grpo)
        folder = training_args.output_dir
        settings.grpo = folder if "/" in folder else f"./{folder}"
        settings.sft = model_args.model_name_or_path
    return settings, evaluation


if __name__ == "__main__":
    run(parse, main)
