"""Compressed run lengths of COCO, checked and read for all masks of a video at once.

pycocotools, whose format this is, checks nothing and reads on behind a text that does not end; the tests compare with
it. Arrays of all masks together take a third of the time of its one mask after the other with the checks beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_prep.boxes import FrameBoxes
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile

_LONGEST = 8  # characters of one number: 40 bits
_SHORT, _FEW = 4, 1 << 12  # characters of one number, and numbers of one mask, whose sums 31 bits hold
_PIECE = 1 << 18  # characters


def boxes_of(masks: list[Any], size: tuple[int, int], where: str) -> FrameBoxes:
    """Return the index of each mask that is not empty, and its half-open box in pixels.

    Args:
        masks: {"size": [height, width], "counts": text} each.
        size: (width, height), pixels.
        where: file and object, for messages.

    Raises:
        BadFile: no run lengths, or those of another size.
    """
    texts = _texts_of(masks, size, where)
    if not texts:
        return FrameBoxes(np.zeros(0, np.int64), np.zeros((0, 4)))
    try:
        found = np.concatenate([_boxes_of_texts(piece, *size, where) for piece in _pieces(texts)])
    except BadFile:
        found = _boxes_of_texts(texts, *size, where)  # which names the entry among all
    seen = np.flatnonzero(found[:, 2])
    return FrameBoxes(seen, found[seen])


def boxes_of_each(
    objects: Sequence[list[Any]], size: tuple[int, int], where: Sequence[str]
) -> list[FrameBoxes | BadFile]:
    """Return what `boxes_of` gives for the masks of each object, or its refusal; faster than one object at a time."""
    try:
        together = boxes_of([mask for masks in objects for mask in masks], size, "")
    except BadFile:
        return [_boxes_or_refusal(masks, size, name) for masks, name in zip(objects, where, strict=True)]
    begins = np.cumsum([0, *map(len, objects)])
    places = np.searchsorted(together.frames, begins)
    return [
        FrameBoxes(together.frames[low:high] - begin, together.boxes[low:high])
        for begin, low, high in zip(begins.tolist(), places.tolist(), places[1:].tolist(), strict=False)
    ]


def _boxes_or_refusal(masks: list[Any], size: tuple[int, int], where: str) -> FrameBoxes | BadFile:
    try:
        return boxes_of(masks, size, where)
    except BadFile as error:
        return error


def _texts_of(masks: list[Any], size: tuple[int, int], where: str) -> list[str]:
    """Return the run lengths of masks.

    Raises:
        BadFile: See `boxes_of`; it names the entry.
    """
    shape = [size[1], size[0]]
    try:
        texts = [mask["counts"] for mask in masks if type(mask) is dict and mask["size"] == shape]
        if len(texts) == len(masks) and all(texts) and "".join(texts).isascii():
            return texts
    except (KeyError, TypeError):
        pass
    for index, mask in enumerate(masks):
        if type(mask) is not dict or mask.get("size") != shape:
            stated = mask.get("size") if type(mask) is dict else mask
            raise BadFile(Reason.BAD_MASK, f"{where} entry {index}: size {stated!r:.60}, expected {shape}")
        text = mask.get("counts")
        if type(text) is not str or not text or not text.isascii():
            raise BadFile(Reason.BAD_MASK, f"{where} entry {index}: counts {text!r:.60}, expected run lengths")
    return [mask["counts"] for mask in masks]


def _pieces(texts: list[str]) -> Iterator[list[str]]:
    """Yield the texts in pieces of some 256 kB, so that the arrays of a long video stay small."""
    if sum(map(len, texts)) <= _PIECE:
        yield texts
        return
    piece: list[str] = []
    length = 0
    for text in texts:
        if length > _PIECE:
            yield piece
            piece, length = [], 0
        piece.append(text)
        length += len(text)
    yield piece


def _boxes_of_texts(texts: list[str], width: int, height: int, where: str) -> np.ndarray:
    """Return the half-open box of each mask in pixels, zeros for an empty one: float64 (masks, 4).

    Raises:
        BadFile: no run lengths, or those of another size.
    """
    zeros, ones, firsts = run_lengths(texts, where)
    area = width * height
    totals = np.add.reduceat(zeros, firsts, dtype=np.int64) + np.add.reduceat(ones, firsts, dtype=np.int64)
    invalid = np.flatnonzero((totals != area) | _leave(zeros, firsts, area) | _leave(ones, firsts, area))
    if len(invalid):
        raise BadFile(
            Reason.BAD_MASK, f"{where} entry {invalid[0]}: its run lengths do not add up to {width} x {height} pixels"
        )
    # The masks are one long picture, one to the right of the other, whose columns lie one after the other.
    ends = np.cumsum(zeros + ones, dtype=np.int64 if area * len(texts) >= 1 << 31 else zeros.dtype)
    left, top = _divmod(ends - ones, height)
    right, bottom = _divmod(ends - 1, height)
    # A run that goes on in another column reaches the picture's lower edge, and begins again at its upper one.
    across = right > left
    top[across], bottom[across] = 0, height - 1
    empty = ones == 0
    if empty.any():
        top[empty], left[empty] = height, width * len(texts)
        bottom[empty] = right[empty] = -1
    offset = width * np.arange(len(texts))
    boxes = np.stack(
        (
            np.minimum.reduceat(left, firsts) - offset,
            np.minimum.reduceat(top, firsts),
            np.maximum.reduceat(right, firsts) + 1 - offset,
            np.maximum.reduceat(bottom, firsts) + 1,
        ),
        axis=1,
    ).astype(np.float64)
    boxes[boxes[:, 3] == 0] = 0
    return boxes


def _divmod(values: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Return quotients and remainders; faster than `np.divmod`, which divides twice."""
    quotients = values // by
    return quotients, values - quotients * by


