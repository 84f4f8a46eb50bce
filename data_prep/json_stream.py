"""Large JSON documents read piece by piece, with a limit on how deep they nest.

An incremental parser keeps the path to where it is: a document of 100,000 open brackets would take gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from data_prep.records import RecordError

DEEPEST = 64
# What is left of a string from a place inside it, and its closing quote if it comes; it never has to try again.
_REST_OF_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*("?)', re.DOTALL)
_MARKS = re.compile(rb'[\[\]{}"]')


class _Shallow:
    """A binary file whose bytes are passed on as long as brackets outside strings nest at most `DEEPEST` deep."""

    def __init__(self, path: Path, stream: Any) -> None:
        self.path, self.stream = path, stream
        self.depth, self.in_string, self.half_escape = 0, False, b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            RecordError: they nest too deep.
        """
        data: bytes = self.stream.read(size)
        self._look(self.half_escape + data)
        return data

    def _look(self, data: bytes) -> None:
        place, self.half_escape = 0, b""
        while place < len(data):
            if self.in_string:
                match = _REST_OF_STRING.match(data, place)
                assert match is not None  # it matches nothing, too
                place = match.end()
                self.in_string = not match.group(1)
                if self.in_string:
                    self.half_escape = data[place:]  # a backslash whose character is in the next bytes
                    return
                continue
            mark = _MARKS.search(data, place)
            if mark is None:
                return
            place = mark.end()
            if mark.group() == b'"':
                self.in_string = True
                continue
            self.depth += 1 if mark.group() in b"[{" else -1
            if self.depth > DEEPEST:
                raise RecordError(f"{self.path}: JSON nested more than {DEEPEST} deep")


def read_list(path: Path) -> Iterator[Any]:
    """Entries of a JSON list, one at a time.

    Raises:
        RecordError: the file holds no JSON list, or nests too deep.
    """
    yield from _each(path, "item", "list")


def read_object(path: Path) -> Iterator[tuple[str, Any]]:
    """(key, value) pairs of a JSON object, one at a time.

    Raises:
        RecordError: the file holds no JSON object, or nests too deep.
    """
    yield from _each(path, "", "object")


def _each(path: Path, prefix: str, kind: str) -> Iterator[Any]:
    with path.open("rb") as stream:
        shallow = _Shallow(path, stream)
        try:
            if kind == "list":
                yield from ijson.items(shallow, prefix, use_float=True)
            else:
                yield from ijson.kvitems(shallow, prefix, use_float=True)
        except (ijson.JSONError, UnicodeDecodeError, OverflowError, ValueError) as error:
            raise RecordError(f"{path}: not a whole JSON {kind} ({' '.join(str(error).split())[:120]})") from None
