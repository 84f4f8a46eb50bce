"""Small films for the tests of the frame sampler, and plain decoding to hold it against.

Frame i shows i as a row of black and white blocks, so that a picture says which frame it is after any compression.
"""

import os
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

from data_prep.video.sampling import sample_frames

BITS = 8
X264 = {"preset": "ultrafast", "sc_threshold": "0"}


def draw(index, width=64, height=48):
    """Draw frame `index`: its bits as blocks in the upper half, noise in the lower one so that every frame differs."""
    picture = np.full((height, width, 3), 90, np.uint8)
    block = width // BITS
    for bit in range(BITS):
        picture[: height // 2, bit * block : (bit + 1) * block] = 235 if index >> bit & 1 else 20
    noise = np.random.default_rng(index).integers(60, 120, (height // 8, width // 4, 1), np.uint8)
    lower = np.kron(noise, np.ones((4, 4, 3), np.uint8))
    picture[height // 2 : height // 2 + lower.shape[0], : lower.shape[1]] = lower
    return picture


def index_of(image):
    """Return the index of the frame that a picture of any size shows."""
    picture = np.asarray(image.convert("L"), float)
    height, width = picture.shape
    row, block = height // 4, width // BITS
    return sum((picture[row, int((bit + 0.5) * block)] > 127) << bit for bit in range(BITS))


def make_plain_video(path, colour, seconds=3, *, rate=10, size=(64, 48)):
    """Write a film of one colour, (red, green, blue) from 0 to 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options=X264)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        picture = np.full((size[1], size[0], 3), colour, np.uint8)
        for _ in range(seconds * rate):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))
    return path


def make_video(
    path,
    num_frames=60,
    fps=30,
    *,
    codec="libx264",
    gop=12,
    b_frames=2,
    options=None,
    pts=None,
    time_base=None,
    size=(64, 48),
    aspect=None,
    turn=None,
    container_format=None,
):
    """Write a film; `pts` gives each frame's time stamp in `time_base` instead of one every 1/fps seconds."""
    with av.open(str(path), "w", format=container_format) as out:
        stream = out.add_stream(codec, rate=Fraction(fps), options=X264 if options is None else options)
        stream.width, stream.height = size
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.gop_size, stream.max_b_frames = gop, b_frames
        stream.thread_count = 1
        if codec == "gif":
            stream.max_b_frames = 0
        tick = stream.codec_context.time_base = time_base or 1 / Fraction(fps)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn is not None:
            stream.set_display_rotation(turn)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(draw(number, *size), format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = pts[number] if pts else number, tick
            if aspect:
                frame.sample_aspect_ratio = aspect
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decode_plainly(path):
    """Return times (from the first frame on) and pictures of all frames, by decoding from the start."""
    times, pictures, first = [], [], None
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        try:
            for frame in container.decode(video=0):
                first = frame.pts if first is None else first
                times.append((frame.pts - first) * frame.time_base)
                picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
                pictures.append(picture.rotate(frame.rotation, expand=True))
        except av.FFmpegError:
            pass
    return times, pictures


def expected(times, pictures, wanted):
    """Return the last picture that appears at or before each wanted time (a microsecond allows for rounding)."""
    return [pictures[max(i for i, start in enumerate(times) if i == 0 or start <= time + 1e-6)] for time in wanted]


def same(ours, theirs):
    assert [image.size for image in ours] == [image.size for image in theirs]
    return [a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True)]


def check_exact(path, wanted):
    times, pictures = decode_plainly(path)
    ours = sample_frames(path, wanted)
    assert all(same(ours, expected(times, pictures, wanted)))
    return ours


def arrow(width, height):
    """Return a dark picture with the upper left quarter light and the lower left one middle grey."""
    picture = np.full((height, width, 3), 20, np.uint8)
    picture[: height // 2, : width // 2] = 235
    picture[height // 2 :, : width // 2] = 128
    return picture


def quarters(image):
    """Return the mean grey of upper left, upper right, lower right and lower left, rounded to the nearest of the
    three.
    """
    grey = np.asarray(image.convert("L"), float)
    h, w = grey.shape[0] // 2, grey.shape[1] // 2
    parts = (grey[:h, :w], grey[:h, w:], grey[h:, w:], grey[h:, :w])
    return ["dark" if p.mean() < 70 else "grey" if p.mean() < 180 else "light" for p in parts]


def make_arrow(path, size=(64, 32), matrix=None, aspect=None):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options=X264)
        stream.width, stream.height = size
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(arrow(*size), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    if matrix:
        edit_matrix(path, matrix)
    return path


def edit_matrix(path, matrix):
    """Write the 2 x 2 part (a, b, c, d) of the display matrix into the track header, as a phone does."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    # After the name (4): version and flags 4, times 8, id 4, reserved 4, duration 4, reserved 8, layer to volume 8.
    start = header + 4 + 40
    a, b, c, d = (int(value * 65536).to_bytes(4, "big", signed=True) for value in matrix)
    zero, one = bytes(4), (1 << 30).to_bytes(4, "big")
    assert data[start + 32 : start + 36] == one
    data[start : start + 36] = a + b + zero + c + d + zero + zero + zero + one
    path.write_bytes(data)


def damage(path, packets, out):
    """Overwrite the packets with these numbers (in decode order) so that they do not decode."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        spots = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in packets:
        start, size = spots[number]
        data[start : start + size] = b"\xff" * size
    out.write_bytes(data)
    return out


def write(path, data):
    path.write_bytes(data)
    return path


def make_audio(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def make_audio_with_cover(path):
    with av.open(str(path), "w") as out:
        audio = out.add_stream("aac", rate=16000)
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(draw(0), format="rgb24").reformat(format="yuvj420p")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        picture.pts, sound.sample_rate, sound.pts = 0, 16000, 0
        for stream, frame in ((cover, picture), (audio, sound)):
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def make_fifo(path):
    os.mkfifo(path)
    return path


def make_truncated_mp4(path):
    data = make_video(path, num_frames=5).read_bytes()
    return write(path, data[: len(data) // 2])


def make_growing(folder):
    """Write a bare stream whose pictures are 64 x 48 for 20 frames and 320 x 240 for 20 more."""
    parts = []
    for size in ((64, 48), (320, 240)):
        part = make_video(folder / f"{size[0]}.h264", 20, b_frames=0, size=size, container_format="h264")
        parts.append(part.read_bytes())
    return write(folder / "a.h264", b"".join(parts))


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and text
    return text
