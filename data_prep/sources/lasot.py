"""LaSOT: the data set's folders, or the toolkit's `annos` files.

    python -m data_prep lasot --annotations LaSOT --video_root VIDEOS --fps 30 --out lasot.jsonl

Pixels count from 1. A frame is dropped where it is flagged (occluded or out of view; the toolkit's `absent`) or where
its width or height is not above 0. The sentence of nlp.txt is used as it is. No file states size or rate; most videos
have about 30 frames a second. The sequences that testing_set.txt lists are of split test, the others of train.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Item, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile, read_flags, read_rows, read_text
from data_prep.sources.sot import each_sequence, tracking_item, visible_boxes
from data_prep.sources.splits import is_wanted, names_in

__all__ = ["add_arguments", "run"]
NAME = "lasot"
EXPECTED = {"train": 1120, "test": 280}  # sequences


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sequence."""
    root: Path = args.annotations
    paths = [root] if root.is_file() else sorted(root.rglob("groundtruth.txt"))
    if not paths:
        toolkit = root / "annos" if (root / "annos").is_dir() else root
        paths = sorted(path for path in toolkit.glob("*.txt") if re.fullmatch(r".+-\d+", path.stem))
    listed = set(names_in(sorted([*root.glob("testing_set*.txt"), *root.parent.glob("testing_set*.txt")])))
    pairs = []
    for path in paths:
        name = path.parent.name if path.name == "groundtruth.txt" else path.stem
        split = ("test" if name in listed else "train") if listed else None
        if is_wanted(split, args.split):
            pairs.append((split, path))
    audit.count("sequences", len(pairs))
    if not root.is_file():
        audit.expect({"sequences": EXPECTED.get(args.split, sum(EXPECTED.values()))})
    sequences = ((args.split or split or "train", path) for split, path in pairs)
    yield from each_sequence(sequences, lambda path, split: item_of(path, split, args), NAME)


def item_of(path: Path, split: str, args: argparse.Namespace) -> Item:
    """Return the item of one sequence, in either layout.

    Raises:
        BadFile: its files are missing, malformed or of different lengths.
    """
    rows = read_rows(path, 4)
    if not len(rows):
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: no line in it")
    if path.name == "groundtruth.txt":
        folder = path.resolve().parent
        sequence = folder.name
        absent = read_flags(folder / "full_occlusion.txt", len(rows))
        absent = absent | read_flags(folder / "out_of_view.txt", len(rows))
        sentence = folder / "nlp.txt"
        video = f"{folder.parent.name}/{sequence}/img"
    else:
        sequence = path.stem
        absent = read_flags(path.parent / "absent" / path.name, len(rows))
        sentence = path.parent / "nlp" / path.name
        video = f"{sequence.rsplit('-', 1)[0]}/{sequence}/img"
    name = sequence.rsplit("-", 1)[0]
    query = read_text(sentence) if sentence.is_file() else None
    visible = visible_boxes(path, rows, absent, shift=1)
    return tracking_item(NAME, sequence, name, visible, len(rows), args, split=split, video=video, query=query)
