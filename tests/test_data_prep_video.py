"""The frame sampler against plain decoding from the start: same frame, same pixels, whatever the file is like."""

import contextlib
import os
import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from data_prep.video.decoding import decode_ranges
from data_prep.video.packets import open_video
from data_prep.video.sampling import VideoError, probe, sample_frames
from tests.helpers.films import X264, check_exact, decode_plainly, expected, index_of, make_video, one_line, same


@pytest.fixture
def no_fallback(monkeypatch):
    """Decoding everything is an error: the plan has to do."""

    def refuse(*_):
        raise AssertionError("decoded everything, expected the plan to do")

    monkeypatch.setattr("data_prep.video.sampling._sequential", refuse)


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

    monkeypatch.setattr("data_prep.video.sampling.decode_ranges", counted)
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
    monkeypatch.setattr("data_prep.video.packets.KEEP_BYTES", 100)
    check_exact(path, TIMES)


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


# --- real files


def sample_videos():
    root = os.environ.get("STVG_SAMPLES")
    folder = Path(root) / "videos" if root else None
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder and folder.is_dir() else []


@pytest.mark.slow  # every frame of each is decoded plainly
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


def test_b_frames_allowed_and_none_used_need_no_sequential_decoding(tmp_path):
    """Two B-frames allowed, none chosen: stamps in decode order are right where the container states display times."""
    path = make_video(
        tmp_path / "a.mp4", 60, 30, b_frames=2, options=X264 | {"b-adapt": "2", "b-bias": "-100", "preset": "veryfast"}
    )
    with open_video(path) as video:
        assert video.index.reorders
        assert video.index.pts == sorted(video.index.pts), "no frame was reordered after all"
        assert video.index.complete