def _leave(runs: np.ndarray, firsts: np.ndarray, most: int) -> np.ndarray:
    """Return whether a mask holds a run below 0 or above `most`: bool (masks,)."""
    if runs.min() >= 0 and runs.max() <= most:
        return np.zeros(len(firsts), bool)
    return np.asarray((np.minimum.reduceat(runs, firsts) < 0) | (np.maximum.reduceat(runs, firsts) > most))


def run_lengths(texts: list[str], where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (runs of zeros, runs of ones, index of each mask's first run in both), pixels, all masks in a row.

    Runs of zeros and of ones alternate, zeros first. A mask that ends with zeros has a last run of ones of length 0,
    so that both arrays are equally long. They are int32 where that holds them, else int64.

    Each run is a little-endian number of 5 bits a character (bit 5: another one follows, bit 4 of the last: its sign);
    from the fourth on a run is written as the difference to the last but one.

    Raises:
        BadFile: characters that are none of the code, or a number that does not end or is longer than any written.
    """
    codes = np.frombuffer("".join(texts).encode("ascii"), np.uint8) - np.uint8(48)  # below 48 it wraps round
    bounds = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    begins = np.r_[0, bounds[:-1]]
    if codes.max() > 63 or (codes[bounds - 1] & 32).any():
        too_large = np.maximum.reduceat(codes, begins) > 63
        entry = int(np.flatnonzero(too_large | (codes[bounds - 1] & 32 != 0))[0])
        raise BadFile(Reason.BAD_MASK, f"{where} entry {entry}: no run lengths: {texts[entry]!r:.40}")
    goes_on = codes > 31
    longest = _longest(goes_on, bounds, where)
    is_first = np.empty_like(goes_on)
    is_first[0] = True
    np.logical_not(goes_on[:-1], out=is_first[1:])
    counts = np.add.reduceat(is_first, begins, dtype=np.int64)
    pairs = (counts + 1) // 2
    is_odd = counts % 2 == 1
    small = longest <= _SHORT and counts.max() <= _FEW
    # Faster than indexing by a mask is.
    values = np.compress(is_first, _numbers(codes, goes_on, longest, np.int32 if small else np.int64))
    values = np.insert(values, np.cumsum(counts)[is_odd], 0)
    lasts = np.cumsum(pairs)
    firsts = lasts - pairs
    steps = np.ascontiguousarray(values.reshape(-1, 2).T)
    # The first run of zeros stands alone; the differences to it are those of no other.
    alone = steps[0, firsts]
    steps[0, firsts] = 0
    # Running sums, begun anew at each mask; where they overflow, the difference is right again.
    runs = np.cumsum(steps, axis=1, dtype=steps.dtype)
    before = np.zeros((2, len(texts)), steps.dtype)
    before[:, 1:] = runs[:, lasts[:-1] - 1]
    runs -= np.repeat(before, pairs, axis=1)
    runs[0, firsts] = alone
    runs[1, lasts[is_odd] - 1] = 0
    return runs[0], runs[1], firsts


def _longest(goes_on: np.ndarray, bounds: np.ndarray, where: str) -> int:
    """Return how many characters the longest number has.

    Args:
        goes_on: whether another character of the same number follows each.
        bounds: one past the last character of each mask, for the message.

    Raises:
        BadFile: a number is longer than any that is written.
    """
    longest, begins = 1, goes_on
    while begins.any():
        longest += 1
        if longest > _LONGEST:
            first = int(begins.argmax())
            entry = int(np.searchsorted(bounds, first, side="right"))
            length = int(goes_on[first:].argmin()) + 1
            raise BadFile(Reason.BAD_MASK, f"{where} entry {entry}: a run length of {length} characters")
        begins = begins[:-1] & goes_on[longest - 1 :]
    return longest


def _numbers(codes: np.ndarray, goes_on: np.ndarray, longest: int, dtype: type[np.signedinteger[Any]]) -> np.ndarray:
    """Return at each character what it and the rest of its number stand for: at a number's first one, the number."""
    follows = -goes_on.view(np.int8)  # all bits set where another character follows
    own = np.left_shift(codes, 3).view(np.int8) >> 3  # bit 4 of a last character is the number's sign
    own &= ~(follows & np.int8(-32))
    first: np.ndarray = own.astype(dtype)
    values = first
    mask = follows[:-1].astype(dtype)
    # After the n-th round the numbers of n + 1 characters are right.
    for _ in range(longest - 1):
        rest = values[1:] << 5
        rest &= mask
        values = first.copy()
        values[:-1] += rest
    return values
