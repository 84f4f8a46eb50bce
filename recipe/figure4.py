"""Figure 4: chosen cases as contact sheets and overlay videos, several models side by side on one page.

    python -m recipe.figure4 --config recipe/configs/figure4.yaml

A case is a video and a sentence, with the true span where it is known. For each case and model an answer (JSON), a
sheet (PNG) and an overlay (MP4) are written; what exists is not asked again unless --again is given.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from data_prep.stages import StageError
from data_prep.video import VideoError
from recipe import ground
from recipe.cli import OneLineParser, check_keys, read_settings, run

KEYS = {"out", "models", "cases", "arguments"}
CASE_KEYS = {"name", "video", "query", "true_span", "note"}


def read_config(path: Path) -> dict[str, Any]:
    """The figure's settings.

    Raises:
        ValueError: A key that is unknown, or a part that is missing.
    """
    config = read_settings(path, KEYS, ("models", "cases"))
    for case in config["cases"]:
        check_keys(f"{path}: case {case.get('name')!r}", case, CASE_KEYS, ("name", "video", "query"))
    names = [file_name(case["name"]) for case in config["cases"]]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: two cases have one name, expected one for each")
    return config


def file_name(text: str) -> str:
    """A name that is one part of a path.

    >>> file_name("../the person: committing crime")
    'the-person-committing-crime'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "case"


def answer(config: dict[str, Any], case: dict[str, Any], model: str, stem: Path) -> dict[str, Any]:
    """One case by one model: its files beside `stem`, and what stands in the JSON."""
    out = stem.with_suffix(".json")
    if not out.is_file() or config.get("again"):
        words = [case["video"], case["query"], "--model", model, "--out", str(out)]
        words += ["--overlay", str(stem.with_suffix(".mp4")), "--sheet", str(stem.with_suffix(".png"))]
        if case.get("true_span"):
            words += ["--true-span", *map(str, case["true_span"])]
        words += [str(word) for word in config.get("arguments") or []]
        ground.main(*ground.parse(words))
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def part(name: str, found: dict[str, Any] | str, stem: Path) -> str:
    """A model's answer as HTML; every text of a model or a user is escaped."""
    if isinstance(found, str):
        return f"<h3>{html.escape(name)}</h3><p>not answered: {html.escape(found)}</p>"
    span = found["span"]
    said = f"seconds {span[0]} to {span[1]}" if span else "no second named"
    reasoning = found["reasoning"] if isinstance(found["reasoning"], str) else " / ".join(found["reasoning"])
    return (
        f"<h3>{html.escape(name)}: {said}</h3>"
        f'<a href="{stem.name}.mp4"><img src="{stem.name}.png" alt="a tile a second with the answer\'s box"></a>'
        f"<p>{html.escape(reasoning) or '<i>no reasoning</i>'}</p>"
    )


def main(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Answer every case with every model, write the page; what cannot be answered is said there."""
    out = Path(config["out"])
    results: dict[str, dict[str, Any]] = {}
    body = []
    for case in config["cases"]:
        true = case.get("true_span")
        body.append(f"<h2>{html.escape(case['name'])}</h2><p>“{html.escape(case['query'])}”")
        body.append(f" True span: seconds {true[0]} to {true[1]}.</p>" if true else "</p>")
        if case.get("note"):
            body.append(f"<p>{html.escape(case['note'])}</p>")
        for name, model in config["models"].items():
            stem = out / f"{file_name(case['name'])}-{file_name(name)}"
            found: dict[str, Any] | str
            try:
                found = answer(config, case, model, stem)
            except (StageError, VideoError) as error:
                found = str(error)
                print(f"{case['name']}, {name}: {error}")
            results.setdefault(case["name"], {})[name] = found
            body.append(part(name, found, stem))
    style = "body{font-family:sans-serif;max-width:70rem;margin:1rem auto;padding:0 1rem}img{max-width:100%}"
    with atomic_write(out / "figure4.html") as stream:
        stream.write(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<meta name='color-scheme' content='light dark'><title>Cases</title><style>{style}</style>"
            f"<h1>Cases</h1>{''.join(body)}</html>\n"
        )
    print(f"page: {out / 'figure4.html'}")
    return results


def parse(words: list[str] | None = None) -> tuple[dict[str, Any]]:
    """The settings of --config; --out and --again come on top."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipe/configs/figure4.yaml"))
    parser.add_argument("--out", help="folder of the cases")
    parser.add_argument("--again", action="store_true", help="ask again what was answered before")
    args = parser.parse_args(words)
    config = read_config(args.config)
    return (config | {"out": args.out or config.get("out") or "runs/figure4", "again": args.again},)


if __name__ == "__main__":
    run(parse, main)
