"""QVHighlights: a sentence a line and the windows of a video of 150 seconds that it tells of, one or several.

    python -m data_prep qvhighlights --annotations highlight_train_release.jsonl --out qvhighlights.jsonl

A line without `relevant_windows`, as in the test split, has no truth. In sets of the same form whose list is empty,
nothing in the video fits the sentence.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Question, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.json_lines import LONGEST, read_lines
from data_prep.convert.reasons import Reason
from data_prep.sources.moments import moments_item
from data_prep.validation import quote

NAME = "qvhighlights"
EXPECTED = {"train": 7218, "val": 1550, "test": 1542}  # sentences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--extension", default="mp4", help="file name extension of the videos")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args, has_frames=False)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each line."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.glob("*.jsonl")):
        split = path.stem.removeprefix("highlight_").removesuffix("_release")
        if root.is_dir() and args.split not in (None, split, path.stem):
            continue
        audit.expect({"sentences": EXPECTED[split]} if path.stem == f"highlight_{split}_release" else None)
        split = args.split or split
        for number, line in read_lines(path):
            audit.count("sentences")
            yield item_of(line, number, split, args.extension, f"{path.name}:{number}")


def item_of(line: bytes | None, number: int, split: str, extension: str, where: str) -> Item:
    """Return the item of one line."""
    record_id = f"{NAME}/{split}/{number}"
    if line is None:
        return Dropped(record_id, Reason.MALFORMED, f"{where}: a line of {LONGEST} bytes or more")
    try:
        entry: Any = orjson.loads(line)
        record_id = f"{NAME}/{split}/{entry['qid']}"
        query, video = entry["query"], f"{entry['vid']}"
    except (ValueError, KeyError, TypeError) as error:
        return Dropped(record_id, Reason.MALFORMED, f"{where}: {type(error).__name__} {quote(str(error))}")
    if not video.lower().endswith(f".{extension}"):
        video = f"{video}.{extension}"
    if "relevant_windows" not in entry and type(query) is str:
        return Question(record_id, split, video, query)
    return moments_item(record_id, split, video, query, entry.get("relevant_windows"), entry.get("duration"), where)
