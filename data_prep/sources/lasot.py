"""LaSOT: the data set's folders, or the toolkit's `annos` files.

    python -m data_prep lasot --annotations LaSOT --size 1280x720 --out lasot.jsonl

Pixels count from 1. A frame is dropped where it is flagged (occluded or out of view; the toolkit's `absent`) or where
its width or height is not above 0. The sentence of nlp.txt is used as it is. The rate is 30 unless --fps is given.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.audit import Audit
from data_prep.convert import Item, add_arguments, convert
from data_prep.reasons import Reason
from data_prep.sources.rows import BadFile, read_flags, read_rows, read_text, xyxy
from data_prep.sources.sot import each_sequence, tracking_item

__all__ = ["add_arguments", "run"]
NAME = "lasot"
FPS = 30.0


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a sequence."""
    root: Path = args.annotations
    folders = sorted(root.rglob("groundtruth.txt"))
    toolkit = root / "annos" if (root / "annos").is_dir() else root
    paths = folders or sorted(toolkit.glob("*.txt"))
    if not folders and (toolkit / "absent").is_dir():
        wanted = {path.stem for path in (toolkit / "absent").glob("*.txt")}
        paths = [path for path in paths if path.stem in wanted]
    if not folders and len(paths) == 1400:
        audit.expected = 1400
    yield from each_sequence(NAME, paths, lambda path: item_of(path, args), args)


def item_of(path: Path, args: argparse.Namespace) -> Item:
    """One sequence of either layout.

    Raises:
        BadFile: its files are missing, malformed or of different lengths.
    """
    rows = read_rows(path, 4)
    if path.name == "groundtruth.txt":
        sequence = path.parent.name
        flags = [read_flags(path.parent / name, len(rows)) for name in ("full_occlusion.txt", "out_of_view.txt")]
        absent = [any(pair) for pair in zip(*flags, strict=True)]
        sentence = path.parent / "nlp.txt"
        video = f"{path.parent.parent.name}/{sequence}/img"
    else:
        sequence = path.stem
        absent = read_flags(path.parent / "absent" / path.name, len(rows))
        sentence = path.parent / "nlp" / path.name
        video = f"{sequence.rsplit('-', 1)[0]}/{sequence}/img"
    if not rows:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: no line in it")
    boxes = {
        frame: box
        for frame, (row, gone) in enumerate(zip(rows, absent, strict=True))
        if not gone and (box := xyxy(row, shift=1)) is not None
    }
    name = sequence.rsplit("-", 1)[0]
    query = read_text(sentence) if sentence.is_file() else None
    return tracking_item(NAME, sequence, name, boxes, len(rows), args, video=video, query=query, fps=args.fps or FPS)
