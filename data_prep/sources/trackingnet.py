"""TrackingNet: one line a frame, no flags; class names from a tab-separated file where it is given.

    python -m data_prep trackingnet --annotations TRAIN_0 --video_root VIDEOS --fps 30 --out trackingnet.jsonl

A line whose width or height is not above 0 is no box. No file states size or rate; most videos have about 30 frames a
second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Item, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile, read_rows, read_text
from data_prep.sources.sot import each_sequence, tracking_item, visible_boxes
from data_prep.sources.splits import folder_split, is_wanted

NAME = "trackingnet"
EXPECTED = {"train": 30132, "test": 511}  # sequences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--classes", type=Path, help="class of each sequence (sequence, tab, class a line)")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sequence."""
    root: Path = args.annotations
    lists = sorted(root.glob("*classmap*.txt")) or sorted(root.parent.glob("*classmap*.txt"))
    if root.is_file():
        paths = [root]
    else:
        paths = sorted(p for p in root.rglob("*.txt") if p.parent.name == "anno") or sorted(root.glob("*.txt"))
        paths = [path for path in paths if "classmap" not in path.name]
    classes = args.classes or next(iter(lists), None)
    names = {}
    if classes is not None:
        names = dict(line.split("\t", 1) for line in read_text(classes).splitlines() if "\t" in line)
    pairs = [(split, path) for path in paths if is_wanted(split := folder_split(path, root), args.split)]
    audit.count("sequences", len(pairs))
    if not root.is_file():
        for split in {split for split, _ in pairs if split in EXPECTED}:
            audit.expect({"sequences": EXPECTED[split or ""]})
    sequences = ((args.split or split or "train", path) for split, path in pairs)
    yield from each_sequence(sequences, lambda path, split: item_of(path, split, names, args), NAME)


def item_of(path: Path, split: str, names: dict[str, str], args: argparse.Namespace) -> Item:
    """Return the item of one sequence.

    Raises:
        BadFile: its file is malformed, or holds only the first box (test split).
    """
    rows = read_rows(path, 4)
    if len(rows) < 2:
        raise BadFile(Reason.NO_TRUTH, f"{path}: {len(rows)} line(s): the test split has the first box alone")
    name = names.get(path.stem, "object").strip() or "object"
    part = path.resolve().parent
    video = f"{part.parent.name}/frames/{path.stem}" if part.name == "anno" else f"frames/{path.stem}"
    return tracking_item(NAME, path.stem, name, visible_boxes(path, rows), len(rows), args, split=split, video=video)
