"""VUE-STG: a sentence about a long video, and the target's box at each whole second in which it is visible.

    python -m data_prep vuestg --annotations VUE_STG --out vuestg.jsonl

The annotations have one box a second, so the annotated stream is one of 1 frame a second; the span runs from the first
to the last second with a box, and seconds between them without one have none in the track either. The source states
no picture size, and its boxes are shares of the picture: without --size or --videos, records say 1000x1000.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_prep.boxes import frame_boxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Target, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.records import RecordError
from data_prep.sources.vuestg_tubes import Box, Tubes, read_csv, read_tubes
from data_prep.validation import quote
from data_prep.video.sampling import VideoError, probe

__all__ = ["add_arguments", "run"]
NAME = "vuestg"
EXPECTED = {"queries": 1600}
NOMINAL_SIZE = (1000, 1000)  # the boxes have three decimals
# What an annotator's form left in the place of a sentence. It stays, because the published means count it.
PLACEHOLDER = "Review text"
VIDEO = ("video_id", "video_duration")
QUERY = ("query_id", "query_text", "video_id")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def folder_of(root: Path) -> Path:
    """Return the folder of the three files: the given one, or the benchmark's inside the repository's folder.

    Raises:
        RecordError: There is no query.csv.
    """
    for folder in (root, root / "vue-stg-benchmark", root / "VUE_STG" / "vue-stg-benchmark"):
        if (folder / "query.csv").is_file():
            return folder
    raise RecordError(f"--annotations {root}: no query.csv in it; expected query.csv, video.csv and tubes.csv")


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item a query."""
    folder = folder_of(args.annotations)
    durations = {row["video_id"]: row["video_duration"] for _, row in read_csv(folder / "video.csv", VIDEO)}
    tubes = read_tubes(folder / "tubes.csv")
    names = files_by_id(args.video_root) if args.video_root else {}
    audit.expect(EXPECTED)
    audit.ignore("second boxes of a second", tubes.repeated)
    wanted: set[str] = set()
    for _, row in read_csv(folder / "query.csv", QUERY):
        audit.count("queries")
        name = row["query_id"]
        if name in wanted:
            yield Dropped(f"{NAME}/{args.split or 'test'}/{name}", Reason.MALFORMED, "a second query of this id")
            continue
        wanted.add(name)
        item = item_of(row, durations, tubes, names, args)
        if isinstance(item, Target):
            audit.count("queries with gaps", int(len(item.boxes.frames) < item.end - item.begin))
            audit.count("placeholder sentences", int(item.query == PLACEHOLDER))
        yield item
    audit.ignore("tubes of no query", len(tubes.boxes.keys() - wanted))


def item_of(
    row: Mapping[str, str],
    durations: Mapping[str, str],
    tubes: Tubes,
    names: Mapping[str, str],
    args: argparse.Namespace,
) -> Item:
    """Return one query's target, or why there is none."""
    name, video = row["query_id"], row["video_id"]
    split = args.split or "test"
    record_id = f"{NAME}/{split}/{name}"
    if broken := tubes.broken.get(name):
        return Dropped(record_id, Reason.MALFORMED, f"tubes.csv {broken[0]}")
    boxes = {second: box for second, box in tubes.boxes.get(name, {}).items() if has_area(box)}
    if not boxes:
        return Dropped(record_id, Reason.NO_TRUTH, "no box of it in tubes.csv")
    if video not in durations:
        return Dropped(record_id, Reason.MALFORMED, f"video {quote(video)} is not in video.csv")
    duration = seconds_in(durations[video])
    if duration is None or max(boxes) >= duration:
        late = f"a box at {max(boxes)} s of a video of {quote(durations[video])} s"
        return Dropped(record_id, Reason.BAD_SPAN, late)
    try:  # a video that is missing is counted by `convert`
        size = args.size or (size_of(args.video_root / names[video]) if video in names else NOMINAL_SIZE)
    except VideoError as error:
        return Dropped(record_id, Reason.UNREADABLE, str(error))
    on_frames = frame_boxes(boxes)
    return Target(
        id=record_id,
        split=split,
        kind="declarative",
        video=names.get(video, f"{video}.mp4"),
        query=row["query_text"],
        label="object-1",
        num_frames=math.ceil(duration),
        begin=int(on_frames.frames[0]),
        end=int(on_frames.frames[-1]) + 1,
        boxes=on_frames._replace(boxes=on_frames.boxes * np.array(size * 2)),
        fps=1.0,
        size=size,
        extra={"clip": [0.0, duration]},  # not rounded up to a whole second, which the file may not reach
    )


def has_area(box: Box) -> bool:
    """Return whether a box with its edges in order is not empty."""
    return box[0] < box[2] and box[1] < box[3]


def seconds_in(text: str) -> float | None:
    """Return a duration above 0, seconds; None for what is none."""
    try:
        duration = float(text)
    except ValueError:
        return None
    return duration if 0 < duration < math.inf else None


def files_by_id(root: Path) -> dict[str, str]:
    """Return video id -> path under the root: files named `ID.mp4`, or `Title [ID].webm` as yt-dlp names them."""
    files: dict[str, str] = {}
    for path in sorted(path for path in root.rglob("*.*") if path.is_file()):
        stem = path.stem
        name = stem[stem.rindex("[") + 1 : -1] if stem.endswith("]") and "[" in stem else stem
        files.setdefault(name, path.relative_to(root).as_posix())
    return files


@lru_cache(maxsize=64)
def size_of(path: Path) -> tuple[int, int]:
    """Return the displayed size of a video, pixels.

    Raises:
        VideoError: It is no video.
    """
    info = probe(path)
    return info.width, info.height
