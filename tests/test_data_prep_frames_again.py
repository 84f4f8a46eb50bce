"""`data_prep frames` run again: what failed is tried again, a replaced video is seen, nobody writes beside it."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as parquet
import pytest
from datasets import load_dataset
from test_data_prep_frames import digests, words

from data_prep.__main__ import main
from data_prep.locks import locked
from data_prep.records import RecordWriter, read_records
from data_prep.video.frame_shards import MARKS, Shelf
from data_prep.video.frame_store import PATTERN, FrameStore, clip_key
from data_prep.video.marks import video_mark
from tests.helpers.processes import children, command_line


@pytest.fixture
def small(tiny_data, tmp_path):
    """(tracks of four clips, their own copy of the videos, the arguments of a run with two clips a shard)."""
    records = list({r["video"]: r for r in read_records(tiny_data / "ground.jsonl")}.values())[:4]
    videos = tmp_path / "videos"
    shutil.copytree(tiny_data / "videos" / "ground", videos / "ground")
    with RecordWriter(tmp_path / "t.jsonl") as writer:
        for record in records:
            writer.write(record)
    fixed = ["--max_frame_pixels", "2304", "--grid", "24", "--shard_size", "2", "--workers", "1"]
    place = ["--tracks", str(tmp_path / "t.jsonl"), "--video_root", str(videos), "--out", str(tmp_path / "out")]
    return records, videos, ["frames", *place, *fixed]


def key_of(record):
    return clip_key(record["video"], *record["clip"], 1)


def last_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def test_a_video_that_comes_back_is_decoded_and_nothing_else(small, tmp_path, capsys):
    records, videos, command = small
    assert main([*command, "--out", str(tmp_path / "undisturbed")]) == 0
    away = tmp_path / "away.mp4"
    (videos / records[0]["video"]).rename(away)
    assert main(command) == 2
    assert "1 of 4 clips have no frames, expected at most 5% (--max_missing)" in last_line(capsys)
    untouched = sorted((tmp_path / "out").glob(PATTERN))[1]
    before = untouched.stat().st_mtime_ns
    assert main([*command, "--max_missing", "0.25"]) == 0, "so many may be missing"
    shutil.copy2(away, videos / records[0]["video"])
    assert main(command) == 0
    assert untouched.stat().st_mtime_ns == before
    assert len(FrameStore(tmp_path / "out")) == 4
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed"), "copied rows are the same bytes"
    assert json.loads((tmp_path / "out/frames.report.json").read_text())["without_frames"] == 0


def test_a_wrong_video_root_is_an_error_and_the_right_one_mends_it(small, tmp_path, capsys):
    records, videos, command = small
    (tmp_path / "empty").mkdir()
    wrong = [str(tmp_path / "empty") if word == str(videos) else word for word in command]
    assert main([*wrong, "--max_missing", "1"]) == 2, "nothing of something is no success at any share"
    assert "4 of 4 clips have no frames" in last_line(capsys)
    assert main(command) == 0
    assert len(FrameStore(tmp_path / "out")) == len(records)


def test_a_replaced_video_is_decoded_again(small, tmp_path):
    records, videos, command = small
    assert main(command) == 0
    store = FrameStore(tmp_path / "out")
    first, other = (np.asarray(store.frames(key_of(record))[0], float) for record in (records[0], records[2]))
    shutil.copyfile(videos / records[2]["video"], videos / records[0]["video"])
    kept = sorted((tmp_path / "out").glob(PATTERN))[1].stat().st_mtime_ns
    assert main(command) == 0
    seen = np.asarray(FrameStore(tmp_path / "out").frames(key_of(records[0]))[0], float)
    assert np.array_equal(seen, other)
    assert not np.array_equal(seen, first)
    assert sorted((tmp_path / "out").glob(PATTERN))[1].stat().st_mtime_ns == kept


def test_a_moved_root_and_videos_that_were_put_away_change_nothing(small, tmp_path):
    records, videos, command = small
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob(PATTERN)}
    videos.rename(tmp_path / "moved")
    moved = [str(tmp_path / "moved") if word == str(videos) else word for word in command]
    assert main(moved) == 0
    shutil.rmtree(tmp_path / "moved")
    assert main(moved) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob(PATTERN)} == before


def test_a_broken_shard_is_made_again(small, tmp_path):
    _, _, command = small
    assert main(command) == 0
    before = digests(tmp_path / "out")
    shard = sorted((tmp_path / "out").glob(PATTERN))[0]
    shard.write_bytes(shard.read_bytes()[:-20])
    assert main(command) == 0
    assert digests(tmp_path / "out") == before


def test_a_whole_file_whose_length_was_not_known(small, tmp_path):
    """Its clip is another one once the file is there, so that shards come to hold other clips, and one less."""
    records, videos, command = small
    nothing = ("clip", "seconds", "fps", "width", "height", "label", "span", "track")
    whole = records[0] | {"kind": "caption", "answer": "a dog"} | dict.fromkeys(nothing)
    with RecordWriter(tmp_path / "t.jsonl") as writer:
        writer.write(whole | {"id": "whole"})
        for record in records:
            writer.write(record)
    away = tmp_path / "away.mp4"
    (videos / records[0]["video"]).rename(away)
    assert main([*command, "--max_missing", "0.5"]) == 0
    assert len(sorted((tmp_path / "out").glob(PATTERN))) == 3  # 5 clips in twos
    shutil.copy2(away, videos / records[0]["video"])
    assert main(command) == 0
    store = FrameStore(tmp_path / "out")
    assert len(store) == 4
    assert store.whole_file(records[0]["video"]) is not None
    assert [path.name for path in sorted((tmp_path / "out").glob(PATTERN))] == [
        "clips-00000-of-00002.parquet",
        "clips-00001-of-00002.parquet",
    ]
    assert main([*command, "--out", str(tmp_path / "undisturbed")]) == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")
    (videos / records[0]["video"]).unlink()
    assert main(command) == 0, "its frames are there, so the file may go"
    assert len(FrameStore(tmp_path / "out")) == 4


def as_before_marks(folder):
    """Turn shards and manifest into what earlier versions wrote."""
    for shard in folder.glob(PATTERN):
        table = parquet.ParquetFile(shard)
        schema = table.schema_arrow
        metadata = {key: value for key, value in schema.metadata.items() if key != MARKS}
        groups = [table.read_row_group(number) for number in range(table.num_row_groups)]
        with parquet.ParquetWriter(shard, schema.with_metadata(metadata)) as writer:
            for group in groups:
                writer.write_table(group)
    manifest = json.loads((folder / "frames.json").read_text())
    manifest["shards"] = len(list(folder.glob(PATTERN)))
    (folder / "frames.json").write_text(json.dumps(manifest, sort_keys=True, indent=1))


def test_shards_of_earlier_versions_stay_and_stand_beside_new_ones(small, tmp_path, capsys):
    records, videos, command = small
    away = tmp_path / "away.mp4"
    (videos / records[0]["video"]).rename(away)
    assert main([*command, "--max_missing", "0.5"]) == 0
    as_before_marks(tmp_path / "out")
    assert len(FrameStore(tmp_path / "out")) == 3
    kept = sorted((tmp_path / "out").glob(PATTERN))[1].stat().st_mtime_ns
    shutil.copy2(away, videos / records[0]["video"])
    capsys.readouterr()
    assert main(command) == 0
    assert "3 clips were decoded by an earlier version, which did not note its videos" in capsys.readouterr().err
    assert sorted((tmp_path / "out").glob(PATTERN))[1].stat().st_mtime_ns == kept
    assert len(FrameStore(tmp_path / "out")) == 4
    marks = {key: place.mark for key, place in Shelf.read(tmp_path / "out").places.items()}
    assert marks[key_of(records[0])] == video_mark(videos / records[0]["video"])
    assert [marks[key_of(record)] for record in records[1:]] == [None] * 3
    rows = load_dataset(
        "parquet", data_files=str(tmp_path / "out/*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 4


def test_the_same_tracks_under_another_path_go_on_and_others_are_refused(small, tmp_path, capsys):
    _, _, command = small
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob(PATTERN)}
    shutil.copy(tmp_path / "t.jsonl", tmp_path / "copy.jsonl")
    assert main([str(tmp_path / "copy.jsonl") if word.endswith("t.jsonl") else word for word in command]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob(PATTERN)} == before
    (tmp_path / "t.jsonl").write_text((tmp_path / "t.jsonl").read_text().splitlines(keepends=True)[0])
    assert main(command) == 2
    assert "holds frames of other settings or track files (tracks)" in last_line(capsys)
    (tmp_path / "out/frames.json").write_text("{")
    assert main(command) == 2
    assert "frames.json: cannot be read" in last_line(capsys)


def test_a_second_process_is_refused(small, tmp_path, capsys):
    _, _, command = small
    holder = "import sys, time; from pathlib import Path; from data_prep.locks import Lock\n"
    holder += "Lock(Path(sys.argv[1]), folder=True).acquire(); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        assert main(command) == 2
        assert f"out: process {other.pid} on " in last_line(capsys)
        other.kill()
    assert main(command) == 0, "the lock dies with its process"
    with locked(tmp_path / "out", folder=True):
        assert main(command) == 2


def test_outputs_that_are_inputs(small, tmp_path, capsys):
    _, videos, command = small
    (tmp_path / "link").symlink_to(videos)
    assert main([*command, "--out", str(tmp_path / "link")]) == 2
    assert "one of the inputs" in last_line(capsys)
    (tmp_path / "out").mkdir()
    tracks = (tmp_path / "t.jsonl").rename(tmp_path / "out/frames.json")
    content = tracks.read_bytes()
    assert main([str(tracks) if word.endswith("t.jsonl") else word for word in command]) == 2
    assert "one of the inputs" in last_line(capsys)
    assert tracks.read_bytes() == content
    assert main([*command, "--max_missing", "7"]) == 2
    assert "--max_missing 7.0, expected a share from 0 to 1" in last_line(capsys)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc to find the workers")
@pytest.mark.slow
def test_a_killed_worker_ends_the_run_with_one_line(tiny_data, tmp_path):
    """As the system does when memory runs out; finished shards stay and the same command goes on."""
    out = tmp_path / "out"
    slowly = ["--frame_rate", "20", "--shard_size", "1"]  # many frames a shard, so that there is time to kill
    command = [sys.executable, "-m", "data_prep", *words(tiny_data, out, *slowly), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not any(out.glob(PATTERN)) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    workers = [pid for pid in children(process.pid) if b"spawn_main" in command_line(pid)]
    os.kill(workers[0], signal.SIGKILL)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 2, error
    assert error.splitlines()[-1].startswith("error: a worker process was killed (out of memory?); what is finished")
    assert "Traceback" not in error
    done = digests(out)
    assert done
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert done.items() <= digests(out).items()
    assert not list(out.glob(".*")), "neither a half file nor a lock is left"


def test_the_mark_of_a_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, 7))
    assert video_mark(path) == "5|7"
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"1")
    first = video_mark(folder)
    assert first.startswith("1 files|")
    (folder / "1.jpg").write_bytes(b"22")  # in place: the folder's own time of change stays
    assert video_mark(folder) != first
    with pytest.raises(FileNotFoundError):
        video_mark(tmp_path / "gone")


def test_worker_processes_hand_out_results_and_errors():
    from data_prep.video.workers import worker_processes

    with worker_processes(1, "spawn") as pool:
        assert pool.submit(abs, -3).result() == 3
    with pytest.raises(ValueError, match="invalid literal"), worker_processes(1, "spawn") as pool:
        pool.submit(int, "x").result()
    assert not multiprocessing.active_children()
