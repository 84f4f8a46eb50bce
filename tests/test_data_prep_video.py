"""The frame sampler against plain decoding from the start: same frame, same pixels, whatever the file is like.

The small films are made here. Frame i shows i as a row of black and white blocks, so that a picture says which frame
it is after any compression.
"""

import contextlib
import logging
import os
import random
import stat
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from data_prep.decoding import decode_ranges
from data_prep.packets import PacketIndex, open_video
from data_prep.video import VideoError, probe, sample_frames

BITS = 8
X264 = {"preset": "ultrafast", "sc_threshold": "0"}


def draw(index, width=64, height=48):
    """Frame `index`: its bits as blocks in the upper half, noise in the lower one so that every frame differs."""
    picture = np.full((height, width, 3), 90, np.uint8)
    block = width // BITS
    for bit in range(BITS):
        picture[: height // 2, bit * block : (bit + 1) * block] = 235 if index >> bit & 1 else 20
    noise = np.random.default_rng(index).integers(60, 120, (height // 8, width // 4, 1), np.uint8)
    lower = np.kron(noise, np.ones((4, 4, 3), np.uint8))
    picture[height // 2 : height // 2 + lower.shape[0], : lower.shape[1]] = lower
    return picture


def index_of(image):
    """Which frame a picture of any size shows."""
    picture = np.asarray(image.convert("L"), float)
    height, width = picture.shape
    row, block = height // 4, width // BITS
    return sum((picture[row, int((bit + 0.5) * block)] > 127) << bit for bit in range(BITS))


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
    """Times (from the first frame on) and pictures of all frames, by decoding from the start."""
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
    """The last picture that appears at or before each wanted time (a microsecond for the float's sake)."""
    return [pictures[max(i for i, start in enumerate(times) if i == 0 or start <= time + 1e-6)] for time in wanted]


def same(ours, theirs):
    assert [image.size for image in ours] == [image.size for image in theirs]
    return [a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True)]


def check_exact(path, wanted):
    times, pictures = decode_plainly(path)
    ours = sample_frames(path, wanted)
    assert all(same(ours, expected(times, pictures, wanted)))
    return ours


@pytest.fixture
def no_fallback(monkeypatch):
    """Decoding everything is an error: the plan has to do."""

    def refuse(*_):
        raise AssertionError("decoded everything, expected the plan to do")

    monkeypatch.setattr("data_prep.video._sequential", refuse)


TIMES = [0.0, 0.5, 1.5, 0.25, 1.5, 1.984, 7.0]


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ({}, "B-frames, a keyframe every 12 frames"),
        ({"gop": 250}, "one keyframe"),
        ({"gop": 1, "b_frames": 0}, "keyframes only"),
        ({"b_frames": 0}, "decode order is display order"),
        ({"options": {"preset": "veryfast", "x264-params": "bframes=5:b-pyramid=normal:ref=4:scenecut=0"}}, "pyramid"),
        (
            {"options": {"preset": "veryfast", "x264-params": "open-gop=1:bframes=3:keyint=10:min-keyint=5"}},
            "open GOP",
        ),
        ({"fps": Fraction(30000, 1001)}, "29.97 fps"),
        ({"size": (62, 46)}, "sides that are no multiple of 16"),
        ({"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3"}}, "HEVC"),
        ({"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=10:open-gop=1"}}, "HEVC, open GOP"),
        ({"options": {"preset": "veryfast", "x264-params": "tff=1:bframes=2:keyint=15"}}, "interlaced"),
        ({"codec": "mpeg4", "options": {}}, "MPEG-4 part 2"),
    ],
)
def test_planned_frames_equal_plain_decoding(tmp_path, no_fallback, settings, remark):
    path = make_video(tmp_path / "a.mp4", **settings)
    rate = settings.get("fps", 30)
    ours = check_exact(path, TIMES)
    # Frame i appears at i / fps; 7 s is past the last one, frame 59.
    assert [index_of(image) for image in ours] == [min(int(t * rate), 59) for t in TIMES], remark


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mkv", {}),
        ("a.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10"}, "b_frames": 0}),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "lag-in-frames": "10"}, "b_frames": 0}),
        ("a.ts", {}),
        ("a.mpg", {"codec": "mpeg2video", "options": {}}),
        ("a.avi", {"codec": "mpeg4", "options": {}, "b_frames": 0}),
        ("a.gif", {"codec": "gif", "fps": 25, "options": {}}),
    ],
)
def test_other_containers_equal_plain_decoding(tmp_path, name, settings):
    path = make_video(tmp_path / name, **settings)
    check_exact(path, TIMES)
    assert index_of(sample_frames(path, [0.99])[0]) == int(0.99 * settings.get("fps", 30))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (
            "a.mp4",
            {
                "options": {
                    "preset": "veryfast",
                    "x264-params": "open-gop=1:b-adapt=0:bframes=3:keyint=10:min-keyint=1",
                }
            },
        ),
        ("a.mpg", {"codec": "mpeg2video", "options": {}, "gop": 10}),
    ],
)
def test_frames_shown_before_the_keyframe_that_they_follow(tmp_path, no_fallback, name, settings):
    path = make_video(tmp_path / name, **settings)
    with open_video(path) as video:
        pts, keyframe = video.index.pts, video.index.keyframe
    later = [i for i, stamp in enumerate(pts) for key in range(i) if keyframe[key] and stamp < pts[key]]
    assert len(later) >= 5, "the film has no such frames"
    times, pictures = decode_plainly(path)
    for number in range(0, 60, 3 if name == "a.mpg" else 1):
        assert all(same(sample_frames(path, [number / 30]), [pictures[number]]))


