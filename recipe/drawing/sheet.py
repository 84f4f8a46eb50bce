"""A contact sheet: one tile a second with the answer's box, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from recipe.drawing.boxes import PREDICTED, TRUE, Look, Spans, clock, draw_boxes, time_bars
from stvg_rewards import Box

CAPTION = 16
TILE = 200


def tile_size(size: tuple[int, int], tile: int = TILE) -> tuple[int, int]:
    """Return (width, height) in pixels of a picture's tile, whose longer side is `tile`.

    >>> tile_size((1280, 720))
    (200, 112)
    """
    factor = tile / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def contact_sheet(
    frames: Sequence[Image.Image],
    boxes: Mapping[int, Box],
    span: Spans | None,
    *,
    true_span: Spans | None = None,
    tile: int = TILE,
    columns: int = 8,
) -> Image.Image:
    """Draw tiles in reading order, each with its second and box, and the answer's time bar below.

    Args:
        frames: one a second.
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1].
        span: (first, last) second, inclusive, a list of them, or None.
        true_span: the true one, or several, where it is known: a second bar.
        tile: pixels of a tile's longer side.
    """
    columns = max(1, min(columns, len(frames)))
    sizes = [tile_size(frame.size, tile) for frame in frames]
    width, height = max(size[0] for size in sizes), max(size[1] for size in sizes) + CAPTION
    rows = -(-len(frames) // columns)
    rows_of_bars: list[tuple[Look, Spans | None]] = [(PREDICTED, span)]
    rows_of_bars += [(TRUE, true_span)] if true_span else []
    bars = time_bars(len(frames), rows_of_bars, width=columns * (width + 4), row=14)
    sheet = Image.new("RGB", (columns * (width + 4), rows * (height + 4) + bars.height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for index, frame in enumerate(frames):
        picture = draw_boxes(frame, [(PREDICTED, boxes.get(index))], side=tile, smooth=True)
        left, top = (index % columns) * (width + 4), (index // columns) * (height + 4)
        sheet.paste(picture, (left, top + CAPTION))
        draw.text((left + 2, top), clock(index), fill="#222222", font=font)
    sheet.paste(bars, (0, rows * (height + 4)))
    return sheet


def write_sheet(path: Path, sheet: Image.Image) -> Path:
    """Write a PNG; aside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    sheet.save(aside, format="PNG")
    aside.replace(path)
    return path
