"""The converters on real annotation files, from the folder that STVG_SAMPLES names; skipped without it."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.__main__ import main
from data_prep.records import read_records
from data_prep.seconds import frame_times
from data_prep.video.frame_shards import jpeg
from data_prep.video.frame_store import FrameStore, clip_key
from data_prep.video.sampling import sample_frames
from tests.helpers.layouts import convert

ROOT = os.environ.get("STVG_SAMPLES")
pytestmark = pytest.mark.skipif(not ROOT, reason="STVG_SAMPLES is not set")
SAMPLES = Path(ROOT or ".") / "samples"
OF_ROWS = ("--size", "1280x720", "--fps", "30")


@pytest.mark.parametrize(
    ("source", "part", "options", "written", "dropped"),
    [
        ("vidstg", "vidstg", (), 0, {"no_annotation": 9377}),  # no boxes among them
        ("hcstvg", "hcstvg/anno_v2", (), 0, {"no_truth": 1466}),  # queries alone
        ("mot", "mot15", OF_ROWS, 9, {}),
        ("mot", "mot15/train/TUD-Campus/gt/gt.txt", OF_ROWS, 9, {}),
        ("mot", "mot15", (), 0, {"unknown_size": 9}),  # its seqinfo.ini states neither size nor rate
        ("trackingnet", "trackingnet", OF_ROWS, 5, {}),
        ("trackingnet", "trackingnet/anno", OF_ROWS, 5, {}),
        ("trackingnet", "trackingnet/anno/a7hjIfPGJqI_0.txt", OF_ROWS, 1, {}),
        ("got10k", "got10k", (), 0, {"no_annotation": 1}),  # meta_info.ini alone
        ("lasot", "lasot_toolkit", OF_ROWS, 25, {}),
        ("lasot", "lasot_toolkit/annos", OF_ROWS, 25, {}),
        ("lasot", "lasot_toolkit/annos/lion-5.txt", OF_ROWS, 1, {}),
        ("sav", "sav", (), 5, {}),
        ("sav", "sav/sav_000001_manual.json", (), 5, {}),
        ("davis", "davis_png", ("--fps", "24"), 4, {"bad_mask": 1}),  # one mask is a pixel narrower
        ("davis", "davis_png/osvos_results", ("--fps", "24"), 4, {}),
        ("activitynet", "caption_activitynet", (), 1420, {}),
        ("activitynet", "caption_activitynet/val_2.json", (), 1420, {}),
        ("nextgqa", "videoqa_nextgqa", (), 882, {}),
    ],
)
def test_real_files(tmp_path, source, part, options, written, dropped):
    records, report, frames = convert(source, SAMPLES / part, tmp_path / "o.jsonl", *options)
    assert (report["written"], report["dropped"]) == (written, dropped)
    grounding = [record for record in records.values() if record["label"] is not None]
    assert len(frames) == len(grounding)
    for record in grounding:
        seconds = [state["second"] for state in record["track"]]
        assert (seconds[0], seconds[-1]) == tuple(record["span"])


def test_real_boxes_and_sentences(tmp_path):
    records, _, frames = convert("lasot", SAMPLES / "lasot_toolkit", tmp_path / "l.jsonl", *OF_ROWS)
    lion = records["lasot/test/lion-5"]
    first = (SAMPLES / "lasot_toolkit/annos/lion-5.txt").read_text().split()[0]
    x, y, width, height = map(int, first.split(","))
    (box,) = [state["box"] for state in frames[lion["id"]]["boxes"] if state["frame"] == 0]
    assert box == pytest.approx(
        [(x - 1) / 1280, (y - 1) / 720, min((x - 1 + width) / 1280, 1), min((y - 1 + height) / 720, 1)], abs=1e-6
    )
    assert lion["query"] == (SAMPLES / "lasot_toolkit/annos/nlp/lion-5.txt").read_text().strip()
    records, _, frames = convert("sav", SAMPLES / "sav", tmp_path / "s.jsonl")
    assert {(record["fps"], record["seconds"]) for record in records.values()} == {(24.0, 21)}  # 483 frames
    assert all(state["frame"] % 4 == 0 for line in frames.values() for state in line["boxes"])


def test_mixture_of_real_sources_without_the_videos_of_vidstg(tmp_path):
    """67 of the 150 NExT-GQA videos here are VidSTG's validation or test videos: none of their questions is drawn."""
    vidstg = {
        record["vid"]
        for split in ("val", "test")
        for record in json.loads((SAMPLES / f"vidstg/annotations/{split}_annotations.json").read_text())
    }
    (tmp_path / "vidstg.txt").write_text("\n".join(sorted(vidstg)))
    sources = {
        "nextgqa": convert("nextgqa", SAMPLES / "videoqa_nextgqa", tmp_path / "nextgqa.jsonl")[0],
        "activitynet": convert("activitynet", SAMPLES / "caption_activitynet", tmp_path / "activitynet.jsonl")[0],
        "lasot": convert("lasot", SAMPLES / "lasot_toolkit", tmp_path / "lasot.jsonl", *OF_ROWS)[0],
        "mot": convert("mot", SAMPLES / "mot15", tmp_path / "mot.jsonl", *OF_ROWS)[0],
    }
    recipe = {
        "out": str(tmp_path / "mix.jsonl"),
        "inputs": [str(tmp_path / f"{name}.jsonl") for name in sources],
        "splits": [],
        "evaluation_videos": [str(tmp_path / "vidstg.txt")],
    }
    (tmp_path / "mix.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    assert main(["mix", str(tmp_path / "mix.yaml")]) == 0
    drawn = list(read_records(tmp_path / "mix.jsonl"))
    manifest = json.loads((tmp_path / "mix.jsonl.manifest.json").read_text())
    refused = [record for record in sources["nextgqa"].values() if Path(record["video"]).stem in vidstg]
    assert len({record["video"] for record in refused}) == 67
    assert manifest["left_out"]["evaluation_video"] == len(refused)
    assert not {Path(record["video"]).stem for record in drawn} & vidstg
    assert {record["source"] for record in drawn} == set(sources)
    assert manifest["read"] == sum(map(len, sources.values())) == len(drawn) + sum(manifest["left_out"].values())
    assert {record.get("rate") for record in drawn} == {None, 2.0, 4.0}


def test_shards_of_real_videos(tmp_path):
    """Odd files, whole, from a list of questions: a rotated one, a varying rate, no duration, a damaged end."""
    names = ["derived_rot90_in.mp4", "derived_vfr_dog.mp4", "moviepy_no_duration.webm", "decord_corrupted.mp4"]
    lines = [json.dumps({"id": name, "video": name, "question": "What is it?", "answer": "A clip."}) for name in names]
    (tmp_path / "qa.jsonl").write_text("\n".join(lines))
    convert("qa", tmp_path / "qa.jsonl", tmp_path / "t.jsonl")
    fixed = ["--max_frame_pixels", "20000", "--workers", "1", "--quality", "95", "--out", str(tmp_path / "shards")]
    videos = SAMPLES.parent / "videos"
    assert main(["frames", "--tracks", str(tmp_path / "t.jsonl"), "--video_root", str(videos), *fixed]) == 0
    store = FrameStore(tmp_path / "shards")
    assert len(store) == len(names)
    for name in names:
        seconds, end_s = store.whole_file(name)
        pictures = store.frames(clip_key(name, 0, end_s, 1))
        expected = sample_frames(videos / name, frame_times(seconds), size=pictures[0].size)
        assert len(pictures) == seconds
        for ours, theirs in zip(pictures, expected, strict=True):
            assert np.array_equal(ours, Image.open(io.BytesIO(jpeg(theirs, 95)))), name
