"""A contact sheet: one tile a second with the answer's box, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from recipe.drawing.boxes import PREDICTED, TRUE, clock, draw_boxes, time_bars
from stvg_rewards import Box, Span

CAPTION = 16


def contact_sheet(
    frames: Sequence[Image.Image],
    boxes: Mapping[int, Box],
    span: Span | None,
    *,
    true_span: Span | None = None,
    tile: int = 200,
    columns: int = 8,
) -> Image.Image:
    """Draw tiles in reading order, each with its second and box, and the answer's time bar below.

    Args:
        frames: one a second.
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1].
        span: (first, last) second, inclusive, or None.
        true_span: the true one, where it is known: a second bar.
        tile: pixels of a tile's longer side.
    """
    columns = max(1, min(columns, len(frames)))
    tiles = [
        draw_boxes(frame, [(PREDICTED, boxes.get(second))], side=tile, smooth=True)
        for second, frame in enumerate(frames)
    ]
    width, height = max(t.width for t in tiles), max(t.height for t in tiles) + CAPTION
    rows = -(-len(tiles) // columns)
    rows_of_bars = [(PREDICTED, span)] + ([(TRUE, true_span)] if true_span else [])
    bars = time_bars(len(frames), rows_of_bars, width=columns * (width + 4), row=14)
    sheet = Image.new("RGB", (columns * (width + 4), rows * (height + 4) + bars.height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for index, picture in enumerate(tiles):
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
