"""One object a sequence: what TrackingNet, GOT-10k and LaSOT share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from data_prep.boxes import FrameBoxes
from data_prep.convert.conversion import Dropped, Item, Target
from data_prep.convert.reasons import Reason
from data_prep.convert.wording import prompt
from data_prep.sources.rows import BadFile, xyxy


def visible_boxes(
    path: Path, rows: np.ndarray, hidden: np.ndarray | None = None, shift: float = 0.0
) -> tuple[FrameBoxes, int]:
    """Return the boxes of rows of x, y, width, height, and how many frames that no flag hides have an empty box.

    Flagged frames and boxes of no width or height are left out.

    Args:
        hidden: (n,) bool: frames that a flag leaves out, whatever their boxes say.
        shift: what the source's first pixel is called.

    Raises:
        BadFile: a box that counts is not four finite numbers.
    """
    rows = rows[:, :4]
    seen = np.ones(len(rows), bool) if hidden is None else ~hidden
    invalid = np.flatnonzero(seen & ~np.isfinite(rows).all(axis=1))
    if len(invalid):
        values = rows[invalid[0]].tolist()
        raise BadFile(Reason.BAD_BOX, f"{path}:{invalid[0] + 1}: {values}, expected four finite numbers")
    frames = np.flatnonzero(seen & (rows[:, 2] > 0) & (rows[:, 3] > 0))
    return FrameBoxes(frames, xyxy(rows[frames], shift)), int(seen.sum()) - len(frames)


def tracking_item(
    source: str,
    sequence: str,
    name: str,
    visible: tuple[FrameBoxes, int],
    num_frames: int,
    args: argparse.Namespace,
    *,
    split: str,
    video: str,
    query: str | None = None,
    what: str | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
) -> Item:
    """Return the item of a sequence, whose event lasts from the first to the last frame that shows the object.

    Args:
        name: the object's class.
        visible: from `visible_boxes`.
        query: a sentence of the source's own; None: a wording of ours.
        what: what our wording calls the object; None: `name`.
    """
    boxes, num_empty = visible
    record_id = f"{source}/{split}/{sequence}"
    if not len(boxes.frames):
        return Dropped(record_id, Reason.NO_BOX, "the object is visible in no frame")
    return Target(
        id=record_id,
        split=split,
        kind="tracking",
        video=video,
        query=query if query is not None else prompt("tracking", what or name, record_id, args.seed),
        label=f"{name}-1",
        num_frames=num_frames,
        begin=int(boxes.frames[0]),
        end=int(boxes.frames[-1]) + 1,
        boxes=boxes,
        fps=fps,
        size=size,
        num_empty=num_empty,
    )


def each_sequence(
    sequences: Iterable[tuple[str, Path]], make: Callable[[Path, str], Item], source: str
) -> Iterator[Item]:
    """Yield the items of all sequences; a broken sequence becomes a `Dropped`, and the rest goes on.

    Args:
        sequences: (split, path) pairs.
        make: the item of a path and its split.
    """
    for split, path in sequences:
        try:
            yield make(path, split)
        except BadFile as error:
            name = path.parent.name if path.name == "groundtruth.txt" else path.name.removesuffix(".txt")
            yield Dropped(f"{source}/{split}/{name}", error.reason, str(error))
