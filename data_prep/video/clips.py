"""The frames of a record's clip, from a video file or from a folder of numbered pictures (MOT, LaSOT, VSPW)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from data_prep.seconds import exact_fps
from data_prep.video.numbered import pictures_of
from data_prep.video.packets import check_pixels
from data_prep.video.sampling import VideoError, sample_frames
from data_prep.video.stills import UNREADABLE, open_still


def clip_frames(
    path: Path,
    record: Mapping[str, Any],
    times: Sequence[float],
    size: tuple[int, int],
    *,
    root: str | os.PathLike[str] | None = None,
) -> list[Image.Image]:
    """Return one RGB picture for each time.

    Args:
        path: the record's video, or the folder of its frames.
        record: its `clip` ([start, end], seconds) and, for a folder, its `fps` are used.
        times: seconds on the clip's clock.
        size: (width, height) of the pictures.
        root: the video root, which pictures of a folder may link to places in; None: the folder.

    Raises:
        VideoError: nothing there can be read.
    """
    start, end = record["clip"]
    if not path.is_dir():
        return sample_frames(path, times, clip_start_s=start, clip_end_s=end, size=size)
    files = pictures_of(path)
    if record["fps"] is None:
        raise VideoError(path, "a folder of pictures, and the record states no fps")
    fps = exact_fps(record["fps"])
    last = min(files.num_frames, math.ceil(Fraction(end) * fps)) - 1
    numbers = [min(math.floor((Fraction(start) + Fraction(t)) * fps), last) for t in times]
    within = path if root is None else Path(root)
    pictures = {number: _picture(files.at(number), size, within) for number in set(numbers)}
    return [pictures[number].copy() for number in numbers]


def _picture(path: Path, size: tuple[int, int], root: Path) -> Image.Image:
    try:
        with open_still(path, root=root) as picture:
            check_pixels(path, *picture.size)
            return picture.convert("RGB").resize(size, Image.Resampling.BOX)
    except UNREADABLE as error:
        raise VideoError(path, f"no picture in it ({' '.join(str(error).split())[:100]})") from None
