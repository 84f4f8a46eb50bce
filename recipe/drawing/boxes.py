"""Boxes and time bars drawn into pictures, for the report and the README's figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from stvg_rewards import Span

Box = Sequence[float]
Spans = Span | Sequence[Span]


@dataclass(frozen=True)
class Look:
    """How one system's boxes and spans are drawn: colours that colour-blind readers tell apart, and line styles.

    Attributes:
        dash: pixels of a dash and of the gap after it; 0: a solid line.
        inset: pixels that the line lies inside the box, so that boxes that agree are all seen.
    """

    name: str
    colour: str
    dash: int = 0
    inset: int = 0


TRUE = Look("true", "#009E73")
SFT = Look("SFT", "#E69F00", dash=5, inset=2)
RL = Look("RL", "#0072B2", inset=4)
PREDICTED = Look("predicted", RL.colour)


def draw_boxes(
    frame: Image.Image, boxes: Sequence[tuple[Look, Box | None]], *, side: int = 144, smooth: bool = False
) -> Image.Image:
    """Return a copy of the frame, scaled so that its longer side has `side` pixels, with the boxes drawn into it.

    Args:
        boxes: (look, (x_min, y_min, x_max, y_max) normalised to [0, 1]) pairs; None draws nothing.
        side: pixels.
        smooth: scale as photographs want it; else pixels stay sharp squares.
    """
    factor = side / max(frame.size)
    width, height = (max(1, round(length * factor)) for length in frame.size)
    picture = frame.convert("RGB").resize(
        (width, height), Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(picture)
    for look, box in boxes:
        if box is not None:
            outline(draw, look, pixel_corners(box, (width, height)))
    return picture


def pixel_corners(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the first and the last pixel, both included, that a half-open normalised box covers.

    >>> pixel_corners((0.0, 0.0, 0.5, 1.0), (100, 50))
    (0, 0, 49, 49)
    """
    width, height = size
    left, top = min(round(box[0] * width), width - 1), min(round(box[1] * height), height - 1)
    right, bottom = max(round(box[2] * width) - 1, left), max(round(box[3] * height) - 1, top)
    return left, top, right, bottom


def outline(draw: ImageDraw.ImageDraw, look: Look, corners: tuple[int, int, int, int], thickness: int = 2) -> None:
    """Draw a box's outline inside its corners, (left, top, right, bottom) pixels, all included, `thickness` wide."""
    left, top, right, bottom = corners
    for inset in range(look.inset, look.inset + thickness):
        x0, y0, x1, y1 = left + inset, top + inset, right - inset, bottom - inset
        if x0 > x1 or y0 > y1:
            return
        for start, end in (
            ((x0, y0), (x1, y0)),
            ((x0, y1), (x1, y1)),
            ((x0, y0), (x0, y1)),
            ((x1, y0), (x1, y1)),
        ):
            _line(draw, look, start, end)


def _line(draw: ImageDraw.ImageDraw, look: Look, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw a horizontal or vertical line, dashed or solid."""
    if not look.dash:
        draw.line([start, end], fill=look.colour)
        return
    across = end[0] - start[0]
    length = across or end[1] - start[1]
    for begin in range(0, length + 1, 2 * look.dash):
        stop = min(begin + look.dash - 1, length)
        if across:
            draw.line([(start[0] + begin, start[1]), (start[0] + stop, start[1])], fill=look.colour)
        else:
            draw.line([(start[0], start[1] + begin), (start[0], start[1] + stop)], fill=look.colour)


def spans_in(spans: Spans | None) -> list[Span]:
    """Return one span, several, or none as a list.

    >>> spans_in((2, 5)), spans_in([(2, 3), (7, 9)]), spans_in(None)
    ([(2, 5)], [(2, 3), (7, 9)], [])
    """
    if not spans:
        return []
    first = spans[0]
    return [(first, spans[1])] if isinstance(first, int) else list(spans)  # type: ignore[list-item, arg-type]


def time_bars(seconds: int, spans: Sequence[tuple[Look, Spans | None]], *, width: int, row: int = 12) -> Image.Image:
    """Draw one bar for each system over the clip's seconds, on white.

    Args:
        seconds: K of the clip.
        spans: (look, (first, last) second, inclusive, or a list of them) pairs; None draws an empty bar.
        width, row: pixels of the picture's width and of one bar with its gap.
    """
    picture = Image.new("RGB", (width, row * len(spans)), "white")
    draw = ImageDraw.Draw(picture)
    for index, (look, given) in enumerate(spans):
        top, bottom = index * row + 2, (index + 1) * row - 3
        draw.rectangle([0, top, width - 1, bottom], fill="#e4e4e4")
        for span in spans_in(given):
            left, right = (round(second * width / seconds) for second in (span[0], min(span[1] + 1, seconds)))
            draw.rectangle([left, top, max(right - 1, left), bottom], fill=look.colour)
    return picture


def clock(second: float) -> str:
    """Return minutes and seconds.

    >>> clock(75.2)
    '1:15'
    """
    return f"{int(second) // 60}:{int(second) % 60:02d}"


def contact_strip(frames: Sequence[Image.Image], *, gap: int = 4) -> Image.Image:
    """Place frames side by side on white, in order."""
    width = sum(frame.width for frame in frames) + gap * (len(frames) - 1)
    strip = Image.new("RGB", (width, max(frame.height for frame in frames)), "white")
    left = 0
    for frame in frames:
        strip.paste(frame, (left, 0))
        left += frame.width + gap
    return strip


def boxes_by_second(second: int, systems: Sequence[tuple[Look, Mapping[int, Box]]]) -> list[tuple[Look, Box | None]]:
    """Return the boxes of several systems at one second, as `draw_boxes` takes them."""
    return [(look, boxes.get(second)) for look, boxes in systems]
