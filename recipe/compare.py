"""Reward variants side by side, without an account: one HTML page from the trainers' own logs.

    python -m recipe.compare runs/tiny/grpo-tiou_mviou-s0 runs/tiny/grpo-mviou-s0 --out runs/tiny/compare.html

Runs are grouped by reward variant; curves are the mean over seeds with their range. Runs of one variant that differ in
more than the seed are separate curves, and are named with what differs. The page holds everything, needs no server
and reads on light and dark paper; each curve is a PNG in a folder beside it too. A run that cannot be read is listed,
not an error.
"""

from __future__ import annotations

import argparse
import base64
import re
import sys
from pathlib import Path
from typing import Any

from data_prep.drawing.boxes import PREDICTED, TRUE
from data_prep.drawing.page import page_environment
from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.stamps import STAMP, read_stamp
from recipe.cli import OneLineParser, run
from recipe.dashboards.clips import clips
from recipe.dashboards.groups import grouped, remarks
from recipe.dashboards.panels import panel
from recipe.dashboards.runs import Run, last, read_run, steps_to
from recipe.dashboards.sections import SECTIONS

TEMPLATES = Path(__file__).parent / "dashboards" / "templates"
ASIDE = re.compile(r"\.old-[0-9]+$")
SHOWN = ("vIoU", "tIoU", "mvIoU", "held_out/m_vIoU", "held_out/m_tIoU", "span_ratio", "one_second_rate")


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Read the command's settings from the command line.

    Raises:
        StageError: no run is named.
    """
    parser = OneLineParser(prog="python -m recipe.compare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="folders of GRPO runs, or folders that hold some")
    parser.add_argument("--out", type=Path, default=Path("runs/compare.html"), help="the page")
    parser.add_argument("--metric", default="vIoU", help="the score that `steps to` is about")
    parser.add_argument(
        "--score", type=float, help="its value; default: the best mean that every variant that learns reaches"
    )
    args = parser.parse_args(argv)
    if not args.runs:
        raise StageError('no run is named: make compare RUNS="runs/tiny/grpo-tiou_mviou-s0 runs/tiny/grpo-mviou-s0"')
    return (args,)


def folders_of(paths: list[Path]) -> list[Path]:
    """Return the runs themselves, and those in folders that are none; each once, in order.

    Runs that `--overwrite_output_dir` moved aside (`NAME.old-1`) are found where they are named, not in their folder.

    Raises:
        StageError: a folder that does not exist, or one without any run in it.
    """
    folders: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise StageError(f"{path}: no such folder")
        inside = [path]
        if not is_run(path):
            inside = sorted(child for child in path.iterdir() if is_run(child) and not ASIDE.search(child.name))
        if not inside:
            raise StageError(f"{path}: neither a run nor a folder with runs (a run has a stamp.json)")
        folders += [folder for folder in inside if folder not in folders]
    return folders


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a GRPO run, whole or not, whatever its name."""
    if not (folder / STAMP).is_file():
        return False
    return (read_stamp(folder) or {}).get("stage", folder.name.partition("-")[0]) == "grpo"


def summary(
    groups: dict[str, list[Run]], metric: str, score: float | None
) -> tuple[list[dict[str, Any]], float | None]:
    """Return a table row for each variant: mean and range over seeds of the last fifth, and the steps to one score."""
    reach, goal = steps_to(groups, metric, score)
    rows = []
    for name, runs in groups.items():
        cells = []
        for shown in SHOWN:
            values = [value for one in runs if (value := last(one, shown)) is not None]
            mean = sum(values) / len(values) if values else None
            cells.append(None if mean is None else (f"{mean:.3f}", f"{min(values):.3f} to {max(values):.3f}"))
        rows.append({"name": name, "seeds": len(runs), "cells": cells, "steps": reach[name]})
    return rows, goal


def main(args: argparse.Namespace) -> None:
    """Write the page and its pictures."""
    runs = [read_run(folder) for folder in folders_of(args.runs)]
    whole = [one for one in runs if one.columns]
    groups, remark_lines = grouped(whole), remarks(whole)
    rows, goal = summary(groups, args.metric, args.score)
    pictures = args.out.parent / f"{args.out.stem}-figures"
    pictures.mkdir(parents=True, exist_ok=True)
    sections = []
    for title, metrics in SECTIONS.items():
        figures = []
        for metric, name in metrics:
            png = panel(groups, metric, name)
            if png is not None:
                with atomic_write(pictures / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', metric)}.png", "wb") as out:
                    out.write(png)
                figures.append((name, base64.b64encode(png).decode("ascii")))
        if figures:
            sections.append((title, figures))
    page = (
        page_environment(TEMPLATES)
        .get_template("compare.html")
        .render(
            rows=rows,
            shown=SHOWN,
            metric=args.metric,
            goal=goal,
            sections=sections,
            runs=runs,
            clips=clips(groups),
            looks=(TRUE, PREDICTED),
            remarks=remark_lines,
        )
    )
    with atomic_write(args.out) as out:
        # Half of a surrogate pair, as JSON can hold it and UTF-8 cannot, is shown as a question mark.
        out.write(page.encode("utf-8", "replace").decode("utf-8"))
    broken = [one for one in runs if one.problem]
    print(
        f"{args.out}: {len(whole)} runs of {len({one.variant for one in whole})} variants"
        + (f", {len(broken)} with a problem" if broken else "")
    )
    for line in remark_lines:
        print(f"  not averaged: {line}")
    for one in broken:
        print(f"  {one.folder}: {one.problem}", file=sys.stderr)


if __name__ == "__main__":
    run(parse, main)
