"""SA-V: masklets as COCO run lengths (train) or PNGs (val, test), every fourth frame of a 24-fps video.

    python -m data_prep sav --annotations sav_train --out sav.jsonl

Entry i of a masklet is frame 4 i of the video; a PNG's number is its frame. An empty mask means that the object is not
seen. The frames in between are not annotated: they have no box, and the event ends with the last annotated frame.
There is no text: prompts are ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import orjson

from data_prep.boxes import FrameBoxes, frame_boxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Target, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.convert.wording import prompt
from data_prep.sources.masks import box_of_any, masks_of, numbered_masks
from data_prep.sources.rle import boxes_of_each
from data_prep.sources.rows import BadFile, read_bytes
from data_prep.sources.splits import names_in

__all__ = ["add_arguments", "run"]
NAME = "sav"
FPS, STEP = 24.0, 4
MASKS, FRAMES = "Annotations_6fps", "JPEGImages_24fps"


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each masklet."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.rglob("*.json")):
        clip_id = f"{NAME}/{args.split or 'train'}/{path.stem}"
        try:
            yield from items_of(path, clip_id, args)
        except BadFile as error:
            yield Dropped(clip_id, error.reason, str(error))
    if root.is_dir():
        yield from read_masks(root, args)


def items_of(path: Path, clip_id: str, args: argparse.Namespace) -> Iterator[Item]:
    """Yield the masklets of one video.

    Raises:
        BadFile: the file is no annotation of SA-V.
    """
    try:
        video = orjson.loads(read_bytes(path))
        size = int(video["video_width"]), int(video["video_height"])
        name, masklet, frames = video["video_id"], video["masklet"], int(video["video_frame_count"])
        if type(name) is not str or not all(0 < side <= 1 << 20 for side in size):
            raise TypeError(f"video_id {name!r:.40} of {size[0]} x {size[1]} pixels")
        if type(masklet) is not list or not masklet:
            raise TypeError(f"masklet {masklet!r:.40}, expected a list of frames")
        count = len(masklet[0])
        if not all(type(row) is list and len(row) == count for row in masklet):
            raise TypeError("masklet: expected every object in every frame")
        if not 0 <= STEP * (len(masklet) - 1) < frames:
            raise ValueError(f"masklet of {len(masklet)} frames for a video of {frames}, expected one in {STEP}")
        ids = [int(number) for number in video.get("masklet_id", range(count))]
        if len(ids) != count:
            raise TypeError(f"masklet_id: {len(ids)} numbers, expected {count}")
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise BadFile(Reason.MALFORMED, f"{path}: {type(error).__name__} {error}"[:300]) from None
    split = args.split or "train"
    folder = path.parent.relative_to(args.annotations).as_posix() if args.annotations.is_dir() else "."
    if not ids:
        yield Dropped(clip_id, Reason.NO_BOX, f"{path}: no masklet in it")
    video_path = f"{name}.mp4" if folder == "." else f"{folder}/{name}.mp4"
    objects = list(map(list, zip(*masklet, strict=True)))
    found = boxes_of_each(objects, size, [f"{path} masklet {number}" for number in ids])
    for number, boxes in zip(ids, found, strict=True):
        item = f"{clip_id}/{number}"
        if isinstance(boxes, BadFile):
            yield Dropped(item, boxes.reason, str(boxes))
            continue
        boxes = FrameBoxes(boxes.frames * STEP, boxes.boxes)
        yield masklet_item(item, split, video_path, number, count, boxes, frames, size, args)


def masklet_item(
    item: str,
    split: str,
    video: str,
    number: int,
    count: int,
    boxes: FrameBoxes,
    frames: int,
    size: tuple[int, int],
    args: argparse.Namespace,
) -> Item:
    """Return the item of one of `count` objects."""
    if not len(boxes.frames):
        return Dropped(item, Reason.NO_BOX, "every mask is empty")
    return Target(
        id=item,
        split=split,
        kind="tracking",
        video=video,
        query=prompt("tracking", f"object {number}" if count > 1 else "main object", item, args.seed),
        label=f"object-{number}",
        num_frames=frames,
        begin=int(boxes.frames[0]),
        end=int(boxes.frames[-1]) + 1,
        boxes=boxes,
        fps=FPS,
        size=size,
        extra={"distractors": count - 1},
    )


def read_masks(root: Path, args: argparse.Namespace) -> Iterator[Item]:
    """Yield one item for each object of val or test: a folder of PNGs each, in a folder for each video."""
    annotations = [path for path in [root, *root.rglob(MASKS)] if path.name == MASKS and path.is_dir()]
    for folder in sorted(annotations):
        lists = {path.stem.removeprefix("sav_"): names_in([path]) for path in folder.parent.glob("sav_*.txt")}
        names = {name: split for split, listed in lists.items() for name in listed}
        names = {path.name: names.get(path.name, args.split or "val") for path in folder.iterdir()} | names
        for name, split in sorted(names.items()):
            if args.split not in (None, split):
                continue
            clip_id = f"{NAME}/{split}/{name}"
            objects = sorted(path for path in (folder / name).glob("*") if path.is_dir())
            if not objects:
                yield Dropped(clip_id, Reason.NO_ANNOTATION, f"{folder / name}: no folder of an object in it")
            for path in objects:
                try:
                    yield mask_item(path, f"{clip_id}/{path.name}", split, len(objects), args)
                except BadFile as error:
                    yield Dropped(f"{clip_id}/{path.name}", error.reason, str(error))


def mask_item(folder: Path, item: str, split: str, count: int, args: argparse.Namespace) -> Item:
    """Return the item of a folder of masks, in which any value but 0 is the object.

    Raises:
        BadFile: a mask is no picture, has another size than the others, or its name is no number.
    """
    by_frame, numbers, height, width = {}, numbered_masks(folder), 0, 0
    for number, _, ids in masks_of(numbers):
        height, width = ids.shape
        box = box_of_any(ids)
        if box is not None:
            by_frame[number] = box
    # The video's length is not among the annotations; its frames may lie beside them.
    pictures = folder.parent.parent.parent / FRAMES / folder.parent.name
    frames = max(max(numbers) + 1, sum(1 for _ in pictures.glob("*.jpg")))
    video, boxes = f"{FRAMES}/{folder.parent.name}", frame_boxes(by_frame)
    return masklet_item(item, split, video, number_of(folder), count, boxes, frames, (width, height), args)


def number_of(folder: Path) -> int:
    """Return an object's number, which is the name of its folder.

    Raises:
        BadFile: its name is none.
    """
    if not folder.name.isascii() or not folder.name[:9].isdecimal() or len(folder.name) > 9:
        raise BadFile(Reason.MALFORMED, f"{folder}: expected a folder called by the object's number")
    return int(folder.name)
