"""Score simple predictors on real annotations, from floor to ceiling, so that other scores can be read against them.

    python -m recipe.studies.floor --samples /path/to/annotations

Looks for VidSTG's `vidstg/annotations/test_annotations.json` and LaSOT's `lasot_toolkit/annos` there and prints one
Markdown table each. VidSTG has no boxes of its own: all boxes count as right there, so its vIoU is what the time alone
allows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from data_prep.aggregate import aggregate_frames
from data_prep.errors import StageError
from data_prep.records import Record
from data_prep.seconds import seconds_of, span_of_frames
from recipe.cli import OneLineParser, run
from recipe.evaluation.breakdown import NAMES, breakdown
from recipe.evaluation.protocols import FRAME_PROTOCOLS, FrameTruth
from recipe.evaluation.scores import metrics, score_records

States = list[dict[str, Any]]
WHOLE, MIDDLE = [0.0, 0.0, 1.0, 1.0], [0.25, 0.25, 0.75, 0.75]
LASOT_FPS, LASOT_CLIP = 30, 600  # frames a second, frames a clip


def states(first: int, last: int, box: list[float]) -> States:
    """Return the same box for every second of a span."""
    return [{"second": k, "box": box} for k in range(first, last + 1)]


def whole_video(record: Record) -> States:
    """Predict every second with the whole picture as the box."""
    return states(0, record["seconds"] - 1, WHOLE)


def middle(record: Record) -> States:
    """Predict the middle half of the seconds, and a box of half the width and height in the middle of the picture.

    >>> [state["second"] for state in middle({"seconds": 8})]
    [2, 3, 4, 5]
    """
    quarter = record["seconds"] // 4
    return states(quarter, record["seconds"] - 1 - quarter, MIDDLE)


def perfect(record: Record) -> States:
    """Predict the true span and the true boxes.

    A second of the span without a true box gets an empty box, so that the span stays whole.
    """
    boxes = {state["second"]: state["box"] for state in record["track"]}
    first, last = record["span"]
    return [{"second": k, "box": boxes.get(k, [])} for k in range(first, last + 1)]


def shifted(record: Record) -> States:
    """Predict what `perfect` does, one second late.

    >>> shifted({"span": [1, 2], "track": [{"second": 1, "box": WHOLE}]})
    [{'second': 2, 'box': [0.0, 0.0, 1.0, 1.0]}, {'second': 3, 'box': []}]
    """
    return [{"second": state["second"] + 1, "box": state["box"]} for state in perfect(record)]


PREDICTORS: dict[str, Callable[[Record], States]] = {
    "whole video": whole_video,
    "middle box, middle half": middle,
    "perfect, one second late": shifted,
    "perfect": perfect,
}


def record_of(name: str, truth: FrameTruth) -> Record:
    """Return the second-level record of a frame annotation."""
    boxes = aggregate_frames(truth.boxes, truth.fps)
    record = {
        "id": name,
        "video": name.partition("/")[0],  # sentences about one event share it
        "label": "target",
        "kind": "tracking",
        "source": "",
        "seconds": seconds_of(truth.num_frames, truth.fps),
        "span": list(span_of_frames(truth.begin, truth.end, truth.fps)),
        "track": [{"second": k, "box": list(box)} for k, box in boxes.items()],
    }
    return cast(Record, record)  # of the fields that scores and groups are made of, and no others


def vidstg(path: Path) -> Iterator[tuple[str, FrameTruth]]:
    """Yield VidSTG's events, one for each sentence, inside their segments; each box is the whole picture."""
    for number, item in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        begin, last = item["used_segment"]["begin_fid"], item["used_segment"]["end_fid"]
        event = item["temporal_gt"]["begin_fid"] - begin, item["temporal_gt"]["end_fid"] - begin
        boxes = dict.fromkeys(range(*event), tuple(WHOLE))
        truth = FrameTruth(item["fps"], *event, boxes, last + 1 - begin, first_frame=begin)
        for sentence in range(len(item["captions"]) + len(item["questions"])):
            yield f"{number}/{sentence}", truth


def lasot(folder: Path) -> Iterator[tuple[str, FrameTruth]]:
    """Yield clips of 20 seconds of LaSOT's sequences; the event runs from the first to the last visible frame.

    The annotations state no picture size: coordinates are divided by the sequence's largest.
    """
    for path in sorted(folder.glob("*.txt")):
        rows = np.loadtxt(path, delimiter=",")
        absent = np.loadtxt(folder / "absent" / path.name) > 0
        rows[:, :2] -= 1  # counted from 1
        rows[:, 2:] += rows[:, :2]
        rows = np.clip(rows / rows.max(axis=0)[[2, 3, 2, 3]], 0, 1)
        visible = ~absent & (rows[:, 0] < rows[:, 2]) & (rows[:, 1] < rows[:, 3])
        for begin in range(0, len(rows) - LASOT_CLIP + 1, LASOT_CLIP):
            seen = np.flatnonzero(visible[begin : begin + LASOT_CLIP])
            if len(seen):
                boxes = {int(f): tuple(rows[begin + f].tolist()) for f in seen}
                truth = FrameTruth(LASOT_FPS, int(seen[0]), int(seen[-1]) + 1, boxes, LASOT_CLIP, first_frame=begin)
                yield f"{path.stem}/{begin}", truth


def table(truths: dict[str, FrameTruth], *, boxes_are_right: bool = False) -> str:
    """Return a Markdown table of each predictor under each protocol, and of the ceiling, in percent."""
    records = [record_of(name, truth) for name, truth in truths.items()]
    lines = [
        f"| protocol | predictor (n = {len(records)}) | {' | '.join(NAMES)} |",
        "|---|---|" + "---:|" * len(NAMES),
    ]
    for protocol in ("second", *FRAME_PROTOCOLS):
        samples = []
        for name, predictor in PREDICTORS.items():
            predictions = {record["id"]: predictor(record) for record in records}
            if boxes_are_right:
                predictions = {key: [state | {"box": WHOLE} for state in p] for key, p in predictions.items()}
            samples = score_records(records, predictions, protocol=protocol, truths=truths, ceilings=name == "perfect")
            lines.append(_row(protocol, name, metrics(samples)))
        lines.append(_row(protocol, "ceiling", breakdown(records, [samples])["ceiling"]))
    return "\n".join(lines)


def _row(protocol: str, name: str, values: dict[str, float]) -> str:
    return f"| {protocol} | {name} | {' | '.join(f'{100 * values[key]:.1f}' for key in NAMES)} |"


def main(args: argparse.Namespace) -> None:
    """Print a table for each set of annotations that exists.

    Raises:
        StageError: None of the annotations is there.
    """
    annotations, tracks = (
        args.samples / "vidstg/annotations/test_annotations.json",
        args.samples / "lasot_toolkit/annos",
    )
    if not annotations.is_file() and not tracks.is_dir():
        raise StageError(f"neither {annotations} nor {tracks}: --samples names the folder that holds them")
    if annotations.is_file():
        print(f"VidSTG test, time alone:\n\n{table(dict(vidstg(annotations)), boxes_are_right=True)}\n")
    if tracks.is_dir():
        print(f"LaSOT, clips of 20 s:\n\n{table(dict(lasot(tracks)))}")


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Return the arguments of the command line."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="folder that holds vidstg/ and lasot_toolkit/")
    return (parser.parse_args(argv),)


if __name__ == "__main__":
    run(parse, main)
