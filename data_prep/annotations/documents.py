"""Read JSON documents of annotation tools: whole ones within limits, and their fields with their kinds checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_prep.annotations.marks import text_of
from data_prep.convert.json_stream import read_list, read_object
from data_prep.convert.reasons import Drop, Reason
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

LARGEST = 1 << 30  # bytes of a document that is held whole
_LAST_NUMBER = re.compile(r"(\d{1,18})\D*")


def read_document(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        RecordError: the file is too large, or holds no JSON object.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise BadFile(Reason.MALFORMED, f"{path}: {size} bytes, at most {LARGEST} are read; split the file")
    return dict(read_object(path))


def first_entry(path: Path) -> Any:
    """Return the first entry of a JSON list; None of an empty one.

    Raises:
        RecordError: the file holds no JSON list.
    """
    return next(read_list(path), None)


def entries_of(document: Mapping[str, Any], name: str, path: Path) -> list[dict[str, Any]]:
    """Return the objects of a list in a document.

    Raises:
        BadFile: there is no such list, or something else in it.
    """
    value = document.get(name)
    if type(value) is not list or not all(type(entry) is dict for entry in value):
        raise BadFile(Reason.MALFORMED, f"{path}: {name}: {quote(value)}, expected a list of objects")
    return value


def by_id(entries: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Return objects by their `id`, without those whose id is neither a number nor text."""
    return {entry["id"]: entry for entry in entries if type(entry.get("id")) in (int, str)}


def known(table: Mapping[Any, dict[str, Any]], key: Any) -> dict[str, Any]:
    """Return the object of an id; an empty one where there is none."""
    return table.get(key, {}) if type(key) in (int, str) else {}


def size_in(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the (width, height) that an object states; None where it does not."""
    width, height = (
        int(side) if isinstance(side, (int, float)) and 0 < side < 1e9 else 0
        for side in (entry.get("width"), entry.get("height"))
    )
    return (width, height) if width and height else None


def texts_in(*owners: Any) -> dict[str, str]:
    """Return the texts and numbers among the fields of objects, as texts; of two of one name the first stands."""
    texts: dict[str, str] = {}
    for owner in owners:
        for name, value in owner.items() if type(owner) is dict else ():
            if (text := text_of(value)) is not None:
                texts.setdefault(name, text)
    return texts


def number_in(name: str) -> int:
    """Return the last number in the name of a picture, without its folder and ending.

    Raises:
        Drop: there is none.

    >>> number_in("clip2/frame_000123.jpg"), number_in("17-left.png")
    (123, 17)
    """
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    found: Iterator[re.Match[str]] = _LAST_NUMBER.finditer(stem)
    numbers = [int(match[1]) for match in found]
    if not numbers:
        raise Drop(Reason.MALFORMED, f"picture {quote(name)}: no number in its name, so its frame is not known")
    return numbers[-1]


def folder_in(name: str) -> str | None:
    """Return the folder that a picture's name states; None where it states none.

    >>> folder_in("dogs/img1/000001.jpg"), folder_in("000001.jpg")
    ('dogs/img1', None)
    """
    folder, slash, _ = name.replace("\\", "/").rpartition("/")
    return folder if slash else None
