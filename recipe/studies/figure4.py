"""Make figure 4: chosen cases as contact sheets and overlay videos, several models side by side on one page.

    RUN=runs/glm-4.1v-9b python -m recipe.studies.figure4 --config recipe/configs/studies/figure4.yaml

A case is a video and a sentence, with the true span where it is known. For each case and model an answer (JSON), a
sheet (PNG) and an overlay (MP4) are written. Their names end in what the answer depends on (video, sentence, model and
settings); what exists is not asked again unless --again is given.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from data_prep.drawing.boxes import PREDICTED, TRUE
from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.identity import check_outputs, text_digest
from data_prep.locks import locked
from data_prep.video.sampling import VideoError
from recipe import ground
from recipe.cli import OneLineParser, check_keys, read_settings, run
from recipe.inference.answer_key import file_name, video_stamp
from recipe.studies.report_places import page_templates

PAGE = "figure4.html"
KEYS = {"out", "models", "cases", "arguments"}
CASE_KEYS = {"name", "video", "query", "true_span", "note"}


def read_config(path: Path) -> dict[str, Any]:
    """Return the figure's settings.

    Raises:
        ValueError: A key that is unknown, or a part that is missing.
    """
    config = read_settings(path, KEYS, ("models", "cases"))
    for case in config["cases"]:
        check_keys(f"{path}: case {case.get('name')!r}", case, CASE_KEYS, ("name", "video", "query"))
    names = [case["name"] for case in config["cases"]]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: two cases have one name, expected one for each")
    return config


def answer(config: dict[str, Any], case: dict[str, Any], name: str) -> tuple[dict[str, Any], Path]:
    """Return what a model answers to a case, and the path of its files without their endings.

    Args:
        name: of the model in the settings.

    Raises:
        StageError, VideoError: The model or the video is not there, or cannot be used.
    """
    argv = [case["video"], case["query"], "--model", config["models"][name]]
    if case.get("true_span"):  # drawn into the pictures
        argv += ["--true_span", *map(str, case["true_span"])]
    argv += [str(word) for word in config.get("arguments") or []]
    (args,) = ground.parse(argv)
    key = text_digest(
        ground.key_of_answers(args).describe(),
        video_stamp(args.video),
        args.query,
        case.get("true_span") or args.true_span,
        args.box_frames,
    )
    stem = Path(config["out"]) / f"{file_name(case['name'])}-{file_name(name)}-{key[:8]}"
    out = _beside(stem, ".json")
    if not out.is_file() or config.get("again"):
        argv += ["--out", str(out), "--overlay", str(_beside(stem, ".mp4")), "--sheet", str(_beside(stem, ".png"))]
        ground.main(*ground.parse(argv))
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result, stem


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)  # a name may hold a dot


def part(name: str, answer: dict[str, Any] | str, stem: Path | None) -> dict[str, Any]:
    """Return what the page shows of a model's answer, or of why there is none."""
    if isinstance(answer, str) or stem is None:
        return {"name": name, "problem": str(answer)}
    span = answer["span"]
    when = f"seconds {span[0]} to {span[1]}" if span else "no second named"
    reasoning = answer["reasoning"] if isinstance(answer["reasoning"], str) else " / ".join(answer["reasoning"])
    return {
        "name": name,
        "when": when,
        "sheet": quote(f"{stem.name}.png"),
        "film": quote(f"{stem.name}.mp4"),
        "reasoning": reasoning,
    }


def main(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Answer every case with every model and write the page, which also says what could not be answered.

    Raises:
        InUse: Another process makes the same figure.
    """
    page = Path(config["out"]) / PAGE
    with locked(page):
        results, cases = _answers(config)
        text = page_templates().get_template("figure4.html").render(cases=cases, looks=(TRUE, PREDICTED))
        with atomic_write(page) as stream:
            stream.write(text.encode("utf-8", "replace").decode("utf-8"))
    print(f"page: {page}")
    return results


def _answers(config: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Return each model's answer to each case (or why there is none), and what the page shows of each case."""
    results: dict[str, dict[str, Any]] = {}
    cases = []
    for case in config["cases"]:
        parts = []
        for name in config["models"]:
            result: dict[str, Any] | str
            stem: Path | None = None
            try:
                result, stem = answer(config, case, name)
            except (StageError, VideoError) as error:
                result = str(error)
                print(f"{case['name']}, {name}: {error}")
            results.setdefault(case["name"], {})[name] = result
            parts.append(part(name, result, stem))
        cases.append(case | {"answers": parts})
    return results, cases


def parse(argv: list[str] | None = None) -> tuple[dict[str, Any]]:
    """Return the settings of --config, with --out and --again on top.

    Raises:
        StageError: The page would take the place of a file that it is made from.
    """
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipe/configs/studies/figure4.yaml"))
    parser.add_argument("--out", help="folder of the cases")
    parser.add_argument("--again", action="store_true", help="ask again what was answered before")
    args = parser.parse_args(argv)
    config = read_config(args.config)
    config |= {"out": args.out or config.get("out") or "runs/figure4", "again": args.again}
    videos = [case["video"] for case in config["cases"]]
    check_outputs({f"--out's {PAGE}": Path(config["out"]) / PAGE}, [args.config, *videos])
    return (config,)


if __name__ == "__main__":
    run(parse, main)
