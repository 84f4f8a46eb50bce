"""Track files -> train.jsonl, val.jsonl and test.jsonl, divided by video: no video is in two of them.

    python -m data_prep split tracks.jsonl --out splits

Which file a video goes to depends only on the names of the videos and on the seed. A video is what
`data_prep.video_ids.video_key` calls one, whatever folder or ending it is named by.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from data_prep.files import remove_leftovers
from data_prep.locks import locked
from data_prep.records import RecordWriter, read_records
from data_prep.stages import StageError
from data_prep.video_ids import video_key

NAMES = ("train", "val", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("tracks", type=Path, nargs="+", help="track files (JSONL)")
    parser.add_argument("--out", type=Path, required=True, help="folder of train.jsonl, val.jsonl and test.jsonl")
    parser.add_argument("--val", type=float, default=0.1, help="share of the videos that go to val.jsonl")
    parser.add_argument("--test", type=float, default=0.1, help="share of the videos that go to test.jsonl")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Write the three files and print how many videos and records each holds.

    Raises:
        StageError: shares that leave no part for training, fewer videos than files, or a repeated id.
        RecordError, OSError: a track file cannot be read.
    """
    if not (args.val > 0 and args.test > 0 and args.val + args.test < 1):
        raise StageError(
            f"--val {args.val:g} --test {args.test:g}: expected shares above 0 that leave some to train on"
        )
    seen: set[str] = set()
    keys: set[str] = set()
    for path in args.tracks:
        for record in read_records(path):
            if record["id"] in seen:
                raise StageError(f"{path}: the id {record['id']!r} is there twice; ids are what answers are kept by")
            seen.add(record["id"])
            keys.add(video_key(record["video"]))
    parts = divide(keys, args.val, args.test, args.seed)
    written, videos = Counter[str](), Counter(parts.values())
    with locked(args.out, folder=True):
        outs = {name: args.out / f"{name}.jsonl" for name in NAMES}
        remove_leftovers(*outs.values())
        writers = {name: RecordWriter(path) for name, path in outs.items()}
        with writers["train"], writers["val"], writers["test"]:
            for path in args.tracks:
                for record in read_records(path):
                    name = parts[video_key(record["video"])]
                    writers[name].write(record | {"split": name})
                    written[name] += 1
    for name in NAMES:
        print(f"{outs[name]}: {written[name]} records of {videos[name]} videos")


def divide(keys: Iterable[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Return for each video the name of its file.

    A video's rank is a hash of its name and the seed. Each file gets at least one video.

    Args:
        val, test: shares of the videos.

    Raises:
        StageError: Fewer than three videos.

    >>> sorted(divide("abcdefghij", 0.1, 0.2, seed=0).values())
    ['test', 'test', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'val']
    """
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode()).digest())
    if len(ranked) < len(NAMES):
        raise StageError(
            f"{len(ranked)} videos: expected at least {len(NAMES)}, one each to train, choose and test on"
        )
    tested = min(max(1, round(test * len(ranked))), len(ranked) - 2)
    chosen = min(max(1, round(val * len(ranked))), len(ranked) - tested - 1)
    ends = {"test": tested, "val": tested + chosen, "train": len(ranked)}
    return {key: next(name for name, end in ends.items() if index < end) for index, key in enumerate(ranked)}
