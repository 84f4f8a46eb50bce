"""Charades-STA: a sentence about a moment of a video a line, `VIDEO BEGIN END##SENTENCE`.

    python -m data_prep charades --annotations charades_sta_train.txt --videos Charades_v1_480 --out charades.jsonl

The lines do not say how long a video is: its file does, or Charades' own table (`--lengths Charades_v1_train.csv`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.reasons import Reason
from data_prep.sources.moments import moments_item
from data_prep.sources.rows import BadFile, read_text
from data_prep.sources.vuestg_tubes import read_csv
from data_prep.validation import quote

NAME = "charades"
EXPECTED = {"train": 12408, "test": 3720}  # sentences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--extension", default="mp4", help="file name extension of the videos")
    parser.add_argument("--lengths", type=Path, help="Charades' table of videos, with columns id and length")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args, has_frames=False)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each line."""
    root: Path = args.annotations
    lengths = lengths_in(args.lengths) if args.lengths else {}
    for path in [root] if root.is_file() else sorted(root.glob("charades_sta_*.txt")):
        split = path.stem.rsplit("_", 1)[-1]
        if root.is_dir() and args.split not in (None, split, path.stem):
            continue
        audit.expect({"sentences": EXPECTED[split]} if split in EXPECTED else None)
        split = args.split or split
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                audit.count("sentences")
                where = f"{path.name}:{number}"
                yield item_of(line, f"{NAME}/{split}/{number}", split, lengths, args.extension, where)


def item_of(line: str, record_id: str, split: str, lengths: dict[str, float], extension: str, where: str) -> Item:
    """Return the item of one line.

    >>> item_of("AO8RW 0.0 6.9##a person closes the door.", "charades/test/1", "test", {}, "mp4", "a:1").events
    [(0.0, 6.9)]
    """
    head, sign, sentence = line.partition("##")
    words = head.split()
    try:
        video, begin, end = words[0], float(words[1]), float(words[2])
        if len(words) != 3 or not sign:
            raise ValueError
    except (ValueError, IndexError):
        detail = f"{where}: {quote(line)}, expected VIDEO BEGIN END##SENTENCE"
        return Dropped(record_id, Reason.MALFORMED, detail)
    return moments_item(record_id, split, f"{video}.{extension}", sentence, [[begin, end]], lengths.get(video), where)


def lengths_in(path: Path) -> dict[str, float]:
    """Return video -> seconds of Charades' table.

    Raises:
        BadFile: It cannot be read, or a length is no number.
    """
    lengths = {}
    for number, row in read_csv(path, ("id", "length")):
        try:
            lengths[row["id"]] = float(row["length"])
        except ValueError:
            raise BadFile(
                Reason.MALFORMED, f"{path}:{number}: length {quote(row['length'])}, expected seconds"
            ) from None
    return lengths
