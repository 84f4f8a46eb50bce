"""DAVIS-style masks: a folder a video of palette PNGs whose values are object ids.

    python -m data_prep davis --annotations Annotations/480p --fps 24 --out davis.jsonl

0 is background and 255 void. The file's number is the frame's; the first is the clip's first frame. --split takes the
videos that the data set's list of that split names (ImageSets).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data_prep.boxes import frame_boxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Target, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.convert.wording import prompt
from data_prep.sources.masks import Box, boxes_of_ids, masks_of, numbered_masks
from data_prep.sources.rows import BadFile
from data_prep.sources.splits import names_in

__all__ = ["add_arguments", "run"]
NAME = "davis"


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each object of a video."""
    root: Path = args.annotations
    split = args.split or "train"
    folders = [root.resolve().parent] if root.is_file() else sorted({path.parent for path in root.rglob("*.png")})
    listed = set(names_in(root.glob(f"ImageSets/**/{args.split}.txt"))) if args.split else set()
    if listed:
        folders = [folder for folder in folders if folder.name in listed]
    names = Counter(folder.name for folder in folders)
    for folder in folders:
        # The same video may lie there in several sizes or from several hands.
        name = folder.name if names[folder.name] == 1 else folder.relative_to(root).as_posix()
        clip_id = f"{NAME}/{split}/{name}"
        try:
            numbered = numbered_masks(folder)
            if root.is_file():
                numbered = {number: path for number, path in numbered.items() if path.name == root.name}
            yield from items_of(folder.name, numbered, clip_id, split, args)
        except BadFile as error:
            yield Dropped(clip_id, error.reason, str(error))


def items_of(
    video: str, numbered: dict[int, Path], clip_id: str, split: str, args: argparse.Namespace
) -> Iterator[Item]:
    """Yield the objects of one video.

    Raises:
        BadFile: a mask is no picture or has another size than the others.
    """
    first, last = min(numbered), max(numbered)
    boxes: dict[int, dict[int, Box]] = {}
    height = width = 0
    for number, _, ids in masks_of(numbered):
        height, width = ids.shape
        for number_of_object, box in boxes_of_ids(ids).items():
            boxes.setdefault(number_of_object, {})[number - first] = box
    if not boxes:
        yield Dropped(clip_id, Reason.NO_BOX, "no mask holds an object")
    for number_of_object, by_frame in sorted(boxes.items()):
        name = f"{clip_id}/{number_of_object}"
        what = f"object {number_of_object}" if len(boxes) > 1 else "main object"
        yield Target(
            id=name,
            split=split,
            kind="tracking",
            video=video,
            query=prompt("tracking", what, name, args.seed),
            label=f"object-{number_of_object}",
            num_frames=last - first + 1,
            begin=min(by_frame),
            end=max(by_frame) + 1,
            boxes=frame_boxes(by_frame),
            size=(width, height),
            extra={"distractors": len(boxes) - 1},
        )
