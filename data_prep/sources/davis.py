"""DAVIS-style masks: a folder a video of palette PNGs whose values are object ids.

    python -m data_prep davis --annotations Annotations/480p --fps 24 --out davis.jsonl

0 is background and 255 void. The file's number is the frame's; the first is the clip's first frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Target, add_arguments, convert
from data_prep.reasons import Reason
from data_prep.sources.masks import Box, boxes_of_ids, read_ids
from data_prep.sources.rows import BadFile
from data_prep.wording import prompt

__all__ = ["add_arguments", "run"]
NAME = "davis"


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item an object of a video."""
    folders = sorted({path.parent for path in args.annotations.rglob("*.png")})
    for folder in folders:
        place = f"{NAME}/{args.split or 'train'}/{folder.name}"
        try:
            yield from items_of(folder, place, args)
        except BadFile as error:
            yield Dropped(place, error.reason, str(error))


def items_of(folder: Path, place: str, args: argparse.Namespace) -> Iterator[Item]:
    """Objects of one video.

    Raises:
        BadFile: a mask is no picture, has another size than the others, or its name is no number.
    """
    numbered = {}
    for path in folder.glob("*.png"):
        if not path.stem.isdigit():
            raise BadFile(Reason.MALFORMED, f"{path}: its name is no frame number")
        numbered[int(path.stem)] = path
    first, last = min(numbered), max(numbered)
    boxes: dict[int, dict[int, Box]] = {}
    size = None
    for number, path in sorted(numbered.items()):
        ids = read_ids(path)
        size = size or ids.shape
        if ids.shape != size:
            raise BadFile(Reason.BAD_MASK, f"{path}: {ids.shape[::-1]} pixels, expected {size[::-1]}")
        for number_of_object, box in boxes_of_ids(ids).items():
            boxes.setdefault(number_of_object, {})[number - first] = box
    if not boxes:
        yield Dropped(place, Reason.NO_BOX, "no mask holds an object")
    for number_of_object, by_frame in sorted(boxes.items()):
        name = f"{place}/{number_of_object}"
        what = f"object {number_of_object}" if len(boxes) > 1 else "main object"
        yield Target(
            id=name,
            split=args.split or "train",
            kind="tracking",
            video=folder.name,
            query=prompt("tracking", what, name, args.seed),
            label=f"object-{number_of_object}",
            num_frames=last - first + 1,
            begin=min(by_frame),
            end=max(by_frame) + 1,
            boxes=by_frame,
            size=(size[1], size[0]) if size else None,
            extra={"distractors": len(boxes) - 1},
        )
