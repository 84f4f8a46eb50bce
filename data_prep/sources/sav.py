"""SA-V: masklets as COCO run lengths, every fourth frame of a 24-fps video.

    python -m data_prep sav --annotations sav_train --out sav.jsonl

Entry i of a masklet is frame 4 i of the video. An empty mask means that the object is not seen. The frames in between
are not annotated: they have no box, and the event ends with the last annotated frame. There is no text: prompts are
ours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Target, add_arguments, convert
from data_prep.reasons import Reason
from data_prep.sources.rows import BadFile, read_text
from data_prep.wording import prompt

__all__ = ["add_arguments", "run"]
NAME = "sav"
FPS, STEP = 24.0, 4


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a masklet."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.rglob("*.json")):
        split = args.split or "train"
        place = f"{NAME}/{split}/{path.stem}"
        try:
            yield from items_of(path, place, split, args)
        except BadFile as error:
            yield Dropped(place, error.reason, str(error))


def items_of(path: Path, place: str, split: str, args: argparse.Namespace) -> Iterator[Item]:
    """Masklets of one video.

    Raises:
        BadFile: the file is no annotation of SA-V.
    """
    try:
        video = json.loads(read_text(path))
        size = int(video["video_width"]), int(video["video_height"])
        frames, count = int(video["video_frame_count"]), len(video["masklet"][0])
        name, masklet = str(video["video_id"]), video["masklet"]
        ids = [int(number) for number in video.get("masklet_id", range(count))]
        if not all(isinstance(row, list) and len(row) == count for row in masklet) or len(ids) != count:
            raise TypeError("masklet: every frame lists every object")
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise BadFile(Reason.MALFORMED, f"{path}: {type(error).__name__} {error}"[:300]) from None
    for index, number in enumerate(ids):
        item = f"{place}/{number}"
        try:
            boxes = {
                STEP * frame: box
                for frame, row in enumerate(masklet)
                if STEP * frame < frames
                and (box := box_of(row[index], size, f"{path} masklet {number} entry {frame}"))
            }
        except BadFile as error:
            yield Dropped(item, error.reason, str(error))
            continue
        if not boxes:
            yield Dropped(item, Reason.NO_BOX, "every mask is empty")
            continue
        yield Target(
            id=item,
            split=split,
            kind="tracking",
            video=f"{name}.mp4",
            query=prompt("tracking", f"object {number}" if count > 1 else "main object", item, args.seed),
            label=f"object-{number}",
            num_frames=frames,
            begin=min(boxes),
            end=max(boxes) + 1,
            boxes=boxes,
            fps=args.fps or FPS,
            size=size,
            extra={"distractors": count - 1},
        )


def box_of(rle: Any, size: tuple[int, int], where: str) -> tuple[float, float, float, float] | None:
    """Half-open box of a run-length mask; None of an empty one.

    Raises:
        BadFile: no run lengths, or those of another size.
    """
    from pycocotools import mask as coco

    width, height = size
    try:
        if list(rle["size"]) != [height, width]:
            raise BadFile(Reason.BAD_MASK, f"{where}: size {rle['size']!r:.60}, expected {[height, width]}")
        counts = rle["counts"]
        if not isinstance(counts, str) or run_total(counts) != width * height:
            raise BadFile(Reason.BAD_MASK, f"{where}: its run lengths do not add up to {width * height} pixels")
        encoded = {"size": [height, width], "counts": counts.encode("ascii")}
        if coco.area(encoded) == 0:
            return None
        left, top, wide, high = (float(value) for value in coco.toBbox(encoded))
    except (KeyError, TypeError, ValueError, UnicodeEncodeError) as error:
        raise BadFile(Reason.BAD_MASK, f"{where}: {type(error).__name__} {error}"[:300]) from None
    return left, top, left + wide, top + high


def run_total(counts: str) -> int:
    """Pixels that compressed run lengths cover: what pycocotools trusts and must not be handed unchecked.

    Each run is a little-endian number of 5 bits a character (bit 5: another one follows, bit 4 of the last: its sign);
    from the third on a run is written as the difference to the last but one.
    """
    runs: list[int] = []
    place = 0
    while place < len(counts):
        value, shift, more = 0, 0, True
        while more:
            if place >= len(counts) or shift > 40:
                return -1
            code = ord(counts[place]) - 48
            if not 0 <= code < 64:
                return -1
            value |= (code & 31) << shift
            more = bool(code & 32)
            place += 1
            shift += 5
            if not more and code & 16:
                value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            return -1
        runs.append(value)
    return sum(runs)
