"""Make table 1: VidSTG and HC-STVG for a list of systems, beside the published numbers, which are marked as such.

    RUN=runs/glm-4.1v-9b python -m recipe.studies.table1 --config recipe/configs/studies/table1.yaml

A system is a checkpoint, a model behind an OpenAI-compatible endpoint (`api`), or a file of predictions for each
benchmark. What is not there stays an empty cell with the reason below the table; nothing is filled in. Answers are
kept under what they depend on (`recipe.inference.answer_key`), so an interrupted table goes on where it stopped, and a
system with another model, address or setting is asked anew. What each cell cost is printed and stands below the table:
seconds, and tokens and dollars of an endpoint.

With a `development` part, the reading of each endpoint's boxes is chosen first (`recipe.studies.readings`);
`--choose_reading` does that and no more.
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
from recipe.studies.readings import (
    Choice,
    choice_of,
    development_records,
    development_root,
    read_again,
    read_development,
    write_records,
)

FILES = ("table1.json", "table1.md", "readings.json", "development.jsonl")
SHOWN = ("m_tIoU", "m_vIoU", "vIoU@0.5")
KEYS = {"out", "protocol", "smooth", "evaluation", "benchmarks", "systems", "published", "published_in", "development"}
OF_A_SYSTEM = ("repeats", "temperature", "box_scale", "prompts")  # settings of the evaluation that a system may have
SYSTEM_KEYS = {"name", "model", "predictions", "api", *OF_A_SYSTEM}


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
    if config.get("development"):
        read_development(str(path), config["development"])
    for benchmark, rows in (config.get("published") or {}).items():
        for name, row in rows.items():
            if not isinstance(row, list) or len(row) not in (3, 4):
                raise ValueError(
                    f"{path}: published {benchmark}, {name}: {row!r}, expected [{', '.join(SHOWN)}], and a fourth "
                    "value that names the source where it is not published_in"
                )
    check_keys(f"{path}: evaluation", config.get("evaluation") or {}, set(EvalArguments.__dataclass_fields__))
    return config


def settings_of(config: dict[str, Any], system: dict[str, Any]) -> dict[str, Any]:
    """Return the evaluation's settings with the system's own."""
    return dict(config.get("evaluation") or {}) | {key: system[key] for key in OF_A_SYSTEM if key in system}


def endpoint_arguments(settings: dict[str, Any], out: Path, endpoint: Endpoint) -> EvalArguments | str:
    """Return how an endpoint is evaluated, its answers under their key, or why it cannot be."""
    arguments = EvalArguments(**settings | {"repeats": 1})
    arguments.predictions = f"{out}.predictions-{key_of_endpoint(arguments, endpoint).short}.jsonl"
    if not Path(arguments.predictions).is_file() and (why := endpoint.unusable()):
        return why
    return arguments


def choose_readings(config: dict[str, Any]) -> dict[str, Choice]:
    """Return system -> reading of each endpoint: the best on development records, or as asked where there are none.

    Raises:
        StageError: The development records are a benchmark's.
    """
    served = [system for system in config["systems"] if system.get("api")]
    endpoints = {system["name"]: Endpoint(**system["api"]) for system in served}
    development = read_development("table", config["development"]) if config.get("development") else None
    why = "no development part" if development is None else ""
    if development is not None and not Path(development.tracks).is_file():
        why = f"no {development.tracks}"
    if development is None or why:
        return {name: Choice(one.boxes, one.boxes, {}, why=why) for name, one in endpoints.items()}
    benchmarks = list(config["benchmarks"].values())
    records = development_records(development, benchmarks)
    root = development_root(development, benchmarks)
    tracks = Path(config["out"]) / "development.jsonl"
    write_records(records, tracks)
    found = {}
    for system in served:
        name, endpoint = system["name"], endpoints[system["name"]]
        out = Path(config["out"]) / file_name(f"development-{name}")
        settings = settings_of(config, system) | {"tracks": str(tracks), "video_root": root}
        arguments = endpoint_arguments(settings | {"out": f"{out}.json", "limit": None}, out, endpoint)
        if isinstance(arguments, str):
            found[name] = Choice(endpoint.boxes, endpoint.boxes, {}, why=arguments)
            continue
        try:
            ask(arguments, endpoint)
            found[name] = choice_of(arguments, endpoint, records)
        except StageError as error:
            found[name] = Choice(endpoint.boxes, endpoint.boxes, {}, why=str(error))
    return found


def cell_arguments(config: dict[str, Any], benchmark: str, system: dict[str, Any]) -> EvalArguments | str:
    """Return how one cell is evaluated, or the reason why it cannot be."""
    data = config["benchmarks"][benchmark]
    predictions: str | None = (system.get("predictions") or {}).get(benchmark)
    if not Path(data["tracks"]).is_file():
        return f"no {data['tracks']}"
    settings = settings_of(config, system)
    settings |= {"protocol": config.get("protocol", "second"), "smooth": config.get("smooth", "off")}
    settings |= {key: data[key] for key in ("tracks", "frames", "video_root") if data.get(key)}
    out = Path(config["out"]) / file_name(f"{benchmark}-{system['name']}")
    settings |= {"out": f"{out}.json"}
    if system.get("api"):
        return endpoint_arguments(settings, out, Endpoint(**system["api"]))
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


def evaluate_all(config: dict[str, Any], readings: dict[str, Choice]) -> dict[str, dict[str, dict[str, Any]]]:
    """Evaluate every system on every benchmark, and print what each cell cost.

    Args:
        readings: system -> reading of the endpoints among them.

    Returns:
        benchmark -> system -> its metrics and seconds, or {"missing": reason}.
    """
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for benchmark in config["benchmarks"]:
        for system in config["systems"]:
            arguments = cell_arguments(config, benchmark, system)
            cell: dict[str, Any] = {"missing": arguments}
            if isinstance(arguments, EvalArguments):
                begin = time.monotonic()
                try:
                    spent = asked(arguments, system, readings) if system.get("api") else {}
                    metrics, _ = evaluate(arguments)
                    cell = metrics | {"cost": {"seconds": round(time.monotonic() - begin, 1)} | spent}
                    print(f"{benchmark}, {system['name']}: {cell['n']} samples, {cost(cell)}", file=sys.stderr)
                except StageError as error:
                    cell = {"missing": str(error)}
            results.setdefault(benchmark, {})[system["name"]] = cell
    return results


def asked(arguments: EvalArguments, system: dict[str, Any], readings: dict[str, Choice]) -> dict[str, Any]:
    """Ask an endpoint; where its reading is another than the prompt's, have that file evaluated. Return the cost."""
    endpoint, choice = Endpoint(**system["api"]), readings[system["name"]]
    spent = ask(arguments, endpoint)
    if choice.boxes != endpoint.boxes:
        arguments.predictions = read_again(arguments, endpoint, choice.boxes)
    return spent


