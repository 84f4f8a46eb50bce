"""Make figure 4: chosen cases as contact sheets and overlay videos, several models side by side on one page.

    RUN=runs/glm-4.1v-9b python -m recipe.studies.figure4 --config recipe/configs/studies/figure4.yaml

A case is a video and a sentence, with the true span where it is known. For each case and model an answer (JSON), a
sheet (PNG) and an overlay (MP4) are written. Their names end in what the answer depends on (video, sentence, model and
settings); what exists is not asked again unless --again is given.
"""

from __future__ import annotations

import argparse
import html
import json
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.identity import check_outputs, text_digest
from data_prep.locks import locked
from data_prep.video.sampling import VideoError
from recipe import ground
from recipe.cli import OneLineParser, check_keys, read_settings, run
from recipe.inference.answer_key import file_name, video_stamp

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


def part(name: str, answer: dict[str, Any] | str, stem: Path | None) -> str:
    """Return a model's answer as HTML, with every text of a model or a user escaped."""
    if isinstance(answer, str) or stem is None:
        return f"<h3>{html.escape(name)}</h3><p>not answered: {html.escape(str(answer))}</p>"
    span = answer["span"]
    when = f"seconds {span[0]} to {span[1]}" if span else "no second named"
    reasoning = answer["reasoning"] if isinstance(answer["reasoning"], str) else " / ".join(answer["reasoning"])
    return (
        f"<h3>{html.escape(name)}: {when}</h3>"
        f'<a href="{stem.name}.mp4"><img src="{stem.name}.png" alt="a tile a second with the answer\'s box"></a>'
        f"<p>{html.escape(reasoning) or '<i>no reasoning</i>'}</p>"
    )


def main(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Answer every case with every model and write the page, which also says what could not be answered.

    Raises:
        InUse: Another process makes the same figure.
    """
    page = Path(config["out"]) / PAGE
    with locked(page):
        results, body = _answers(config)
        style = "body{font-family:sans-serif;max-width:70rem;margin:1rem auto;padding:0 1rem}img{max-width:100%}"
        with atomic_write(page) as stream:
            stream.write(
                '<!doctype html><html lang="en"><meta charset="utf-8">'
                '<meta name="viewport" content="width=device-width">'
                f"<meta name='color-scheme' content='light dark'><title>Cases</title><style>{style}</style>"
                f"<h1>Cases</h1>{''.join(body)}</html>\n"
            )
    print(f"page: {page}")
    return results


def _answers(config: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return each model's answer to each case (or why there is none), and the parts of the page."""
    results: dict[str, dict[str, Any]] = {}
    body = []
    for case in config["cases"]:
        true = case.get("true_span")
        body.append(f"<h2>{html.escape(case['name'])}</h2><p>“{html.escape(case['query'])}”")
        body.append(f" True span: seconds {true[0]} to {true[1]}.</p>" if true else "</p>")
        if case.get("note"):
            body.append(f"<p>{html.escape(case['note'])}</p>")
        for name in config["models"]:
            result: dict[str, Any] | str
            stem: Path | None = None
            try:
                result, stem = answer(config, case, name)
            except (StageError, VideoError) as error:
                result = str(error)
                print(f"{case['name']}, {name}: {error}")
            results.setdefault(case["name"], {})[name] = result
            body.append(part(name, result, stem))
    return results, body


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
