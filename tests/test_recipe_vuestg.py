"""The protocol `vuestg`: seconds as sets, numbers by hand, and a file of tubes through the command."""

import json
import math
import random

import pytest

from data_prep.records import RecordError
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.scores import metrics, score_records
from recipe.evaluation.vuestg import COLUMNS, Overlap, overlap, published_table, read_tube_submission
from stvg_rewards import box_iou
from tests.helpers.layouts import convert, vuestg, write

BOX = [0.1, 0.1, 0.5, 0.5]


def record(name, seconds, clip=20.0, box=BOX):
    return {
        "schema": 1,
        "id": f"vuestg/test/{name}",
        "source": "vuestg",
        "split": "test",
        "kind": "declarative",
        "video": "v.mp4",
        "clip": [0.0, clip],
        "fps": 1.0,
        "width": 1000,
        "height": 1000,
        "seconds": math.ceil(clip),
        "query": "a dog",
        "label": "object-1",
        "span": [min(seconds), max(seconds)],
        "track": [{"second": k, "box": box} for k in seconds],
        "answer": None,
    }


def states(*seconds, box=BOX):
    return [{"second": k, "box": box} for k in seconds]


def test_seconds_between_two_boxes_count_on_neither_side():
    given = record("q", [2, 3, 8])
    # P = {2, 8, 9}, G = {2, 3, 8}: 2 of 4 seconds; the hulls 2..9 and 2..8 share 7 of 8.
    sets, hull = (
        score_records([given], {given["id"]: states(2, 8, 9)}, protocol=protocol)[0]
        for protocol in ("vuestg", "second")
    )
    assert sets.scores == pytest.approx((2 / 4, 1.0, 2 / 4))
    assert sets.overlap == Overlap(3, 3, 2, pytest.approx(2.0))
    assert hull.scores.tIoU == 7 / 8
    assert hull.overlap is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (states(2, 3, 8), (1.0, 1.0, 1.0)),
        ("", (0.0, 0.0, 0.0)),
        (states(4, 5), (0.0, 0.0, 0.0)),
        (states(2, 3, 8, 25), (3 / 4, 1.0, 3 / 4)),  # past the end of 20 s: it counts against the answer
        ([*states(2, 3), *states(8, box=[0.5, 0.5, 0.5, 0.9])], (2 / 3, 1.0, 2 / 3)),  # no area: no second
        ([*states(2, 3), *states(8, box=[0.1, 0.1, 0.5, 0.3])], (1.0, 2.5 / 3, 2.5 / 3)),
        ('{"2": [{"label": "dog", "bbox_2d": [100, 100, 500, 500]}]}', (1 / 3, 1.0, 1 / 3)),
        ({"track": states(2, 3), "span": [2, 8]}, (2 / 3, 1.0, 2 / 3)),  # a stated span says nothing here
    ],
)
def test_scores_by_hand(answer, expected):
    given = record("q", [2, 3, 8])
    (sample,) = score_records([given], {given["id"]: answer}, protocol="vuestg")
    assert sample.scores == pytest.approx(expected)
    assert sample.ceiling == (1.0, 1.0, 1.0)


def test_scores_agree_with_a_second_implementation():
    rng = random.Random(0)

    def tube():
        corners = [(sorted(rng.sample(range(10), 2)), sorted(rng.sample(range(10), 2))) for _ in range(12)]
        return {k: (x[0], y[0], x[1], y[1]) for k, (x, y) in enumerate(corners) if rng.random() < 0.5}

    met = 0
    for _ in range(300):
        ours, theirs = tube(), tube()
        seconds = set(ours) | set(theirs)
        both = [k for k in seconds if k in ours and k in theirs]
        found = overlap(ours, theirs).scores()
        assert found.tIoU == pytest.approx(len(both) / max(1, len(seconds)))
        assert found.vIoU == pytest.approx(sum(box_iou(ours[k], theirs[k]) for k in both) / max(1, len(seconds)))
        met += bool(both)
    assert met > 200


def test_a_mean_is_over_the_queries_that_define_it():
    records = [record("a", [2, 3]), record("b", [4]), record("c", [6, 7])]
    overlaps = [Overlap(4, 2, 2, 1.0), Overlap(0, 1, 0, 0.0), Overlap(1, 2, 0, 0.0)]
    means = published_table(records, [overlaps])["overall"]["overall"]
    assert means == pytest.approx(
        {
            "n": 3,
            "t_Precision": (2 / 4 + 0) / 2,  # b has no predicted second
            "t_Recall": (1 + 0 + 0) / 3,
            "t_IoU": (2 / 4 + 0 + 0) / 3,
            "v_Precision": (1 / 4 + 0) / 2,
            "v_Recall": (1 / 2 + 0 + 0) / 3,
            "v_IoU": (1 / 4 + 0 + 0) / 3,
            "v_IoU_Int": 1 / 2,  # only a's seconds meet
        }
    )
    empty = published_table(records, [[Overlap(0, 1, 0, 0.0)] * 3])["overall"]["overall"]
    assert "t_Precision" not in empty
    assert empty["t_IoU"] == 0
    twice = published_table(records, [overlaps, overlaps])["overall"]["overall"]
    assert twice == pytest.approx(means)


