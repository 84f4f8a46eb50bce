"""MOT: SportsMOT, DanceTrack, MOT15, 16, 17 and 20, in the layout of the MOTChallenge.

    python -m data_prep mot --annotations SportsMOT/dataset --split train --out mot.jsonl

Each identity becomes a record and each sequence a scene with all of them. Only targets count: confidence 0 means
ignore, and where there is a class only class 1 does. An identity that leaves and comes back is absent in between.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.boxes import FrameBoxes, grouped, repeated_frame
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Scene, Target, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.reasons import Reason
from data_prep.convert.wording import prompt
from data_prep.sources.rows import BadFile, read_rows, xyxy
from data_prep.sources.seqinfo import Sequence, sequence_info
from data_prep.sources.splits import folder_split, is_wanted, names_in

NAME = "mot"
PEDESTRIAN = 1
FLAT = "rows whose width or height is not above 0, left out"
IGNORED = "rows that are flagged to be ignored or show no person"
# Data set by the names of its sequences: what a target is called, and how many sequences each split has.
DATA_SETS = {
    "sportsmot": (re.compile(r"v_.+_c\d{3}"), "player", {"train": 45, "val": 45, "test": 150}),
    "dancetrack": (re.compile(r"dancetrack\d{4}"), "dancer", {"train": 40, "val": 25, "test": 35}),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--name", help="what a target is called; default: player, dancer or person, by the data set")
    parser.add_argument(
        "--origin", type=int, choices=(0, 1), help="the first pixel's number; default: by the data set and its rows"
    )
    parser.add_argument("--most_objects", type=int, default=24, help="a scene with more targets is not asked for")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each identity and one for each sequence."""
    for path, split in files_of(args, audit):
        sequence = name_of(path)
        clip_id = f"{NAME}/{split}/{sequence}"
        try:
            if not path.is_file():
                raise BadFile(Reason.NO_TRUTH, f"{path}: not there, as in test splits")
            yield from sequence_items(path, sequence, clip_id, split, args, audit)
        except BadFile as error:
            yield Dropped(clip_id, error.reason, str(error))


def name_of(path: Path) -> str:
    """Return a sequence's name: the folder that holds gt/gt.txt, or the name of a bare file of rows."""
    if path.name != "gt.txt":
        return path.stem
    folder = path.resolve().parent
    return folder.parent.name if folder.name == "gt" else folder.name


def data_set_of(sequence: str) -> str | None:
    """Return the data set that names its sequences like this; None if it is not known."""
    return next((name for name, (pattern, _, _) in DATA_SETS.items() if pattern.fullmatch(sequence)), None)


def files_of(args: argparse.Namespace, audit: Audit) -> list[tuple[Path, str]]:
    """Return (gt.txt, split) of each sequence under --annotations; a test sequence's file may be missing."""
    root: Path = args.annotations
    if root.is_file():
        paths = [root]
    else:
        files = set(root.rglob("gt.txt")) | {path.parent / "gt" / "gt.txt" for path in root.rglob("seqinfo.ini")}
        paths = sorted(files) or sorted(root.glob("*.txt"))
    lists = [root / "splits_txt" / f"{args.split}.txt", root.parent / "splits_txt" / f"{args.split}.txt"]
    listed = set(names_in(lists))
    pairs = []
    for path in paths:
        split = folder_split(path, root)
        if name_of(path) in listed if listed else is_wanted(split, args.split):
            pairs.append((path, args.split or split or "train"))
    audit.count("sequences", len(pairs))
    known = {data_set_of(name_of(path)) for path in paths}
    if len(known) == 1 and not root.is_file() and (name := known.pop()):
        for split in {split for _, split in pairs}:
            audit.expect({"sequences": DATA_SETS[name][2][split]} if split in DATA_SETS[name][2] else None)
    return pairs


