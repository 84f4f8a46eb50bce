"""The converters on real annotation files, from the folder that STVG_SAMPLES names; skipped without it."""

import os
from pathlib import Path

import pytest
from layouts import convert

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
