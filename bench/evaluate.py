"""Time to score 10,000 predictions, against the time that parsing their file takes.

    python -m bench.evaluate

Parsing is reading the file's lines and, by the contract's rules, the answers in them. Scoring is that and everything
else: scores, ceilings, groups, 1,000 bootstrap resamples. Beside it the same against bare `json.loads` of lines and
answers. The median of the rounds' ratios of CPU time; clips of up to 60 seconds, 30 frames a second.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.table import Report, parser_of
from recipe.evaluation.breakdown import breakdown
from recipe.evaluation.protocols import FRAME_PROTOCOLS, FrameTruth
from recipe.evaluation.scores import metrics, score_records
from recipe.evaluation.submission import read_prediction, read_submission

SAMPLES, ROUNDS, FPS = 10_000, 5, 30
FRAME_SAMPLES = 500  # frame protocols cost with the frames, so fewer do


def box(rng: random.Random) -> tuple[float, float, float, float]:
    """Return a random box."""
    x, y = rng.uniform(0, 0.6), rng.uniform(0, 0.6)
    return x, y, x + rng.uniform(0.05, 0.4), y + rng.uniform(0.05, 0.4)


def make(rng: random.Random, count: int) -> tuple[list[dict[str, Any]], list[str], dict[str, FrameTruth]]:
    """Make records, the lines of a predictions file, and frame annotations."""
    records, lines, truths = [], [], {}
    for number in range(count):
        name = f"bench/{number}"
        seconds = rng.randint(5, 60)
        first = rng.randrange(seconds)
        last = rng.randrange(first, seconds)
        track = [{"second": k, "box": box(rng)} for k in range(first, last + 1)]
        kind = rng.choice(["declarative", "interrogative"])
        records.append(
            {
                "id": name,
                "video": f"{name}.mp4",
                "label": "x",
                "kind": kind,
                "seconds": seconds,
                "span": [first, last],
                "track": track,
            }
        )
        begin = rng.randrange(seconds)
        states = {
            str(k): [{"label": "person-1", "bbox_2d": [round(v * 1000) for v in box(rng)]}]
            for k in range(begin, rng.randrange(begin, seconds) + 1)
        }
        lines.append(json.dumps({"id": name, "answer": f"<think>It moves.</think>{json.dumps(states)}"}))
        if number < FRAME_SAMPLES:
            frames = range(first * FPS, (last + 1) * FPS)
            truths[name] = FrameTruth(FPS, frames[0], frames[-1] + 1, {f: box(rng) for f in frames}, seconds * FPS)
    return records, lines, truths


def parse(path: Path, records: list[dict[str, Any]]) -> float:
    """Return CPU seconds of reading the file and parsing its answers, all kept."""
    start = time.process_time()
    predictions = read_submission(path).predictions
    answers = [read_prediction(predictions[record["id"]], seconds=record["seconds"]) for record in records]
    spent = time.process_time() - start
    assert len(answers) == len(records)
    return spent


def bare(path: Path) -> float:
    """Return CPU seconds of `json.loads` only."""
    start = time.process_time()
    for line in path.read_text().splitlines():
        item = json.loads(line)
        json.loads(item["answer"].partition("</think>")[2])
    return time.process_time() - start


def score(path: Path, records: list[dict[str, Any]], protocol: str, truths: dict[str, FrameTruth]) -> float:
    """Return CPU seconds of the whole evaluation, including the reading of the predictions."""
    start = time.process_time()
    predictions = read_submission(path).predictions
    samples = score_records(records, predictions, protocol=protocol, truths=truths)
    metrics(samples)
    breakdown(records, [samples])
    return time.process_time() - start


def main() -> None:
    """Measure each protocol."""
    options = parser_of(__doc__).parse_args()
    report = Report("evaluate", options.rows)
    rng = random.Random(0)
    for protocol in ("second", *FRAME_PROTOCOLS):
        times: list[tuple[float, float, float]] = []
        count = (SAMPLES if protocol == "second" else FRAME_SAMPLES) // (10 if options.quick else 1)
        for _ in range(2 if options.quick else ROUNDS):
            records, lines, truths = make(rng, count)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "p.jsonl"
                path.write_text("\n".join(lines) + "\n")
                gc.collect()  # what making the samples left is nobody's cost
                parsed, loaded = parse(path, records), bare(path)
                times.append((score(path, records, protocol, truths), parsed, loaded))
        spent = statistics.median(row[0] for row in times)
        for column, peer in ((1, "parsing them"), (2, "bare json.loads")):
            ratio = statistics.median(row[0] / row[column] for row in times)
            report.add(f"{protocol}: {count} predictions read and scored", spent, spent / ratio, "CPU s", peer)


if __name__ == "__main__":
    main()
