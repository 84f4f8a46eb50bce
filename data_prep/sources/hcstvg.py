"""HC-STVG v1 and v2: one sentence and one dense tube a clip of 20 seconds.

    python -m data_prep hcstvg --annotations anno_v2/val_v2.json --out hcstvg-val.jsonl

`st_frame` counts from 1 and the length of `bbox` is the tube's, whatever `ed_time` says. The rate is nominal,
img_num / 20. Both the published keys of v2 (`English`, `img_size`) and the redistributed ones (`caption`, `width`,
`height`) are read. The test split of v2 has sentences only: they go to `<out>.questions.jsonl`, for `recipe.ground`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.boxes import FrameBoxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Question, Target, add_arguments, convert
from data_prep.convert.json_stream import read_object
from data_prep.convert.reasons import Reason
from data_prep.records import RecordError
from data_prep.sources.rows import xyxy

__all__ = ["add_arguments", "run"]
NAME = "hcstvg"
CLIP_SECONDS = 20
# Clips of each file; v2's train set is redistributed with 9,586 of its 10,131.
EXPECTED = {"train": 4500, "test": 1160, "train_v2": 10131, "val_v2": 3482, "query_v2": 2931}


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def files_of(args: argparse.Namespace) -> list[Path]:
    """Return the annotation files under --annotations, only those of --split where one is named."""
    if args.annotations.is_file():
        return [args.annotations]
    paths = sorted(
        path for path in args.annotations.rglob("*.json") if args.split in (None, split_of(path), path.stem)
    )
    if not paths:
        raise RecordError(f"--annotations {args.annotations}: no JSON file of split {args.split or 'any'} in it")
    return paths


def split_of(path: Path) -> str:
    """Return the split (train, val or test) of a file's name; v2's test split is its file of queries."""
    name = path.stem.removeprefix("HCVG_").removesuffix("_v2")
    return "test" if name == "query" else name


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each clip."""
    folders = lru_cache(maxsize=1)(folders_of_videos)
    for path in files_of(args):
        split = split_of(path) if args.split in (None, path.stem) else args.split
        name = path.stem.removeprefix("HCVG_")
        audit.expect({"clips": EXPECTED[name]} if name in EXPECTED else None)
        for video, record in read_object(path):
            audit.count("clips")
            item = item_of(video, record, split)
            if args.video_root is not None and isinstance(item, (Target, Question)):
                item.video = folders(args.video_root).get(video, video)
            yield item


def folders_of_videos(root: Path) -> dict[str, str]:
    """Return file name -> path under the video root for all files there: v2's lie in video_parts/0 to 9."""
    return {path.name: path.relative_to(root).as_posix() for path in sorted(root.rglob("*.*"), reverse=True)}


def item_of(video: str, record: Any, split: str) -> Item:
    """Return one clip's tube, or why there is none."""
    record_id = f"{NAME}/{split}/{video}"
    if isinstance(record, str):  # test split of v2
        return Question(record_id, split, video, record)
    try:
        query = record["caption"] if "caption" in record else record["English"]
        if "img_size" in record:
            height, width = record["img_size"]
        else:
            width, height = record["width"], record["height"]
        numbers = {"width": width, "height": height, "st_frame": record["st_frame"], "img_num": record["img_num"]}
        listed = record["bbox"]
        if type(query) is not str:
            raise TypeError(f"caption {query!r:.60}, expected a sentence")
        for key, value in numbers.items():
            if type(value) is not int or abs(value) > 1 << 31:
                raise TypeError(f"{key} {value!r:.60}, expected a whole number")
        if type(listed) is not list:
            raise TypeError(f"bbox {listed!r:.60}, expected a list of [x, y, width, height]")
        rows = np.array(listed or np.zeros((0, 4)), np.float64)
        if rows.ndim != 2 or rows.shape[1] != 4:
            raise ValueError(f"bbox of shape {rows.shape}, expected rows of four numbers")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        missing = "missing field " if isinstance(error, KeyError) else ""
        return Dropped(record_id, Reason.MALFORMED, f"{missing}{' '.join(str(error).split())[:200]}")
    begin, end, count = numbers["st_frame"] - 1, numbers["st_frame"] - 1 + len(rows), numbers["img_num"]
    if not len(rows) or begin < 0 or end > count:
        return Dropped(record_id, Reason.BAD_SPAN, f"st_frame {begin + 1} with {len(rows)} boxes of {count} frames")
    # Of no width or height: not visible. What is no number stays, and is refused as a box.
    seen = ~((rows[:, 2] <= 0) | (rows[:, 3] <= 0))
    return Target(
        id=record_id,
        split=split,
        kind="declarative",
        video=video,
        query=query,
        label="person-1",
        num_frames=count,
        begin=begin,
        end=end,
        boxes=FrameBoxes(np.arange(begin, end)[seen], xyxy(rows[seen])),
        fps=count / CLIP_SECONDS,
        size=(width, height),
        extra={"one_based": True},
        num_empty=int((~seen).sum()),
    )
