"""TrackingNet: one line a frame, no flags; class names from a tab-separated file where it is given.

    python -m data_prep trackingnet --annotations TRAIN_0 --size 1280x720 --out trackingnet.jsonl

A line whose width or height is not above 0 is no box. The rate is 30 unless --fps says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.audit import Audit
from data_prep.convert import Item, convert
from data_prep.convert import add_arguments as add_common
from data_prep.reasons import Reason
from data_prep.sources.rows import BadFile, read_rows, read_text, xyxy
from data_prep.sources.sot import each_sequence, tracking_item

NAME = "trackingnet"
FPS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_common(parser)
    parser.add_argument("--classes", type=Path, help="class of each sequence (sequence, tab, class a line)")


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a sequence."""
    root: Path = args.annotations
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*.txt") if p.parent.name == "anno")
    paths = paths or sorted(root.glob("*.txt"))
    classes = args.classes or next(iter(sorted(root.glob("*classmap*.txt"))), None)
    names = {}
    if classes is not None:
        names = dict(line.split("\t", 1) for line in read_text(classes).splitlines() if "\t" in line)
    yield from each_sequence(NAME, paths, lambda path: item_of(path, names, args), args)


def item_of(path: Path, names: dict[str, str], args: argparse.Namespace) -> Item:
    """One sequence.

    Raises:
        BadFile: its file is malformed, or holds the first box alone (test split).
    """
    rows = read_rows(path, 4)
    if len(rows) < 2:
        raise BadFile(Reason.NO_TRUTH, f"{path}: {len(rows)} line(s): the test split has the first box alone")
    boxes = {frame: box for frame, row in enumerate(rows) if (box := xyxy(row)) is not None}
    name = names.get(path.stem, "object").strip()
    video = f"{path.parent.parent.name}/frames/{path.stem}" if path.parent.name == "anno" else f"frames/{path.stem}"
    return tracking_item(NAME, path.stem, name, boxes, len(rows), args, video=video, fps=args.fps or FPS)
