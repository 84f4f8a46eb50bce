"""Read COCO annotations of videos: CocoVID, TAO, and CVAT's and others' COCO exports of frames.

Boxes stand on the pictures that the file lists; nothing is drawn between them. A picture's frame is its `frame_id` or
`frame_index`, else the number in its name, and in a folder of pictures the picture of that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.annotations.documents import (
    by_id,
    entries_of,
    folder_in,
    known,
    number_in,
    read_document,
    size_in,
    texts_in,
)
from data_prep.annotations.marks import Marks, Reading, Samples, Unread, numbers, text_of
from data_prep.convert.reasons import Drop, Reason
from data_prep.validation import quote

FRAMES = ("frame_id", "frame_index", "frame_number", "frame")
TRACKS = ("track_id", "instance_id", "object_id")
CROWDS = "annotations of crowds (iscrowd)"


@dataclass
class _Object:
    label: str | None
    video: str | None
    size: tuple[int, int] | None
    texts: dict[str, str]
    positions: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    fault: Drop | None = None


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the objects of each video, in the order of their first annotations.

    Raises:
        RecordError: the file is no JSON, or lacks one of COCO's lists.
    """
    document = read_document(path)
    images = by_id(entries_of(document, "images", path))
    annotations = entries_of(document, "annotations", path)
    tables = {
        name: by_id(entries_of(document, name, path)) if name in document else {}
        for name in ("videos", "categories", "tracks")
    }
    objects: dict[tuple[Any, ...], _Object] = {}
    for number, annotation in enumerate(annotations):
        if annotation.get("iscrowd") == 1:
            reading.ignore(CROWDS)
            continue
        image = known(images, annotation.get("image_id"))
        track = _first_of(annotation, TRACKS)
        video = known(tables["videos"], image.get("video_id", annotation.get("video_id")))
        file_name = text_of(image.get("file_name")) or ""
        called = text_of(video.get("name")) or text_of(video.get("file_name")) or folder_in(file_name)
        category = annotation.get("category_id")
        key = (called, text_of(track), text_of(category))
        one = objects.get(key)
        if one is None:
            of_track = known(tables["tracks"], track)
            label = text_of(known(tables["categories"], category).get("name"))
            texts = texts_in(annotation, annotation.get("attributes"), of_track, video)
            one = objects[key] = _Object(label, called, size_in(image) or size_in(video), texts)
        try:
            _add(one, annotation, image, file_name, reading)
        except Drop as drop:
            one.fault = one.fault or Drop(drop.reason, f"{path.name} annotations[{number}]: {drop}")
    for number, ((_, track, _), one) in enumerate(objects.items(), 1):
        name = track or str(number)
        if one.fault is not None:
            yield Unread(name, one.fault.reason, str(one.fault))
            continue
        names = one.names if all(one.names) else None
        boxes = Samples(np.array(one.positions), np.array(one.boxes).reshape(-1, 4), names=names)
        yield Marks(name, one.video, boxes, "pixels", one.size, one.label, attributes=(one.texts,))


def _first_of(owner: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of some fields that an annotation has, itself or among its attributes; None without any."""
    inner = owner.get("attributes")
    for fields in (owner, inner if type(inner) is dict else {}):
        for name in names:
            if fields.get(name) is not None:
                return fields[name]
    return None


def _add(
    one: _Object, annotation: Mapping[str, Any], image: Mapping[str, Any], file_name: str, reading: Reading
) -> None:
    """Add an annotation's box to its object.

    Raises:
        Drop: its picture is not listed, or a number is none.
    """
    if not image:
        raise Drop(Reason.MALFORMED, f"image_id {quote(annotation.get('image_id'))} is not in images")
    if reading.without_occluded and _first_of(annotation, ("occluded", "occlusion")) in (True, 1, "true", "1"):
        return
    x, y, width, height = numbers(annotation.get("bbox"), 4, "bbox")
    stated = _first_of(image, FRAMES)
    frame = number_in(file_name) if stated is None else numbers([stated], 1, "frame")[0]
    one.positions.append(frame - reading.first_frame)
    one.names.append(file_name)
    one.boxes.append([x, y, x + width, y + height])
