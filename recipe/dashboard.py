"""The comparison in W&B, as code: a workspace and a report that set reward variants side by side.

    python -m recipe.dashboard --dump                        # the spec as JSON; no account, no network
    python -m recipe.dashboard --dump --runs runs/tiny       # with these runs in it, coloured by variant
    python -m recipe.dashboard --entity team --project stvg  # saves both and prints their addresses

Lines are the mean over the seeds of a variant with its standard error, against `train/global_step`: W&B's own step
counts log calls, and those differ between variants.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from recipe.cli import OneLineParser, run
from recipe.compare import folders_of
from recipe.dashboards.groups import remarks
from recipe.dashboards.media import CLIPS, TABLE
from recipe.dashboards.runs import read_run
from recipe.dashboards.sections import SECTIONS
from recipe.dashboards.wandb_run import FILE, PROJECT, has_key
from recipe.drawing.plots import COLOURS

X = "train/global_step"
VARIANT = "variant"  # in the runs' config (recipe/dashboards/wandb_run.py)
NAME = "Reward variants"
MOST_RUNS = 50

ABOUT = (
    "Each line is a reward variant: the mean over its seeds, with the standard error as a band, against the training "
    "step. Compare the scores (tIoU, mvIoU, vIoU and those of held-out clips), not the rewards: each variant's reward "
    "is another quantity."
)
TEXTS = {
    "Learning": "Held-out scores are of greedy answers to the same validation clips, before training and every so "
    "many steps; the others are means over sampled answers. Time and boxes are paid differently by each variant: look "
    "at m_tIoU and at m_vIoU.",
    "Signs of reward hacking": "One-second answers up and the span ratio down: the overlap inside the span is paid, "
    "and one confident second is enough. Whole-clip answers up: the model has given up on time. Gaps up: seconds are "
    "listed without boxes. Label switches up: the target is handed over between objects. A reward that rises while "
    "the held-out scores do not does not generalise, whatever it is.",
    "Optimisation": "Groups whose rewards do not vary teach nothing. A share of clipped tokens of 0 throughout means "
    "that each rollout is used for one step.",
    "Cost": "Wall-clock seconds of an optimiser step by phase, on the main process.",
}


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Read the command's settings from the command line."""
    parser = OneLineParser(prog="python -m recipe.dashboard", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entity", default=os.environ.get("WANDB_ENTITY", ""), help="W&B user or team")
    parser.add_argument("--project", default=os.environ.get("WANDB_PROJECT", PROJECT), help="W&B project of the runs")
    parser.add_argument("--runs", nargs="*", type=Path, default=[], help="folders of runs to colour by variant")
    parser.add_argument("--dump", action="store_true", help="write the spec as JSON, save nothing; no account")
    parser.add_argument("--out", type=Path, help="where --dump writes; default: standard output")
    return (parser.parse_args(argv),)


def packages() -> tuple[Any, Any]:
    """Import and return the modules (wandb_workspaces.workspaces, wandb_workspaces.reports.v2).

    Raises:
        StageError: the package is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise StageError(f"{error}; pip install -c constraints.txt -e '.[dashboard]'") from None
    return workspaces, reports


@dataclass(frozen=True)
class Listed:
    """A run that the spec names: variant, seed, and the id that W&B knows it by ("" if it never logged there)."""

    folder: str
    variant: str
    seed: str
    run_id: str


def listed(folders: list[Path]) -> list[Listed]:
    """Return the runs of these folders, as the comparison page finds them.

    W&B averages all runs of a variant: those that are no seeds of one curve are named on standard error.

    Raises:
        StageError: no such folder, or none with runs in it.
    """
    result = []
    runs = [read_run(folder) for folder in folders_of(folders)]
    for line in remarks(runs):
        print(f"W&B will average these, leave one out: {line}", file=sys.stderr)
    for one in runs:
        path = one.folder / FILE
        run_id = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        result.append(Listed(one.folder.name, one.variant, one.seed, run_id))
    return result


def line_panels(metrics: list[tuple[str, str]]) -> list[Any]:
    """Build one line plot for each metric, with one line for each variant."""
    _, reports = packages()
    return [
        reports.LinePlot(
            title=title,
            x=X,
            y=[f"train/{metric}"],
            groupby=reports.Config(VARIANT),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            smoothing_type="none",
            max_runs_to_show=MOST_RUNS,
        )
        for metric, title in metrics
    ]


def media_panels() -> list[Any]:
    """Build the panels of the fixed clips with their boxes, run by run, and of the table of queries and answers."""
    _, reports = packages()
    return [
        reports.MediaBrowser(title="validation clips", media_keys=[CLIPS], grid_x_axis="step", grid_y_axis="run"),
        reports.WeavePanelSummaryTable(table_name=TABLE),
    ]


def workspace(entity: str, project: str, runs: Sequence[Listed] = ()) -> Any:
    """Build the workspace, with a section each for learning, reward hacking, optimisation, cost and media.

    Args:
        runs: they and their variants get the colours that the comparison page gives them.
    """
    workspaces, _ = packages()
    variants = dict.fromkeys(one.variant for one in runs)
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(variants)}
    settings = workspaces.SectionPanelSettings(x_axis=X)
    sections = [
        workspaces.Section(name=name, panels=line_panels(metrics), is_open=True, panel_settings=settings)
        for name, metrics in SECTIONS.items()
    ]
    sections.append(workspaces.Section(name="Media", panels=media_panels(), is_open=True))
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis=X, max_runs=MOST_RUNS),
        runset_settings=workspaces.RunsetSettings(
            groupby=[workspaces.Config(VARIANT)],
            group_colors=dict(colours),
            run_settings={
                one.run_id: workspaces.RunSettings(color=colours[one.variant]) for one in runs if one.run_id
            },
        ),
    )


def report(entity: str, project: str, *, online: bool) -> Any:
    """Build the report, which explains each part in a sentence above its plots.

    Args:
        online: name the runs' project; W&B is asked for its number then.
    """
    _, reports = packages()
    where = {"entity": entity, "project": project} if online else {}
    blocks: list[Any] = [reports.P(ABOUT)]
    for name, metrics in SECTIONS.items():
        runs = reports.Runset(name=NAME, groupby=[f"config.{VARIANT}"], **where)
        blocks += [reports.H2(name), reports.P(TEXTS[name])]
        blocks.append(reports.PanelGrid(runsets=[runs], panels=line_panels(metrics)))
    runs = reports.Runset(name=NAME, **where)
    blocks += [reports.H2("Clips"), reports.PanelGrid(runsets=[runs], panels=media_panels()[:1])]
    return reports.Report(
        entity=entity, project=project, title=NAME, description=ABOUT.partition(".")[0] + ".", blocks=blocks
    )


def dumped(entity: str, project: str, runs: Sequence[Listed] = ()) -> dict[str, Any]:
    """Return both specs as W&B would get them, with random names numbered so that two dumps are equal."""
    spec = {
        "entity": entity,
        "project": project,
        "runs": [asdict(one) for one in runs],
        "workspace": plain(workspace(entity, project, runs)._to_model().spec),
        "report": plain(report(entity, project, online=False)._to_model().spec),
    }
    numbers = itertools.count(1)

    def renumber(part: Any) -> Any:
        if isinstance(part, list):
            return [renumber(item) for item in part]
        if not isinstance(part, dict):
            return part
        random = {key: f"number-{next(numbers)}" for key in ("__id__", "id") if isinstance(part.get(key), str)}
        return {key: renumber(value) for key, value in (part | random).items()}

    found: dict[str, Any] = renumber(spec)
    return found


def plain(model: Any) -> Any:
    """Return a spec as JSON-like values."""
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def main(args: argparse.Namespace) -> None:
    """Write the spec, or save the workspace and the report.

    Raises:
        StageError: nothing to save to: no key, or no entity.
    """
    runs = listed(args.runs)
    if args.dump:
        text = json.dumps(dumped(args.entity, args.project, runs), indent=1) + "\n"
        if args.out is None:
            print(text, end="")
            return
        with atomic_write(args.out) as out:
            out.write(text)
        print(args.out)
        return
    if not has_key():
        raise StageError("no W&B key: `wandb login`, or set WANDB_API_KEY; without an account: ARGS=--dump")
    if not args.entity:
        raise StageError('no W&B entity: ARGS="--entity USER_OR_TEAM", or set WANDB_ENTITY')
    saved_workspace = workspace(args.entity, args.project, runs).save()
    print(f"workspace: {saved_workspace.url}")
    print(f"report: {report(args.entity, args.project, online=True).save().url}")


if __name__ == "__main__":
    run(parse, main)
