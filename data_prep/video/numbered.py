"""Folders of numbered pictures: which picture is which frame. The number says it, not the place in a listing."""

from __future__ import annotations

import math
import os
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from data_prep.video.packets import VideoError, check_pixels
from data_prep.video.stills import UNREADABLE, open_still

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
_NUMBERED = re.compile(r"(.*?)(\d{1,18})", re.DOTALL)


@dataclass(frozen=True)
class Pictures:
    """The pictures of one folder.

    Attributes:
        folder: where they lie.
        frames: numbers of the frames that have a picture, increasing; the first picture is frame 0.
        files: file names, in the order of `frames`.
        strangers: names of pictures that are no frames: without a number, named otherwise than most, or of a number
            that another file has already.
    """

    folder: Path
    frames: tuple[int, ...]
    files: tuple[str, ...]
    strangers: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """The number of frames up to the last picture, with those that have none."""
        return self.frames[-1] + 1

    @cached_property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """The (first, last) frames of each gap between two pictures."""
        pairs = zip(self.frames, self.frames[1:], strict=False)
        return tuple((before + 1, after - 1) for before, after in pairs if after > before + 1)

    def at(self, frame: int) -> Path:
        """Return the picture of a frame, or the last one before it where the frame has none."""
        return self.folder / self.files[max(bisect_right(self.frames, frame) - 1, 0)]


def pictures_of(folder: Path) -> Pictures:
    """Return the pictures of a folder by the numbers in their names; a folder that changed is listed anew.

    The lowest number is frame 0, as data sets count from 0, 1 or wherever a clip begins. Where all numbers are steps
    apart (every fifth frame was kept) each picture is the frame after the one before it.

    Raises:
        VideoError: There is no such folder, or no numbered JPEG, PNG or WebP in it.
    """
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError as error:
        raise VideoError(folder, f"cannot be listed ({error.strerror})") from None


@lru_cache(maxsize=256)
def _listed(folder: Path, changed: int) -> Pictures:
    names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in ENDINGS)
    matches = {name: _NUMBERED.fullmatch(os.path.splitext(name)[0]) for name in names}
    # A file that begins with a dot is what a Mac leaves beside a picture.
    prefixes = Counter(match[1] for name, match in matches.items() if match and not name.startswith("."))
    if not prefixes:
        raise VideoError(folder, "no numbered JPEG, PNG or WebP in this folder")
    usual = prefixes.most_common(1)[0][0]
    by_number: dict[int, str] = {}
    strangers = []
    for name, match in matches.items():
        if not match or match[1] != usual or int(match[2]) in by_number:
            strangers.append(name)
        else:
            by_number[int(match[2])] = name
    numbers = sorted(by_number)
    step = math.gcd(*(number - numbers[0] for number in numbers)) or 1
    frames = tuple((number - numbers[0]) // step for number in numbers)
    return Pictures(folder, frames, tuple(by_number[number] for number in numbers), tuple(strangers))


def picture_size(path: Path, root: Path | None = None) -> tuple[int, int]:
    """Return (width, height) of a picture in pixels, from its header.

    Args:
        root: a folder that links may not lead out of; None: links may lead anywhere.

    Raises:
        VideoError: It is no picture.
    """
    try:
        with open_still(path, root=root) as picture:
            check_pixels(path, *picture.size)
            return picture.size
    except VideoError:
        raise
    except UNREADABLE as error:
        raise VideoError(path, f"no picture in it ({' '.join(str(error).split())[:100]})") from None


def frame_sizes(pictures: Pictures) -> list[tuple[int, int]]:
    """Return (width, height) in pixels of every picture, in the order of `frames`, from the headers.

    Raises:
        VideoError: One of them is no picture.
    """
    return [picture_size(pictures.folder / name) for name in pictures.files]
