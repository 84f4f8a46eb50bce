"""Make table 1: VidSTG and HC-STVG for a list of systems, beside the published numbers, which are marked as such.

    RUN=runs/glm-4.1v-9b python -m recipe.studies.table1 --config recipe/configs/studies/table1.yaml

A system is a checkpoint, a model behind an OpenAI-compatible endpoint (`api`), or a file of predictions for each
benchmark. What is not there stays an empty cell with the reason below the table; nothing is filled in. Answers are
kept under what they depend on (`recipe.inference.answer_key`), so an interrupted table goes on where it stopped, and a
system with another model, address or setting is asked anew. What each cell cost is printed and stands below the table:
seconds, and tokens and dollars of an endpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.identity import check_outputs
from data_prep.locks import locked
from recipe.cli import OneLineParser, check_keys, read_settings, run
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.tables import markdown_table
from recipe.inference.answer_key import file_name
from recipe.studies.endpoint import Endpoint, ask, cost, key_of_endpoint, read_endpoint

FILES = ("table1.json", "table1.md")
SHOWN = ("m_tIoU", "m_vIoU", "vIoU@0.5")
KEYS = {"out", "protocol", "smooth", "evaluation", "benchmarks", "systems", "published"}
SYSTEM_KEYS = {"name", "model", "predictions", "api", "repeats", "temperature", "box_scale"}


def read_config(path: Path) -> dict[str, Any]:
    """Return the table's settings.

    Raises:
        ValueError: A key that is unknown, a part that is missing, or two systems of one name.
    """
    config = read_settings(path, KEYS, ("benchmarks", "systems"))
    for name, benchmark in config["benchmarks"].items():
        check_keys(f"{path}: benchmark {name}", benchmark, {"tracks", "frames", "video_root"})
    for system in config["systems"]:
        check_keys(f"{path}: system {system.get('name')!r}", system, SYSTEM_KEYS)
        if system.get("api"):
            read_endpoint(f"{path}: system {system.get('name')!r}", system["api"])
    names = [system.get("name") for system in config["systems"]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: two systems have the name {twice[0]!r}, expected one for each")
    check_keys(f"{path}: evaluation", config.get("evaluation") or {}, set(EvalArguments.__dataclass_fields__))
    return config


def cell_arguments(config: dict[str, Any], benchmark: str, system: dict[str, Any]) -> EvalArguments | str:
    """Return how one cell is evaluated, or the reason why it cannot be."""
    data = config["benchmarks"][benchmark]
    predictions: str | None = (system.get("predictions") or {}).get(benchmark)
    if not Path(data["tracks"]).is_file():
        return f"no {data['tracks']}"
    settings = dict(config.get("evaluation") or {})
    settings |= {key: system[key] for key in ("repeats", "temperature", "box_scale") if key in system}
    settings |= {"protocol": config.get("protocol", "second"), "smooth": config.get("smooth", "off")}
    settings |= {key: data[key] for key in ("tracks", "frames", "video_root") if data.get(key)}
    out = Path(config["out"]) / file_name(f"{benchmark}-{system['name']}")
    settings |= {"out": f"{out}.json"}
    if system.get("api"):
        endpoint = Endpoint(**system["api"])
        arguments = EvalArguments(**settings | {"repeats": 1})
        arguments.predictions = f"{out}.predictions-{key_of_endpoint(arguments, endpoint).short}.jsonl"
        if not Path(arguments.predictions).is_file() and (why := endpoint.unusable()):
            return why
        return arguments
    if predictions:
        if not Path(predictions).is_file():
            return f"no {predictions}"
        return EvalArguments(**settings | {"repeats": 1, "predictions": predictions})
    if not system.get("model"):
        return "neither a model nor predictions"
    local = system["model"].startswith((".", "/", "runs/")) or system["model"].count("/") > 1  # of an id there is one
    if local and not Path(system["model"]).exists():
        return f"no {system['model']}"
    return EvalArguments(**settings | {"model": system["model"]})


def evaluate_all(config: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Evaluate every system on every benchmark, and print what each cell cost.

    Returns:
        benchmark -> system -> its metrics and seconds, or {"missing": reason}.
    """
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for benchmark in config["benchmarks"]:
        for system in config["systems"]:
            arguments = cell_arguments(config, benchmark, system)
            found: dict[str, Any] = {"missing": arguments}
            if isinstance(arguments, EvalArguments):
                begin = time.monotonic()
                try:
                    spent = ask(arguments, Endpoint(**system["api"])) if system.get("api") else {}
                    metrics, _ = evaluate(arguments)
                    found = metrics | {"cost": {"seconds": round(time.monotonic() - begin, 1)} | spent}
                    print(f"{benchmark}, {system['name']}: {found['n']} samples, {cost(found)}", file=sys.stderr)
                except StageError as error:
                    found = {"missing": str(error)}
            results.setdefault(benchmark, {})[system["name"]] = found
    return results


