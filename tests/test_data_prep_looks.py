"""One look at a video before the work that needs it: what opens, what is too short, what has another shape."""

import os

import pytest
from PIL import Image

from data_prep.video import looks
from data_prep.video.looks import Fault, Look, fault_of, fits, look, look_at
from data_prep.video.looks_memory import LooksMemory
from data_prep.video.sampling import probe
from tests.helpers.films import make_arrow, make_audio, make_audio_with_cover, make_fifo, make_plain_video, make_video

CLIP = {"video": "a.mp4", "clip": [0.0, 20.0], "seconds": 20, "fps": 10.0, "width": 64, "height": 48}


@pytest.fixture(autouse=True)
def own_memory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(looks, "_MEMORY", LooksMemory(Look))


def cut_after_index(path, out, share):
    """A film whose index stands before its pictures, cut short: the headers are whole."""
    import av

    whole = out.with_suffix(".whole.mp4")
    with av.open(str(path)) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = whole.read_bytes()
    out.write_bytes(data[: int(len(data) * share)])
    return out


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "mov", "ts"])
def test_a_look_sees_what_probe_reads_of_the_whole_file(tmp_path, suffix):
    path = make_video(tmp_path / f"a.{suffix}", num_frames=95, fps=30)
    info, seen = probe(path), look(path)
    assert seen.problem is None
    assert (seen.width, seen.height) == (info.width, info.height) == (64, 48)
    assert seen.last_s == pytest.approx(float(info.last_frame_s), abs=0.1)


def test_a_turned_or_stretched_picture_is_seen_as_it_is_displayed(tmp_path):
    seen = look(make_arrow(tmp_path / "a.mp4", size=(64, 32), aspect=2))
    assert (seen.width, seen.height, seen.coded) == (128, 32, (64, 32))
    assert fits(seen, (128, 32)) and fits(seen, (64, 32)) and not fits(seen, (32, 64))


@pytest.mark.parametrize(
    ("name", "text"),
    [("empty", "is empty"), ("page", "cannot be read as a video"), ("half", "cannot be read as a video"),
     ("audio", "holds no video"), ("cover", "holds no video"), ("fifo", "no plain file"),
     ("gone", "cannot be opened")],
)  # fmt: skip
def test_what_is_no_video_is_unreadable(tmp_path, name, text):
    path = tmp_path / "a.mp4"
    if name == "empty":
        path.touch()
    elif name == "page":
        path.write_text("<html><body>404 Not Found</body></html>" * 20)
    elif name == "half":
        whole = make_video(tmp_path / "whole.mp4")
        path.write_bytes(whole.read_bytes()[:2000])
    elif name == "fifo":
        make_fifo(path)
    elif name == "audio":
        path = make_audio(tmp_path / "a.m4a")
    elif name == "cover":
        path = make_audio_with_cover(tmp_path / "a.mp4")
    reason, detail = fault_of(look(path), CLIP)
    assert reason is Fault.UNREADABLE
    assert text in detail and "\n" not in detail


def test_a_film_that_ends_before_the_clip_is_too_short(tmp_path):
    short = make_plain_video(tmp_path / "short.mp4", (9, 9, 9), seconds=5)
    whole = make_plain_video(tmp_path / "whole.mp4", (9, 9, 9), seconds=20)
    assert fault_of(look(whole), CLIP) is None
    reason, detail = fault_of(look(short), CLIP)
    assert reason is Fault.SHORTER
    assert "last frame is at 4.90 s" in detail and "begins at 19 s" in detail
    assert fault_of(look(short), CLIP | {"clip": [0.0, 5.4], "seconds": 6}) is None  # a nominal rate, a little off


def test_a_file_that_was_cut_in_its_pictures_is_as_long_as_what_is_left(tmp_path):
    whole = make_video(tmp_path / "whole.mp4", num_frames=600, fps=30)
    cut = cut_after_index(whole, tmp_path / "cut.mp4", 0.5)
    assert look(whole).last_s == pytest.approx(599 / 30, abs=0.1)
    assert 5 < look(cut).last_s < 15
    assert fault_of(look(cut), CLIP)[0] is Fault.SHORTER


def test_another_shape_does_not_fit_and_another_scale_does(tmp_path):
    path = make_plain_video(tmp_path / "a.mp4", (9, 9, 9), seconds=20)
    assert fault_of(look(path), CLIP | {"width": 640, "height": 480}) is None
    reason, detail = fault_of(look(path), CLIP | {"width": 1280, "height": 720})
    assert reason is Fault.OTHER_SIZE
    assert "64x48" in detail and "1280x720" in detail


def folder_of(path, numbers, size=(64, 48)):
    path.mkdir()
    for number in numbers:
        Image.new("RGB", size, (number % 256, 0, 0)).save(path / f"{number:08}.jpg")
    return path


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [(range(1, 201), None), (range(1, 101), "100 frames at 10 a second"),
     ([*range(1, 11), *range(21, 201)], "frames 10 to 19 have no picture"),
     ([*range(1, 11), *range(16, 201)], None), (range(1, 201, 5), "40 frames at 10 a second")],
)  # fmt: skip
def test_a_folder_is_looked_at_by_its_numbers(tmp_path, numbers, fault):
    found = fault_of(look(folder_of(tmp_path / "seq", numbers)), CLIP)
    if fault is None:
        assert found is None
    else:
        assert found[0] is Fault.SHORTER and fault in found[1]


def test_a_file_is_opened_once_until_it_changes(tmp_path, monkeypatch):
    path = make_plain_video(tmp_path / "a.mp4", (9, 9, 9), seconds=2)
    opened = []
    real = looks.open_stream
    monkeypatch.setattr(looks, "open_stream", lambda name: opened.append(name) or real(name))
    assert look(path) == look(path)
    assert look_at([path, path, tmp_path / "gone.mp4"])[path].problem is None
    assert len(opened) == 1
    make_plain_video(path, (9, 9, 9), seconds=4)
    assert look(path).last_s == pytest.approx(3.9)
    assert len(opened) == 2


def test_what_is_good_and_at_rest_is_remembered_by_the_next_process(tmp_path, monkeypatch):
    path = make_plain_video(tmp_path / "a.mp4", (9, 9, 9), seconds=2)
    bad = tmp_path / "bad.mp4"
    bad.touch()
    for file in (path, bad):
        os.utime(file, (1e9, 1e9))
    first = look(path), look(bad)
    kept = tmp_path / "cache" / "stvg-recipe" / "looks.jsonl"
    assert len(kept.read_text().splitlines()) == 1  # an error can be a disk that is away
    with kept.open("a") as file:
        file.write('[1, "cut sho')
    monkeypatch.setattr(looks, "_MEMORY", LooksMemory(Look))
    monkeypatch.setattr(looks, "open_stream", None)  # not opened again
    assert look(path) == first[0]
