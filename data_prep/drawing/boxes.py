"""Boxes and time bars drawn into pictures: one look for pages, sheets, overlays and the pictures of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from stvg_rewards import Span

Box = Sequence[float]
Spans = Span | Sequence[Span]

HALO = "white"  # between a line and a picture of the line's own colour
TRACK = "#d4d4d4"  # of a bar where nothing happens
INK = "#222222"
SHARP_SIDE = 120  # pixels: made clips are smaller, and stay sharp squares
THICKNESS = 2  # pixels of a box's line


@dataclass(frozen=True)
class Look:
    """How one system's boxes and spans are drawn: colours that colour-blind readers tell apart, and line styles.

    Attributes:
        dash: pixels of a dash and of the gap after it; 0: a solid line.
    """

    name: str
    colour: str
    dash: int = 0


TRUE = Look("true", "#009E73")
SFT = Look("SFT", "#E69F00", dash=5)
RL = Look("RL", "#0072B2")
PREDICTED = Look("predicted", RL.colour)
# Of the objects of a scene, each with a label of its own.
COLOURS = (TRUE.colour, SFT.colour, RL.colour, "#CC79A7", "#56B4E9", "#D55E00")


@dataclass(frozen=True)
class Layer:
    """What one system says of a clip: when it happens, and where the target is.

    Several layers are drawn in the order in which they are given, with their bars from top to bottom: the true one
    first, then SFT, then RL or the prediction.

    Attributes:
        spans: (first, last) second, inclusive, a list of them, or None.
        boxes: second (of a video: frame in display order) -> (x_min, y_min, x_max, y_max), normalised to [0, 1].
        label: the target's name, written at the box in videos.
    """

    look: Look
    spans: Spans | None = None
    boxes: Mapping[int, Box] = field(default_factory=dict)
    label: str = ""


def is_photograph(frame: Image.Image) -> bool:
    """Return whether a frame is to be scaled smoothly; the small pictures of made clips keep their sharp squares."""
    return max(frame.size) > SHARP_SIDE


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
    outline(ImageDraw.Draw(picture), boxes, (width, height))
    return picture


def pixel_corners(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the first and the last pixel, both included, that a half-open normalised box covers.

    >>> pixel_corners((0.0, 0.0, 0.5, 1.0), (100, 50))
    (0, 0, 49, 49)
    """
    width, height = size
    left, top = (max(0, min(round(box[axis] * size[axis]), size[axis] - 1)) for axis in (0, 1))
    right, bottom = min(round(box[2] * width), width) - 1, min(round(box[3] * height), height) - 1
    return left, top, max(right, left), max(bottom, top)


def outline(
    draw: ImageDraw.ImageDraw,
    boxes: Sequence[tuple[Look, Box | None]],
    size: tuple[int, int],
    thickness: int = THICKNESS,
) -> None:
    """Draw the outlines of boxes that are all seen, on any picture and where they agree.

    The first lies on the outermost pixels of its box, each further one inside it by what the earlier ones take. Lines
    stand on a light halo, so that they show on a picture of their own colour. A box that its lines would fill is drawn
    around its pixels instead.

    Args:
        size: (width, height) of the picture, pixels.
        thickness: pixels of a line.
    """
    rings: list[tuple[Look, list[tuple[int, int, int, int]]]] = []
    drawn = 0
    for look, box in boxes:
        if box is None:
            continue
        left, top, right, bottom = pixel_corners(box, size)
        inset = drawn * thickness
        if min(right - left, bottom - top) < 2 * (inset + thickness) + 4:
            inset = -(drawn + 1) * thickness
        insets = range(inset - 1, inset + thickness + 1)  # with the halo's pixel on either side
        rings.append((look, [(left + i, top + i, right - i, bottom - i) for i in insets]))
        drawn += 1
    for _, corners in rings:
        for ring in corners:
            _ring(draw, ring, HALO)
    for look, corners in rings:
        for ring in corners[1:-1]:
            _ring(draw, ring, look.colour, look.dash)


def _ring(draw: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], colour: str, dash: int = 0) -> None:
    """Draw a rectangle one pixel wide, dashed or solid; one without an inside is left out."""
    x0, y0, x1, y1 = corners
    if x0 > x1 or y0 > y1:
        return
    if not dash:
        draw.rectangle(corners, outline=colour)
        return
    for begin in range(x0, x1 + 1, 2 * dash):
        end = min(begin + dash - 1, x1)
        draw.line([(begin, y0), (end, y0)], fill=colour)
        draw.line([(begin, y1), (end, y1)], fill=colour)
    for begin in range(y0, y1 + 1, 2 * dash):
        end = min(begin + dash - 1, y1)
        draw.line([(x0, begin), (x0, end)], fill=colour)
        draw.line([(x1, begin), (x1, end)], fill=colour)


