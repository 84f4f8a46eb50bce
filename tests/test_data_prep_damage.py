"""Files that are cut, overwritten or lie about their times: the sampler gives the frames that there are."""

import logging
from fractions import Fraction

import av
import pytest

from data_prep.video.packets import PacketIndex, open_video
from data_prep.video.sampling import VideoError, probe, sample_frames
from tests.helpers.films import X264, damage, decode_plainly, expected, index_of, make_video, one_line, same


@pytest.fixture
def no_fallback(monkeypatch):
    """Decoding everything is an error: the plan has to do."""

    def refuse(*_):
        raise AssertionError("decoded everything, expected the plan to do")

    monkeypatch.setattr("data_prep.video.sampling._sequential", refuse)


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
