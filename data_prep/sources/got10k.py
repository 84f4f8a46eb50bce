"""GOT-10k: folders of a sequence with boxes, absence and cover labels and meta_info.ini; 10 frames a second.

    python -m data_prep got10k --annotations GOT-10k --split train --out got10k.jsonl

A frame is dropped where absence.label is 1, where cover.label is 0 (nothing visible), or where width or height is not
above 0.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.audit import Audit
from data_prep.convert import Item, add_arguments, convert
from data_prep.reasons import Reason
from data_prep.sources.rows import BadFile, read_flags, read_rows, read_text, xyxy
from data_prep.sources.sot import each_sequence, tracking_item

__all__ = ["add_arguments", "run"]
NAME = "got10k"
FPS = 10.0


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a sequence."""
    root: Path = args.annotations
    if args.split and (root / args.split).is_dir():
        root = root / args.split
    paths = sorted(root.rglob("groundtruth.txt")) or sorted(root.rglob("meta_info.ini"))
    yield from each_sequence(NAME, [path.parent for path in paths], lambda path: item_of(path, args), args)


def item_of(folder: Path, args: argparse.Namespace) -> Item:
    """One sequence.

    Raises:
        BadFile: its files are missing, malformed or of different lengths.
    """
    meta = meta_info(folder / "meta_info.ini")
    rows = read_rows(folder / "groundtruth.txt", 4)
    if len(rows) < 2:
        raise BadFile(Reason.NO_TRUTH, f"{folder}: {len(rows)} line(s): the test split has the first box alone")
    absent = read_flags(folder / "absence.label", len(rows)) if (folder / "absence.label").is_file() else []
    cover = read_rows(folder / "cover.label", 1) if (folder / "cover.label").is_file() else []
    if cover and len(cover) != len(rows):
        raise BadFile(Reason.WRONG_LENGTH, f"{folder}/cover.label: {len(cover)} lines, expected {len(rows)}")
    boxes = {}
    for frame, row in enumerate(rows):
        hidden = (absent and absent[frame]) or (cover and cover[frame][0] == 0)
        box = xyxy(row)
        if box is not None and not hidden:
            boxes[frame] = box
    name = " ".join(filter(None, (meta.get("motion_class"), meta.get("object_class")))) or "object"
    return tracking_item(
        NAME,
        folder.name,
        meta.get("object_class") or "object",
        boxes,
        len(rows),
        args,
        video=f"{folder.parent.name}/{folder.name}",
        query=None if name == "object" else f"the {name}",
        fps=args.fps or FPS,
        size=resolution(meta.get("resolution", "")),
        split=args.split or folder.parent.name,
    )


def meta_info(path: Path) -> dict[str, str]:
    """`key: value` lines by key; empty where the file is missing."""
    if not path.is_file():
        return {}
    pairs = (line.split(":", 1) for line in read_text(path).splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def resolution(text: str) -> tuple[int, int] | None:
    """(width, height) of "(1920, 1080)".

    >>> resolution("(1920, 1080)"), resolution("unknown")
    ((1920, 1080), None)
    """
    match = re.fullmatch(r"\((\d{1,6}), *(\d{1,6})\)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None
