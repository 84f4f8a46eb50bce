"""What the pictures of a record say beats what an option says; videos that do not fit are drops with reasons."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.helpers.films import make_plain_video
from tests.helpers.layouts import convert, hcstvg_record, vidor, vidstg_record, write


def lasot(root, name="cat-1", boxes="11,21,30,30\n" * 20, size=(480, 360), numbers=range(1, 21), suffix="jpg"):
    """A sequence of 20 frames with its pictures."""
    folder = root / "cat" / name
    write(folder / "groundtruth.txt", boxes)
    for flag in ("full_occlusion", "out_of_view"):
        write(folder / f"{flag}.txt", ",".join("0" * 20))
    (folder / "img").mkdir()
    for number in numbers:
        sizes = size if isinstance(size, tuple) else size(number)
        Image.new("RGB", sizes).save(folder / "img" / f"{number:08}.{suffix}")
    return folder / "img"


def the(records):
    (record,) = records.values()
    return record


def first_box(record):
    return record["track"][0]["box"]


RIGHT = [10 / 480, 20 / 360, 40 / 480, 50 / 360]


@pytest.mark.parametrize("videos", [True, False])
def test_pictures_beat_the_size_of_the_option(tmp_path, videos):
    lasot(tmp_path / "LaSOT")
    more = ["--video_root", tmp_path / "LaSOT"] if videos else []
    words = ["--size", "1280x720", "--fps", 10, *more]
    records, report, _ = convert("lasot", tmp_path / "LaSOT", tmp_path / "o", *words)
    assert (the(records)["width"], the(records)["height"]) == (480, 360)
    assert first_box(the(records)) == pytest.approx(RIGHT, abs=1e-6)
    ((what, count),) = report["notes"].items()
    assert "another size than --size" in what and count == 1
    assert "480x360" in report["noted"][what]


def test_the_option_says_nothing_where_it_agrees(tmp_path):
    lasot(tmp_path / "LaSOT")
    _, report, _ = convert("lasot", tmp_path / "LaSOT", tmp_path / "o", "--size", "480x360", "--fps", 10)
    assert "notes" not in report


def test_a_size_that_no_box_fills_half_of_is_doubted(tmp_path):
    write(tmp_path / "annos" / "cat-1.txt", "11,21,30,30\n" * 20)
    write(tmp_path / "annos" / "cat-2.txt", "600,21,90,30\n" * 20)
    for name in ("cat-1", "cat-2"):
        write(tmp_path / "annos" / "absent" / f"{name}.txt", "0\n" * 20)
    _, report, _ = convert("lasot", tmp_path / "annos", tmp_path / "o", "--size", "1280x720", "--fps", 10)
    assert report["written"] == 2
    ((what, count),) = report["notes"].items()
    assert "never pass half of --size" in what and count == 1
    assert "cat-1" in report["noted"][what]


def test_each_box_is_a_share_of_its_own_picture(tmp_path):
    lasot(tmp_path / "LaSOT", size=lambda number: (480, 360) if number <= 10 else (960, 720))
    records, report, _ = convert("lasot", tmp_path / "LaSOT", tmp_path / "o", "--fps", 10)
    before, after = (state["box"] for state in the(records)["track"])
    assert before == pytest.approx(RIGHT, abs=1e-6)
    assert after == pytest.approx(np.array(RIGHT) / 2, abs=1e-6)
    assert any("change their size" in what for what in report["notes"])


def test_what_is_no_frame_and_what_has_no_picture_are_said(tmp_path):
    folder = lasot(tmp_path / "LaSOT", numbers=[*range(1, 8), *range(11, 21)])
    for name in ("cover.jpg", "._00000001.jpg", "1.jpg"):
        Image.new("RGB", (5, 5)).save(folder / name)
    words = ["--fps", 10, "--video_root", tmp_path / "LaSOT"]
    records, report, _ = convert("lasot", tmp_path / "LaSOT", tmp_path / "o", *words)
    assert the(records)["width"] == 480
    counts = {what.split()[0]: count for what, count in report["notes"].items()}
    assert counts == {"pictures": 3, "frames": 3}


def test_fewer_pictures_than_frames_are_a_drop(tmp_path):
    lasot(tmp_path / "LaSOT", numbers=range(1, 6))
    words = ["--fps", 10, "--video_root", tmp_path / "LaSOT"]
    _, report, _ = convert("lasot", tmp_path / "LaSOT", tmp_path / "o", *words)
    assert report["dropped"] == {"shorter_than_clip": 1}
    assert "5 frames at 10 a second" in report["examples"]["shorter_than_clip"][0]


def test_hcstvg_counts_what_is_no_video_too_short_or_of_another_shape(tmp_path):
    videos = tmp_path / "v"
    for name in ("good", "scaled", "wide"):
        size = {"good": (100, 50), "scaled": (200, 100), "wide": (64, 48)}[name]
        make_plain_video(videos / f"{name}.mp4", (9, 9, 9), seconds=20, size=size)
    make_plain_video(videos / "short.mp4", (9, 9, 9), seconds=5, size=(100, 50))
    (videos / "empty.mp4").touch()
    (videos / "page.mp4").write_text("<html>404</html>" * 50)
    (videos / "half.mp4").write_bytes((videos / "good.mp4").read_bytes()[:2000])
    names = ["good", "scaled", "wide", "short", "empty", "page", "half", "gone"]
    path = write(tmp_path / "val_v2.json", {f"{name}.mp4": hcstvg_record() for name in names})
    records, report, _ = convert("hcstvg", path, tmp_path / "o", "--video_root", videos)
    assert [record["video"] for record in records.values()] == ["good.mp4", "scaled.mp4"]
    assert report["dropped"] == {"missing_video": 1, "other_size": 1, "shorter_than_clip": 1, "unreadable": 3}
    assert "last frame is at 4.90 s" in report["examples"]["shorter_than_clip"][0]


def test_a_videos_rate_beats_the_option(tmp_path):
    make_plain_video(tmp_path / "v" / "a.mp4", (9, 9, 9), seconds=2)
    path = write(tmp_path / "q.jsonl", json.dumps({"video": "a.mp4", "question": "?", "answer": "a"}))
    records, report, _ = convert("qa", path, tmp_path / "o", "--video_root", tmp_path / "v", "--fps", 30)
    assert the(records)["fps"] == 10
    assert any("another rate than --fps" in what for what in report["notes"])


def test_boxes_that_are_inverted_or_outside_are_counted(tmp_path):
    path = vidor(tmp_path / "vidor")
    annotation = json.loads(path.read_text())
    annotation["trajectories"][25][0]["bbox"] = {"xmin": 29, "ymin": 5, "xmax": 10, "ymax": 24}
    annotation["trajectories"][26][0]["bbox"] = {"xmin": 200, "ymin": 5, "xmax": 220, "ymax": 24}
    path.write_text(json.dumps(annotation))
    annotations = write(tmp_path / "val_annotations.json", [vidstg_record(questions=[])])
    _, report, frames = convert("vidstg", annotations, tmp_path / "o", "--vidor", tmp_path / "vidor")
    ((what, count),) = report["notes"].items()
    assert "inverted or wholly outside" in what and count == 2
    (line,) = frames.values()
    assert len(line["boxes"]) == 12  # of frames 25 to 39, without 25, 26 and 30, which had none
