"""Two frames of a clip as one picture, the first above the second, and the video of such pictures again.

A picture's `info` says the rate of its frames, so that it can be told from a frame and needs nothing beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RATE = "frames_per_second"  # a pair picture's `info` says the rate of its frames
SINGLE = "second_frame_is_a_copy"
PATCH_FRAMES = 2  # frames of a temporal patch in all families

Frames = NDArray[np.uint8]
Pictures = Sequence[Image.Image]


def stack(first: Image.Image, second: Image.Image | None = None, rate: float | None = None) -> Image.Image:
    """Return two frames as one picture, the first above the second: what fills one temporal patch.

    Args:
        first, second: frames of one size; None: the last frame of an odd number, which is shown twice.
        rate: frames a second, which the picture carries in its `info`.

    Raises:
        ValueError: The frames differ in size.
    """
    below = first if second is None else second
    if first.size != below.size:
        raise ValueError(f"frames of {first.size} and {below.size} pixels, expected one size")
    picture = Image.new("RGB", (first.width, PATCH_FRAMES * first.height))
    picture.paste(first, (0, 0))
    picture.paste(below, (0, first.height))
    if rate is not None:
        picture.info[RATE] = float(rate)
    if second is None:
        picture.info[SINGLE] = True
    return picture


def split(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return the two frames of a picture that `stack` made."""
    middle = picture.height // PATCH_FRAMES
    return (
        picture.crop((0, 0, picture.width, middle)),
        picture.crop((0, middle, picture.width, PATCH_FRAMES * middle)),
    )


def pairs_of(frames: Pictures, rate: float) -> list[Image.Image]:
    """Return a clip's frames two and two, each pair a picture; the last of an odd number is paired with itself.

    Args:
        rate: frames a second.
    """
    seconds = [*frames[1::2], None] if len(frames) % PATCH_FRAMES else frames[1::2]
    return [stack(first, second, rate) for first, second in zip(frames[::2], seconds, strict=True)]


def frames_shown(pictures: Pictures) -> list[Image.Image]:
    """Return the single frames of a row's pictures, whether they are pairs or frames already."""
    frames: list[Image.Image] = []
    for picture in pictures:
        halves = split(picture) if RATE in picture.info else (picture,)
        frames += halves[:1] if picture.info.get(SINGLE) else halves
    return frames


def video_of(pictures: Pictures, rate: float | None = None) -> tuple[Frames, dict[str, Any]]:
    """Return the native video of a clip's K pair pictures, with the metadata that processors and vLLM take.

    A frame that stands twice because the number was odd has one index in both places, so its time is its own, as where
    a stock processor fills up the last patch.

    Args:
        pictures: of one clip, in order, all of width w and height 2 h.
        rate: frames a second; None: as the pictures say.

    Returns:
        Frames (2 K, h, w, 3), and `fps`, `total_num_frames`, `frames_indices`, `duration` (seconds), `width`, `height`
        (pixels), `video_backend` and `do_sample_frames`.

    Raises:
        ValueError: No picture, pictures that differ in size, or no rate.
    """
    if not pictures:
        raise ValueError("a video of no pictures, expected at least one")
    fps = pictures[0].info.get(RATE) if rate is None else float(rate)
    if fps is None:
        raise ValueError("pictures that state no frame rate: give one, or make them with stack(first, second, rate)")
    if len({picture.size for picture in pictures}) > 1:
        raise ValueError(f"pictures of {sorted({picture.size for picture in pictures})} pixels, expected one size")
    width, height = pictures[0].width, pictures[0].height // PATCH_FRAMES
    frames = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    indices = list(range(PATCH_FRAMES * len(pictures)))
    if pictures[-1].info.get(SINGLE):
        indices[-1] = indices[-2]
    metadata = {
        "fps": fps,
        "total_num_frames": len(indices),
        "frames_indices": indices,
        "duration": len(indices) / fps,
        "width": width,
        "height": height,
        "video_backend": "pyav",
        "do_sample_frames": False,
    }
    return frames.reshape(len(indices), height, width, 3), metadata
