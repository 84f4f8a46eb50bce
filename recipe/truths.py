"""Frame annotations that a converter wrote beside its track file, for the frame-level protocols."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.records import RecordError
from recipe.protocols import FrameTruth


def read_truths(path: Path, records: Sequence[dict[str, Any]]) -> dict[str, FrameTruth]:
    """id -> frame annotation, for the records that the file has one for.

    A line is `{"id", "fps", "begin", "end", "num_frames", "first_frame", "boxes": [{"frame", "box"}, ...]}`: frames
    count from the clip's first one, which is the video's frame `first_frame`; `begin` and `end` are half-open, boxes
    normalised. Left out, the clip's length and place come from the record, as does the source: HC-STVG counts from 1.

    Raises:
        RecordError: A line is something else; it names file and line.
        OSError: The file cannot be read.
    """
    by_id = {record["id"]: record for record in records}
    found: dict[str, FrameTruth] = {}
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                record = by_id.get(item["id"])
                if record is not None:
                    found[item["id"]] = _truth_of(item, record)
            except (ValueError, KeyError, TypeError) as error:
                raise RecordError(
                    f"{path}:{number}: {type(error).__name__}: {error}; expected one object with id, fps, begin, end "
                    "and boxes, as converters write it"
                ) from None
    return found


def _truth_of(item: dict[str, Any], record: dict[str, Any]) -> FrameTruth:
    fps, begin, end = item["fps"], item["begin"], item["end"]
    if not (fps > 0 and 0 <= begin < end):
        raise ValueError(f"fps {fps!r}, frames [{begin!r}, {end!r}): expected fps > 0 and 0 <= begin < end")
    start_s, end_s = record["clip"]
    return FrameTruth(
        fps=fps,
        begin=begin,
        end=end,
        boxes={state["frame"]: tuple(state["box"]) for state in item["boxes"]},
        num_frames=max(end, item.get("num_frames", round((end_s - start_s) * fps))),
        first_frame=item.get("first_frame", round(start_s * fps)),
        one_based=record["source"].startswith("hcstvg"),
    )
