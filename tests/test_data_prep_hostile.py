"""Files that are no video, or meant to hurt: one clear line."""

import os
import random
import stat
from fractions import Fraction

import pytest

from data_prep.video.sampling import VideoError, probe, sample_frames
from tests.helpers.films import (
    make_arrow,
    make_audio,
    make_audio_with_cover,
    make_fifo,
    make_growing,
    make_truncated_mp4,
    make_video,
    one_line,
    write,
)


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
    monkeypatch.setattr("data_prep.video.packets.MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match="pictures of 64x48, expected at most 1000 pixels"):
        sample_frames(path, [0.0])


def test_pictures_that_change_their_size(tmp_path):
    path = make_growing(tmp_path)
    assert [image.size for image in sample_frames(path, [0.0, 1.0])] == [(64, 48), (320, 240)]
    assert [image.size for image in sample_frames(path, [0.0, 1.0], size=(8, 6))] == [(8, 6), (8, 6)]


def test_pictures_that_grow_above_the_limit_are_not_decoded(tmp_path, monkeypatch):
    path = make_growing(tmp_path)
    monkeypatch.setattr("data_prep.video.packets.MAX_PIXELS", 128 * 128)
    assert [image.size for image in sample_frames(path, [0.0, 1.0])] == [(64, 48), (64, 48)]


def test_a_monstrous_pixel_aspect_is_refused(tmp_path, monkeypatch):
    path = make_arrow(tmp_path / "a.mp4", aspect=Fraction(16, 1))
    monkeypatch.setattr("data_prep.video.packets.MAX_PIXELS", 10**4)
    for read in (probe, lambda path: sample_frames(path, [0.5])):
        with pytest.raises(VideoError, match="pictures of 1024x32, expected at most 10000 pixels"):
            read(path)
    # A stated size decides by itself.
    assert sample_frames(path, [0.5], size=(8, 8))[0].size == (8, 8)


def test_too_many_packets_are_refused(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", num_frames=30)
    monkeypatch.setattr("data_prep.video.packets.MAX_PACKETS", 20)
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
