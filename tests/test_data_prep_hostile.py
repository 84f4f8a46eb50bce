"""Files that are no video, or meant to hurt: one clear line."""

import base64
import os
import random
import stat
from fractions import Fraction

import pytest

from data_prep.video.decoding import decode_all
from data_prep.video.packets import open_video
from data_prep.video.sampling import VideoError, probe, sample_frames
from tests.helpers.films import (
    index_of,
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

DAMAGED_MPEG4 = (
    "bnV0L211bHRpbWVkKAEAKQAhAZ9/IAKff4F5wAAGAAAAAAABBgMAAAEEAAABtgL/+gL/+wL//AL//RD7lfNOUxFAW/L520cAAARG"
    "TVB/////kAAAAC8AAAAAAIDw4xIIY98lL62lEgdalHjMUL6qlTCjBBLKDLlg9b59z7ci2Z3A629nb3////8AAAAgOtyyZVPORaHi"
    "Xk//jeMz2+SzNV5ihoPAVsVfjl0SYPhBbTYmAQAAAbWJEwAAAQAAAAEgAMSNiADNAgQIFEMAAAGyTH////8yLjIwLnEwMkBAAAAA"
    "xI2IAN0CBAgUQ2SGhIhOSSLZncDrb2dvbO1Ajn////863LJlU85Fw2vkU0OciGRDaj7TzwAyMC5xMDJAQAAAAMSNiADdAgQIFENk"
    "hoSITkki2Z3A629nb2ztQI5/////OtyyZVPORcNr5FNDnIhkQ2o+088AAOGNoakm++qgfpGSzFdDzSyh4l5P/43jM9vkszVeYoaD"
    "wFbFX45dEmD4QW02JqtotZa6eCAAAAAAAQdlbmNvZGVyAg1MYXZmNjIuMTIuZnJhbWVfcmF0ZQIEMjUvMSDwe+lOS+St7spFaQYA"
    "ABYAAAABKQCfPAAAAbMAEAcAAAG2EGBtlfeVJS+T/Wb8vaZZbSp4woMBqNRlWrUA4Y2hqSb76qB+kZLMV0PNLKHiXk//jeMz2+Sz"
    "NV5ihoPAVsVfjl0SYPhBbTYmq2i1lrp4IAAAAAABB2VuY29kZXICDUxhdmY2Mi4xMi5mcmFtZV9yYXRlAgQyNS8xIPB76U5L5K3u"
    "ykVpBgAAFgAAAAEpAJ88AAABswAQBwAAAbYQYG2V95UlL5P9Zvy9plltKnjCgwGo1GVatWn/Uw+zWw8HnwYsEJZtMmUa"
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


def test_many_small_packets_are_not_kept(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", num_frames=30)
    for limit, kept in ((30 * 640 + path.stat().st_size, True), (30 * 640, False)):  # payload and objects; objects
        monkeypatch.setattr("data_prep.video.packets.KEEP_BYTES", limit)
        with open_video(path) as video:
            assert (video._kept is not None) is kept
            assert len(list(video.packets())) == 30
        assert [index_of(image) for image in sample_frames(path, [0.0, 0.5])] == [0, 15]


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


def test_a_damaged_file_that_decodes_to_fewer_frames_the_second_time(tmp_path):
    # 669 bytes of damaged MPEG-4 in NUT: two frames on the first pass, fewer on the next.
    path = write(tmp_path / "a.nut", base64.b64decode(DAMAGED_MPEG4))
    try:
        first, second, late = sample_frames(path, [0.1, 0.5, 5.0], size=(32, 32))
    except VideoError as error:
        assert "no frame of it decodes" in str(error)
    else:
        assert first.size == second.size == late.size == (32, 32)
        assert late.tobytes() == second.tobytes()


@pytest.mark.parametrize(("second_pass", "shown"), [(3, [0, 1, 2, 2, 2]), (1, [0, 0, 0, 0, 0]), (0, None)])
def test_what_a_second_pass_does_not_give_is_the_last_frame(tmp_path, monkeypatch, second_pass, shown):
    path = make_video(tmp_path / "a.mp4", num_frames=20, fps=25)
    passes = []

    def decode_fewer(video):
        passes.append(video)
        frames = list(decode_all(video))
        yield from frames[: second_pass if len(passes) > 1 else None]

    monkeypatch.setattr("data_prep.video.sampling.decode_all", decode_fewer)
    monkeypatch.setattr("data_prep.video.sampling._planned", lambda *_: None)
    times = [0.0, 0.04, 0.08, 0.4, 9.0]  # at 25 frames a second: frames 0, 1, 2, 10 and the last
    if shown is None:
        with pytest.raises(VideoError, match="no frame of it decodes a second time"):
            sample_frames(path, times)
    else:
        assert [index_of(image) for image in sample_frames(path, times)] == shown