def sequence_items(
    path: Path, sequence: str, clip_id: str, split: str, args: argparse.Namespace, audit: Audit
) -> Iterator[Item]:
    """Yield the items of one sequence."""
    info = sequence_info((path.parent.parent if path.parent.name == "gt" else path.parent) / "seqinfo.ini")
    rows = read_rows(path, 6, numbered=True)
    wanted = targets(rows)
    audit.ignore(IGNORED, int((~wanted).sum()))
    rows = rows[wanted]
    check(rows, path)
    data_set = data_set_of(sequence)
    name = args.name or (DATA_SETS[data_set][1] if data_set else "person")
    boxes = xyxy(rows[:, 2:6], origin_of(rows, data_set) if args.origin is None else args.origin)
    by_target = grouped(rows[:, 0].astype(np.int64) - 1, rows[:, 1].astype(np.int64), boxes)
    last = int(rows[:, 0].max()) if len(rows) else 0
    length = last if info.length is None else info.length
    video = f"{sequence}/{info.folder}"
    tracks: dict[int, FrameBoxes] = {}
    for identity, track in by_target.items():
        item = f"{clip_id}/{identity}"
        twice = repeated_frame(track)
        if twice is not None:
            yield Dropped(item, Reason.AMBIGUOUS, f"{path}: two rows for frame {twice + 1}, expected one")
            continue
        solid = (track.boxes[:, 2] > track.boxes[:, 0]) & (track.boxes[:, 3] > track.boxes[:, 1])
        if not solid.any():
            yield Dropped(item, Reason.NO_BOX, f"{path}: no row has a width and height above 0")
            continue
        audit.note(FLAT, item, int((~solid).sum()))
        tracks[identity] = FrameBoxes(track.frames[solid], track.boxes[solid])
    if not by_target:
        yield Dropped(clip_id, Reason.NO_BOX, f"{path}: no row of a target")
    for number, (identity, track) in enumerate(tracks.items(), 1):
        item = f"{clip_id}/{identity}"
        yield Target(
            id=item,
            split=split,
            kind="tracking",
            video=video,
            query=f"{prompt('tracking', name, item, args.seed)} ({place_words(track, info.size or args.size)})",
            label=f"{name}-{number}",
            num_frames=length,
            begin=int(track.frames[0]),
            end=int(track.frames[-1]) + 1,
            boxes=track,
            fps=info.fps,
            size=info.size,
            extra={"distractors": len(tracks) - 1},
        )
    yield from scene_items(tracks, name, clip_id, split, video, length, info, args)


def scene_items(
    tracks: dict[int, FrameBoxes],
    name: str,
    clip_id: str,
    split: str,
    video: str,
    length: int,
    info: Sequence,
    args: argparse.Namespace,
) -> Iterator[Item]:
    """Yield the sequence as a scene, if it has targets and not too many of them."""
    if len(tracks) > args.most_objects:
        yield Dropped(
            f"{clip_id}/scene", Reason.CROWDED, f"{len(tracks)} targets, at most {args.most_objects} (--most_objects)"
        )
    elif tracks:
        labels = {f"{name}-{number}": track for number, track in enumerate(tracks.values(), 1)}
        query = prompt("scene", name, clip_id, args.seed)
        yield Scene(f"{clip_id}/scene", split, video, query, length, labels, info.fps, info.size)


def targets(rows: np.ndarray) -> np.ndarray:
    """Return which rows are to be followed: not ignored, and a pedestrian where classes are given; bool (n,)."""
    count = rows.shape[1]
    wanted = np.ones(len(rows), bool)
    if count > 6:
        wanted &= rows[:, 6] != 0
    # Eight or nine columns hold a class in the eighth; ten (MOT15) hold a position there, -1 where unknown.
    if count in (8, 9):
        wanted &= rows[:, 7] == PEDESTRIAN
    return wanted


def check(rows: np.ndarray, path: Path) -> None:
    """Check that frames count from 1, identities are whole numbers, and boxes four finite numbers.

    Raises:
        BadFile: a row is wrong; the message names the row, the value found and the value expected.
    """
    finite = np.isfinite(rows[:, :6]).all(axis=1) & (np.abs(rows[:, :2]) < 1 << 53).all(axis=1)
    if not finite.all():
        values = rows[int(np.flatnonzero(~finite)[0]), :6].tolist()
        raise BadFile(Reason.BAD_BOX, f"{path}: row {values}, expected finite numbers")
    whole = (rows[:, :2] % 1 == 0).all(axis=1) & (rows[:, 0] >= 1)
    if not whole.all():
        values = rows[int(np.flatnonzero(~whole)[0]), :2].tolist()
        raise BadFile(Reason.MALFORMED, f"{path}: frame and identity {values}, expected whole numbers, frames from 1")


def origin_of(rows: np.ndarray, data_set: str | None) -> int:
    """Return the first pixel's number: 1 in the MOTChallenge's own format, 0 in SportsMOT's files.

    Elsewhere a box that begins at exactly 0 says that pixels count from 0, unless boxes also leave the picture (below
    0, as in MOT17), where a 0 says nothing.
    """
    if data_set == "sportsmot":
        return 0
    corners = rows[:, 2:4]
    return 0 if len(rows) and corners.min() == 0 else 1


def place_words(track: FrameBoxes, size: tuple[int, int] | None) -> str:
    """Return where the target is first seen, in words that tell it from others."""
    left, top, right, bottom = track.boxes[0].tolist()
    width, height = np.maximum(size or track.boxes[:, 2:].max(axis=0), 1).tolist()
    columns, rows = ("on the left", "in the middle", "on the right"), ("at the top", "halfway down", "at the bottom")
    column, row = third((left + right) / 2 / width), third((top + bottom) / 2 / height)
    return f"first seen {columns[column]}, {rows[row]}"


def third(share: float) -> int:
    """Return the index, 0 to 2, of the third of the picture in which a share of its side lies.

    >>> third(-1e300), third(0.5), third(1.0)
    (0, 1, 2)
    """
    return math.floor(min(max(share * 3, 0), 2))