def notes_on_readings(config: dict[str, Any], readings: dict[str, Choice]) -> list[str]:
    """Return the lines below the table that say how each endpoint's boxes are read, and why."""
    if not readings:
        return []
    of = f" on records of {config['development']['tracks']}" if config.get("development") else ""
    heading = (
        f"Readings of boxes of served systems, chosen{of} and not on any record of the table (m_vIoU in percent):"
    )
    return ["", heading, "", *(f"- {name}: {choice}" for name, choice in readings.items())]


def table(
    config: dict[str, Any], results: dict[str, dict[str, dict[str, Any]]], readings: dict[str, Choice] | None = None
) -> str:
    """Return a Markdown table in percent; the published numbers have columns of their own."""
    protocol, smooth = config.get("protocol", "second"), config.get("smooth", "off")
    usual = config.get("published_in", "the paper")
    heads = [f"{name} (95 %)" for name in SHOWN] + [f"{name}, published" for name in SHOWN]
    lines = [
        f"Protocol `{protocol}`, smoothing {smooth}. Published numbers are from what `published in` names, not "
        "measured here; the paper does not name its protocol.",
        "",
    ]
    rows = []
    reasons, costs = [], []
    for benchmark in config["benchmarks"]:
        published = (config.get("published") or {}).get(benchmark) or {}
        measured = results.get(benchmark, {})
        for name in [*measured, *(name for name in published if name not in measured)]:
            found = measured.get(name, {"missing": "not among the systems"})
            row = published.get(name, ["", "", "", ""])
            theirs = [str(value) for value in row[: len(SHOWN)]]
            source = str(row[len(SHOWN)]) if len(row) > len(SHOWN) else usual
            if "missing" in found:
                reasons.append(f"- {benchmark}, {name}: {found['missing']}")
                rows.append([benchmark, name, "", "–", "–", "–", *theirs, "", source])
                continue
            costs.append(f"- {benchmark}, {name}: {cost(found)}")
            cells = [
                "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in (found[key], *found["interval95"][key])))
                for key in SHOWN
            ]
            best = f"{100 * found['ceiling']['m_vIoU']:.1f}"
            rows.append([benchmark, name, str(found["n"]), *cells, *theirs, best, source])
    heads = ["benchmark", "system", "n", *heads, "ceiling of m_vIoU", "published in"]
    lines.append(markdown_table(heads, rows, text_columns=2))
    lines += notes_on_readings(config, readings or {})
    if costs:
        lines += ["", "Cost (seconds of the last call alone; tokens of all):", "", *costs]
    return "\n".join(lines + (["", "Not measured:", "", *reasons] if reasons else [])) + "\n"


def main(config: dict[str, Any]) -> None:
    """Choose the readings; then, unless only that is asked for, evaluate every cell, write the table and print it.

    Raises:
        InUse: Another process makes the same table.
        StageError: The development records are a benchmark's.
    """
    out = Path(config["out"])
    with locked(out / "table1.json"):
        readings = choose_readings(config)
        with atomic_write(out / "readings.json") as stream:
            json.dump({name: choice.to_json() for name, choice in readings.items()}, stream, indent=1)
        if config.get("choose_reading"):
            print("\n".join(notes_on_readings(config, readings)[1:]) or "no system of the table has an api part")
            return
        results = evaluate_all(config, readings)
        with atomic_write(out / "table1.json") as stream:
            json.dump(results, stream, indent=1)
        page = table(config, results, readings)
        with atomic_write(out / "table1.md") as stream:
            stream.write(page)
    print(page)


def parse(argv: list[str] | None = None) -> tuple[dict[str, Any]]:
    """Return the settings of --config; --out beats the file's value.

    Raises:
        StageError: A file of the table would take the place of one that it is made from.
    """
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipe/configs/studies/table1.yaml"))
    parser.add_argument("--out", help="folder of the table")
    parser.add_argument(
        "--choose_reading", action="store_true", help="only choose how served systems' boxes are read, on development"
    )
    args = parser.parse_args(argv)
    config = read_config(args.config)
    config["out"] = args.out or config.get("out", "runs/table1")
    config["choose_reading"] = args.choose_reading
    read = [path for data in config["benchmarks"].values() for path in (data.get("tracks"), data.get("frames"))]
    read += [path for system in config["systems"] for path in (system.get("predictions") or {}).values()]
    read.append((config.get("development") or {}).get("tracks"))
    check_outputs({f"--out's {name}": Path(config["out"]) / name for name in FILES}, [args.config, *read])
    return (config,)


if __name__ == "__main__":
    run(parse, main)
