"""The fixed validation clips in the comparison: what each variant's newest model answered, side by side."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipe.dashboards.media import ANSWERS, FOLDER
from recipe.dashboards.runs import Run
from recipe.evaluation.logs import is_number
from recipe.inference.about import about_of

MOST_CLIPS = 4  # of the page: pictures make it heavy
LARGEST = 2**20  # bytes of a picture or of a step's answers that are read
LONGEST = 4000  # characters of an answer that are shown
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Cell:
    """One variant's answer to one clip.

    Attributes:
        step: that the answering weights had reached.
        png: base64, "" where the picture cannot be read.
        scores: "vIoU 0.31, tIoU 0.50"; "" where none were kept.
    """

    variant: str
    seed: str
    step: int
    png: str
    scores: str
    reasoning: str
    answer: str


def clips(groups: dict[str, list[Run]]) -> list[tuple[str, list[Cell]]]:
    """Return the answered clips as (query, one cell for each variant), in the order of the first run with answers.

    A variant is shown by its first run that has answers; what cannot be read is left out.
    """
    result: dict[tuple[str, str], list[Cell]] = {}
    for variant, runs in groups.items():
        for one in runs:
            answered = newest_answers(one.folder)
            if answered is None:
                continue
            folder, step, rows = answered
            for number, row in enumerate(rows):
                key = str(row.get("id")), str(row.get("query", ""))
                result.setdefault(key, []).append(_cell(one, variant, folder, step, number, row))
            break
    return [(query, cells) for (_, query), cells in list(result.items())[:MOST_CLIPS]]


def newest_answers(run_folder: Path) -> tuple[Path, int, list[dict[str, Any]]] | None:
    """Return (folder, step, rows) of the newest step that a run wrote completely; None where there is none."""
    for folder in sorted((run_folder / FOLDER).glob("step-[0-9]*"), reverse=True):
        digits = folder.name.removeprefix("step-")
        try:
            text = read(folder / ANSWERS).decode("utf-8")
            rows = [row for line in text.splitlines() if isinstance(row := json.loads(line), dict)]
            rows = [row for row in rows if about_of(row) is None]
        except (OSError, ValueError, RecursionError):
            continue
        if rows and digits.isascii() and digits.isdigit():
            return folder, int(digits), rows[:MOST_CLIPS]
    return None


def read(path: Path) -> bytes:
    """Read the content of a small file.

    Raises:
        OSError: no such file, or one that is larger than such files are.
    """
    with path.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"{path}: larger than 1 MiB")
    return content


def _cell(one: Run, variant: str, folder: Path, step: int, number: int, row: dict[str, Any]) -> Cell:
    try:
        content = read(folder / f"clip-{number}.png")
    except OSError:
        content = b""
    png = base64.b64encode(content).decode("ascii") if content.startswith(PNG) else ""
    scores = [f"{name} {row[name]:.2f}" for name in ("vIoU", "tIoU", "mvIoU") if is_number(row.get(name))]
    reasoning, answer = (str(row.get(name, ""))[:LONGEST] for name in ("reasoning", "answer"))
    return Cell(variant, one.seed, step, png, ", ".join(scores), reasoning, answer)
