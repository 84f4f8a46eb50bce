"""ActivityNet Captions: sentences about parts of a video, as caption records.

python -m data_prep activitynet --annotations val_1.json --out captions.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Text, convert
from data_prep.convert import add_arguments as add_common
from data_prep.json_stream import read_object
from data_prep.reasons import Reason

NAME = "activitynet"
QUESTION = "Describe what happens in the video in one sentence."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_common(parser)
    parser.add_argument("--extension", default="mp4", help="file name extension of the videos")


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a sentence."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.glob("*.json")):
        split = args.split or path.stem.split("_")[0]
        for vid, record in read_object(path):
            yield from items_of(vid, record, f"{NAME}/{split}/{path.stem}/{vid}", split, args)


def items_of(vid: str, record: Any, place: str, split: str, args: argparse.Namespace) -> Iterator[Item]:
    """Sentences of one video."""
    try:
        times, sentences, duration = record["timestamps"], record["sentences"], float(record["duration"])
        if len(times) != len(sentences):
            yield Dropped(place, Reason.WRONG_LENGTH, f"{len(times)} timestamps, {len(sentences)} sentences")
            return
    except (KeyError, TypeError, ValueError) as error:
        yield Dropped(place, Reason.MALFORMED, f"{type(error).__name__} {error}")
        return
    for number, (pair, sentence) in enumerate(zip(times, sentences, strict=True)):
        name = f"{place}/{number}"
        try:
            start, end = sorted(float(value) for value in pair)
            sentence = str(sentence).strip()
        except (TypeError, ValueError) as error:
            yield Dropped(name, Reason.MALFORMED, f"timestamp {pair!r:.60}: {error}")
            continue
        if not 0 <= start < min(end, duration):
            yield Dropped(name, Reason.BAD_SPAN, f"{[start, end]} of {duration} s")
        elif not sentence:
            yield Dropped(name, Reason.NO_QUERY, "the caption is empty")
        else:
            clip = (start, min(end, duration))
            yield Text(name, split, "caption", f"{vid}.{args.extension}", QUESTION, sentence, clip)
