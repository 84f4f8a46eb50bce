"""Measure the reader of large JSON files against ijson, on made files of 100 MB like VidSTG's and HC-STVG's.

    pip install ijson && python -m bench.json_stream

Each reading runs in a process of its own: CPU seconds, and by how much the process's memory grew at its highest.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from bench.table import Pair, Report, parser_of
from data_prep.convert.json_stream import BLOCK, read_list, read_object

ROUNDS, BYTES = 5, 100_000_000


def sentence(index: int, rng: random.Random) -> dict[str, Any]:
    """Return a record in VidSTG's layout: short texts and a few numbers."""
    begin = rng.randint(0, 300)
    return {
        "vid": str(index), "frame_count": 600, "fps": 29.97, "width": 1280, "height": 720,
        "subject/objects": [{"tid": number, "category": "adult"} for number in range(4)],
        "used_segment": {"begin_fid": 0, "end_fid": 400}, "temporal_gt": {"begin_fid": begin, "end_fid": begin + 90},
        "captions": [{"target_id": 0, "type": "subject", "description": 'the man in "red" walks to the child'}] * 2,
        "questions": [{"target_id": 1, "type": "object", "description": "who is beside the adult?"}] * 2,
    }  # fmt: skip


def tube(index: int, rng: random.Random) -> dict[str, Any]:
    """Return a record in HC-STVG's layout: mostly numbers."""
    boxes = [[rng.randint(0, 300), rng.randint(0, 300), 50, 55] for _ in range(200)]
    return {"bbox": boxes, "st_time": 1.5, "ed_time": 9.25, "img_num": 600, "English": "The man walks to the door."}


def write(path: Path, brackets: str, make: Callable[[int, random.Random], Any], size: int) -> None:
    """Write a document of about `size` bytes."""
    rng = random.Random(0)
    with path.open("w") as stream:
        stream.write(brackets[0])
        index = 0
        while stream.tell() < size:
            key = f'"{index}.mp4": ' if brackets == "{}" else ""
            stream.write(("," if index else "") + key + json.dumps(make(index, rng)))
            index += 1
        stream.write(brackets[1])


def entries(reader: str, path: Path, stream: IO[bytes]) -> Iterator[Any]:
    """Return the outermost entries as one reader gives them."""
    is_list = path.stem == "list"
    if reader == "ours":
        return read_list(path) if is_list else read_object(path)
    import ijson  # not needed to run the package

    backend = ijson.get_backend(reader)
    if is_list:
        return iter(backend.items(stream, "item", use_float=True, buf_size=BLOCK))
    return iter(backend.kvitems(stream, "", use_float=True, buf_size=BLOCK))


def peak_mb() -> float:
    """Return the highest memory that this process has used."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def read_once(reader: str, path: Path) -> None:
    """Read a file through; print CPU seconds and the growth of memory in MB."""
    before, begin = peak_mb(), time.process_time()
    with path.open("rb") as stream:
        for _ in entries(reader, path, stream):
            pass
    print(time.process_time() - begin, peak_mb() - before)


def main() -> None:
    """Measure both readers on both kinds of files."""
    parser = parser_of(__doc__)
    parser.add_argument("read", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_once(options.read[0], Path(options.read[1]))
        return
    report = Report("json_stream", options.rows)
    if importlib.util.find_spec("ijson") is None:
        report.leave_out("pip install ijson")
        return
    size, rounds = (BYTES // 10, 2) if options.quick else (BYTES, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "list.json", Path(folder) / "object.json"]
        write(paths[0], "[]", sentence, size)
        write(paths[1], "{}", tube, size)
        for path in paths:
            measured: dict[str, list[tuple[float, float]]] = {"ours": [], "yajl2_c": []}
            for _ in range(rounds):
                for reader, runs in measured.items():
                    command = [sys.executable, "-m", "bench.json_stream", reader, str(path)]
                    seconds, memory = subprocess.check_output(command, text=True).split()
                    runs.append((float(seconds), float(memory)))
            seconds, memory = (
                Pair(*(statistics.median(run[which] for run in runs) for runs in measured.values()))
                for which in (0, 1)
            )
            grown = Pair(1e6 * memory.ours, 1e6 * (memory.peer or 0.0))
            what = f"JSON {path.stem} of {size / 1e6:.0f} MB read through"
            report.add(what, seconds.ours, seconds.peer, "CPU s", "ijson", memory=grown)


if __name__ == "__main__":
    main()
