"""VSPW: class masks of videos at 15 frames a second; only things, and only where one object is meant.

    python -m data_prep vspw --annotations VSPW --split train --out vspw.jsonl

A mask says the class, not the object: where a class has several pieces in a frame its box would span several objects,
so that class of the video is dropped as ambiguous. Classes that are no things (wall, grass) are not asked for. Numbers
of frames are those of the whole 15-fps video; the clip begins with the first that is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from data_prep.boxes import frame_boxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Target, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.reasons import Reason
from data_prep.convert.wording import prompt
from data_prep.records import RecordError
from data_prep.sources.masks import Box, boxes_of_ids, masks_of, numbered_masks, pieces
from data_prep.sources.rows import BadFile, read_text
from data_prep.sources.splits import is_wanted, names_in
from data_prep.sources.vspw_things import THINGS

NAME = "vspw"
FPS = 15.0
EXPECTED = {"train": 2806, "val": 343, "test": 387}  # videos
IGNORED = "classes of a video that are no things"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--categories", type=Path, help="panoVIPSeg_categories.json: which classes are things")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def names_of(args: argparse.Namespace) -> dict[int, str]:
    """Return mask value -> name of each thing: from --categories or the lists beside the data, else VSPW's own.

    Raises:
        RecordError: a list that is there cannot be read.
    """
    root: Path = args.annotations.resolve()
    categories, labels = root / "panoVIPSeg_categories.json", root / "label_num_dic_final.json"
    if args.categories or categories.is_file():
        return things(args.categories or categories)
    if not labels.is_file():
        return dict(THINGS)
    try:
        numbers = {name.replace("_", " "): int(number) for name, number in json.loads(read_text(labels)).items()}
    except (BadFile, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{labels}: expected an object of name: number ({error})") from None
    return {numbers[name]: name for name in THINGS.values() if name in numbers}


def things(path: Path) -> dict[int, str]:
    """Return mask value -> name of each class that is a thing; the file counts from 0, masks from 1.

    Raises:
        RecordError: no such list there.
    """
    try:
        listed = json.loads(read_text(path))
        return {int(item["id"]) + 1: str(item["name"]).replace("_", " ") for item in listed if item["isthing"]}
    except (BadFile, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(f"{path}: expected a list of {{id, name, isthing}} ({error})") from None


def files_of(args: argparse.Namespace) -> list[tuple[str, Path]]:
    """Return (split, folder of masks) of each video under --annotations or named by the lists of splits."""
    root: Path = args.annotations.resolve()
    folders = sorted(path for path in [root, *root.rglob("mask")] if path.name == "mask" and path.is_dir())
    if not folders:  # a bare folder of masks
        folders = [root] if any(root.glob("*.png")) else []
    base = next((folder for folder in (root, *root.parents[:3]) if (folder / "data").is_dir()), root)
    splits = {name: split for split in EXPECTED for name in names_in([base / f"{split}.txt"])}
    pairs = [(splits.get(video_of(folder)), folder) for folder in folders]
    if root == base:
        there = {video_of(folder) for folder in folders}
        pairs += [(split, base / "data" / name / "mask") for name, split in splits.items() if name not in there]
    wanted = [(split, folder) for split, folder in pairs if is_wanted(split, args.split)]
    return [(args.split or split or "train", folder) for split, folder in wanted]


def video_of(folder: Path) -> str:
    """Return the name of the video whose masks a folder holds."""
    return folder.parent.name if folder.name == "mask" else folder.name


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each class of a video."""
    names = names_of(args)
    pairs = files_of(args)
    audit.count("videos", len(pairs))
    if args.annotations.is_dir() and (args.annotations / "data").is_dir():
        for split in {split for split, _ in pairs} & EXPECTED.keys():
            audit.expect({"videos": EXPECTED[split]})
    for split, folder in pairs:
        clip_id = f"{NAME}/{split}/{video_of(folder)}"
        try:
            yield from items_of(folder, clip_id, split, names, args, audit)
        except BadFile as error:
            yield Dropped(clip_id, error.reason, str(error))


def items_of(
    folder: Path, clip_id: str, split: str, names: dict[int, str], args: argparse.Namespace, audit: Audit
) -> Iterator[Item]:
    """Yield the things of one video.

    Raises:
        BadFile: a mask is no picture, has another size than the others, or its name is no number.
    """
    numbered = numbered_masks(folder)
    first, last = min(numbered), max(numbered)
    boxes: dict[int, dict[int, Box]] = {}
    several: dict[int, int] = {}
    others: set[int] = set()
    height = width = 0
    for number, _, ids in masks_of(numbered):
        height, width = ids.shape
        for value, box in boxes_of_ids(ids).items():
            if value not in names:
                others.add(value)
                continue
            boxes.setdefault(value, {})[number - first] = box
            if value not in several and pieces(ids, value, box) > 1:
                several[value] = number
    audit.ignore(IGNORED, len(others))
    if not boxes:
        yield Dropped(clip_id, Reason.NO_BOX, "no thing in its masks")
    for value, by_frame in sorted(boxes.items()):
        name = f"{clip_id}/{value}"
        if value in several:
            yield Dropped(name, Reason.AMBIGUOUS, f"{names[value]}: several pieces in mask {several[value]:08d}")
            continue
        yield Target(
            id=name,
            split=split,
            kind="tracking",
            video=f"{video_of(folder)}/origin",
            query=prompt("tracking", names[value], name, args.seed),
            label=f"{names[value]}-1",
            num_frames=last - first + 1,
            begin=min(by_frame),
            end=max(by_frame) + 1,
            boxes=frame_boxes(by_frame),
            fps=FPS,
            size=(width, height),
        )
