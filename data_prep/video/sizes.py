"""The size of the frames that a model gets."""

from __future__ import annotations


def fit_frame(width: int, height: int, *, grid: int, max_pixels: int) -> tuple[int, int]:
    """Return (width, height) on the patch grid, about the picture's shape, at most `max_pixels`.

    Resized before either side sees it, so that the trainer and vLLM count the same image tokens.

    >>> fit_frame(96, 96, grid=24, max_pixels=2304)
    (48, 48)
    >>> fit_frame(640, 360, grid=28, max_pixels=200704)
    (588, 336)
    """
    shrink = min(1.0, (max_pixels / (width * height)) ** 0.5)
    columns = max(1, round(width * shrink / grid))
    rows = max(1, round(height * shrink / grid))
    while columns * rows * grid * grid > max_pixels and columns * rows > 1:
        # Give up a column or a row, whichever leaves the shape nearer to the picture's.
        if rows == 1 or (columns > 1 and columns / rows > width / height):
            columns -= 1
        else:
            rows -= 1
    return columns * grid, rows * grid
