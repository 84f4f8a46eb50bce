"""GOT-10k: folders of a sequence with boxes, absence and cover labels and meta_info.ini; 10 frames a second.

    python -m data_prep got10k --annotations GOT-10k --split train --out got10k.jsonl

A frame is dropped where absence.label is 1, where cover.label is 0 (nothing visible), or where width or height is not
above 0. There is no sentence: prompts are ours, with the object's class and what it does. Frames are a resample of
10 a second from the moment that meta_info.ini calls `begin`, and count from 0 here.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Item, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile, read_flags, read_levels, read_rows, read_text
from data_prep.sources.sot import each_sequence, tracking_item, visible_boxes
from data_prep.sources.splits import folder_split, is_wanted, names_in

__all__ = ["add_arguments", "run"]
NAME = "got10k"
FPS = 10.0
MOST_COVER = 8  # cover.label: 0 nothing to be seen .. 8 all of it


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sequence: folders that hold one of its files, and those that a list.txt names."""
    root: Path = args.annotations
    files = [path for name in ("groundtruth.txt", "meta_info.ini") for path in root.rglob(name)]
    folders = {root.parent} if root.is_file() else {path.parent for path in files}
    if root.is_dir():
        folders |= {path.parent / name for path in root.rglob("list.txt") for name in names_in([path])}
    pairs = [(split_of(folder, root), folder) for folder in sorted(folders)]
    pairs = [(split, folder) for split, folder in pairs if is_wanted(split, args.split)]
    audit.count("sequences", len(pairs))
    sequences = ((args.split or split or "train", folder) for split, folder in pairs)
    yield from each_sequence(sequences, lambda folder, split: item_of(folder, split, args), NAME)


def split_of(folder: Path, root: Path) -> str | None:
    """Return the split in a sequence's own name (GOT-10k_Train_000001), else that of its folders."""
    parts = folder.name.lower().split("_")
    if len(parts) == 3 and parts[1] in ("train", "val", "test"):
        return parts[1]
    return folder_split(folder / "groundtruth.txt", root)


def item_of(folder: Path, split: str, args: argparse.Namespace) -> Item:
    """Return the item of one sequence.

    Raises:
        BadFile: its files are missing, malformed or of different lengths.
    """
    path = folder / "groundtruth.txt"
    meta = meta_info(folder / "meta_info.ini")
    rows = read_rows(path, 4)
    if len(rows) < 2:
        raise BadFile(Reason.NO_TRUTH, f"{path}: {len(rows)} line(s): the test split has the first box alone")
    hidden = np.zeros(len(rows), bool)
    if (folder / "absence.label").is_file():
        hidden |= read_flags(folder / "absence.label", len(rows))
    if (folder / "cover.label").is_file():
        cover = read_levels(folder / "cover.label", len(rows))
        if not ((cover >= 0) & (cover <= MOST_COVER)).all():
            raise BadFile(Reason.MALFORMED, f"{folder / 'cover.label'}: expected levels from 0 to {MOST_COVER}")
        hidden |= cover == 0
    name = meta.get("object_class") or "object"
    return tracking_item(
        NAME,
        folder.name,
        name,
        visible_boxes(path, rows, hidden),
        len(rows),
        args,
        split=split,
        video=f"{folder.resolve().parent.name}/{folder.resolve().name}",
        what=" ".join(filter(None, (meta.get("motion_class"), name))),
        fps=rate(meta.get("anno_fps", ""), folder),
        size=resolution(meta.get("resolution", "")),
    )


def rate(text: str, folder: Path) -> float:
    """Return the frames a second of a text such as "10Hz"; 10 where it is empty.

    Raises:
        BadFile: no rate.

    >>> rate("10Hz", Path()), rate("", Path())
    (10.0, 10.0)
    """
    if not text:
        return FPS
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,6})?) *[Hh]z", text)
    if not match:
        raise BadFile(Reason.BAD_FPS, f"{folder / 'meta_info.ini'}: anno_fps {text[:40]!r}, expected such as 10Hz")
    return float(match.group(1))


def meta_info(path: Path) -> dict[str, str]:
    """Return the `key: value` lines of a file by key; {} where the file is missing."""
    if not path.is_file():
        return {}
    pairs = (line.split(":", 1) for line in read_text(path).splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def resolution(text: str) -> tuple[int, int] | None:
    """Return (width, height) of a text such as "(1920, 1080)"; None for any other text.

    >>> resolution("(1920, 1080)"), resolution("unknown")
    ((1920, 1080), None)
    """
    match = re.fullmatch(r"\((\d{1,6}), *(\d{1,6})\)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None
