"""CPU time of each converter against the bare parse of the same files, in one run.

    STVG_SAMPLES=/path/to/samples python -m bench.converters

The parse alone is `json.load` of a JSON file and `csv.reader` with every field made a float for files of rows. Sources
without real files in the samples are left out. VidSTG gets boxes made here, because VidOR's are not among them; its
parse alone is that of the sentences and of those boxes. Each ratio is the median of five rounds.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from data_prep.__main__ import main as data_prep

ROUNDS, VIDEOS = 5, 40


def parse_json(paths: Iterable[Path]) -> None:
    """What `json` alone takes."""
    for path in paths:
        json.loads(path.read_bytes())


def parse_rows(paths: Iterable[Path]) -> None:
    """What `csv` and float alone take."""
    for path in paths:
        with path.open(newline="") as stream:
            for row in csv.reader(stream):
                [float(word) for word in row]


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def vidor_of(records: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Boxes for every target that the records name, a file a video."""
    targets: dict[str, set[int]] = {}
    frames: dict[str, int] = {}
    for record in records:
        texts = record["captions"] + record["questions"]
        targets.setdefault(record["vid"], set()).update(text["target_id"] for text in texts)
        frames[record["vid"]] = record["frame_count"]
    paths = []
    for vid, ids in targets.items():
        box = {"xmin": 10, "ymin": 10, "xmax": 60, "ymax": 90}
        entry = [{"tid": number, "bbox": box, "generated": 1, "tracker": "linear"} for number in sorted(ids)]
        path = folder / "training" / "0000" / f"{vid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": "VERSION 1.0", "trajectories": [entry] * frames[vid]}))
        paths.append(path)
    return paths


def vidstg_part(samples: Path, folder: Path) -> tuple[Path, list[Path]]:
    """Sentences of the first videos of val, and the files of their boxes."""
    records = json.loads((samples / "vidstg/annotations/val_annotations.json").read_bytes())
    wanted = set(list(dict.fromkeys(record["vid"] for record in records))[:VIDEOS])
    records = [record for record in records if record["vid"] in wanted]
    path = folder / "val_annotations.json"
    path.write_text(json.dumps(records))
    return path, vidor_of(records, folder / "vidor")


def main() -> None:
    """Print the table."""
    root = os.environ.get("STVG_SAMPLES")
    if not root:
        print("STVG_SAMPLES is not set: nothing to convert")
        return
    samples = Path(root) / "samples"
    size = ["--size", "1280x720", "--fps", "30"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sentences, boxes = vidstg_part(samples, folder)
        lasot = sorted((samples / "lasot_toolkit/annos").glob("*.txt"))
        jobs: dict[str, tuple[list[str], Callable[[], None]]] = {
            "vidstg": (
                ["--annotations", str(sentences), "--vidor", str(folder / "vidor")],
                lambda: parse_json([sentences, *boxes]),
            ),
            "lasot": (["--annotations", str(samples / "lasot_toolkit"), *size], lambda: parse_rows(lasot)),
            "trackingnet": (
                ["--annotations", str(samples / "trackingnet"), *size],
                lambda: parse_rows(sorted((samples / "trackingnet/anno").glob("*.txt"))),
            ),
            "mot": (
                ["--annotations", str(samples / "mot15"), *size],
                lambda: parse_rows(sorted((samples / "mot15").rglob("gt.txt"))),
            ),
            "sav": (["--annotations", str(samples / "sav")], lambda: parse_json((samples / "sav").glob("*.json"))),
            "activitynet": (
                ["--annotations", str(samples / "caption_activitynet")],
                lambda: parse_json((samples / "caption_activitynet").glob("*.json")),
            ),
            "nextgqa": (
                ["--annotations", str(samples / "videoqa_nextgqa")],
                lambda: parse_json((samples / "videoqa_nextgqa").glob("*.json")),
            ),
        }
        print("| source | records | CPU time / that of the parse alone |\n|---|---:|---:|")
        for source, (options, parse) in jobs.items():
            print(row(source, options, parse, folder / "out.jsonl"), flush=True)


def row(source: str, options: list[str], parse: Callable[[], None], out: Path) -> str:
    """One line of the table."""

    def convert() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = data_prep([source, *options, "--out", str(out)])
        if code:
            sys.exit(f"{source}: ended with {code}")

    ratios = []
    for _ in range(ROUNDS):
        alone = cpu_seconds(parse)
        ratios.append(cpu_seconds(convert) / alone)
    report = json.loads(Path(f"{out}.report.json").read_text())
    return f"| {source} | {report['written']} | {statistics.median(ratios):.1f}x |"


if __name__ == "__main__":
    main()
