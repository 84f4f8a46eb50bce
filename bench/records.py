"""Measure how long one record takes to be checked, by the length of its track, against parsing its line.

    python -m bench.records [--against OTHER_VALIDATION.py]

`--against` names another file with a `validate_record`, such as an older one, which is measured in turn with ours.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.table import Report, parser_of
from data_prep.records import validate_record

ROUNDS, CALLS = 15, 2000
STATES = (1, 5, 20, 60)


def made_record(states: int) -> dict[str, Any]:
    """Return a grounding record with a box in each of its event's seconds."""
    track = [{"second": k + 1, "box": [0.1 + k / 1000, 0.2, 0.3 + k / 1000, 0.4]} for k in range(states)]
    return {
        "schema": 1, "id": "made/0", "source": "made", "split": "test", "kind": "declarative", "video": "a/0.mp4",
        "clip": [0.0, states + 2.0], "fps": 29.97, "width": 640, "height": 480, "seconds": states + 2,
        "query": "the dog runs to the child", "label": "dog-1", "span": [1, states], "track": track, "answer": None,
    }  # fmt: skip


def made_scene(states: int) -> dict[str, Any]:
    """Return a scene of three such tracks."""
    record = made_record(states)
    tracks = [{"label": f"dog-{number}", "track": record["track"]} for number in range(3)]
    return record | {"kind": "scene", "label": None, "span": None, "track": None, "tracks": tracks}


def microseconds(function: Callable[[Any], Any], value: Any) -> float:
    """Return the CPU time of one call, in microseconds."""
    begin = time.process_time()
    for _ in range(CALLS):
        function(value)
    return (time.process_time() - begin) / CALLS * 1e6


def loaded(path: Path) -> Callable[[Any], Any]:
    """Return the `validate_record` of a file."""
    spec = importlib.util.spec_from_file_location("other_validation", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[[Any], Any] = module.validate_record
    return function


def main() -> None:
    """Measure records of some lengths."""
    parser = parser_of(__doc__)
    parser.add_argument("--against", type=Path, help="another file with a validate_record")
    args = parser.parse_args()
    functions: dict[str, Callable[[Any], Any]] = {"validate_record": validate_record}
    if args.against:
        functions[args.against.name] = loaded(args.against)
    report = Report("records", args.rows)
    for name, make in (("sentence", made_record), ("scene of three", made_scene)):
        for states in STATES:
            record = make(states)
            line = json.dumps(record)
            times: dict[str, list[float]] = {name: [] for name in (*functions, "json.loads")}
            for _ in range(3 if args.quick else ROUNDS):
                for key, function in functions.items():
                    times[key].append(microseconds(function, record))
                times["json.loads"].append(microseconds(json.loads, line))
            ours, *peers = (statistics.median(values) for values in times.values())
            for peer, against in zip(peers, list(times)[1:], strict=True):
                report.add(f"check of a {name}, {states} boxes a track", ours, peer, "us", against)


if __name__ == "__main__":
    main()
