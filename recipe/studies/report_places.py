"""Find the summary, the report and the answers of a GRPO run, and the newest of several reports."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from data_prep.drawing.page import page_environment
from data_prep.files import atomic_write
from recipe.evaluate import EvalArguments, answers_path


@dataclass
class ComparedArguments:
    """Settings that name the GRPO run that is compared with the checkpoint that it began from."""

    run: str = field(default="$RUN", metadata={"help": "folder of the recipe's stages"})
    grpo: str = field(
        default="grpo-tiou_mviou-s0", metadata={"help": "GRPO stage's folder: a name in the run's folder, or a path"}
    )
    sft: str | None = field(default=None, metadata={"help": "what GRPO began from; default: sft in the run's folder"})


def grpo_folder(run: str, name: str) -> Path:
    """Return the folder of a GRPO run: a bare name lies in the run's folder, and a path is taken as it is.

    >>> print(grpo_folder("runs/tiny", "grpo-viou-s0"), grpo_folder("runs/tiny", "elsewhere/mine"))
    runs/tiny/grpo-viou-s0 elsewhere/mine
    """
    return Path(name) if "/" in name else Path(run) / name


def write_newest(run: Path, page: Path, summary: dict[str, Any]) -> Path:
    """Write the newest summary into the run's folder, and a page there that names and links the newest report.

    Args:
        run: the run's folder; `summary.json` and `report.html` there are those of whichever GRPO run came last.
        page: the newest report.
        summary: what it was made from.

    Returns:
        The page that links the report.
    """
    with atomic_write(run / "summary.json") as out:
        json.dump(summary, out, indent=1)
    others = sorted(path for path in run.glob("*/report.html") if path.resolve() != page.resolve())
    links = [link(path, run) for path in (page, *others)]
    newest = (
        page_templates()
        .get_template("newest.html")
        .render(newest=links[0], others=links[1:], reward=summary.get("reward"), seed=summary.get("seed"))
    )
    with atomic_write(run / "report.html") as out:
        out.write(newest)
    return run / "report.html"


def link(path: Path, folder: Path) -> tuple[str, str]:
    """Return a page's address and name for a link from a page in `folder`; a page elsewhere keeps its whole path.

    >>> link(Path("runs/tiny/grpo-a+b-s0/report.html"), Path("runs/tiny"))
    ('grpo-a%2Bb-s0/report.html', 'grpo-a+b-s0/report.html')
    """
    if not path.absolute().is_relative_to(folder.absolute()):
        return path.absolute().as_uri(), str(path)
    name = os.path.relpath(path, folder)
    return quote(name), name


def page_templates() -> Environment:
    """Return the templates of pages, which escape the values that they are given."""
    return page_environment(Path(__file__).parent / "templates")


def kept_answers(sft: Path, grpo: Path) -> Path:
    """Return where the answers of GRPO's first checkpoint are kept: in its folder, if it has one on this machine."""
    return sft / "eval" if sft.is_dir() else grpo / "eval-before"


def greedy_answers(evaluation: EvalArguments, checkpoint: Path, folder: Path) -> Path:
    """Return where `recipe.studies.before_after` writes the greedy answers of a checkpoint in a folder of answers."""
    return answers_path(replace(evaluation, model=str(checkpoint), out=str(folder / "greedy.json")), 0)
