"""A number in a record or a time stamp in a file that is too large to be true is one line, at once."""

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import pytest

from data_prep.__main__ import main
from data_prep.convert.audit import Audit
from data_prep.convert.building import text_record
from data_prep.convert.items import Text
from data_prep.convert.reasons import Drop
from data_prep.records import RecordError, read_records, validate_record
from data_prep.seconds import DAY_S, frame_times, most_seconds
from data_prep.video.sampling import VideoError, probe, probe_whole
from tests.helpers.films import one_line


def grounding(seconds, **more):
    return {
        "schema": 1, "id": "demo/0", "source": "demo", "split": "train", "kind": "declarative", "video": "a.mp4",
        "clip": [0.0, float(seconds)], "fps": 25.0, "width": 64, "height": 48, "seconds": seconds,
        "query": "the dog runs", "label": "dog-1", "span": [0, 1], "track": [], "answer": None,
    } | more  # fmt: skip


def make_far_apart(path):
    """Two frames of a Matroska file, the second 10**9 seconds after the first; about a kilobyte."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=32, height=32)
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25)
        frame = av.VideoFrame(32, 32, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        packets = []
        for pts in (0, 1):
            frame.pts = pts
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet, pts in zip(packets, (0, 25 * 10**9), strict=True):
            packet.pts = packet.dts = pts
            container.mux(packet)
    return path


def test_a_day_is_the_longest_clip():
    assert most_seconds() == DAY_S
    assert validate_record(grounding(DAY_S))["seconds"] == DAY_S
    for kind in (2_000_000_000, DAY_S + 1):
        # As plain types, and through the check that says what is wrong.
        for more in ({}, {"query": "le ch\xe2t"}):
            with pytest.raises(RecordError, match=rf"field seconds: {kind}, .* to 86400 \(STVG_MOST_SECONDS") as error:
                validate_record(grounding(kind, **more))
            assert one_line(error)


def test_the_limit_is_a_setting(monkeypatch):
    monkeypatch.setenv("STVG_MOST_SECONDS", "60")
    with pytest.raises(RecordError, match="from 1 to 60"):
        validate_record(grounding(61))
    monkeypatch.setenv("STVG_MOST_SECONDS", "100000")
    assert validate_record(grounding(100_000))["seconds"] == 100_000
    for wrong in ("a day", "0", "-5", "1e9", "9" * 5000):
        monkeypatch.setenv("STVG_MOST_SECONDS", wrong)
        with pytest.raises(ValueError, match="expected whole seconds from 1, such as 86400") as error:
            most_seconds()
        assert one_line(error)


def test_many_frames_a_second_of_a_long_clip_are_refused_too():
    assert validate_record(grounding(1000, rate=1000.0))["rate"] == 1000
    with pytest.raises(RecordError, match="field rate: 86400 seconds at 1000.0 frames a second, expected at most"):
        validate_record(grounding(DAY_S, rate=1000.0))


def test_times_are_not_listed_beyond_the_limit():
    for seconds, rate in ((2_000_000_000, 1.0), (DAY_S, 1000.0)):
        with pytest.raises(ValueError, match="expected at most"):
            frame_times(seconds, rate)


def test_a_file_whose_frames_are_years_apart(tmp_path):
    path = make_far_apart(tmp_path / "a.mkv")
    assert path.stat().st_size < 2000
    assert probe(path).seconds == 10**9 + 1  # what the file says, for those who want no list of it
    with pytest.raises(VideoError, match="a.mkv: 1000000001 seconds, expected at most 86400") as error:
        probe_whole(path)
    assert one_line(error)


def test_frames_says_it_of_the_clip_and_goes_on(tmp_path, capsys):
    make_far_apart(tmp_path / "a.mkv")
    fields = dict.fromkeys(("clip", "fps", "width", "height", "seconds", "label", "span", "track"))
    caption = grounding(1) | fields | {"kind": "caption", "video": "a.mkv", "answer": "a dog"}
    tracks = tmp_path / "a.jsonl"
    tracks.write_text(json.dumps(caption) + "\n")
    words = ["--tracks", str(tracks), "--videos", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["frames", *words]) != 0
    assert "a.mkv: 1000000001 seconds, expected at most 86400" in capsys.readouterr().err


def test_frames_says_it_of_a_record(tmp_path, capsys):
    tracks = tmp_path / "a.jsonl"
    tracks.write_text(json.dumps(grounding(2_000_000_000)) + "\n")
    with pytest.raises(RecordError, match="a.jsonl:1: record demo/0 field seconds: 2000000000"):
        list(read_records(tracks))
    words = ["--tracks", str(tracks), "--videos", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["frames", *words]) != 0
    assert "field seconds: 2000000000" in capsys.readouterr().err


def test_a_converter_drops_the_record_and_goes_on():
    args = argparse.Namespace(size=None, fps=None, video_root=None, annotations=Path("a.json"))
    item = Text("a/0", "train", "qa", "a.mp4", "who?", "he", (0.0, 2e9))
    with pytest.raises(Drop, match="2000000000 seconds, expected at most 86400"):
        text_record("a", item, args, Audit("a"))
