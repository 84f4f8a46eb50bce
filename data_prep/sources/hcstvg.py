"""HC-STVG v1 and v2: one sentence and one dense tube a clip of 20 seconds.

    python -m data_prep hcstvg --annotations anno_v2/val_v2.json --out hcstvg-val.jsonl

`st_frame` counts from 1 and the length of `bbox` is the tube's, whatever `ed_time` says. The rate is nominal,
img_num / 20. Both the published keys of v2 (`English`, `img_size`) and the redistributed ones (`caption`, `width`,
`height`) are read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Target, add_arguments, convert
from data_prep.json_stream import read_object
from data_prep.reasons import Reason
from data_prep.records import RecordError

__all__ = ["add_arguments", "run"]
NAME = "hcstvg"
CLIP_SECONDS = 20
EXPECTED = {"train": 4500, "test": 1160, "train_v2": 10131, "val_v2": 3482, "query_v2": 2931}


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def files_of(args: argparse.Namespace) -> list[Path]:
    """Annotation files under --annotations, of --split where one is named."""
    if args.annotations.is_file():
        return [args.annotations]
    found = sorted(
        path for path in args.annotations.rglob("*.json") if args.split in (None, split_of(path), path.stem)
    )
    if not found:
        raise RecordError(f"--annotations {args.annotations}: no JSON file of split {args.split or 'any'} in it")
    return found


def split_of(path: Path) -> str:
    """train, val, test or query of a file's name."""
    return path.stem.removeprefix("HCVG_").removesuffix("_v2")


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a clip."""
    paths = files_of(args)
    counts = [EXPECTED.get(path.stem.removeprefix("HCVG_")) for path in paths]
    if None not in counts:
        audit.expected = sum(count for count in counts if count is not None)
    for path in paths:
        split = args.split or split_of(path)
        for name, record in read_object(path):
            yield item_of(name, record, split)


def item_of(name: str, record: Any, split: str) -> Item:
    """One clip's tube, or why there is none."""
    place = f"{NAME}/{split}/{name}"
    if isinstance(record, str):
        return Dropped(place, Reason.NO_TRUTH, "a sentence without annotation (test split of v2)")
    try:
        query = record["caption"] if "caption" in record else record["English"]
        if "img_size" in record:
            height, width = record["img_size"]
        else:
            width, height = record["width"], record["height"]
        boxes, first, count = record["bbox"], record["st_frame"] - 1, record["img_num"]
        if not isinstance(query, str) or not all(type(v) is int for v in (width, height, first, count)):
            raise TypeError("caption, size, st_frame or img_num")
        tube = {
            first + offset: (float(x), float(y), float(x) + float(w), float(y) + float(h))
            for offset, (x, y, w, h) in enumerate(boxes)
            if w > 0 and h > 0
        }
    except (KeyError, TypeError, ValueError) as error:
        return Dropped(place, Reason.MALFORMED, f"{type(error).__name__} {error}")
    end = first + len(boxes)
    if not boxes or first < 0 or end > count or count < CLIP_SECONDS:
        return Dropped(place, Reason.BAD_SPAN, f"st_frame {first + 1} with {len(boxes)} boxes of {count} frames")
    return Target(
        id=place,
        split=split,
        kind="declarative",
        video=name,
        query=query,
        label="person-1",
        num_frames=count,
        begin=first,
        end=end,
        boxes=tube,
        fps=count / CLIP_SECONDS,
        size=(width, height),
        extra={"one_based": True},
    )
