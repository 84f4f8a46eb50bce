"""MOT: SportsMOT, DanceTrack, MOT15, 16, 17 and 20, in the layout of the MOTChallenge.

    python -m data_prep mot --annotations SportsMOT/train --split train --out mot.jsonl

Each identity becomes a record and each sequence a scene with all of them. Only targets count: confidence 0 means
ignore, and where there is a class only class 1 does. An identity that leaves and comes back is absent in between.
"""

from __future__ import annotations

import argparse
import configparser
from collections.abc import Iterator
from pathlib import Path

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Scene, Target, convert
from data_prep.convert import add_arguments as add_common
from data_prep.sources.rows import BadFile, read_rows, read_text, xyxy
from data_prep.wording import prompt

NAME = "mot"
PEDESTRIAN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_common(parser)
    parser.add_argument("--name", default="person", help="what a target is called: person, player, dancer")
    parser.add_argument(
        "--origin", type=int, choices=(0, 1), default=None, help="the first pixel's number; default: 0 if one is at 0"
    )
    parser.add_argument("--most-objects", type=int, default=20, help="a scene with more targets is not asked for")


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item an identity and one a sequence."""
    for path in sorted(args.annotations.rglob("gt.txt")) if args.annotations.is_dir() else [args.annotations]:
        sequence = path.parent.parent
        split = args.split or sequence.parent.name or "train"
        place = f"{NAME}/{split}/{sequence.name}"
        try:
            yield from sequence_items(path, place, split, args)
        except BadFile as error:
            yield Dropped(place, error.reason, str(error))


def sequence_items(path: Path, place: str, split: str, args: argparse.Namespace) -> Iterator[Item]:
    """Items of one sequence."""
    info = sequence_info(path.parent.parent / "seqinfo.ini")
    rows = [row for row in read_rows(path, 6) if is_target(row)]
    origin = args.origin if args.origin is not None else int(all(row[2] >= 1 and row[3] >= 1 for row in rows))
    tracks: dict[int, dict[int, tuple[float, float, float, float]]] = {}
    for row in rows:
        box = xyxy(row[2:6], origin)
        if box is not None:
            tracks.setdefault(int(row[1]), {})[int(row[0]) - 1] = box
    last = max((frame for boxes in tracks.values() for frame in boxes), default=0)
    length = int(info.get("seqLength", last + 1))
    fps = float(info["frameRate"]) if "frameRate" in info else None
    size = (int(info["imWidth"]), int(info["imHeight"])) if {"imWidth", "imHeight"} <= info.keys() else None
    video = f"{path.parent.parent.name}/{info.get('imDir', 'img1')}"
    for number, (identity, boxes) in enumerate(sorted(tracks.items()), 1):
        name = f"{place}/{identity}"
        yield Target(
            id=name,
            split=split,
            kind="tracking",
            video=video,
            query=f"{prompt('tracking', args.name, name, args.seed)} ({place_words(boxes, size or args.size)})",
            label=f"{args.name}-{number}",
            num_frames=length,
            begin=min(boxes),
            end=max(boxes) + 1,
            boxes=boxes,
            fps=fps,
            size=size,
            extra={"distractors": len(tracks) - 1},
        )
    if 0 < len(tracks) <= args.most_objects:
        labels = {f"{args.name}-{number}": boxes for number, (_, boxes) in enumerate(sorted(tracks.items()), 1)}
        query = prompt("scene", args.name, place, args.seed)
        yield Scene(f"{place}/scene", split, video, query, length, labels, fps, size)


def is_target(row: list[float]) -> bool:
    """Whether a row is one to follow: not ignored, and a pedestrian where classes are given."""
    if len(row) > 6 and row[6] == 0:
        return False
    # Nine columns hold a class in the eighth; ten (MOT15) hold a position, -1 where unknown.
    return len(row) != 9 or row[7] == PEDESTRIAN


def sequence_info(path: Path) -> dict[str, str]:
    """The [Sequence] section of seqinfo.ini; empty where the file is missing.

    Raises:
        BadFile: no INI file.
    """
    from data_prep.reasons import Reason

    if not path.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(read_text(path))
        info = dict(parser["Sequence"])
        for key in ("seqLength", "imWidth", "imHeight"):
            if key in info and not info[key].isdigit():
                raise BadFile(Reason.MALFORMED, f"{path}: {key} {info[key]!r}, expected a whole number")
        if "frameRate" in info:
            float(info["frameRate"])
        return info
    except (configparser.Error, KeyError, ValueError) as error:
        raise BadFile(Reason.MALFORMED, f"{path}: {' '.join(str(error).split())}") from None


def place_words(boxes: dict[int, tuple[float, float, float, float]], size: tuple[int, int] | None) -> str:
    """Where the target is first seen, in words that tell it from others."""
    left, top, right, bottom = boxes[min(boxes)]
    width, height = size or (max(b[2] for b in boxes.values()) or 1, max(b[3] for b in boxes.values()) or 1)
    columns, rows = ("on the left", "in the middle", "on the right"), ("at the top", "halfway down", "at the bottom")
    column = columns[min(max(int((left + right) / 2 / width * 3), 0), 2)]
    row = rows[min(max(int((top + bottom) / 2 / height * 3), 0), 2)]
    return f"first seen {column}, {row}"
