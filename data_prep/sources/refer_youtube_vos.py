"""Refer-YouTube-VOS: sentences about objects of YouTube-VOS, whose masks are palette PNGs.

    python -m data_prep refer-youtube-vos --annotations Ref-Youtube-VOS --split train \\
        --videos Ref-Youtube-VOS/train/JPEGImages --out refer-youtube-vos.jsonl

Pictures are every fifth frame of videos of 30 a second, as YouTube-VOS states it. Sentences of valid have no masks and
become questions. Kinds of objects come from the `meta.json` beside the masks, where it is there.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.boxes import FrameBoxes, frame_boxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, add_arguments, convert
from data_prep.convert.reasons import Reason
from data_prep.records import RecordError
from data_prep.sources.masks import Box, boxes_of_ids, masks_of
from data_prep.sources.referring import Size, frames_of, item_of, objects_of, sentences_of, videos_of
from data_prep.sources.rows import BadFile
from data_prep.validation import check_video_path

__all__ = ["add_arguments", "run"]
NAME = "refer-youtube-vos"
RATE = 30  # frames a second of the videos that the pictures are of


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
        if args.split not in (None, split):
            continue
        base = path.resolve().parents[2] / split
        kinds = kinds_in(base / "meta.json")
        for name, video in videos_of(path).items():
            yield from items_of(name, video, base / "Annotations", kinds.get(name), split, audit)


def kinds_in(path: Path) -> dict[str, dict[str, str]]:
    """Return video -> object -> kind, of YouTube-VOS' `meta.json`; nothing where there is none."""
    if not path.is_file():
        return {}
    kinds: dict[str, dict[str, str]] = {}
    for name, video in videos_of(path).items():
        objects = video.get("objects") if type(video) is dict else None
        for number, one in objects.items() if type(objects) is dict else ():
            kind = one.get("category") if type(one) is dict else None
            if type(kind) is str and kind.strip():
                kinds.setdefault(name, {})[number] = kind
    return kinds


def items_of(
    name: str, video: Any, annotations: Path, kinds: dict[str, str] | None, split: str, audit: Audit
) -> Iterator[Item]:
    """Yield the sentences of one video."""
    clip_id = f"{NAME}/{split}/{name}"
    sentences = sentences_of(video)
    audit.count("sentences", len(sentences))
    try:
        check_video_path(name)
        numbers = numbers_in(frames_of(video, f"video {name}"), f"video {name}")
        step = math.gcd(*(number - numbers[0] for number in numbers)) or 1
        places = {number: (number - numbers[0]) // step for number in numbers}
        has_truth = any(type(one) is dict and "obj_id" in one for one in sentences.values())
        tracks, size = tracks_in(annotations / name, places) if has_truth else ({}, None)
    except BadFile as error:
        yield Dropped(clip_id, error.reason, str(error))
        return
    except RecordError as error:
        yield Dropped(clip_id, Reason.BAD_PATH, str(error))
        return
    for number, sentence in sentences.items():
        names = objects_of(sentence, "obj_id") if type(sentence) is dict else None
        yield item_of(
            f"{clip_id}/{number}",
            split,
            name,
            sentence,
            names,
            tracks,
            num_frames=places[numbers[-1]] + 1,
            fps=RATE / step,
            size=size,
            labels=kinds,
        )


def numbers_in(frames: list[str], where: str) -> list[int]:
    """Return the numbers of frames, in order.

    Raises:
        BadFile: a name is no number.

    >>> numbers_in(["00000", "00005"], "video a")
    [0, 5]
    """
    try:
        return sorted(int(frame[:18]) for frame in frames)
    except ValueError as error:
        raise BadFile(Reason.MALFORMED, f"{where}: frames: {error}") from None


def tracks_in(folder: Path, places: dict[int, int]) -> tuple[dict[str, FrameBoxes], Size | None]:
    """Return object -> its boxes on the frames of the record, and the (width, height) of the masks.

    Args:
        places: number of a picture -> frame of the record.

    Raises:
        BadFile: there is no folder of masks, or a mask is none.
    """
    paths = {number: folder / f"{number:05}.png" for number in places}
    numbered = {number: path for number, path in paths.items() if path.is_file()}
    if not numbered:
        raise BadFile(Reason.NO_ANNOTATION, f"{folder}: no mask in it")
    boxes: dict[str, dict[int, Box]] = {}
    size = None
    for number, _, ids in masks_of(numbered):
        size = (ids.shape[1], ids.shape[0])
        for one, box in boxes_of_ids(ids).items():
            boxes.setdefault(str(one), {})[places[number]] = box
    return {name: frame_boxes(by_frame) for name, by_frame in boxes.items()}, size
