"""Read large JSON documents piece by piece, with a limit on how deep they nest.

A block of the file at a time is cut at the commas between the outermost entries (strings and brackets are found for a
whole block at once), and what lies between is parsed. ijson was measured and is no better (docs/benchmarks.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from data_prep.records import RecordError

DEEPEST = 64
BLOCK = 1 << 18  # bytes that are looked at together
LARGEST = 256 << 20  # bytes of one outermost entry
_OPEN, _CLOSE, _QUOTE, _COMMA = 1, 2, 3, 4
_MARKS = np.zeros(256, np.uint8)
_MARKS[list(b"[{")] = _OPEN
_MARKS[list(b"]}")] = _CLOSE
_MARKS[list(b'"')] = _QUOTE
_MARKS[list(b",")] = _COMMA
_STEP = np.array([0, 1, -1, 0, 0], np.int32)


def read_list(path: Path) -> Iterator[Any]:
    """Yield the entries of a JSON list, one at a time; NaN and Infinity come as floats.

    Raises:
        RecordError: the file holds no JSON list, or nests too deep.
    """
    for batch in _batches(path, b"[", b"]", "list"):
        yield from batch


def read_object(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the (key, value) pairs of a JSON object, one at a time, keys that occur twice included.

    Raises:
        RecordError: the file holds no JSON object, or nests too deep.
    """
    for batch in _batches(path, b"{", b"}", "object"):
        yield from batch


def _batches(path: Path, opening: bytes, closing: bytes, kind: str) -> Iterator[list[Any]]:
    """Yield lists of whole entries, a block's at a time."""
    with path.open("rb") as stream:
        data = stream.read(BLOCK).removeprefix(b"\xef\xbb\xbf").lstrip()
        if data[:1] != opening:
            raise _broken(path, kind, f"it begins with {data[:20]!r}")
        data, index = data[1:], 0
        while True:
            commas, end = _cuts(data, path)
            if end is not None:
                rest = data[end + 1 :].strip() or stream.read(BLOCK).strip()
                if data[end : end + 1] != closing or rest:
                    raise _broken(path, kind, f"after entry {index + len(commas)}")
                if index or commas or data[:end].strip():
                    yield _parsed(data, [*commas, end], kind, path, index)
                return
            if commas:
                yield _parsed(data, commas, kind, path, index)
                index += len(commas)
                data = data[commas[-1] + 1 :]
            if len(data) > LARGEST:
                raise RecordError(f"{path}: entry {index} has more than {LARGEST} bytes")
            # At least as much again as is left over: an entry of many blocks is looked at a few times only.
            more = stream.read(max(BLOCK, len(data)))
            if not more:
                raise _broken(path, kind, f"it ends inside entry {index}")
            data += more


def _cuts(data: bytes, path: Path) -> tuple[list[int], int | None]:
    """Return the indices of the commas between outermost entries, and that of the last bracket or None.

    Raises:
        RecordError: brackets nest too deep.
    """
    clean = data.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in data else data
    marks = _MARKS[np.frombuffer(clean, np.uint8)]
    positions = np.flatnonzero(marks)
    marks = marks[positions]
    quotes = marks == _QUOTE
    # Up to an odd number of quotes is a string that is open.
    outside = ~quotes & (np.cumsum(quotes) % 2 == 0)
    positions, marks = positions[outside], marks[outside]
    depth = 1 + np.cumsum(_STEP[marks], dtype=np.int32)
    ends = np.flatnonzero(depth == 0)
    if len(ends):
        positions, marks, depth = positions[: ends[0] + 1], marks[: ends[0] + 1], depth[: ends[0] + 1]
    if len(depth) and depth.max() > DEEPEST:
        raise RecordError(f"{path}: JSON nested more than {DEEPEST} deep")
    commas: list[int] = positions[(marks == _COMMA) & (depth == 1)].tolist()
    return commas, int(positions[-1]) if len(ends) else None


def _parsed(data: bytes, cuts: list[int], kind: str, path: Path, index: int) -> list[Any]:
    """Return the entries between the cuts, parsed together where nothing is odd about them."""
    try:
        if kind == "list":
            entries: list[Any] = orjson.loads(b"[%b]" % data[: cuts[-1]])
        else:
            entries = list(orjson.loads(b"{%b}" % data[: cuts[-1]]).items())
        if len(entries) == len(cuts):
            return entries
    except orjson.JSONDecodeError:
        pass
    return [
        _one(data[begin:end], kind, path, index + number)
        for number, (begin, end) in enumerate(zip([0, *(cut + 1 for cut in cuts)], cuts, strict=False))
    ]


def _one(text: bytes, kind: str, path: Path, index: int) -> Any:
    """Return one entry, by the more lenient parser of the standard library: NaN is its converter's to refuse.

    Raises:
        RecordError: no JSON.
    """
    try:
        if kind == "list":
            return json.loads(text)
        ((key, value),) = json.loads(b"{%b}" % text).items()
        return key, value
    except (ValueError, RecursionError) as error:
        raise _broken(path, kind, f"entry {index}: {' '.join(str(error).split())[:120]}") from None


def _broken(path: Path, kind: str, detail: str) -> RecordError:
    return RecordError(f"{path}: not a whole JSON {kind} ({detail})")
