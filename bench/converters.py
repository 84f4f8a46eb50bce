"""CPU time of each converter against the bare parse of the same files, in one run.

    STVG_SAMPLES=/path/to/samples python -m bench.converters [SOURCE ...]

The parse alone is `json.load` (and `orjson.loads`, in a row of its own) of JSON files, and `csv.reader` with every
field made a float for files of rows. The files are those of the samples, repeated under new names until a parse takes
long enough to be measured (the smallest take a millisecond; a command's own start takes some 15). VidSTG and HC-STVG
get boxes made here, because the data sets' own are not among the samples; GOT-10k's rows are LaSOT's. Each ratio is
the median of several rounds, in turn.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from bench.table import Report, parser_of
from data_prep.__main__ import main as data_prep

ROUNDS, VIDEOS = 5, 40
OF_ROWS = ["--size", "1280x720", "--fps", "30"]


def parse_json(paths: Iterable[Path]) -> None:
    """Read the file with `json` only."""
    for path in paths:
        json.loads(path.read_bytes())


def parse_orjson(paths: Iterable[Path]) -> None:
    """Read the file with `orjson` only."""
    for path in paths:
        orjson.loads(path.read_bytes())


def parse_rows(paths: Iterable[Path]) -> None:
    """Read the file with `csv` and float only."""
    for path in paths:
        with path.open(newline="") as stream:
            for row in csv.reader(stream):
                [float(word) for word in row]


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def walk(count: int, size: tuple[int, int], rng: random.Random) -> list[tuple[int, int]]:
    """Return the corners of a moving box."""
    x, y = rng.randrange(size[0] // 2), rng.randrange(size[1] // 2)
    corners = []
    for _ in range(count):
        x = min(max(x + rng.randint(-3, 3), 0), size[0] - 60)
        y = min(max(y + rng.randint(-3, 3), 0), size[1] - 60)
        corners.append((x, y))
    return corners


def vidstg(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write sentences of the first videos of val, and boxes for every object that their records list."""
    rng = random.Random(0)
    records = json.loads((samples / "vidstg/annotations/val_annotations.json").read_bytes())
    wanted = set(list(dict.fromkeys(record["vid"] for record in records))[:VIDEOS])
    records = [record for record in records if record["vid"] in wanted]
    sentences = folder / "val_annotations.json"
    sentences.write_text(json.dumps(records))
    objects: dict[str, set[int]] = {}
    for record in records:
        objects.setdefault(record["vid"], set()).update(item["tid"] for item in record["subject/objects"])
    paths = []
    for vid, record in {record["vid"]: record for record in records}.items():
        size, count = (record["width"], record["height"]), record["frame_count"]
        tracks = {number: walk(count, size, rng) for number in sorted(objects[vid])}
        frames = [
            [
                {
                    "tid": number,
                    "bbox": {"xmin": x, "ymin": y, "xmax": x + 40, "ymax": y + 50},
                    "generated": 1,
                    "tracker": "linear",
                }
                for number, track in tracks.items()
                for x, y in [track[frame]]
            ]
            for frame in range(count)
        ]
        path = folder / "vidor/training/0000" / f"{vid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        stated = {"version": "VERSION 1.0", "video_path": f"0000/{vid}.mp4"}
        path.write_text(json.dumps(stated | {"trajectories": frames}))
        paths.append(path)
    return ["--annotations", str(sentences), "--vidor", str(folder / "vidor")], [sentences, *paths]


