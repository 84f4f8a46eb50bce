"""The simple predictors on small annotations in the sources' layouts."""

import json

import pytest

from data_prep.errors import StageError
from recipe.studies.floor import lasot, main, parse, record_of, table, vidstg


@pytest.fixture
def samples(tmp_path):
    vid = tmp_path / "vidstg/annotations"
    vid.mkdir(parents=True)
    item = {
        "fps": 10, "used_segment": {"begin_fid": 20, "end_fid": 99}, "temporal_gt": {"begin_fid": 40, "end_fid": 60},
        "captions": [{}], "questions": [{}],
    }  # fmt: skip
    (vid / "test_annotations.json").write_text(json.dumps([item]))
    annos = tmp_path / "lasot_toolkit/annos"
    (annos / "absent").mkdir(parents=True)
    (annos / "cat-1.txt").write_text("1,1,50,50\n" * 599 + "51,51,50,50\n" + "1,1,50,50\n" * 100)
    (annos / "absent/cat-1.txt").write_text("1\n" * 30 + "0\n" * 570 + "0\n" * 100)
    return tmp_path


def test_sources_by_hand(samples):
    truths = dict(vidstg(samples / "vidstg/annotations/test_annotations.json"))
    assert truths.keys() == {"0/0", "0/1"}
    truth = truths["0/0"]
    assert (truth.begin, truth.end, truth.num_frames, truth.first_frame) == (20, 40, 80, 20)
    assert record_of("a", truth)["span"] == [2, 3]
    (truth,) = dict(lasot(samples / "lasot_toolkit/annos")).values()
    assert (truth.begin, truth.end, truth.num_frames) == (30, 600, 600)
    assert truth.boxes[30] == (0.0, 0.0, 0.5, 0.5)
    assert truth.boxes[599] == (0.5, 0.5, 1.0, 1.0)


def test_the_table_by_hand(samples):
    truths = dict(vidstg(samples / "vidstg/annotations/test_annotations.json"))
    rows = {}
    for line in table(truths, boxes_are_right=True).splitlines()[2:]:
        protocol, predictor, t_iou = line.split(" | ")[:3]
        rows[protocol, predictor] = t_iou
    assert rows["| second", "perfect"] == "100.0"
    assert rows["| second", "whole video"] == "25.0", "2 of 8 seconds"
    assert rows["| second", "middle box, middle half"] == "50.0", "2 of seconds 2 to 5"
    assert rows["| second", "perfect, one second late"] == "33.3", "1 of 3"
    assert rows["| cgstvg", "perfect"] == "95.0", "19 of 20 frames"


def test_the_command(samples, capsys, tmp_path):
    main(*parse(["--samples", str(samples)]))
    said = capsys.readouterr().out
    assert "predictor (n = 2)" in said
    assert "predictor (n = 1)" in said
    with pytest.raises(StageError, match="neither"):
        main(*parse(["--samples", str(tmp_path / "nowhere")]))
