"""The displayed picture: turned, mirrored, with square pixels, scaled by areas."""

from fractions import Fraction

import av
import numpy as np
import pytest

from data_prep.video.sampling import probe, sample_frames
from tests.helpers.films import decode_plainly, make_arrow, quarters, same


@pytest.mark.parametrize(
    ("matrix", "shown", "turned"),
    [
        (None, ["light", "dark", "dark", "grey"], False),
        ((0, 1, -1, 0), ["grey", "light", "dark", "dark"], True),  # a quarter clockwise
        ((-1, 0, 0, -1), ["dark", "grey", "light", "dark"], False),  # a half
        ((0, -1, 1, 0), ["dark", "dark", "grey", "light"], True),  # a quarter counter-clockwise
        ((-1, 0, 0, 1), ["dark", "light", "grey", "dark"], False),  # mirrored
        ((1, 0, 0, -1), ["grey", "dark", "dark", "light"], False),  # upside down, mirrored
        ((0, 1, 1, 0), ["light", "grey", "dark", "dark"], True),  # axes swapped
        ((0.9994, 0.0349, -0.0349, 0.9994), ["light", "dark", "dark", "grey"], False),  # 2 degrees: the nearest is 0
    ],
)
def test_rotation(tmp_path, matrix, shown, turned):
    path = make_arrow(tmp_path / "a.mp4", matrix=matrix)
    (full,) = sample_frames(path, [0.5])
    assert quarters(full) == shown
    assert full.size == ((32, 64) if turned else (64, 32))
    info = probe(path)
    assert (info.width, info.height) == full.size
    # `size` is what comes back: displayed width and height.
    (small,) = sample_frames(path, [0.5], size=(24, 20))
    assert small.size == (24, 20)
    assert quarters(small) == shown


def test_rotation_agrees_with_the_angle_that_pyav_states(tmp_path):
    path = make_arrow(tmp_path / "a.mp4", matrix=(0, 1, -1, 0))
    (_, *_), (first, *_) = decode_plainly(path)
    assert all(same(sample_frames(path, [0.0]), [first]))


@pytest.mark.parametrize(
    ("aspect", "size", "displayed"),
    [
        (Fraction(128, 117), (176, 144), (193, 144)),  # 176 * 128 / 117 = 192.5
        (Fraction(1, 2), (64, 32), (32, 32)),
        (Fraction(4, 3), (64, 32), (85, 32)),  # 85.3
        (Fraction(1, 1), (64, 32), (64, 32)),
    ],
)
def test_pixels_are_squared(tmp_path, aspect, size, displayed):
    path = make_arrow(tmp_path / "a.mp4", size=size, aspect=aspect)
    (image,) = sample_frames(path, [0.5])
    info = probe(path)
    assert image.size == displayed == (info.width, info.height)
    assert quarters(image) == ["light", "dark", "dark", "grey"]


def test_squared_before_turned(tmp_path):
    path = make_arrow(tmp_path / "a.mp4", size=(64, 32), aspect=Fraction(2, 1), matrix=(0, 1, -1, 0))
    # 64 x 32 pixels twice as wide as high are 128 x 32, turned 32 x 128.
    assert sample_frames(path, [0.0])[0].size == (32, 128)


def test_scaling_averages_areas(tmp_path):
    path = tmp_path / "a.mp4"
    stripes = np.full((32, 64, 3), 40, np.uint8)
    stripes[:, 0::4] = stripes[:, 1::4] = 200
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"preset": "ultrafast", "qp": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = 64, 32, "yuv420p", 1
        frame = av.VideoFrame.from_ndarray(stripes, format="rgb24")
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    (image,) = sample_frames(path, [0.0], size=(4, 2))
    # Each pixel covers 16 x 16: half 200, half 40, mean 120. Picking or interpolating points would give 40 or 200.
    assert np.abs(np.asarray(image, float) - 120).max() < 6
