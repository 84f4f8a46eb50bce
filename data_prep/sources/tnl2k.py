"""TNL2K: sequences of one object with a sentence about it; a folder each with groundtruth.txt, language.txt and imgs.

    python -m data_prep tnl2k --annotations TNL2K_train_subset --videos TNL2K_train_subset --fps 30 --out tnl2k.jsonl

A line without a width or height means that the object is not seen. No file states size or rate.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Item, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile, read_rows, read_text
from data_prep.sources.sot import each_sequence, tracking_item, visible_boxes
from data_prep.sources.splits import is_wanted

__all__ = ["add_arguments", "run"]
NAME = "tnl2k"
EXPECTED = {"train": 1300, "test": 700}  # sequences


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sequence."""
    root: Path = args.annotations
    pairs = []
    for path in [root] if root.is_file() else sorted(root.rglob("groundtruth.txt")):
        split = split_of(path)
        if is_wanted(split, args.split):
            pairs.append((args.split or split or "train", path))
    audit.count("sequences", len(pairs))
    if not root.is_file():
        splits = {split for split, _ in pairs}
        audit.expect({"sequences": sum(EXPECTED.get(split, 0) for split in splits)})
    yield from each_sequence(pairs, lambda path, split: item_of(path, split, root, args), NAME)


def split_of(path: Path) -> str | None:
    """Return the split that a folder around a sequence is named after; None where none is.

    >>> split_of(Path("data/TNL2K_test_subset/Cartoon_ball/groundtruth.txt"))
    'test'
    """
    for folder in path.resolve().parents[1:]:
        for split in EXPECTED:
            if split in folder.name.lower().split("_"):
                return split
    return None


def item_of(path: Path, split: str, root: Path, args: argparse.Namespace) -> Item:
    """Return the item of one sequence.

    Raises:
        BadFile: its files are missing or malformed.
    """
    rows = read_rows(path, 4)
    if not len(rows):
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: no line in it")
    folder = path.resolve().parent
    base = root.resolve() if root.is_dir() else folder.parent
    video = (folder / "imgs").relative_to(base).as_posix()
    query = read_text(folder / "language.txt")
    visible = visible_boxes(path, rows)
    return tracking_item(NAME, folder.name, "object", visible, len(rows), args, split=split, video=video, query=query)
