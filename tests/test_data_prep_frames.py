"""Shards of frames: loadable by datasets, resumable, and what training reads instead of videos."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image
from trl import SFTConfig

from data_prep.__main__ import main
from data_prep.records import RecordWriter, read_records
from data_prep.stages import StageError, file_digest
from data_prep.video.clips import clip_frames
from data_prep.video.frame_store import FrameStore, clip_key
from data_prep.video.sampling import VideoError
from recipe.inputs.dataset import load_mixture
from tests.helpers.tiny_parts import COMMON, parts

NAMES = ("general.jsonl", "ground.jsonl")


def words(data, out, *others):
    tracks = [str(data / name) for name in NAMES]
    fixed = ["--max_frame_pixels", "2304", "--grid", "24", "--shard_size", "2", "--workers", "1"]
    return ["frames", "--tracks", *tracks, "--video_root", str(data / "videos"), "--out", str(out), *fixed, *others]


@pytest.fixture(scope="module")
def shards(tiny_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("frames") / "shards"
    assert main(words(tiny_data, out)) == 0
    return out


def digests(folder):
    return {path.name: file_digest(path) for path in sorted(folder.glob("clips-*"))}


def test_every_clip_once(shards, tiny_data):
    records = [record for name in NAMES for record in read_records(tiny_data / name)]
    keys = {clip_key(record["video"], *record["clip"], 1) for record in records}
    store = FrameStore(shards)
    assert len(store) == len(keys)
    assert all(key in store for key in keys)
    report = json.loads((shards / "frames.report.json").read_text())
    assert report["clips"] == len(keys)
    assert report["without_frames"] == 0
    assert report["frames"] == sum({clip_key(r["video"], *r["clip"], 1): r["seconds"] for r in records}.values())


def test_datasets_loads_the_shards(shards, tmp_path):
    rows = load_dataset("parquet", data_files=str(shards / "*.parquet"), split="train", cache_dir=str(tmp_path))
    assert len(rows) == len(FrameStore(shards))
    assert isinstance(rows[0]["frames"][0], Image.Image)
    assert rows[0]["frames"][0].size == (48, 48)


def test_rows_are_the_same_from_frames_and_from_videos(shards, tiny_data, tiny_base):
    _, _, _, decoded = parts(tiny_data, tiny_base, True, None)
    _, _, builder, stored = parts(tiny_data, tiny_base, True, None, frames=str(shards))
    builder.clips.video_root = shards / "no-videos"
    assert len(stored) == len(decoded)
    for ours, theirs in zip(stored, decoded, strict=True):
        assert ours.keys() == theirs.keys()
        assert [ours[name] == theirs[name] for name in ours if name != "images"].count(False) == 0
        for a, b in zip(ours["images"], theirs["images"], strict=True):
            assert a.size == b.size
            assert np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() < 6, "JPEG is close"


def test_a_training_step_from_shards(shards, tiny_data, tiny_base, tmp_path):
    from recipe.training.trainers import GroundingSFTTrainer

    model, processor, _, rows = parts(tiny_data, tiny_base, True, None, frames=str(shards))
    args = SFTConfig(output_dir=str(tmp_path), max_length=None, per_device_train_batch_size=2, **COMMON)
    trainer = GroundingSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=processor)
    assert 0 < trainer.train().training_loss < 12


def test_frames_of_another_clip_are_named(shards):
    with pytest.raises(StageError, match="no frames of .*nowhere.mp4"):
        FrameStore(shards).frames(clip_key("nowhere.mp4", 0, 1, 1))
    with pytest.raises(StageError, match="no shards of frames"):
        FrameStore(shards / "nothing")


def test_what_exists_is_not_made_again_and_what_misses_is(shards, tiny_data, tmp_path):
    before = digests(shards)
    victim = sorted(shards.glob("clips-*"))[1]
    kept = {path.name: path.stat().st_mtime_ns for path in shards.glob("clips-*")}
    victim.unlink()
    left = shards / ".clips-00001-of-00006.parquet.123-0123abcd.part"  # as a killed worker leaves it
    other = shards / ".clips-x.part"
    left.write_bytes(b"half")
    other.write_bytes(b"somebody's")
    assert main(words(tiny_data, shards)) == 0
    assert digests(shards) == before, "the same bytes"
    assert not left.exists()
    assert other.exists(), "its name is not of our pattern"
    other.unlink()
    after = {path.name: path.stat().st_mtime_ns for path in shards.glob("clips-*")}
    assert {name for name in kept if kept[name] != after[name]} == {victim.name}


def test_other_settings_are_refused(shards, tiny_data, capsys):
    assert main(words(tiny_data, shards, "--quality", "50")) == 2
    assert "holds frames of other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_after_kill_9_at_any_time(tiny_data, tmp_path):
    """Killed with the first shards there, and again with a shard half written; then it runs to its end."""
    out = tmp_path / "out"
    slowly = ["--frame_rate", "20", "--shard_size", "1"]  # many frames a shard, so that there is time to kill it
    assert main(words(tiny_data, tmp_path / "undisturbed", *slowly)) == 0
    expected = digests(tmp_path / "undisturbed")
    command = [sys.executable, "-m", "data_prep", *words(tiny_data, out, *slowly), "--workers", "2"]

    def kill_when(wanted):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not wanted() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    kill_when(lambda: any(out.glob("clips-*")))
    first = digests(out)
    assert 0 < len(first) < len(expected), "it was killed on the way"
    left = set(out.glob(".clips*.part"))
    kill_when(lambda: set(out.glob(".clips*.part")) - left)
    second = digests(out)
    assert first.items() <= second.items(), "what is there stays"
    assert len(second) < len(expected)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert digests(out) == expected
    assert not list(out.glob(".*"))


def test_clips_that_cannot_be_decoded_are_listed(tiny_data, tmp_path, capsys):
    records = list(read_records(tiny_data / "ground.jsonl"))[:2]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "bad.mp4").write_bytes(b"no video")
    with RecordWriter(tmp_path / "t.jsonl") as writer:
        writer.write(records[0] | {"id": "1", "video": "bad.mp4"})
        writer.write(records[0] | {"id": "2", "video": "gone.mp4"})
    out = tmp_path / "out"
    base = ["frames", "--tracks", str(tmp_path / "t.jsonl"), "--video_root", str(tmp_path / "videos")]
    assert main([*base, "--out", str(out), "--workers", "1"]) == 2
    report = json.loads((out / "frames.report.json").read_text())
    assert (report["clips"], report["without_frames"]) == (2, 2)
    assert len(report["examples"]) == 2
    assert len(FrameStore(out)) == 0
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(
        f"error: {out}: 2 of 2 clips have no frames, expected at most 5% (--max_missing); the first"
    )


def test_whole_files_and_clips_without_frames_in_training(tiny_data, tiny_base, tmp_path, caplog):
    """A question about a whole file needs no video beside the shards; a clip that did not decode is left out."""
    ground, other = list(read_records(tiny_data / "ground.jsonl"))[:2]
    nothing = ("clip", "seconds", "fps", "width", "height", "label", "span", "track")
    file = other | {"kind": "caption", "query": "Describe it.", "answer": "a dog"} | dict.fromkeys(nothing)
    tracks = tmp_path / "t.jsonl"
    with RecordWriter(tracks) as writer:
        writer.write(file | {"id": "whole"})
        writer.write(ground | {"id": "good"})
        writer.write(ground | {"id": "gone", "video": "gone.mp4"})
    out = tmp_path / "shards"
    fixed = ["--max_frame_pixels", "2304", "--grid", "24", "--workers", "1", "--out", str(out), "--max_missing", "0.5"]
    assert main(["frames", "--tracks", str(tracks), "--video_root", str(tiny_data / "videos"), *fixed]) == 0
    _, _, decode, _ = parts(tiny_data, tiny_base, True, None)
    _, _, builder, _ = parts(tiny_data, tiny_base, True, None, frames=str(out))
    builder.clips.video_root = tmp_path / "no-videos"
    rows = load_mixture([str(tracks)], builder)
    assert [rows[k]["id"] for k in range(len(rows))] == ["whole", "good"]
    assert "1 of " in caplog.text
    assert "gone.mp4: no frames at frame_rate 1 in" in caplog.text
    for row, record in zip(rows, (file | {"id": "whole"}, ground | {"id": "good"}), strict=True):
        expected = decode.row(record)
        assert row["prompt"] == expected["prompt"]
        assert row["seconds"] == expected["seconds"]
        assert [a.size for a in row["images"]] == [a.size for a in expected["images"]]
    builder.clips.rate = 2.0
    with pytest.raises(FileNotFoundError, match="none of its 3 records is left: 3 of 3 .*: 3 missing"):
        load_mixture([str(tracks)], builder)


@pytest.mark.parametrize("content", [b"", b"no parquet"])
def test_a_broken_shard_is_named(tmp_path, content):
    (tmp_path / "clips-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(StageError, match="clips-00000-of-00001.parquet: no shard of frames"):
        FrameStore(tmp_path)


@pytest.mark.parametrize(
    "option", ["--grid", "--max_frame_pixels", "--quality", "--shard_size", "--workers", "--frame_budget"]
)
def test_numbers_that_cannot_be(tiny_data, tmp_path, capsys, option):
    assert main(words(tiny_data, tmp_path / "out", option, "-1")) == 2
    assert f"error: {option} -1, expected a whole number from 1" in capsys.readouterr().err


def test_frames_that_lie_in_a_folder(tmp_path):
    for number in range(1, 21):
        Image.new("RGB", (32, 16), (number * 10, 0, 0)).save(tmp_path / f"{number:08d}.jpg", quality=100)
    record = {"clip": [1.0, 2.0], "fps": 10.0}
    pictures = clip_frames(tmp_path, record, [0.05, 0.5, 0.99, 5.0], (16, 8))
    assert [round(np.asarray(p)[..., 0].mean() / 10) for p in pictures] == [11, 16, 20, 20]
    assert pictures[0].size == (16, 8)
    with pytest.raises(VideoError, match="the record states no fps"):
        clip_frames(tmp_path, record | {"fps": None}, [0.5], (16, 8))
    (tmp_path / "00000011.jpg").write_bytes(b"no picture")
    with pytest.raises(VideoError, match="no picture in it"):
        clip_frames(tmp_path, record, [0.05], (16, 8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="no numbered JPEG, PNG or WebP"):
        clip_frames(tmp_path / "empty", record, [0.0], (16, 8))


@pytest.mark.slow
def test_through_ray_with_two_workers(shards, tiny_data, tmp_path):
    pytest.importorskip("ray")
    command = [
        sys.executable,
        "-m",
        "data_prep",
        *words(tiny_data, tmp_path / "out"),
        "--engine",
        "ray",
        "--workers",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert digests(tmp_path / "out") == digests(shards)
