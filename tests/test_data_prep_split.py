"""Track files are divided by video: no video is on both sides, and every file has some."""

import json

import pytest

from data_prep.__main__ import main
from data_prep.mixing.split import divide
from data_prep.records import read_records
from data_prep.stages import StageError
from tests.helpers.example_records import grounding


def write(path, videos):
    lines = [json.dumps(grounding(id=f"{path.stem}/{n}", video=video)) for n, video in enumerate(videos)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_no_video_is_in_two_files_and_no_record_is_lost(tmp_path, capsys):
    videos = [f"part{n % 2}/clip{n % 10}.mp4" for n in range(40)]
    first = write(tmp_path / "a.jsonl", videos)
    second = write(tmp_path / "b.jsonl", ["clip3.webm", "CLIP4.mp4"])  # of the first file's videos, by another name
    assert main(["split", str(first), str(second), "--out", str(tmp_path / "out"), "--val", "0.2"]) == 0
    parts = {name: list(read_records(tmp_path / "out" / f"{name}.jsonl")) for name in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == 42
    videos_of = {
        name: {r["video"].lower().rsplit("/")[-1].split(".")[0] for r in part} for name, part in parts.items()
    }
    assert [len(videos_of[name]) for name in ("train", "val", "test")] == [7, 2, 1]
    assert len(set.union(*videos_of.values())) == 10
    assert all(record["split"] == name for name, part in parts.items() for record in part)
    assert f"train.jsonl: {len(parts['train'])} records of 7 videos" in capsys.readouterr().out


def test_the_seed_and_the_names_alone_decide():
    names = [f"v{n}" for n in range(50)]
    assert divide(names, 0.1, 0.1, 0) == divide(reversed(names), 0.1, 0.1, 0)
    assert divide(names, 0.1, 0.1, 0) != divide(names, 0.1, 0.1, 1)
    assert sorted(divide("abc", 0.01, 0.9, 0).values()) == ["test", "train", "val"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--val", "0"], "--val 0 --test 0.1: expected shares above 0 that leave some to train on"),
        (["--val", "0.5", "--test", "0.5"], "--val 0.5 --test 0.5: expected shares above 0"),
        ([], "2 videos: expected at least 3, one each to train, choose and test on"),
    ],
)
def test_what_cannot_be_divided_is_one_line(words, message, tmp_path, capsys):
    tracks = write(tmp_path / "a.jsonl", ["a.mp4", "b.mp4"])
    assert main(["split", str(tracks), "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_an_id_that_is_there_twice_is_refused(tmp_path, capsys):
    tracks = write(tmp_path / "a.jsonl", ["a.mp4", "b.mp4", "c.mp4"])
    assert main(["split", str(tracks), str(tracks), "--out", str(tmp_path / "out")]) == 2
    assert "the id 'a/0' is there twice" in capsys.readouterr().err


def test_three_videos_are_needed():
    with pytest.raises(StageError, match="1 videos"):
        divide(["a"], 0.1, 0.1, 0)
