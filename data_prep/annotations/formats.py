"""Tell what kind of annotation file one is, by what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from data_prep.annotations import coco, csv_rows, cvat, jsonl_lines, label_studio, via, youtube_vis
from data_prep.annotations.documents import first_entry
from data_prep.annotations.marks import Marks, Reading, Unread
from data_prep.annotations.tables import LONGEST_HEAD, meaning_of, separator_of
from data_prep.convert.json_stream import read_object
from data_prep.convert.reasons import Reason
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

Reader = Callable[[Path, Reading], Iterator[Marks | Unread]]
READERS: dict[str, Reader] = {
    "csv": csv_rows.read,
    "jsonl": jsonl_lines.read,
    "cvat": cvat.read,
    "label-studio": label_studio.read,
    "coco": coco.read,
    "youtube-vis": youtube_vis.read,
    "via": via.read,
}
KNOWN = "CSV, JSONL, CVAT for video 1.1, Label Studio JSON, COCO video or TAO JSON, YouTube-VIS JSON, VIA 2 or 3 JSON"
_LINE_KEYS = {"query", "boxes", "span", "spans"}


def format_of(path: Path) -> str:
    """Return the name of a file's format.

    Raises:
        BadFile: it cannot be read, or is none that is known.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(LONGEST_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise BadFile(Reason.NO_ANNOTATION, f"{path}: {error.strerror}") from None
    if head.startswith(b"PK\x03\x04"):
        raise BadFile(Reason.MALFORMED, f"{path}: a ZIP archive; unpack it and give the file of annotations in it")
    if head.startswith(b"<"):
        return "cvat"
    if head.startswith(b"["):
        found = "label-studio" if _is_task(first_entry(path)) else None
    elif head.startswith(b"{"):
        found = "jsonl" if _is_line(head, path) else _format_of_object(path)
    else:
        found = "csv" if _is_table(head) else None
    if found is None:
        raise BadFile(
            Reason.MALFORMED, f"{path}: begins with {quote(repr(head[:60]))}, expected {KNOWN} (see --format)"
        )
    return found


def _is_table(head: bytes) -> bool:
    """Return whether a file's first line names columns, at least two of them known."""
    try:
        line = head.splitlines()[0].decode("utf-8")
    except (IndexError, UnicodeDecodeError):
        return False
    names = [name.strip().strip('"') for name in line.split(separator_of(line))]
    known = {"video", "query", "label", "track", "time", "time_ms", "frame", "x_min", "x_max", "x", "width", "begin"}
    return len({meaning_of(name) for name in names} & known) >= 2


def _is_task(value: Any) -> bool:
    """Return whether a value is a task of Label Studio, of either export."""
    if type(value) is not dict:
        return False
    if type(value.get("annotations", value.get("completions"))) is list and type(value.get("data")) is dict:
        return True
    lists = [entry for entry in value.values() if type(entry) is list]
    return any(type(entry) is dict and "sequence" in entry for entries in lists for entry in entries[:1])


def _format_of_object(path: Path) -> str | None:
    """Return the format of a JSON object by its keys, reading no further than to the one that tells."""
    seen: dict[str, Any] = {}
    for key, value in read_object(path):
        if key.startswith("_via_") or (type(value) is dict and {"filename", "regions"} <= value.keys()):
            return "via"
        seen[key] = value if key == "data" else None
        if {"project", "metadata", "attribute"} <= seen.keys():
            return "via"
        if key == "annotations" and type(value) is list:
            first = value[0] if value and type(value[0]) is dict else {}
            if "result" in first:
                return "label-studio"
            if {"segmentations", "bboxes"} & first.keys():
                return "youtube-vis"
            if "image_id" in first:
                return "coco"
    return None


def _is_line(head: bytes, path: Path) -> bool:
    """Return whether a file's first line is an object of one's own lines."""
    line = head.split(b"\n", 1)[0]
    if len(line) == len(head):  # longer than what was read
        with path.open("rb") as stream:
            line = stream.readline(jsonl_lines.LONGEST).removeprefix(b"\xef\xbb\xbf")
    try:
        value: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return type(value) is dict and bool(_LINE_KEYS & value.keys()) and "annotations" not in value
