"""Read projects of the VGG Image Annotator (VIA): version 3 with videos, version 2 with pictures of frames.

VIA draws nothing between the moments that were annotated. Its regions have no identity: those of one video are one
object where their attribute for the track (`track`, `object`, ...), else for the label, else all attributes agree. A
temporal segment of version 3 without a region says only when something happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.annotations.documents import folder_in, number_in, read_document
from data_prep.annotations.marks import Marks, Reading, Samples, Unread, numbers, text_of
from data_prep.annotations.tables import meaning_of
from data_prep.convert.reasons import Drop, Reason
from data_prep.validation import quote

POINT, RECTANGLE, CIRCLE, ELLIPSE, LINE, POLYLINE, POLYGON, EXTREME_RECTANGLE, EXTREME_CIRCLE = range(1, 10)
POINTS = (POLYGON, POLYLINE, EXTREME_RECTANGLE)
NO_AREA = "regions without an area, or on no single frame"


@dataclass
class _Object:
    video: str | None
    attributes: dict[str, str]
    in_seconds: bool
    positions: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)


@dataclass
class _Found:
    """Hold the objects of a file by what tells them apart, and what is wrong with others."""

    objects: dict[tuple[str, ...], _Object] = field(default_factory=dict)
    others: list[Marks | Unread] = field(default_factory=list)

    def add(
        self, video: str | None, attributes: dict[str, str], position: float, box: list[float], name: str | None
    ) -> None:
        """Add one region to its object."""
        apart = _by_meaning(attributes, "track") or _by_meaning(attributes, "label")
        key = (video or "", apart) if apart else (video or "", *(word for pair in attributes.items() for word in pair))
        one = self.objects.setdefault(key, _Object(video, {}, name is None))
        for attribute, text in attributes.items():
            one.attributes.setdefault(attribute, text)
        one.positions.append(position)
        one.boxes.append(box)
        if name is not None:
            one.names.append(name)


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the objects of a project, and its temporal segments.

    Raises:
        RecordError: the file is no JSON object.
    """
    document = read_document(path)
    found = (
        _of_version_3(document, path, reading) if "metadata" in document else _of_version_2(document, path, reading)
    )
    for number, one in enumerate(found.objects.values(), 1):
        samples = Samples(np.array(one.positions), np.array(one.boxes), one.in_seconds, one.names or None)
        label = _by_meaning(one.attributes, "label") or _by_meaning(one.attributes, "track")
        label = label or next(iter(one.attributes.values()), None)
        query = _by_meaning(one.attributes, "query")
        yield Marks(str(number), one.video, samples, "pixels", None, label, query, (one.attributes,))
    yield from found.others


def _by_meaning(attributes: Mapping[str, str], meaning: str) -> str | None:
    """Return the attribute that is called like a table's column of this meaning."""
    return next((text for name, text in attributes.items() if meaning_of(name) == meaning and text), None)


# --- Version 3: moments and segments of videos --------------------------------------------------------------------


