"""TimeLens: sentences with the times that they tell of, of TimeLens-100K (train) and of TimeLens-Bench (test).

    python -m data_prep timelens --annotations timelens-100k.jsonl --videos videos --out timelens.jsonl
    python -m data_prep timelens --annotations charades-timelens.json --videos videos/charades --out bench.jsonl

A line of TimeLens-100K is a video with its `events`; a benchmark is an object of videos with `queries` and `spans`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.json_lines import read_lines
from data_prep.convert.json_stream import read_object
from data_prep.convert.reasons import Reason
from data_prep.sources.moments import moments_item
from data_prep.validation import quote

NAME = "timelens"
EXPECTED = {"timelens-100k": 19466}  # videos
LONGEST = 16 << 20  # bytes of a line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--extension", default="mp4", help="file name extension of a benchmark's videos")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args, has_frames=False)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sentence of each video."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted([*root.glob("*.jsonl"), *root.glob("*-timelens.json")]):
        is_training = path.suffix == ".jsonl"
        split = args.split or ("train" if is_training else "test")
        audit.expect({"videos": EXPECTED[path.stem]} if path.stem in EXPECTED else None)
        for name, entry, where in _entries(path, is_training):
            audit.count("videos")
            yield from items_of(name, entry, split, None if is_training else args.extension, where)


def _entries(path: Path, is_training: bool) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and place of each video of a file; the value of a line that is no JSON is None."""
    if is_training:
        for number, line in read_lines(path, LONGEST):
            try:
                yield str(number), orjson.loads(line or b""), f"{path.name}:{number}"
            except ValueError:
                yield str(number), None, f"{path.name}:{number}"
    else:
        for name, entry in read_object(path):
            yield f"{path.stem}/{name}", entry, f"{path.name} video {quote(name)}"


def items_of(name: str, entry: Any, split: str, extension: str | None, where: str) -> Iterator[Item]:
    """Yield the sentences of one video.

    Args:
        extension: of the video of a benchmark, whose entry is called by the video; None: the entry names its file.
    """
    clip_id = f"{NAME}/{split}/{name}"
    try:
        duration = entry.get("duration")
        if extension is None:
            video = entry["video_path"]
            pairs = [(event["query"], event["span"]) for event in entry["events"]]
        else:
            video = f"{name.split('/', 1)[1]}.{extension}"
            pairs = list(zip(entry["queries"], entry["spans"], strict=True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield Dropped(clip_id, Reason.MALFORMED, f"{where}: {type(error).__name__} {quote(str(error))}")
        return
    if not pairs:
        yield Dropped(clip_id, Reason.NO_QUERY, f"{where}: no sentence")
    for number, (query, span) in enumerate(pairs):
        # One pair of times, or a list of pairs.
        events = [span] if type(span) is list and span and type(span[0]) is not list else span
        yield moments_item(f"{clip_id}/{number}", split, video, query, events, duration, where)