def test_frames_without_clean_starts(tmp_path):
    # Intra refresh: a picture from which decoding may start is whole only some frames later.
    x264 = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=20:bframes=2"}
    path = make_video(tmp_path / "a.mp4", options=x264)
    for i in range(1, 60, 7):
        check_exact(path, [i / 30, 55 / 30])


def test_frames_that_an_edit_list_hides_are_not_there(tmp_path, no_fallback):
    whole = make_video(tmp_path / "a.mp4")
    path = tmp_path / "b.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                # What is shown before 0 is needed for decoding and hidden: the film begins with frame 17.
                shift = int(Fraction(17, 30) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                out.mux(packet)
    assert [index_of(image) for image in check_exact(path, [0.0, 0.5, 9.0])] == [17, 32, 59]
    info = probe(path)
    assert (info.num_frames, info.first_frame_s, info.duration_s) == (43, 0, Fraction(43, 30))


def test_random_times_on_many_groups_of_pictures(tmp_path, no_fallback):
    path = make_video(tmp_path / "a.mp4", num_frames=150, gop=17)
    rng = random.Random(0)
    for count in (1, 2, 5, 40):
        check_exact(path, [rng.uniform(0, 5.5) for _ in range(count)])


def test_variable_rate_and_a_late_start(tmp_path, no_fallback):
    # Stamps in ms: the first frame at 33, steps of 10 to 700 ms; the clock is 0 at the first one.
    steps = [10, 40, 33, 700, 15, 120, 41, 400, 8] * 6
    pts = [33 + sum(steps[:i]) for i in range(len(steps))]
    path = make_video(tmp_path / "a.mp4", len(pts), pts=pts, time_base=Fraction(1, 1000))
    wanted = [k + 0.5 for k in range(9)] + [0.0, 0.009, 0.010, 0.783]
    ours = check_exact(path, wanted)
    # 0.009 s is before the second frame (10 ms), 0.010 s on it; 10 + 40 + 33 + 700 = 783 ms is frame 4.
    assert [index_of(image) for image in ours[-4:]] == [0, 0, 1, 4]
    info = probe(path)
    assert info.first_frame_s == Fraction(33, 1000)
    assert info.last_frame_s == Fraction(sum(steps[:-1]), 1000)
    assert info.seconds == sum(steps[:-1]) // 1000 + 1


def test_time_stamps_rounded_to_milliseconds_keep_their_frame(tmp_path, no_fallback):
    # Matroska writes frame 20 of 30 fps (0.66667 s) at 667 ms; asked for 20 / 30 s, it is the one on screen.
    path = make_video(tmp_path / "a.mkv", fps=30)
    assert [index_of(image) for image in sample_frames(path, [i / 30 for i in range(60)])] == list(range(60))


def test_a_clip_starts_its_clock_and_ends_its_frames(tmp_path, no_fallback):
    path = make_video(tmp_path / "a.mp4")
    # Frames [15, 45) of 30 fps are the clip [0.5, 1.5): 0.1 s into it is frame 18, past its end comes frame 44.
    ours = sample_frames(path, [0.0, 0.1, 0.5, 1.5], clip_start_s=0.5, clip_end_s=1.5)
    assert [index_of(image) for image in ours] == [15, 18, 30, 44]
    assert index_of(sample_frames(path, [1.2], clip_start_s=0.5)[0]) == 51
    # A clip beyond the file is its last frame.
    assert index_of(sample_frames(path, [0.5], clip_start_s=90.0, clip_end_s=91.0)[0]) == 59


def test_each_distinct_frame_is_decoded_once_and_pictures_are_separate(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4")
    made = []

    def counted(video, ranges, wanted):
        for frame in decode_ranges(video, ranges, wanted):
            made.append(frame.pts)
            yield frame

    monkeypatch.setattr("data_prep.video.decode_ranges", counted)
    first, second, third = sample_frames(path, [0.5, 0.5, 0.51])
    assert len(made) == 1
    assert first.tobytes() == second.tobytes() == third.tobytes()
    first.putpixel((0, 0), (1, 2, 3))
    assert second.getpixel((0, 0)) != (1, 2, 3)


def test_only_the_needed_groups_of_pictures_are_decoded(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=150, gop=10, b_frames=0)
    with open_video(path) as video:
        pts = video.index.shown
        # Frames 25, 27 and 142: groups begin at frames 20 and 140.
        assert video.index.plan({pts[25], pts[27], pts[142]}) == [(20, 27), (140, 142)]


def test_ranges_merge_when_one_group_serves_several(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=40, gop=250)
    with open_video(path) as video:
        ranges = video.index.plan(set(video.index.shown))
    assert ranges == [(0, 39)]


def test_large_files_are_read_twice_with_the_same_result(tmp_path, monkeypatch, no_fallback):
    path = make_video(tmp_path / "a.mp4")
    monkeypatch.setattr("data_prep.packets.KEEP_BYTES", 100)
    check_exact(path, TIMES)


# --- the displayed picture


def arrow(width, height):
    """Dark, with the upper left quarter light and a middle grey lower left one."""
    picture = np.full((height, width, 3), 20, np.uint8)
    picture[: height // 2, : width // 2] = 235
    picture[height // 2 :, : width // 2] = 128
    return picture


def quarters(image):
    """Mean grey of the quarters, upper left, upper right, lower right, lower left, to the nearest of the three."""
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


# --- probe


def test_probe_counts_frames_and_seconds(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=60, fps=Fraction(30000, 1001))
    info = probe(path)
    assert (info.width, info.height, info.num_frames, info.codec) == (64, 48, 60, "h264")
    assert info.fps == Fraction(30000, 1001)
    assert info.last_frame_s == 59 * Fraction(1001, 30000)  # 1.9686 s
    assert info.duration_s == 60 * Fraction(1001, 30000)
    assert info.seconds == 2


@pytest.mark.parametrize(("num_frames", "seconds"), [(1, 1), (30, 1), (31, 2), (60, 2), (61, 3)])
def test_probe_seconds_by_the_last_frame(tmp_path, num_frames, seconds):
    assert probe(make_video(tmp_path / "a.mp4", num_frames=num_frames)).seconds == seconds


def test_probe_does_not_believe_a_header_without_frames(tmp_path):
    info = probe(make_video(tmp_path / "a.mkv", num_frames=45))
    assert (info.num_frames, info.seconds, info.fps) == (45, 2, 30)


# --- arguments


def test_no_times_no_frames(tmp_path):
    assert sample_frames(tmp_path / "absent.mp4", []) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times_s": [0.5, -0.1]}, "time -0.1 s"),
        ({"times_s": [float("nan")]}, "time nan s"),
        ({"times_s": [float("inf")]}, "time inf s"),
        ({"times_s": [0.5], "clip_start_s": -1.0}, "clip_start_s -1.0"),
        ({"times_s": [0.5], "clip_start_s": 2.0, "clip_end_s": 2.0}, "clip_end_s 2.0"),
        ({"times_s": [0.5], "size": (0, 4)}, r"size \(0, 4\)"),
    ],
)
def test_impossible_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_frames(tmp_path / "absent.mp4", **arguments)


# --- damaged and hostile files


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and text
    return text


def test_truncated_file_gives_the_frames_that_it_holds(tmp_path):
    # MPEG-TS has no table at its end, so that half of the file is half of the frames.
    whole = make_video(tmp_path / "a.ts", num_frames=120)
    path = tmp_path / "half.ts"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    times, pictures = decode_plainly(path)
    assert 20 < len(pictures) < 100
    wanted = [0.5, 1.0, 60.0]
    assert all(same(sample_frames(path, wanted), expected(times, pictures, wanted)))


def test_truncated_mp4_with_its_table_in_front(tmp_path):
    whole = make_video(tmp_path / "a.mp4", num_frames=120, options=X264)
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = (tmp_path / "front.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) * 2 // 3])
    times, pictures = decode_plainly(path)
    assert 10 < len(pictures) < 110
    ours = sample_frames(path, [0.5, 1.5, 30.0])
    assert [index_of(image) for image in ours[:2]] == [15, 45]
    assert all(same(ours[:2], expected(times, pictures, [0.5, 1.5])))


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


def test_damage_ends_a_group_of_pictures_and_the_next_one_goes_on(tmp_path, caplog):
    whole = make_video(tmp_path / "a.mp4", num_frames=60, gop=20, b_frames=0)
    path = damage(whole, [25], tmp_path / "damaged.mp4")
    with caplog.at_level(logging.WARNING):
        ours = sample_frames(path, [i / 30 for i in (0, 24, 30, 39, 40, 59)])
    # Frame 25 does not decode: 24 stands until the keyframe 40.
    assert [index_of(image) for image in ours] == [0, 24, 24, 24, 40, 59]
    assert "damaged, 45 of 60 frames" in caplog.text


def test_damage_leaves_the_other_groups_of_pictures_whole(tmp_path, caplog):
    whole = make_video(tmp_path / "a.mp4", num_frames=60, gop=20, b_frames=2)
    path = damage(whole, [25], tmp_path / "damaged.mp4")
    _, pictures = decode_plainly(whole)
    ours = sample_frames(path, [i / 30 for i in range(60)])
    assert all(same(ours[:20] + ours[40:], pictures[:20] + pictures[40:]))
    assert index_of(ours[39]) < 25


def test_damage_elsewhere_does_not_matter(tmp_path, no_fallback):
    whole = make_video(tmp_path / "a.mp4", num_frames=60, gop=20, b_frames=0)
    path = damage(whole, [25], tmp_path / "damaged.mp4")
    assert [index_of(image) for image in sample_frames(path, [0.5, 1.5])] == [15, 45]


def test_nothing_decodes(tmp_path):
    whole = make_video(tmp_path / "a.mp4", num_frames=10, b_frames=0)
    path = damage(whole, range(10), tmp_path / "damaged.mp4")
    for read in (probe, lambda path: sample_frames(path, [0.5])):
        with pytest.raises(VideoError) as error:
            read(path)
        assert one_line(error) == f"{path}: no frame of it decodes"


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("a.avi", "H.264 with B-frames: the time stamps count packets in decode order"),
        ("a.h264", "a bare stream: no time stamps; the rate is in its header"),
    ],
)
def test_time_stamps_that_cannot_be_meant(tmp_path, name, remark):
    path = make_video(tmp_path / name, container_format="h264" if name == "a.h264" else None)
    with open_video(path) as video:
        assert not video.index.complete, remark
    ours = sample_frames(path, [i / 30 for i in range(60)])
    assert [index_of(image) for image in ours] == list(range(60)), remark
    info = probe(path)
    assert (info.num_frames, info.seconds, info.fps, info.duration_s) == (60, 2, 30, 2)


@pytest.mark.parametrize(
    ("stamps", "ticks"),
    [
        ([10, 20, 30], [10, 20, 30]),
        ([10, 30, 20], [10, 20, 30]),  # made for decoding
        ([10, 20, 20, 30], [10, 20, 20, 30]),  # of two at once the later one is on screen
        ([10, None, 30], [0, 40, 80]),  # 25 fps in ms
        ([0, 0, 0], [0, 40, 80]),
        ([7], [7]),
        ([None], [0]),
    ],
)
def test_frame_ticks(stamps, ticks):
    index = PacketIndex(stamps, [True] * len(stamps), stamps, 40, Fraction(1, 1000), Fraction(25), False)
    assert index.frame_ticks(stamps) == ticks


def test_file_that_starts_without_a_keyframe(tmp_path):
    whole = make_video(tmp_path / "a.ts", num_frames=60, gop=20)
    data = whole.read_bytes()
    path = tmp_path / "late.ts"
    with av.open(str(whole)) as container:
        third = [packet.pos for packet in container.demux(video=0) if packet.size][3]
    path.write_bytes(data[: 188 * 3] + data[third // 188 * 188 :])
    times, pictures = decode_plainly(path)
    wanted = [0.0, 0.3, 0.9, 1.2]
    assert all(same(sample_frames(path, wanted), expected(times, pictures, wanted)))


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


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda folder: folder / "absent.mp4", "No such file"),
        (lambda folder: folder, "a folder, expected a video file"),
        (lambda folder: write(folder / "a.mp4", b""), r"is empty \(0 bytes\)"),
        (lambda folder: write(folder / "a.mp4", b"not a video " * 400), "cannot be read as a video"),
        (lambda folder: write(folder / "a.mp4", os.urandom(4096)), "cannot be read as a video"),
        (lambda folder: make_audio(folder / "a.mp4"), "holds no video stream"),
        (lambda folder: make_audio_with_cover(folder / "a.mp4"), "holds no video stream"),
        (lambda folder: make_truncated_mp4(folder / "a.mp4"), "cannot be read as a video"),
        (lambda folder: make_fifo(folder / "pipe.mp4"), "no plain file"),
        (lambda folder: folder / "nul\0.mp4", "null byte"),
        (lambda folder: folder / "line\nbreak.mp4", "No such file"),
        (lambda folder: folder / ("long" * 100), "File name too long"),
    ],
)
def test_no_video_is_one_clear_line(tmp_path, make, problem):
    path = make(tmp_path)
    for read in (probe, lambda path: sample_frames(path, [0.5])):
        with pytest.raises(VideoError, match=problem) as error:
            read(path)
        assert one_line(error).startswith(str(tmp_path))