def hcstvg(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write the real sentences of v2's test split, with tubes."""
    rng = random.Random(0)
    queries = json.loads((samples / "hcstvg/anno_v2/query_v2.json").read_bytes())
    clips = {}
    for name, sentence in queries.items():
        count = rng.randint(40, 300)
        box = [[x, y, 50, 55] for x, y in walk(count, (640, 360), rng)]
        first = rng.randint(1, 600 - count)
        clips[name] = {
            "bbox": box, "st_time": (first - 1) / 30, "ed_time": (first + count) / 30, "img_num": 600,
            "English": sentence, "img_size": [360, 640], "st_frame": first,
        }  # fmt: skip
    path = folder / "val_v2.json"
    path.write_text(json.dumps(clips))
    return ["--annotations", str(path)], [path]


def copies(paths: list[Path], folder: Path, times: int, name: Callable[[Path, int], str]) -> list[Path]:
    """Copy small files under new names."""
    made = []
    for number in range(times):
        for path in paths:
            copy = folder / name(path, number)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            made.append(copy)
    return made


def lasot(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write the toolkit's real files four times."""
    annos = samples / "lasot_toolkit/annos"
    copies(sorted((annos / "nlp").glob("*.txt")), folder, 4, lambda p, n: f"annos/nlp/{numbered(p, n)}")
    flags = copies(sorted((annos / "absent").glob("*.txt")), folder, 4, lambda p, n: f"annos/absent/{numbered(p, n)}")
    rows = copies(sorted(annos.glob("*.txt")), folder, 4, lambda p, n: f"annos/{numbered(p, n)}")
    return ["--annotations", str(folder), *OF_ROWS], [*rows, *flags]


def numbered(path: Path, number: int) -> str:
    """Return a unique name for a copy: cat-1 becomes cat-1000."""
    return f"{path.stem}{number:03}.txt"


def got10k(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write LaSOT's rows and the real meta_info.ini in GOT-10k's layout."""
    rows = []
    for number, path in enumerate(sorted((samples / "lasot_toolkit/annos").glob("*.txt")) * 4):
        sequence = folder / "train" / f"GOT-10k_Train_{number + 1:06}"
        sequence.mkdir(parents=True)
        lines = path.read_text().split()
        (sequence / "groundtruth.txt").write_text("".join(f"{line}\n" for line in lines))
        (sequence / "absence.label").write_text("0\n" * len(lines))
        (sequence / "cover.label").write_text("8\n" * len(lines))
        (sequence / "meta_info.ini").write_bytes((samples / "got10k/meta_info.ini").read_bytes())
        rows += [sequence / name for name in ("groundtruth.txt", "absence.label", "cover.label")]
    return ["--annotations", str(folder)], rows


def trackingnet(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write the devkit's files twenty times."""
    real = sorted((samples / "trackingnet/anno").glob("*.txt"))
    return ["--annotations", str(folder), *OF_ROWS], copies(real, folder, 20, lambda p, n: f"anno/{numbered(p, n)}")


def mot(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write a real sequence of MOT15 a hundred times."""
    real = sorted((samples / "mot15").rglob("gt.txt"))
    return ["--annotations", str(folder), *OF_ROWS], copies(real, folder, 100, lambda p, n: f"train/S{n}/gt/gt.txt")


def sav(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write a real video's annotations thirty times."""
    real = sorted((samples / "sav").glob("*.json"))
    return ["--annotations", str(folder)], copies(real, folder, 30, lambda p, n: f"sav_{n:06}_manual.json")


def activitynet(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write real captions forty times into one file."""
    real = json.loads(next((samples / "caption_activitynet").glob("*.json")).read_bytes())
    path = folder / "val_2.json"
    path.write_text(json.dumps({f"{vid}{number}": record for number in range(40) for vid, record in real.items()}))
    return ["--annotations", str(path)], [path]


def nextgqa(samples: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Write real questions thirty times into one file."""
    real = json.loads(next((samples / "videoqa_nextgqa").glob("*.json")).read_bytes())
    path = folder / "nextgqa_val.json"
    path.write_text(json.dumps(real * 30))
    return ["--annotations", str(path)], [path]


JSON_SOURCES = {"vidstg": vidstg, "hcstvg": hcstvg, "sav": sav, "activitynet": activitynet, "nextgqa": nextgqa}
ROW_SOURCES = {"mot": mot, "trackingnet": trackingnet, "got10k": got10k, "lasot": lasot}


def main() -> None:
    """Measure the sources."""
    parser, sources = parser_of(__doc__), [*JSON_SOURCES, *ROW_SOURCES]
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=", ".join(sources))
    options = parser.parse_args()
    report = Report("converters", options.rows)
    root = os.environ.get("STVG_SAMPLES")
    if not root:
        report.leave_out("STVG_SAMPLES names no folder of annotations")
        return
    for source in options.sources or sources:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "in").mkdir()
            words, paths = (JSON_SOURCES | ROW_SOURCES)[source](Path(root) / "samples", Path(name) / "in")
            measure(source, words, paths, Path(name) / "out.jsonl", 2 if options.quick else ROUNDS, report)


def measure(source: str, options: list[str], paths: list[Path], out: Path, rounds: int, report: Report) -> None:
    """Convert a source's files and parse them, in turn."""

    def convert() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = data_prep([source, *options, "--out", str(out)])
        if code:
            sys.exit(f"{source}: ended with {code}")

    peers = {"csv": parse_rows} if source in ROW_SOURCES else {"json": parse_json, "orjson": parse_orjson}
    seconds: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        seconds.append(cpu_seconds(convert))
        for name, parse in peers.items():
            ratios[name].append(seconds[-1] / cpu_seconds(lambda parse=parse: parse(paths)))
    spent, written = statistics.median(seconds), json.loads(Path(f"{out}.report.json").read_text())["written"]
    for name, found in ratios.items():
        what = f"{source}: {written} records, {written / spent:.0f} a second"
        report.add(what, spent, spent / statistics.median(found), "CPU s", f"parsing with {name} only")


if __name__ == "__main__":
    main()
