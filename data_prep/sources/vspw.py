"""VSPW: class masks of videos at 15 frames a second; only things, and only where one object is meant.

    python -m data_prep vspw --annotations VSPW --split train --out vspw.jsonl

A mask says the class, not the object: where a class has several pieces in a frame its box would span several objects,
so that class of the video is dropped as ambiguous. Classes that are no things (wall, grass) are not asked for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Target, convert
from data_prep.convert import add_arguments as add_common
from data_prep.reasons import Reason
from data_prep.records import RecordError
from data_prep.sources.masks import Box, boxes_of_ids, pieces, read_ids
from data_prep.sources.rows import BadFile, read_text
from data_prep.wording import prompt

NAME = "vspw"
FPS = 15.0
EXPECTED = {"train": 2806, "val": 343, "test": 387}  # videos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_common(parser)
    parser.add_argument("--categories", type=Path, help="panoVIPSeg_categories.json, which says what is a thing")


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def things(path: Path) -> dict[int, str]:
    """Mask value -> name of each class that is a thing; the file counts from 0, masks from 1.

    Raises:
        RecordError: no such list there.
    """
    try:
        listed = json.loads(read_text(path))
        return {int(item["id"]) + 1: str(item["name"]).replace("_", " ") for item in listed if item["isthing"]}
    except (BadFile, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: expected a list of {{id, name, isthing}} ({error})") from None


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a class of a video."""
    root: Path = args.annotations
    names = things(args.categories or root / "panoVIPSeg_categories.json")
    folders = sorted(path for path in root.rglob("mask") if path.is_dir())
    listed = root / f"{args.split}.txt"
    if args.split and listed.is_file():
        wanted = set(read_text(listed).split())
        folders = [folder for folder in folders if folder.parent.name in wanted]
    for folder in folders:
        place = f"{NAME}/{args.split or 'train'}/{folder.parent.name}"
        try:
            yield from items_of(folder, place, names, args)
        except BadFile as error:
            yield Dropped(place, error.reason, str(error))


def items_of(folder: Path, place: str, names: dict[int, str], args: argparse.Namespace) -> Iterator[Item]:
    """Things of one video.

    Raises:
        BadFile: a mask is no picture, has another size than the others, or its name is no number.
    """
    numbered = {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdigit()}
    if not numbered:
        raise BadFile(Reason.NO_ANNOTATION, f"{folder}: no mask in it")
    first, last, size = min(numbered), max(numbered), None
    boxes: dict[int, dict[int, Box]] = {}
    several: dict[int, int] = {}
    for number, path in sorted(numbered.items()):
        ids = read_ids(path)
        size = size or ids.shape
        if ids.shape != size:
            raise BadFile(Reason.BAD_MASK, f"{path}: {ids.shape[::-1]} pixels, expected {size[::-1]}")
        for value, box in boxes_of_ids(ids).items():
            if value in names:
                boxes.setdefault(value, {})[number - first] = box
                if value not in several and pieces(ids == value) > 1:
                    several[value] = number
    if not boxes:
        yield Dropped(place, Reason.NO_BOX, "no thing in its masks")
    for value, by_frame in sorted(boxes.items()):
        name = f"{place}/{value}"
        if value in several:
            yield Dropped(name, Reason.AMBIGUOUS, f"{names[value]}: several pieces in mask {several[value]:08d}")
            continue
        yield Target(
            id=name,
            split=args.split or "train",
            kind="tracking",
            video=f"{folder.parent.name}/origin",
            query=prompt("tracking", names[value], name, args.seed),
            label=f"{names[value]}-1",
            num_frames=last - first + 1,
            begin=min(by_frame),
            end=max(by_frame) + 1,
            boxes=by_frame,
            fps=args.fps or FPS,
            size=(size[1], size[0]) if size else None,
        )