def test_play_lists_are_not_followed(tmp_path):
    secret = make_video(tmp_path / "secret.mp4", num_frames=5)
    for name, text in (
        ("a.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"),
        ("b.mp4", f"ffconcat version 1.0\nfile {secret.name}\n"),
    ):
        with pytest.raises(VideoError, match="cannot be read as a video"):
            sample_frames(write(tmp_path / name, text.encode()), [0.0])


def test_pictures_above_the_limit_are_refused(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", num_frames=3)
    monkeypatch.setattr("data_prep.packets.MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match="pictures of 64x48, expected at most 1000 pixels"):
        sample_frames(path, [0.0])


def make_growing(folder):
    """A bare stream whose pictures are 64 x 48 for 20 frames and 320 x 240 for 20 more."""
    parts = []
    for size in ((64, 48), (320, 240)):
        part = make_video(folder / f"{size[0]}.h264", 20, b_frames=0, size=size, container_format="h264")
        parts.append(part.read_bytes())
    return write(folder / "a.h264", b"".join(parts))


def test_pictures_that_change_their_size(tmp_path):
    path = make_growing(tmp_path)
    assert [image.size for image in sample_frames(path, [0.0, 1.0])] == [(64, 48), (320, 240)]
    assert [image.size for image in sample_frames(path, [0.0, 1.0], size=(8, 6))] == [(8, 6), (8, 6)]


def test_pictures_that_grow_above_the_limit_are_not_decoded(tmp_path, monkeypatch):
    path = make_growing(tmp_path)
    monkeypatch.setattr("data_prep.packets.MAX_PIXELS", 128 * 128)
    assert [image.size for image in sample_frames(path, [0.0, 1.0])] == [(64, 48), (64, 48)]


def test_a_monstrous_pixel_aspect_is_refused(tmp_path, monkeypatch):
    path = make_arrow(tmp_path / "a.mp4", aspect=Fraction(16, 1))
    monkeypatch.setattr("data_prep.packets.MAX_PIXELS", 10**4)
    for read in (probe, lambda path: sample_frames(path, [0.5])):
        with pytest.raises(VideoError, match="pictures of 1024x32, expected at most 10000 pixels"):
            read(path)
    # A stated size decides by itself.
    assert sample_frames(path, [0.5], size=(8, 8))[0].size == (8, 8)


def test_too_many_packets_are_refused(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", num_frames=30)
    monkeypatch.setattr("data_prep.packets.MAX_PACKETS", 20)
    with pytest.raises(VideoError, match="more than 20 packets"):
        probe(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path):
    path = make_video(tmp_path / "a.mp4", num_frames=3)
    path.chmod(stat.S_IWUSR)
    with pytest.raises(VideoError, match="Permission denied"):
        probe(path)


def test_random_damage_never_raises_anything_else(tmp_path):
    data = make_video(tmp_path / "a.mp4", num_frames=20, gop=5).read_bytes()
    rng = random.Random(1)
    path = tmp_path / "b.mp4"
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 5, 50))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken[: rng.choice((len(broken), rng.randrange(len(broken))))])
        try:
            frames = sample_frames(path, [0.1, 0.5], size=(16, 16))
            assert [frame.size for frame in frames] == [(16, 16)] * 2
            probe(path)
        except VideoError as error:
            assert "\n" not in str(error)


# --- real files


def sample_videos():
    root = os.environ.get("STVG_SAMPLES")
    folder = Path(root) / "videos" if root else None
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder and folder.is_dir() else []


@pytest.mark.parametrize("path", sample_videos(), ids=lambda path: path.name)
def test_real_files(path):
    times, pictures = [], []
    with contextlib.suppress(av.FFmpegError, IndexError):
        times, pictures = decode_plainly(path)
    if not pictures:
        with pytest.raises(VideoError) as error:
            sample_frames(path, [0.5])
        one_line(error)
        return
    info = probe(path)
    wanted = [k + 0.5 for k in range(info.seconds)] + [0.0, 1.25, float(times[-1]), float(times[-1]) + 9]
    frames = expected(times, pictures, wanted)
    squared = (info.width, info.height)
    if frames[0].size == squared:
        assert all(same(sample_frames(path, wanted), frames))
    # Scaled too: this covers pixels that are not square.
    small = sample_frames(path, wanted, size=(32, 24))
    assert all(image.size == (32, 24) for image in small)
    for ours, theirs in zip(small, frames, strict=True):
        reference = np.asarray(theirs.resize((32, 24), Image.Resampling.BOX), float)
        assert np.abs(np.asarray(ours, float) - reference).mean() < 6
