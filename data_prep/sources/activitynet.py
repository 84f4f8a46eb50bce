"""ActivityNet Captions: sentences about parts of a video, as captions to write or as sentences to find in time.

python -m data_prep activitynet --annotations val_1.json --out captions.jsonl
python -m data_prep activitynet --annotations val_1.json --task temporal --out moments.jsonl
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Moments, Text, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.json_stream import read_object
from data_prep.convert.reasons import Reason

NAME = "activitynet"
QUESTION = "Describe what happens in the video in one sentence."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--extension", default="mp4", help="file name extension of the videos")
    parser.add_argument("--task", choices=("caption", "temporal"), default="caption", help="what is asked (caption)")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args, has_frames=False)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sentence."""
    root: Path = args.annotations
    # Beside the captions the data set has lists of ids.
    paths = [root] if root.is_file() else sorted(p for p in root.glob("*.json") if not p.stem.endswith("_ids"))
    for path in paths:
        split = path.stem.split("_")[0]
        if root.is_dir() and args.split not in (None, split, path.stem):
            continue
        split = args.split or split
        file_id = f"{NAME}/{split}/{path.stem}"
        for vid, record in read_object(path):
            yield from items_of(vid, record, f"{file_id}/{vid}", split, args)


def items_of(vid: str, record: Any, clip_id: str, split: str, args: argparse.Namespace) -> Iterator[Item]:
    """Yield the sentences of one video."""
    try:
        times, sentences, duration = record["timestamps"], record["sentences"], float(record["duration"])
        if type(times) is not list or type(sentences) is not list or not 0 < duration < math.inf:
            raise TypeError(f"timestamps, sentences and a duration, found {duration} s")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        yield Dropped(clip_id, Reason.MALFORMED, f"{type(error).__name__} {error}")
        return
    if len(times) != len(sentences):
        yield Dropped(clip_id, Reason.WRONG_LENGTH, f"{len(times)} timestamps, {len(sentences)} sentences")
        return
    if not sentences:
        yield Dropped(clip_id, Reason.NO_QUERY, "no sentence")
    video = f"{vid}.{args.extension}"
    for number, (pair, sentence) in enumerate(zip(times, sentences, strict=True)):
        name = f"{clip_id}/{number}"
        try:
            start, end = pair
            start, end = float(start), min(float(end), duration)
        except (TypeError, ValueError, OverflowError) as error:
            yield Dropped(name, Reason.MALFORMED, f"timestamp {pair!r:.60}: {error}")
            continue
        if not 0 <= start < end:
            yield Dropped(name, Reason.BAD_SPAN, f"timestamp {pair!r:.60} of {duration} s")
        elif type(sentence) is not str:
            yield Dropped(name, Reason.MALFORMED, f"sentence {sentence!r:.60}, expected text")
        elif not sentence or sentence.isspace():
            yield Dropped(name, Reason.NO_QUERY, "the caption is empty")
        else:
            yield (
                Text(name, split, "caption", video, QUESTION, sentence, (start, end))
                if args.task == "caption"
                else Moments(name, split, "declarative", video, sentence, [(start, end)], duration)
            )
