"""Frame annotations that a converter wrote beside its track file, for the frame-level protocols."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.convert.building import FASTEST, LONGEST, SLOWEST
from data_prep.records import Record, RecordError
from data_prep.seconds import exact_fps
from data_prep.validation import quote
from recipe.evaluation.protocols import FrameTruth

EDGES = ("x_min", "y_min", "x_max", "y_max")


def read_truths(path: Path, records: Sequence[Record]) -> dict[str, FrameTruth]:
    """Return id -> frame annotation, for the records that the file has one for.

    A line is `{"id", "fps", "begin", "end", "num_frames", "first_frame", "boxes": [{"frame", "box"}, ...]}`: frames
    count from the clip's first one, which is the video's frame `first_frame`; `begin` and `end` are half-open, boxes
    normalised. Left out, the clip's length and place come from the record, as does the source: HC-STVG counts from 1.

    Raises:
        RecordError: A line is something else, or contradicts its record: a wrong truth would score silently. The
            message names file, line, record and field.
        OSError: The file cannot be read.
    """
    by_id = {record["id"]: record for record in records}
    truths: dict[str, FrameTruth] = {}
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            item = _parse(line, where)
            name = item["id"]
            if name in truths:
                raise RecordError(f"{where}: record {quote(name)}: a second line, expected one for each record")
            if name in by_id:
                try:
                    truths[name] = _truth_of(item, by_id[name])
                except ValueError as error:
                    raise RecordError(f"{where}: record {quote(name)}: {error}") from None
    return truths


def _parse(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        item = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{where}: no JSON ({quote(str(error), 80)}); expected one object a line, as converters write it"
        ) from None
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        raise RecordError(f"{where}: {quote(item)}, expected one object with id, fps, begin, end and boxes")
    return item


def _truth_of(item: Mapping[str, Any], record: Mapping[str, Any]) -> FrameTruth:
    """Return a line's annotation.

    Raises:
        ValueError: A field is wrong, or is not what the record says.
    """
    fps: Any = item.get("fps")
    if type(fps) not in (int, float) or not SLOWEST <= fps <= FASTEST:
        raise ValueError(f"fps {quote(fps)}, expected frames a second from {SLOWEST:g} to {FASTEST:g}")
    if exact_fps(fps) != exact_fps(record["fps"]):
        raise ValueError(f"fps {fps}, and the record says {record['fps']}: expected the same")
    rate = float(fps)
    start_s, end_s = record["clip"]
    # K seconds hold at most so many frames; one second more, because sources count to the end or to the last frame.
    most = math.ceil((record["seconds"] + 1) * rate)
    begin, end = (_whole(name, item.get(name), most) for name in ("begin", "end"))
    if begin >= end:
        raise ValueError(f"begin {begin}, end {end}: expected begin < end")
    num_frames = item.get("num_frames")
    if num_frames is None:
        num_frames = min(most, max(end, round((end_s - start_s) * rate)))
    elif _whole("num_frames", num_frames, most) < end:
        raise ValueError(f"num_frames {num_frames}, expected at least end {end}")
    first_frame = item.get("first_frame")
    if first_frame is None:
        first_frame = round(start_s * rate)
    return FrameTruth(
        fps=fps,
        begin=begin,
        end=end,
        boxes=_boxes(item.get("boxes"), begin, end, num_frames),
        num_frames=num_frames,
        first_frame=_whole("first_frame", first_frame, LONGEST),
        one_based=record["source"].startswith("hcstvg"),
    )


def _whole(name: str, value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} {quote(value)}, expected a whole number of frames from 0 to {most}")
    return value


def _boxes(states: Any, begin: int, end: int, num_frames: int) -> dict[int, tuple[float, ...]]:
    """Return frame -> box; a box without any width or height is left out: rounding made one of a sliver."""
    if not isinstance(states, list):
        raise ValueError(f"boxes {quote(states)}, expected a list of {{frame, box}}")
    boxes: dict[int, tuple[float, ...]] = {}
    seen: set[int] = set()
    for index, state in enumerate(states):
        if not isinstance(state, dict):
            raise ValueError(f"boxes[{index}] {quote(state)}, expected {{frame, box}}")
        frame = _whole(f"boxes[{index}].frame", state.get("frame"), num_frames - 1)
        if frame in seen:
            raise ValueError(f"frame {frame}: it is there twice")
        seen.add(frame)
        box = _box(state.get("box"), frame)
        if box[0] < box[2] and box[1] < box[3]:
            boxes[frame] = box
    if not any(begin <= frame < end for frame in boxes):
        raise ValueError(f"boxes: none in the event's frames [{begin}, {end}), so every answer would score 0")
    return boxes


def _box(box: Any, frame: int) -> tuple[float, ...]:
    if not isinstance(box, list) or len(box) != len(EDGES):
        raise ValueError(f"frame {frame}: box {quote(box)}, expected [{', '.join(EDGES)}]")
    for edge, value in zip(EDGES, box, strict=True):
        if type(value) not in (int, float) or not 0 <= value <= 1:  # NaN is not either
            raise ValueError(f"frame {frame}: {edge} {quote(value)}, expected a share of the picture from 0 to 1")
    for low, high in ((0, 2), (1, 3)):
        if box[high] < box[low]:
            raise ValueError(f"frame {frame}: {EDGES[high]} {box[high]} < {EDGES[low]} {box[low]}")
    return tuple(box)
