"""From a decoded frame to the displayed picture: square pixels, scaled, turned."""

import struct
from fractions import Fraction

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from PIL import Image

_TURNS = Image.Transpose


def displayed_size(frame: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return (width, height) of a frame as a player shows it: width scaled to square pixels, then turned.

    Args:
        aspect: the pixel's width over its height (SAR); None or 0 means square.
    """
    width = max(1, int(frame.width * aspect + Fraction(1, 2))) if aspect else frame.width
    return (frame.height, width) if _orientation(frame)[0] else (width, frame.height)


def displayed_picture(frame: VideoFrame, size: tuple[int, int]) -> Image.Image:
    """Return the frame as an RGB picture of this (displayed) size, scaled by area averaging and turned."""
    swapped, mirrored, flipped = _orientation(frame)
    width, height = reversed(size) if swapped else size
    # Scaling YUV costs a tenth of scaling RGB in PIL, and turning the small picture next to nothing.
    scaled = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
    image: Image.Image = scaled.to_image()  # type: ignore[no-untyped-call]
    if swapped:
        image = image.transpose(_TURNS.TRANSPOSE)
    if mirrored and flipped:
        return image.transpose(_TURNS.ROTATE_180)
    if mirrored:
        return image.transpose(_TURNS.FLIP_LEFT_RIGHT)
    if flipped:
        return image.transpose(_TURNS.FLIP_TOP_BOTTOM)
    return image


def _orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return (axes swapped, then mirrored left to right, then flipped top to bottom) from the display matrix.

    The matrix says more than `frame.rotation`, which cannot tell a mirrored picture from one turned by 180 degrees.
    Angles between the quarter turns go to the nearest one.
    """
    try:
        matrix = bytes(frame.side_data[Type.DISPLAYMATRIX])  # type: ignore[typeddict-item]
    except KeyError:
        return False, False, False
    except ValueError:  # the frame holds side data of a type that PyAV has no name for
        quarter_turns = round(frame.rotation / 90) % 4
        return ((False, False, False), (True, False, True), (False, True, True), (True, True, False))[quarter_turns]
    # Row by row: x' = a x + c y, y' = b x + d y.
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