def test_groups_are_the_benchmarks():
    records = [
        record("a", range(2), clip=59.9, box=[0.0, 0.0, 0.5, 0.1]),
        record("b", range(3), clip=60.0, box=[0.0, 0.0, 0.5, 0.2]),
        record("c", range(10), clip=600.0, box=[0.0, 0.0, 0.5, 0.7]),
        record("d", range(60), clip=1800.0),  # 60 s or more of truth and half an hour of video are in no group
    ]
    table = published_table(records, [[Overlap(1, 1, 1, 1.0)] * 4])
    assert {group: {name: part["n"] for name, part in parts.items()} for group, parts in table.items()} == {
        "overall": {"overall": 4},
        "object size": {"<10%": 1, "10%-30%": 2, ">30%": 1},
        "video duration": {"<1min": 1, "1-10min": 1, "10-30min": 1},
        "gt duration": {"<3s": 1, "3-10s": 1, "10-60s": 1},
    }


@pytest.fixture
def tracks(tmp_path):
    """Two queries as the converter writes them: q1 has seconds 3, 4 and 7, q2 second 0."""
    rows = [f"q1,{ms},0.1,0.1,0.1,0.5,0.5" for ms in (3000, 4000, 7000)] + ["q2,0,0,0,0,1,1"]
    vuestg(tmp_path / "a", rows, ["q1,a dog,v1", "q2,a cat,v1"])
    convert("vuestg", tmp_path / "a", tmp_path / "t.jsonl")
    return tmp_path / "t.jsonl"


def test_a_file_of_tubes_through_the_command(tmp_path, tracks, capsys):
    lines = [
        "q1,2600,0.5,0.1,0.1,0.5",  # nearest second 3, edges swapped
        "q1,6700,0.1,0.1,0.5,0.3",  # second 7, half of the box
        "q1,7200,0.1,0.1,0.5,0.5",  # second 7 again
        "q1,90000,0.1,0.1,0.5,0.5",  # past the end
        "q1,soon,0.1,0.1,0.5,0.5",
        "q3,0,0,0,1,1",
    ]
    csv = write(tmp_path / "p.csv", "\n".join(["query_id,time_ms,x0,y0,x1,y1", *lines]))
    args = {"tracks": str(tracks), "predictions": str(csv), "out": str(tmp_path / "m.json")}
    result, ((one, two),) = evaluate(EvalArguments(protocol="vuestg", **args))
    # P = {3, 7, 90}, G = {3, 4, 7}: 2 of 4 seconds; IoUs 1 and 0.5.
    assert one.scores == pytest.approx((2 / 4, 0.75, 1.5 / 4))
    assert two.scores == (0, 0, 0)
    assert result["m_tIoU"] == result["vuestg"]["overall"]["overall"]["t_IoU"] == pytest.approx(0.25)
    assert result["vuestg"]["overall"]["overall"]["v_IoU_Int"] == pytest.approx(0.75)
    found = result["input"]
    assert (found["missing_ids"], found["unknown_ids"], found["broken_lines"]) == (1, 1, 1)
    assert "line 6" in capsys.readouterr().err
    page = (tmp_path / "m.md").read_text()
    assert "| overall | 2 | 0.667 | 0.333 | 0.250 | 0.500 | 0.250 | 0.188 | 0.750 |" in page
    assert json.loads((tmp_path / "m.json").read_text())["protocol"] == "vuestg"
    hull, _ = evaluate(EvalArguments(protocol="second", **args))
    assert hull["m_tIoU"] == pytest.approx(5 / 5 / 2), "the hull of 3 and 7 is that of 3, 4 and 7"
    assert "vuestg" not in hull


def test_the_truth_itself_scores_one(tmp_path, tracks):
    args = EvalArguments(
        tracks=str(tracks),
        predictions=str(tmp_path / "a" / "tubes.csv"),
        protocol="vuestg",
        out=str(tmp_path / "m.json"),
    )
    result, (samples,) = evaluate(args)
    assert metrics(samples)["m_vIoU"] == pytest.approx(1.0)
    means = result["vuestg"]["overall"]["overall"]
    assert means == pytest.approx({"n": 2} | dict.fromkeys(COLUMNS, 1.0))


def test_units_that_are_not_the_benchmarks_are_said(tmp_path, capsys):
    """Else pixels and seconds would be scores of 0 without a word."""
    path = tmp_path / "p.csv"

    def read(*lines):
        path.write_text("\n".join(["query_id,time_ms,x0,y0,x1,y1", *lines]) + "\n")
        return read_tube_submission(path, [])

    with pytest.raises(RecordError, match="1 of 1 boxes lie beyond 1, expected shares of the picture"):
        read("7,1000,100,100,500,500")
    with pytest.raises(RecordError, match="none of its lines can be read"):
        read("7,abc,0,0,1,1", "7,1000,nan,0,1,1")
    assert not capsys.readouterr().err
    read("7,1,0,0,0.5,0.5", "7,2,0,0,0.5,0.5")
    assert "no time_ms reaches 500" in capsys.readouterr().err
    read("7,1000,0,0,0.5,0.5")
    assert not capsys.readouterr().err
