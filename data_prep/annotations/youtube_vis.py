"""Read YouTube-VIS: an object's mask on each picture of a video, as run lengths or polygons; its box is around it.

A picture's frame is the number in its name, and in a folder of pictures the picture of that name: YouTube-VIS keeps
every fifth frame of a video. `bboxes` stand in where an object has no masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

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
from data_prep.sources.masks import MOST_PIXELS
from data_prep.sources.rle import boxes_of
from data_prep.sources.rows import BadFile
from data_prep.validation import quote


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the objects of the file.

    Raises:
        RecordError: the file is no JSON, or lacks `videos` or `annotations`.
    """
    document = read_document(path)
    videos = by_id(entries_of(document, "videos", path))
    categories = by_id(entries_of(document, "categories", path)) if "categories" in document else {}
    for number, annotation in enumerate(entries_of(document, "annotations", path)):
        name = text_of(annotation.get("id")) or str(number)
        try:
            video = known(videos, annotation.get("video_id"))
            files = video.get("file_names")
            if type(files) is not list or not files or not all(type(file) is str for file in files):
                raise Drop(Reason.MALFORMED, f"video {quote(annotation.get('video_id'))}: no list of file_names")
            size = size_in(video) or size_in(annotation)
            indices, boxes = boxes_in(annotation, size, len(files), f"{path.name} annotations[{number}]")
            names = [files[index] for index in indices]
            yield Marks(
                name=name,
                video=text_of(video.get("name")) or folder_in(files[0]),
                boxes=Samples(
                    np.array([number_in(one) - reading.first_frame for one in names], float), boxes, names=names
                ),
                size=size,
                label=text_of(known(categories, annotation.get("category_id")).get("name")),
                attributes=(texts_in(annotation, annotation.get("attributes"), video),),
            )
        except Drop as drop:
            yield Unread(name, drop.reason, f"{path.name} annotations[{number}]: {drop}")


def boxes_in(
    annotation: Mapping[str, Any], size: tuple[int, int] | None, count: int, where: str
) -> tuple[list[int], np.ndarray]:
    """Return the pictures on which an object is seen, and its half-open boxes there, in pixels: (n, 4).

    Args:
        size: (width, height) of the pictures, if stated.
        count: the number of pictures of the video.
        where: file and object, for messages.

    Raises:
        Drop: there is neither a mask nor a box for each picture, or one is of another kind.
    """
    field = "segmentations" if annotation.get("segmentations") else "bboxes"
    entries = annotation.get(field)
    if type(entries) is not list or len(entries) != count:
        shown = len(entries) if type(entries) is list else quote(entries)
        raise Drop(Reason.WRONG_LENGTH, f"{field}: {shown}, expected one for each of {count} file_names")
    seen = [(index, entry) for index, entry in enumerate(entries) if entry]
    if not seen:
        raise Drop(Reason.NO_BOX, f"{field}: null on all pictures")
    if field == "bboxes":
        corners = [numbers(entry, 4, f"bboxes[{index}]") for index, entry in seen]
        boxes = np.array([[x, y, x + width, y + height] for x, y, width, height in corners])
        return [index for index, _ in seen], boxes
    polygons = {index: _around(entry, index) for index, entry in seen if type(entry) is list}
    masks = [(index, entry) for index, entry in seen if type(entry) is not list]
    found: dict[int, Sequence[float]] = dict(polygons)
    if masks:
        found |= _around_masks(masks, size, where)
    indices = sorted(found)
    if not indices:
        raise Drop(Reason.NO_BOX, "its masks are empty")
    return indices, np.array([found[index] for index in indices], np.float64)


def _around(polygons: list[Any], index: int) -> list[float]:
    """Return the box around the polygons of one picture.

    Raises:
        Drop: they are no lists of points.
    """
    points: list[float] = []
    for polygon in polygons:
        if type(polygon) is not list or len(polygon) % 2:
            raise Drop(Reason.BAD_MASK, f"segmentations[{index}]: {quote(polygon)}, expected x and y of each point")
        points += numbers(polygon, len(polygon), f"segmentations[{index}]")
    if not points:
        raise Drop(Reason.BAD_MASK, f"segmentations[{index}]: no point")
    return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]


def _around_masks(
    masks: list[tuple[int, Any]], size: tuple[int, int] | None, where: str
) -> dict[int, Sequence[float]]:
    """Return picture -> box of the masks that are not empty.

    Raises:
        Drop: one is no run lengths, or of another size.
    """
    if size is None:
        raise Drop(Reason.UNKNOWN_SIZE, "run lengths, and neither video nor annotation states width and height")
    if size[0] * size[1] > MOST_PIXELS:
        raise Drop(Reason.BAD_SIZE, f"masks of {size[0]} x {size[1]} pixels")
    texts = [_compressed(entry, size, index) for index, entry in masks]
    try:
        found = boxes_of(texts, size, where)
    except BadFile as error:
        raise Drop(error.reason, str(error)) from None
    return {masks[row][0]: box for row, box in zip(found.frames.tolist(), found.boxes.tolist(), strict=True)}


def _compressed(entry: Any, size: tuple[int, int], index: int) -> Any:
    """Return a mask with its run lengths as COCO's text, also where it has them as a list of numbers.

    Raises:
        Drop: the numbers are no run lengths of a picture of this size.
    """
    runs = entry.get("counts") if type(entry) is dict else None
    if type(runs) is not list:
        return entry
    width, height = size
    whole = all(type(run) is int and 0 <= run <= width * height for run in runs)
    if not whole or entry.get("size") != [height, width] or sum(runs) != width * height:
        raise Drop(Reason.BAD_MASK, f"segmentations[{index}]: no run lengths of {width} x {height} pixels")
    text = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]
    return {"size": [height, width], "counts": text.decode("ascii")}
