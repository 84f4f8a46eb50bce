"""Draw the README's picture: a few clips as strips of frames with the boxes and spans of SFT and RL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from data_prep.drawing.boxes import RL, SFT, TRUE, bars_of, contact_strip, legend, time_bars

if TYPE_CHECKING:
    from recipe.studies.report import Clip

MARGIN, TEXT = 12, 20


def write_picture(path: Path, clips: Sequence[Clip], video_root: Path, *, width: int = 1000, count: int = 3) -> Path:
    """Write a PNG of `count` clips: at the lower quartile, the median and the upper quartile of the change in vIoU.

    Args:
        width: pixels.
    """
    from recipe.studies.report import clip_frames, layers_of

    ranked = sorted(clips, key=lambda clip: (clip.change, clip.record["id"]))
    chosen = [ranked[round((index + 1) * (len(ranked) - 1) / (count + 1))] for index in range(count)]
    font = ImageFont.load_default(14)
    parts: list[Image.Image] = [_legend(width, font)]
    for clip in chosen:
        inner = width - 2 * MARGIN
        side = (inner - 4 * (clip.record["seconds"] - 1)) // clip.record["seconds"]
        strip = contact_strip(clip_frames(clip, video_root, side=side))
        seconds = clip.record["seconds"]
        bars = time_bars(seconds, bars_of(layers_of(clip)), width=strip.width, tiles=seconds, gap=4)
        part = Image.new("RGB", (width, TEXT + strip.height + bars.height + 2 * MARGIN), "white")
        title = f"“{clip.record['query']}”   vIoU: SFT {clip.scores[0]:.2f}, RL {clip.scores[1]:.2f}"
        ImageDraw.Draw(part).text((MARGIN, 0), title, fill="#222222", font=font)
        part.paste(strip, (MARGIN, TEXT + 2))
        part.paste(bars, (MARGIN, TEXT + strip.height + 8))
        parts.append(part)
    picture = Image.new("RGB", (width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
    return path


def _legend(width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> Image.Image:
    part = Image.new("RGB", (width, TEXT + 2 * MARGIN), "white")
    names = legend((TRUE, SFT, RL), 200)
    part.paste(names, (MARGIN, MARGIN))
    says = "box in each second; bars: when"
    ImageDraw.Draw(part).text((MARGIN + names.width, MARGIN), says, fill="#666666", font=font)
    return part
