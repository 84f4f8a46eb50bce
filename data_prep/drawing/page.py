"""Pages that hold all they show: tiles with bars below them, pictures inside the page, one style."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from PIL import Image

from data_prep.drawing.boxes import Layer, boxes_at, clock, draw_boxes, shares

TEMPLATES = Path(__file__).parent / "templates"


def page_environment(*folders: Path) -> Environment:
    """Return an environment that escapes every text and finds templates in these folders and in this package's."""
    return Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def as_uri(content: bytes, kind: str) -> str:
    """Return bytes as a data URI of a media type, such as `video/mp4`."""
    return f"data:{kind};base64," + base64.b64encode(content).decode("ascii")


def picture_uri(picture: Image.Image, *, quality: int | None = 82) -> str:
    """Return a picture as a data URI: a JPEG of this quality, or a PNG where it is None."""
    out = io.BytesIO()
    if quality is None:
        picture.save(out, format="PNG", optimize=True)
        return as_uri(out.getvalue(), "image/png")
    picture.save(out, format="JPEG", quality=quality, subsampling=0)  # coloured lines stay sharp
    return as_uri(out.getvalue(), "image/jpeg")


def tile_values(
    frame: Image.Image,
    second: int,
    layers: Sequence[Layer],
    window: tuple[float, float],
    *,
    side: int = 200,
    photograph: bool = True,
) -> dict[str, Any]:
    """Return what the macro `tiles` of parts.html shows of a tile: its picture with boxes, its parts of the bars.

    Args:
        second: that the frame shows.
        window: the [begin, end) seconds of the clip that the tile stands for.
        side: pixels of the picture's longer side.
        photograph: scale smoothly and store as JPEG; else pixels stay sharp squares, as PNG.
    """
    picture = draw_boxes(frame, boxes_at(second, layers), side=side, smooth=photograph)
    bars = [
        {
            "name": layer.look.name,
            "colour": layer.look.colour,
            "parts": [
                (round(100 * low, 2), round(100 * (high - low), 2)) for low, high in shares(layer.spans, *window)
            ],
        }
        for layer in layers
    ]
    return {
        "src": picture_uri(picture, quality=82 if photograph else None),
        "size": picture.size,
        "caption": clock(second),
        "bars": bars,
    }
