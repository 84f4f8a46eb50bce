"""Compressed run lengths of COCO: checked for all masks of a video at once, then read by pycocotools.

pycocotools checks nothing: it reads on behind a text that does not end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco

from data_prep.boxes import FrameBoxes
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile

_LONGEST = 8  # characters of one number: 40 bits


def boxes_of(masks: list[Any], size: tuple[int, int], where: str) -> FrameBoxes:
    """Return the index of each mask that is not empty, and its half-open box in pixels.

    Args:
        masks: {"size": [height, width], "counts": text} each.
        size: (width, height), pixels.
        where: file and object, for messages.

    Raises:
        BadFile: no run lengths, or those of another size.
    """
    width, height = size
    shape = [height, width]
    texts = []
    for index, mask in enumerate(masks):
        if type(mask) is not dict or mask.get("size") != shape:
            stated = mask.get("size") if type(mask) is dict else mask
            raise BadFile(Reason.BAD_MASK, f"{where} entry {index}: size {stated!r:.60}, expected {shape}")
        text = mask.get("counts")
        if type(text) is not str or not text or not text.isascii():
            raise BadFile(Reason.BAD_MASK, f"{where} entry {index}: counts {text!r:.60}, expected run lengths")
        texts.append(text)
    if not texts:
        return FrameBoxes(np.zeros(0, np.int64), np.zeros((0, 4)))
    runs, firsts = run_lengths(texts, where)
    totals = np.add.reduceat(runs, firsts)
    outside = (np.minimum.reduceat(runs, firsts) < 0) | (np.maximum.reduceat(runs, firsts) > width * height)
    invalid = np.flatnonzero((totals != width * height) | outside)
    if len(invalid):
        raise BadFile(
            Reason.BAD_MASK, f"{where} entry {invalid[0]}: its run lengths do not add up to {width} x {height} pixels"
        )
    numbers = np.arange(len(runs)) - np.repeat(firsts, np.diff(firsts, append=len(runs)))
    seen = np.flatnonzero(np.add.reduceat(np.where(numbers % 2 == 1, runs, 0), firsts))
    if not len(seen):
        return FrameBoxes(seen, np.zeros((0, 4)))
    boxes = coco.toBbox([{"size": shape, "counts": texts[index].encode()} for index in seen])
    boxes = np.asarray(boxes, np.float64)
    boxes[:, 2:] += boxes[:, :2]
    return FrameBoxes(seen, boxes)


def run_lengths(texts: list[str], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (run lengths of all masks, index of the first of each).

    Each run is a little-endian number of 5 bits a character (bit 5: another one follows, bit 4 of the last: its sign);
    from the fourth on a run is written as the difference to the last but one.

    Raises:
        BadFile: characters that are none of the code, or a number that does not end.
    """
    codes = np.frombuffer("".join(texts).encode("ascii"), np.uint8) - np.uint8(48)  # below 48 it wraps round
    bounds = np.cumsum([len(text) for text in texts])
    more = codes & 32 != 0
    cut = np.flatnonzero(more[bounds - 1] | (np.maximum.reduceat(codes, np.r_[0, bounds[:-1]]) > 63))
    if len(cut):
        raise BadFile(Reason.BAD_MASK, f"{where} entry {cut[0]}: no run lengths: {texts[cut[0]]!r:.40}")
    ends = np.flatnonzero(~more)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    firsts = np.asarray(np.searchsorted(starts, np.r_[0, bounds[:-1]]))
    if longest > _LONGEST:
        entry = int(np.searchsorted(firsts, lengths.argmax(), side="right")) - 1
        raise BadFile(Reason.BAD_MASK, f"{where} entry {entry}: a run length of {longest} characters")
    low = (codes & 31).astype(np.int64)
    values = low[starts]
    for position in range(1, longest):
        longer = np.flatnonzero(lengths > position)
        values[longer] |= low[starts[longer] + position] << 5 * position
    values -= (codes[ends] & 16 != 0) * (np.int64(1) << 5 * lengths)
    # Differences to the last but one: sums over every other run, begun anew with each mask; the first stands alone.
    numbers = np.arange(len(values)) - np.repeat(firsts, np.diff(firsts, append=len(values)))
    for parity in (1, 0):
        chain = np.flatnonzero((numbers % 2 == parity) & (numbers > 0))
        sums = np.cumsum(values[chain])
        begins = numbers[chain] == (1 if parity else 2)
        before = np.where(begins, sums - values[chain], 0)
        values[chain] = sums - before[begins][np.cumsum(begins) - 1]
    return values, firsts
