"""A contact sheet: one tile a second with its boxes, and below each row of tiles when it happens, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from data_prep.drawing.boxes import (
    INK,
    Layer,
    bars_of,
    boxes_at,
    clock,
    draw_boxes,
    is_photograph,
    legend,
    stack,
    time_bars,
)
from data_prep.files import atomic_write

CAPTION = 16
TILE = 200
GAP = 4


def tile_size(size: tuple[int, int], tile: int = TILE) -> tuple[int, int]:
    """Return (width, height) in pixels of a picture's tile, whose longer side is `tile`.

    >>> tile_size((1280, 720))
    (200, 112)
    """
    factor = tile / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def contact_sheet(
    frames: Sequence[Image.Image],
    layers: Sequence[Layer],
    *,
    seconds: Sequence[int] | None = None,
    of: int | None = None,
    tile: int = TILE,
    columns: int = 8,
) -> Image.Image:
    """Draw tiles in reading order, each with its second and boxes, bars below each row of tiles, and a legend.

    Args:
        frames: one for each tile, in order.
        layers: what is drawn, whose boxes are by second.
        seconds: which second each frame shows; None: 0, 1, 2, ...
        of: K of the clip; None: as many as frames. Each tile stands for an equal part of it.
        tile: pixels of a tile's longer side.
    """
    columns = max(1, min(columns, len(frames)))
    seconds = range(len(frames)) if seconds is None else seconds
    length = len(frames) if of is None else of
    sizes = [tile_size(frame.size, tile) for frame in frames]
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes)
    font = ImageFont.load_default(12)
    parts: list[Image.Image] = []
    for first in range(0, len(frames), columns):
        row = range(first, min(first + columns, len(frames)))
        wide = len(row) * (width + GAP) - GAP
        strip = Image.new("RGB", (wide, CAPTION + height), "white")
        draw = ImageDraw.Draw(strip)
        for place, index in enumerate(row):
            frame = frames[index]
            picture = draw_boxes(frame, boxes_at(seconds[index], layers), side=tile, smooth=is_photograph(frame))
            strip.paste(picture, (place * (width + GAP), CAPTION))
            draw.text((place * (width + GAP) + 2, 0), clock(seconds[index]), fill=INK, font=font)
        window = (row[0] * length / len(frames), (row[-1] + 1) * length / len(frames))
        bars = time_bars(length, bars_of(layers), width=wide, tiles=len(row), gap=GAP, window=window)
        parts.append(stack([strip, bars], gap=0))
    parts.append(legend([layer.look for layer in layers], columns * (width + GAP) - GAP))
    return stack(parts)


def write_sheet(path: Path, sheet: Image.Image) -> Path:
    """Write a PNG; aside, then renamed."""
    with atomic_write(path, "wb") as out:
        sheet.save(out, format="PNG")
    return path
