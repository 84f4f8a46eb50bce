"""Frame truths are checked as strictly as rewards check theirs: a wrong truth would score silently (F11)."""

import json
import os
from pathlib import Path

import pytest
from test_recipe_evaluate import BOX, frames_of, record, states, write

from data_prep.__main__ import main as convert
from data_prep.records import RecordError, read_records
from recipe.evaluate import EvalArguments, report
from recipe.evaluation.truths import read_truths

GOOD = frames_of(record(), 10, 30)
NAN, INF = float("nan"), float("inf")


def boxes(*states):
    return {"boxes": [{"frame": frame, "box": list(box)} for frame, box in states]}


CASES = [
    # scored in silence until now
    (boxes((10, (0, 0, 32, 24))), "frame 10: x_max 32, expected a share of the picture from 0 to 1"),
    ({"fps": 25}, "fps 25, and the record says 10: expected the same"),
    ({"fps": 10.001}, "fps 10.001, and the record says 10"),
    (boxes((10, (0.5, 0, 0.1, 0.5))), "frame 10: x_max 0.1 < x_min 0.5"),
    (boxes((10, (0, 0.5, 0.1, 0.4))), "frame 10: y_max 0.4 < y_min 0.5"),
    (boxes((10, (NAN, 0, 0.1, 0.4))), "frame 10: x_min nan"),
    (boxes((10, (0, 0, INF, 0.4))), "frame 10: x_max inf"),
    (boxes((10, (0, 0, 1e308, 0.4))), r"frame 10: x_max 1e\+308"),
    (boxes((10, (-0.1, 0, 0.5, 0.4))), "frame 10: x_min -0.1"),
    ({"num_frames": -1}, "num_frames -1, expected a whole number of frames from 0 to 50"),
    ({"num_frames": 29}, "num_frames 29, expected at least end 30"),
    ({"boxes": []}, r"boxes: none in the event's frames \[10, 30\)"),
    (boxes((35, BOX)), "boxes: none in the event's frames"),
    (boxes((10, (0.5, 0.5, 0.5, 0.5))), "boxes: none in the event's frames"),
    (boxes((10, BOX), (10, BOX)), "frame 10: it is there twice"),
    # ended in a traceback until now
    ({"fps": INF}, "fps inf, expected frames a second from 0.001 to 10000"),
    ({"fps": NAN}, "fps nan"),
    ({"fps": 1e308}, r"fps 1e\+308"),
    ({"fps": 5e-324}, "fps 5e-324"),
    ({"fps": 0}, "fps 0"),
    ({"fps": -10}, "fps -10"),
    ({"fps": 10**400}, "fps "),
    ({"fps": "10"}, "fps 10, expected frames a second"),
    ({"fps": None}, "fps None"),
    ({"fps": True}, "fps True"),
    ({"fps": [10]}, r"fps \[10\]"),
    ({"begin": 10.5}, "begin 10.5, expected a whole number of frames"),
    ({"begin": "10"}, "begin 10, expected a whole number of frames"),
    ({"begin": None}, "begin None"),
    ({"begin": -1}, "begin -1"),
    ({"begin": True}, "begin True"),
    ({"end": 29.5}, "end 29.5"),
    ({"end": INF}, "end inf"),
    ({"end": 1e9}, r"end 1000000000\.0"),
    ({"end": 10**12}, "end 1000000000000, expected a whole number of frames from 0 to 50"),
    ({"end": 10}, "begin 10, end 10: expected begin < end"),
    ({"end": 5}, "begin 10, end 5: expected begin < end"),
    ({"num_frames": 10**12}, "num_frames 1000000000000"),
    ({"num_frames": 40.0}, "num_frames 40.0"),
    ({"num_frames": "40"}, "num_frames 40, expected a whole number"),
    ({"first_frame": -1}, "first_frame -1"),
    ({"first_frame": 0.5}, "first_frame 0.5"),
    ({"first_frame": 10**30}, "first_frame 10"),
    ({"first_frame": "a"}, "first_frame a"),
    (boxes(("10", BOX)), r"boxes\[0\].frame 10, expected a whole number"),
    (boxes((10.5, BOX)), r"boxes\[0\].frame 10.5"),
    (boxes((-1, BOX)), r"boxes\[0\].frame -1"),
    (boxes((10**12, BOX)), r"boxes\[0\].frame 1000000000000"),
    (boxes((10, (0, 0, 0.5))), r"frame 10: box \[0, 0, 0.5\], expected \[x_min, y_min, x_max, y_max\]"),
    (boxes((10, (*BOX, 1))), "frame 10: box "),
    (boxes((10, ("0", 0, 1, 1))), "frame 10: x_min 0, expected"),
    (boxes((10, (None, 0, 1, 1))), "frame 10: x_min None"),
    (boxes((10, ([], 0, 1, 1))), r"frame 10: x_min \[\]"),
    ({"boxes": [{"frame": 10, "box": "none"}]}, "frame 10: box none"),
    ({"boxes": [{"frame": 10}]}, "frame 10: box None"),
    ({"boxes": [{"box": BOX}]}, r"boxes\[0\].frame None"),
    ({"boxes": [[10, BOX]]}, r"boxes\[0\] \[10, "),
    ({"boxes": {"10": BOX}}, "boxes .*expected a list of {frame, box}"),
    ({"boxes": None}, "boxes None"),
]


