"""One object a sequence: what TrackingNet, GOT-10k and LaSOT share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_prep.convert import Dropped, Item, Target
from data_prep.reasons import Reason
from data_prep.sources.rows import BadFile
from data_prep.wording import prompt

Box = tuple[float, float, float, float]


def tracking_item(
    source: str,
    sequence: str,
    name: str,
    boxes: Mapping[int, Box],
    num_frames: int,
    args: argparse.Namespace,
    *,
    video: str,
    query: str | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    split: str | None = None,
) -> Item:
    """The record of a sequence: its event runs from the first to the last frame in which the object is visible.

    Args:
        name: what the object is called.
        query: a sentence of the source's own; None: a wording of ours.
    """
    split = split or args.split or "train"
    place = f"{source}/{split}/{sequence}"
    if not boxes:
        return Dropped(place, Reason.NO_BOX, "the object is visible in no frame")
    return Target(
        id=place,
        split=split,
        kind="tracking",
        video=video,
        query=query if query is not None else prompt("tracking", name, place, args.seed),
        label=f"{name}-1",
        num_frames=num_frames,
        begin=min(boxes),
        end=max(boxes) + 1,
        boxes=boxes,
        fps=fps,
        size=size,
    )


def each_sequence(source: str, paths: list[Path], make: object, args: argparse.Namespace) -> Iterator[Item]:
    """Items of all sequences; a broken one is counted and the rest goes on."""
    for path in paths:
        try:
            yield make(path)  # type: ignore[operator]
        except BadFile as error:
            yield Dropped(f"{source}/{args.split or 'train'}/{path.stem}", error.reason, str(error))
