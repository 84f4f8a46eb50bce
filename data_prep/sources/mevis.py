"""MeViS: sentences about how objects move; a folder a split with meta_expressions.json, mask_dict.json and JPEGImages.

    python -m data_prep mevis --annotations MeViS/train --videos MeViS/train/JPEGImages --fps FPS --out mevis.jsonl

Masks are run lengths, one for each picture. No file states the rate. Splits without masks become questions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from data_prep.boxes import FrameBoxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, add_arguments, convert
from data_prep.records import RecordError
from data_prep.sources.referring import (
    Size,
    frames_of,
    item_of,
    objects_of,
    read_masks,
    sentences_of,
    videos_of,
)
from data_prep.sources.rows import BadFile

__all__ = ["add_arguments", "run"]
NAME = "mevis"


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sentence."""
    root: Path = args.annotations
    paths = [root] if root.is_file() else sorted(root.rglob("meta_expressions.json"))
    if not paths:
        raise RecordError(f"--annotations {root}: no meta_expressions.json in it")
    for path in paths:
        split = path.resolve().parent.name
        if args.split in (None, split):
            yield from items_in(path, NAME, args.split or split, audit)


def items_in(path: Path, source: str, split: str, audit: Audit) -> Iterator[Item]:
    """Yield the sentences of one file of expressions, with the masks that lie beside it."""
    videos = videos_of(path)
    wanted = {
        name
        for video in videos.values()
        for sentence in sentences_of(video).values()
        for name in (objects_of(sentence, "anno_id") if type(sentence) is dict else None) or ()
    }
    tracks: dict[str, FrameBoxes] = {}
    sizes: dict[str, Size | None] = {}
    masks = path.parent / "mask_dict.json"
    if masks.is_file():
        for name, boxes, size in read_masks(masks, wanted):
            tracks[name], sizes[name] = boxes, size
    for video_name, video in videos.items():
        clip_id = f"{source}/{split}/{video_name}"
        try:
            num_frames = len(frames_of(video, f"{path.name} video {video_name}"))
        except BadFile as error:
            yield Dropped(clip_id, error.reason, str(error))
            continue
        sentences = sentences_of(video)
        stated = {number: objects_of(one, "anno_id") for number, one in sentences.items() if type(one) is dict}
        inside = {name for names in stated.values() for name in names or () if name in tracks}
        size = next((sizes[name] for name in sorted(inside) if sizes[name]), None)
        for number, sentence in sentences.items():
            audit.count("sentences")
            yield item_of(
                f"{clip_id}/{number}",
                split,
                video_name,
                sentence,
                stated.get(number),
                {name: tracks[name] for name in inside},
                num_frames=num_frames,
                fps=None,
                size=size,
            )