def spans_in(spans: Spans | None) -> list[Span]:
    """Return one span, several, or none as a list.

    >>> spans_in((2, 5)), spans_in([(2, 3), (7, 9)]), spans_in(None)
    ([(2, 5)], [(2, 3), (7, 9)], [])
    """
    if not spans:
        return []
    first = spans[0]
    return [(first, spans[1])] if isinstance(first, int) else list(spans)  # type: ignore[list-item, arg-type]


def shares(spans: Spans | None, begin: float, end: float) -> list[tuple[float, float]]:
    """Return which parts of [begin, end) seconds the spans cover, as shares of it in [0, 1]; empty parts are left out.

    >>> shares([(0, 0), (3, 9)], 2, 4)
    [(0.5, 1.0)]
    """
    parts = []
    for first, last in spans_in(spans):
        low, high = max(first, begin), min(last + 1, end)
        if low < high:
            parts.append(((low - begin) / (end - begin), (high - begin) / (end - begin)))
    return parts


def time_bars(
    seconds: int,
    spans: Sequence[tuple[Look, Spans | None]],
    *,
    width: int,
    row: int = 12,
    tiles: int = 1,
    gap: int = 0,
    window: tuple[float, float] | None = None,
) -> Image.Image:
    """Draw one bar for each system over the clip's seconds, on white; each lies below the tiles that it is about.

    Args:
        seconds: K of the clip.
        spans: (look, (first, last) second, inclusive, or a list of them) pairs; None draws an empty bar.
        width, row: pixels of the picture's width and of one bar with its gap.
        tiles, gap: the bar is in as many equal parts as there are tiles above it, `gap` pixels apart.
        window: which [begin, end) seconds it shows; None: all.
    """
    begin, end = window or (0, seconds)
    picture = Image.new("RGB", (width, row * len(spans)), "white")
    draw = ImageDraw.Draw(picture)
    one = (width - gap * (tiles - 1)) / tiles
    for index, (look, given) in enumerate(spans):
        top, bottom = index * row + 2, (index + 1) * row - 3
        for tile in range(tiles):
            left = round(tile * (one + gap))
            draw.rectangle([left, top, round(left + one) - 1, bottom], fill=TRACK)
            ends = (begin + (end - begin) * number / tiles for number in (tile, tile + 1))
            for low, high in shares(given, *ends):
                from_x, to_x = round(left + low * one), round(left + high * one)
                draw.rectangle([from_x, top, max(to_x - 1, from_x), bottom], fill=look.colour)
    return picture


def legend(looks: Iterable[Look], width: int) -> Image.Image:
    """Draw each look's line and name side by side on white, in as many rows as `width` pixels need."""
    font = ImageFont.load_default(12)
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places: list[tuple[Look, int, int]] = []
    left, top = 2, 0
    for look in looks:
        length = 26 + round(draw.textlength(look.name, font=font)) + 14
        if places and left + length > width:
            left, top = 2, top + 18
        places.append((look, left, top))
        left += length
    picture = Image.new("RGB", (width, top + 18), "white")
    draw = ImageDraw.Draw(picture)
    for look, left, top in places:
        for y in (top + 4, top + 5, top + 12, top + 13):
            for x in range(left, left + 20, 2 * look.dash or 20):
                draw.line([(x, y), (min(x + (look.dash or 20), left + 20) - 1, y)], fill=look.colour)
        draw.rectangle([left, top + 7, left + 19, top + 10], fill=look.colour)
        draw.text((left + 26, top + 1), look.name, fill=INK, font=font)
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


def stack(pictures: Sequence[Image.Image], *, gap: int = 4) -> Image.Image:
    """Place pictures below each other on white, in order."""
    height = sum(picture.height for picture in pictures) + gap * (len(pictures) - 1)
    whole = Image.new("RGB", (max(picture.width for picture in pictures), height), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height + gap
    return whole


def boxes_at(second: int, layers: Sequence[Layer]) -> list[tuple[Look, Box | None]]:
    """Return the boxes of several systems at one second, as `draw_boxes` takes them."""
    return [(layer.look, layer.boxes.get(second)) for layer in layers]


def bars_of(layers: Sequence[Layer]) -> list[tuple[Look, Spans | None]]:
    """Return the spans of several systems, as `time_bars` takes them."""
    return [(layer.look, layer.spans) for layer in layers]