@pytest.mark.parametrize(("change", "message"), CASES)
def test_a_wrong_truth_is_one_line_that_names_record_and_field(tmp_path, change, message):
    path = tmp_path / "f.jsonl"
    write(path, [frames_of(record("other"), 0, 5), GOOD | change])
    with pytest.raises(RecordError, match=f"f.jsonl:2: record a: {message}") as error:
        read_truths(path, [record()])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "no JSON "),
        (b"\xff\xfe{}", "no JSON "),
        (b"[" * 100_000, "no JSON "),
        (b'{"id": "a", "fps": ' + b"9" * 5000 + b"}", "no JSON "),
        (b"[1]", r"\[1\], expected one object with id"),
        (b"null", "None, expected one object"),
        (b"{}", "{}, expected one object with id"),
        (b'{"id": 7}', "{'id': 7}, expected one object with id"),
        (b'{"id": ["a"]}', r"{'id': \['a'\]}, expected one object with id"),
    ],
)
def test_a_line_that_is_no_truth(tmp_path, line, message):
    (tmp_path / "f.jsonl").write_bytes(b"\n" + line + b"\n")
    with pytest.raises(RecordError, match=f"f.jsonl:2: {message}"):
        read_truths(tmp_path / "f.jsonl", [record()])


def test_two_lines_for_one_record(tmp_path):
    write(tmp_path / "f.jsonl", [GOOD, GOOD])
    with pytest.raises(RecordError, match="f.jsonl:2: record a: a second line"):
        read_truths(tmp_path / "f.jsonl", [record()])


def test_good_truths_pass(tmp_path):
    """What converters write: whole rates as floats, frames to the clip's end, a sliver that rounding made empty."""
    path = tmp_path / "f.jsonl"
    for change in (
        {},
        {"fps": 10.0},
        {"num_frames": 40, "first_frame": 0},
        {"begin": 0, "end": 40},
        boxes((10, (0, 0, 1, 1)), (11, (0.5, 0.5, 0.5, 0.5)), (39, (0.0, 0.0, 0.1, 1.0))),
    ):
        write(path, [GOOD | change])
        truth = read_truths(path, [record()])["a"]
        assert truth.num_frames == 40
        assert 11 in truth.boxes or len(truth.boxes) == 2, "no picture in an empty box"
    write(path, [GOOD | {"fps": 30000 / 1001}])
    assert read_truths(path, [record(fps=29.97002997002997)])["a"].end == 30


def test_a_huge_clip_asks_for_no_terabytes(tmp_path):
    write(tmp_path / "f.jsonl", [GOOD])
    truth = read_truths(tmp_path / "f.jsonl", [record(clip=[0.0, 2e9])])["a"]
    assert truth.num_frames == 50, "the record's seconds say how many frames there may be"


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    from recipe.cli import run

    write(tmp_path / "t.jsonl", [record()])
    write(tmp_path / "p.jsonl", [{"id": "a", "track": states([1, 2])}])
    (tmp_path / "f.jsonl").write_text(json.dumps(GOOD | boxes((10, (0, 0, 32, 24)))))
    paths = {name: str(tmp_path / f"{name[0]}.jsonl") for name in ("tracks", "predictions", "frames")}
    args = EvalArguments(**paths, protocol="frame", out=str(tmp_path / "m.json"))
    with pytest.raises(SystemExit) as end:
        run(lambda: (args,), report)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "record a: frame 10: x_max 32" in said
    assert not (tmp_path / "m.json").exists()


@pytest.mark.skipif(not os.environ.get("STVG_SAMPLES"), reason="STVG_SAMPLES is not set")
@pytest.mark.parametrize(
    ("source", "part", "options"),
    [
        ("lasot", "lasot_toolkit", ["--size", "1280x720", "--fps", "30"]),
        ("trackingnet", "trackingnet", ["--size", "1280x720", "--fps", "30"]),
        ("mot", "mot15", ["--size", "1280x720", "--fps", "29.97"]),
        ("sav", "sav", []),
        ("davis", "davis_png", ["--fps", "24"]),
    ],
)
def test_what_converters_write_of_real_annotations_passes(tmp_path, source, part, options):
    samples = Path(os.environ["STVG_SAMPLES"]) / "samples"
    out = tmp_path / "o.jsonl"
    convert([source, "--annotations", str(samples / part), "--out", str(out), *options])
    records = [one for one in read_records(out) if one["track"]]
    assert len(read_truths(out.with_name(out.name + ".frames.jsonl"), records)) == len(records)
