"""Your own boxes: CSV, JSONL, CVAT, Label Studio, COCO, TAO, YouTube-VIS or VIA files to a track file.

    python -m data_prep boxes annotations.xml --videos videos --query-attribute sentence --out tracks.jsonl

The format is told by what stands in the file. Size, rate and length are those of each video.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from data_prep.aggregate import METHODS
from data_prep.annotations.building import Settings, items_of
from data_prep.annotations.formats import KNOWN, READERS, format_of
from data_prep.annotations.marks import UNITS, Reading, Unread
from data_prep.annotations.sentences import SentenceTable
from data_prep.annotations.videos import Videos
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, convert, read_folder, read_rate
from data_prep.records import RecordError

UNUSED = "sentences of --queries that no object of the file is called by"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = f"Turn boxes of your own into a track file: {KNOWN}."
    parser.add_argument("annotations", type=Path, metavar="FILE", help=KNOWN)
    parser.add_argument("--videos", dest="video_root", type=Path, metavar="DIR", help="folder of the videos (needed)")
    parser.add_argument("--video_root", type=Path, help=argparse.SUPPRESS)  # what the other commands call it
    parser.add_argument("--out", type=Path, default=Path("tracks.jsonl"), help="track file to write (tracks.jsonl)")
    parser.add_argument("--format", choices=list(READERS), help="instead of what stands in the file")
    parser.add_argument("--queries", type=Path, metavar="CSV", help="sentences: label (or video, track) and query")
    parser.add_argument(
        "--query_attribute", metavar="NAME", help="attribute or field of the file that is the sentence"
    )
    parser.add_argument("--video", metavar="NAME", help="the video, where the file names none")
    parser.add_argument("--units", choices=UNITS, help="of boxes in a table or in lines; default: as the numbers say")
    parser.add_argument(
        "--first_frame", type=int, choices=(0, 1), default=0, help="number of a video's first frame in the file (0)"
    )
    parser.add_argument(
        "--interpolate", type=_seconds, default=0.0, metavar="SECONDS",
        help="join boxes that are at most so far apart, where the format has no rule of its own (0)",
    )  # fmt: skip
    parser.add_argument("--without_occluded", action="store_true", help="boxes flagged as occluded do not count")
    parser.add_argument("--source", default="mine", help="what the records call their source (mine)")
    parser.add_argument("--split", default="train", help="what the records call their split (train)")
    parser.add_argument("--video_prefix", type=read_folder, help="folder to write before each record's video")
    parser.add_argument("--fps", type=read_rate, help="frames a second of folders of pictures")
    parser.add_argument("--aggregation", choices=METHODS, default="mean", help="frame boxes to one box a second")
    parser.add_argument("--seed", type=int, default=0, help="chooses among the wordings of prompts")
    parser.add_argument("--strict", action="store_true", help="the first dropped record is an error")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds of at least 0")
    return seconds


def run(args: argparse.Namespace) -> None:
    """Convert the file into a track file, and report what was dropped.

    Raises:
        RecordError: an option is missing, or no record could be written.
    """
    if args.video_root is None:
        raise RecordError("--videos DIR is needed: size, rate and length of each record are those of its video")
    args.size = None
    convert(args.source, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield the items of each object of the file."""
    path: Path = args.annotations
    name = args.format or format_of(path)
    reading = Reading(args.first_frame, args.units, args.without_occluded)
    table = SentenceTable(args.queries) if args.queries else None
    settings = Settings(args, Videos(args.video_root), table, audit)
    prefix = f"{args.source}/{args.split}/{os.path.splitext(path.name)[0]}"
    taken: dict[str, int] = {}
    for found in READERS[name](path, reading):
        audit.count(f"objects ({name})")
        record_id = f"{prefix}/{found.name}"
        taken[record_id] = number = taken.get(record_id, 0) + 1
        if number > 1:  # tracks of two tasks may have one number
            record_id += f"-{number}"
        if isinstance(found, Unread):
            yield Dropped(record_id, found.reason, found.detail)
        else:
            yield from items_of(found, record_id, settings)
    for what, count in reading.ignored.items():
        audit.ignore(what, count)
    for row in table.unused if table else ():
        audit.note(UNUSED, row)
