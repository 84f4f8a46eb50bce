"""Compressed run lengths of COCO: checked for all masks of a video at once, then read by pycocotools.

pycocotools checks nothing: it reads on behind a text that does not end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pycocotools import mask as coco

from data_prep.boxes import FrameBoxes
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile

_LONGEST = 8  # characters of one number: 40 bits
_PIECE = 1 << 15  # characters
_SIGNED = np.arange(32, dtype=np.int64)  # what the last character of a number stands for
_SIGNED[16:] -= 32


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
    try:
        areas = np.concatenate([_areas(piece, width, height, where) for piece in _pieces(texts)])
    except BadFile:
        areas = _areas(texts, width, height, where)  # which names the entry among all
    seen = np.flatnonzero(areas)
    if not len(seen):
        return FrameBoxes(seen, np.zeros((0, 4)))
    boxes = coco.toBbox([{"size": shape, "counts": texts[index].encode()} for index in seen])
    boxes = np.asarray(boxes, np.float64)
    boxes[:, 2:] += boxes[:, :2]
    return FrameBoxes(seen, boxes)


def _pieces(texts: list[str]) -> Iterator[list[str]]:
    """Yield the texts in pieces of some 32 kB: arrays that stay in a core's cache take half the time."""
    piece: list[str] = []
    length = 0
    for text in texts:
        piece.append(text)
        length += len(text)
        if length > _PIECE:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece


def _areas(texts: list[str], width: int, height: int, where: str) -> np.ndarray:
    """Return the pixels of each mask: int64 (masks,).

    Raises:
        BadFile: no run lengths, or those of another size.
    """
    zeros, ones, firsts = run_lengths(texts, where)
    areas = np.add.reduceat(ones, firsts)
    totals = np.add.reduceat(zeros, firsts) + areas
    outside = _leave(zeros, firsts, width * height) | _leave(ones, firsts, width * height)
    invalid = np.flatnonzero((totals != width * height) | outside)
    if len(invalid):
        raise BadFile(
            Reason.BAD_MASK, f"{where} entry {invalid[0]}: its run lengths do not add up to {width} x {height} pixels"
        )
    return np.asarray(areas)


def _leave(runs: np.ndarray, firsts: np.ndarray, most: int) -> np.ndarray:
    """Return whether a mask holds a run below 0 or above `most`: bool (masks,)."""
    if runs.min() >= 0 and runs.max() <= most:
        return np.zeros(len(firsts), bool)
    return np.asarray((np.minimum.reduceat(runs, firsts) < 0) | (np.maximum.reduceat(runs, firsts) > most))


def run_lengths(texts: list[str], where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (runs of zeros, runs of ones, index of each mask's first run in both), pixels; int64, all masks in a row.

    Runs of zeros and of ones alternate, zeros first. A mask that ends with zeros has a last run of ones of length 0,
    so that both arrays are equally long.

    Each run is a little-endian number of 5 bits a character (bit 5: another one follows, bit 4 of the last: its sign);
    from the fourth on a run is written as the difference to the last but one.

    Raises:
        BadFile: characters that are none of the code, or a number that does not end.
    """
    codes = np.frombuffer("".join(texts).encode("ascii"), np.uint8) - np.uint8(48)  # below 48 it wraps round
    bounds = np.cumsum([len(text) for text in texts])
    if codes.max() > 63 or (codes[bounds - 1] & 32).any():
        too_large = np.maximum.reduceat(codes, np.r_[0, bounds[:-1]]) > 63
        entry = int(np.flatnonzero(too_large | (codes[bounds - 1] & 32 != 0))[0])
        raise BadFile(Reason.BAD_MASK, f"{where} entry {entry}: no run lengths: {texts[entry]!r:.40}")
    ends = np.flatnonzero(codes < 32)
    lasts = np.searchsorted(ends, bounds)  # one past the last number of each mask
    values = _numbers(codes, ends, lasts, where)
    counts = np.diff(lasts, prepend=0)
    pairs = (counts + 1) // 2
    firsts = np.cumsum(pairs) - pairs
    cells = np.zeros(2 * int(pairs.sum()), np.int64)
    for begin, end, cell in zip((lasts - counts).tolist(), lasts.tolist(), (2 * firsts).tolist(), strict=True):
        cells[cell : cell + end - begin] = values[begin:end]  # far faster than one index of all numbers
    # The first run of zeros stands alone; the differences to it are those of no other.
    alone = cells[2 * firsts]
    cells[2 * firsts] = 0
    zeros, ones = (_sums(cells[parity::2], firsts, pairs) for parity in (0, 1))
    zeros[firsts] = alone
    ones[(firsts + pairs - 1)[counts % 2 == 1]] = 0
    return zeros, ones, firsts


def _numbers(codes: np.ndarray, ends: np.ndarray, lasts: np.ndarray, where: str) -> np.ndarray:
    """Return the numbers that end at the characters `ends`; int64.

    Args:
        lasts: one past the last number of each mask, for the message.

    Raises:
        BadFile: a number is longer than any that is written.
    """
    # Few numbers have a second character: the last one, with its sign, is all of the others.
    values: np.ndarray = _SIGNED[codes[ends]]
    before = np.empty_like(ends)  # characters before the last
    before[0] = ends[0]
    np.subtract(ends[1:], ends[:-1], out=before[1:])
    before[1:] -= 1
    longer = np.flatnonzero(before)
    if not len(longer):
        return values
    before = before[longer]
    longest = int(before.max()) + 1
    if longest > _LONGEST:
        entry = int(np.searchsorted(lasts, longer[before.argmax()], side="right"))
        raise BadFile(Reason.BAD_MASK, f"{where} entry {entry}: a run length of {longest} characters")
    starts = ends[longer] - before
    sums = values[longer] << 5 * before
    sums += codes[starts] & 31
    for position in range(1, longest - 1):
        reach = np.flatnonzero(before > position)
        sums[reach] += (codes[starts[reach] + position] & 31).astype(np.int64) << 5 * position
    values[longer] = sums
    return values


def _sums(steps: np.ndarray, firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the running sums of steps, begun anew at each of `firsts`."""
    sums = np.cumsum(steps)
    begun = np.r_[0, sums[firsts[1:] - 1]]
    sums -= np.repeat(begun, lengths)
    return sums