def table(config: dict[str, Any], results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return a Markdown table in percent; the published numbers have columns of their own."""
    protocol, smooth = config.get("protocol", "second"), config.get("smooth", "off")
    heads = [f"{name} (95 %)" for name in SHOWN] + [f"{name}, published" for name in SHOWN]
    lines = [
        f"Protocol `{protocol}`, smoothing {smooth}. Published numbers are the paper's, whose protocol is not named.",
        "",
    ]
    rows = []
    reasons, costs = [], []
    for benchmark in config["benchmarks"]:
        published = (config.get("published") or {}).get(benchmark) or {}
        measured = results.get(benchmark, {})
        for name in [*measured, *(name for name in published if name not in measured)]:
            found = measured.get(name, {"missing": "not among the systems"})
            theirs = [str(value) for value in published.get(name, ["", "", ""])]
            if "missing" in found:
                reasons.append(f"- {benchmark}, {name}: {found['missing']}")
                rows.append([benchmark, name, "", "–", "–", "–", *theirs, ""])
                continue
            costs.append(f"- {benchmark}, {name}: {cost(found)}")
            cells = [
                "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in (found[key], *found["interval95"][key])))
                for key in SHOWN
            ]
            best = f"{100 * found['ceiling']['m_vIoU']:.1f}"
            rows.append([benchmark, name, str(found["n"]), *cells, *theirs, best])
    lines.append(markdown_table(["benchmark", "system", "n", *heads, "ceiling of m_vIoU"], rows, words=2))
    if costs:
        lines += ["", "Cost (seconds of the last call alone; tokens of all):", "", *costs]
    return "\n".join(lines + (["", "Not measured:", "", *reasons] if reasons else [])) + "\n"


def main(config: dict[str, Any]) -> None:
    """Evaluate every cell, write the table and print it.

    Raises:
        InUse: Another process makes the same table.
    """
    out = Path(config["out"])
    with locked(out / "table1.json"):
        results = evaluate_all(config)
        with atomic_write(out / "table1.json") as stream:
            json.dump(results, stream, indent=1)
        page = table(config, results)
        with atomic_write(out / "table1.md") as stream:
            stream.write(page)
    print(page)


def parse(words: list[str] | None = None) -> tuple[dict[str, Any]]:
    """Return the settings of --config; --out beats the file's value.

    Raises:
        StageError: A file of the table would take the place of one that it is made from.
    """
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipe/configs/studies/table1.yaml"))
    parser.add_argument("--out", help="folder of the table")
    args = parser.parse_args(words)
    config = read_config(args.config)
    config["out"] = args.out or config.get("out", "runs/table1")
    read = [path for data in config["benchmarks"].values() for path in (data.get("tracks"), data.get("frames"))]
    read += [path for system in config["systems"] for path in (system.get("predictions") or {}).values()]
    check_outputs({f"--out's {name}": Path(config["out"]) / name for name in FILES}, [args.config, *read])
    return (config,)


if __name__ == "__main__":
    run(parse, main)
