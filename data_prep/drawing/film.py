"""Pictures as a small H.264 video, which every browser plays and a page can hold."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
from PIL import Image


def encode_film(pictures: Iterable[Image.Image], rate: float, *, size: tuple[int, int], crf: int = 26) -> bytes:
    """Return an MP4 of pictures at a constant rate, without sound.

    Args:
        pictures: RGB, in order; one of another size is placed in the middle of a black picture.
        rate: pictures a second.
        size: (width, height) of the video, pixels; odd sides grow by one.
        crf: quality as x264 counts it: lower is better and larger.

    Raises:
        ValueError: There is no picture.
    """
    out = io.BytesIO()
    width, height = (side + side % 2 for side in size)
    number = 0
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        # One thread: pages are made beside training, and clips are small.
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            if picture.size != (width, height):
                canvas = Image.new("RGB", (width, height))
                canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
                picture = canvas
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
            frame.pts = number
            target.mux(stream.encode(frame))
            number += 1
        if not number:
            raise ValueError("a film of no pictures")
        target.mux(stream.encode(None))
    return out.getvalue()