def _of_version_3(document: Mapping[str, Any], path: Path, reading: Reading) -> _Found:
    found = _Found()
    parts = {name: _object(document.get(name)) for name in ("metadata", "view", "file", "attribute")}
    for name, entry in parts["metadata"].items():
        try:
            entry = _needed(entry)
            video = _video_of(entry.get("vid"), parts["view"], parts["file"])
            attributes = _attributes_of(_object(entry.get("av")), parts["attribute"])
            times, shape = entry.get("z"), entry.get("xy")
            if type(times) is not list or type(shape) is not list:
                raise Drop(Reason.MALFORMED, f"z {quote(times)}, xy {quote(shape)}, expected two lists")
            if len(times) == 2 and not shape:
                begin, end = numbers(times, 2, "z")
                label = _by_meaning(attributes, "label")
                query = _by_meaning(attributes, "query") or next(iter(attributes.values()), None)
                found.others.append(
                    Marks(name, video, None, None, None, label, query, (attributes,), events=((begin, end),))
                )
            elif len(times) != 1 or not shape or (box := _box_of(shape)) is None:
                reading.ignore(NO_AREA)
            else:
                found.add(video, attributes, numbers(times, 1, "z")[0], box, None)
        except Drop as drop:
            found.others.append(Unread(name, drop.reason, f"{path.name} metadata {quote(name)}: {drop}"))
    return found


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _needed(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Drop(Reason.MALFORMED, f"{quote(value)}, expected an object")
    return value


def _video_of(view: Any, views: Mapping[str, Any], files: Mapping[str, Any]) -> str | None:
    """Return the address or name of the first file of a view."""
    listed = _object(views.get(str(view))).get("fid_list")
    file = _object(files.get(str(listed[0]))) if type(listed) is list and listed else {}
    source = text_of(file.get("src"))
    if source is None or source.startswith(("blob:", "data:")):
        return text_of(file.get("fname"))
    return source


def _attributes_of(values: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> text; where an attribute offers options, the text of what was chosen."""
    texts = {}
    for number, value in values.items():
        attribute = _object(attributes.get(number))
        options = _object(attribute.get("options"))
        text = text_of(value)
        if text is not None:
            chosen = [text_of(options.get(part.strip())) for part in text.split(",")]
            text = ", ".join(map(str, chosen)) if all(chosen) else text
            texts[text_of(attribute.get("aname")) or number] = text
    return texts


def _box_of(shape: list[Any]) -> list[float] | None:
    """Return the box of a region; None for one without an area.

    Raises:
        Drop: its numbers are none.

    >>> _box_of([2, 10, 20, 5, 6]), _box_of([3, 10, 10, 4]), _box_of([1, 3, 3])
    ([10.0, 20.0, 15.0, 26.0], [6.0, 6.0, 14.0, 14.0], None)
    """
    kind, values = shape[0], shape[1:]
    if kind == RECTANGLE:
        x, y, width, height = numbers(values, 4, "rectangle")
        return [x, y, x + width, y + height]
    if kind in (CIRCLE, ELLIPSE):
        x, y, *radii = numbers(values, 3 if kind == CIRCLE else 4, "circle or ellipse")
        return [x - radii[0], y - radii[-1], x + radii[0], y + radii[-1]]
    if kind in POINTS and len(values) >= 6 and len(values) % 2 == 0:
        points = numbers(values, len(values), "points")
        return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]
    return None


# --- Version 2: pictures of frames --------------------------------------------------------------------------------


def _of_version_2(document: Mapping[str, Any], path: Path, reading: Reading) -> _Found:
    found = _Found()
    pictures = document.get("_via_img_metadata", document)
    for name, picture in _object(pictures).items():
        try:
            picture = _needed(picture)
            file_name = text_of(picture.get("filename")) or ""
            video = _by_meaning(_texts(picture.get("file_attributes")), "video") or folder_in(file_name)
            regions = picture.get("regions")
            for region in regions.values() if type(regions) is dict else regions if type(regions) is list else ():
                shape = _object(_needed(region).get("shape_attributes"))
                box = _box_of_named(shape)
                if box is None:
                    reading.ignore(NO_AREA)
                    continue
                frame = number_in(file_name) - reading.first_frame
                found.add(video, _texts(region.get("region_attributes")), frame, box, file_name)
        except Drop as drop:
            found.others.append(Unread(name, drop.reason, f"{path.name} picture {quote(name)}: {drop}"))
    return found


def _texts(attributes: Any) -> dict[str, str]:
    """Return name -> text; of boxes that were ticked, their names."""
    texts = {}
    for name, value in _object(attributes).items():
        ticked = (
            ", ".join(option for option, is_ticked in value.items() if is_ticked) if type(value) is dict else value
        )
        if (text := text_of(ticked)) is not None:
            texts[name] = text
    return texts


def _box_of_named(shape: Mapping[str, Any]) -> list[float] | None:
    """Return the box of a region whose numbers have names; None for one without an area.

    Raises:
        Drop: its numbers are none.
    """
    kind = shape.get("name")
    if kind == "rect":
        return _box_of([RECTANGLE, *(shape.get(key) for key in ("x", "y", "width", "height"))])
    if kind == "circle":
        return _box_of([CIRCLE, *(shape.get(key) for key in ("cx", "cy", "r"))])
    if kind == "ellipse":
        return _box_of([ELLIPSE, *(shape.get(key) for key in ("cx", "cy", "rx", "ry"))])
    if kind in ("polygon", "polyline"):
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if type(x) is not list or type(y) is not list or len(x) != len(y):
            raise Drop(Reason.BAD_BOX, "all_points_x and all_points_y, expected two lists of one length")
        return _box_of([POLYGON, *(value for point in zip(x, y, strict=True) for value in point)])
    return None
