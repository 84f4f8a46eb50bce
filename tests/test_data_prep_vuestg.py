"""VUE-STG's files: seconds that have boxes, what is dropped and why, and the rules by which a tube is read."""

import shutil

import pytest

from data_prep.__main__ import main
from data_prep.sources.vuestg_tubes import BadFile, read_tubes
from tests.helpers.layouts import convert, vuestg, write


def test_a_query_with_a_gap_keeps_the_seconds_that_have_boxes(tmp_path):
    vuestg(tmp_path / "VUE_STG" / "vue-stg-benchmark", queries=["q1,a dog,v1", "q2,Review text,v1", "q3, ,v1"])
    with (tmp_path / "VUE_STG" / "vue-stg-benchmark" / "tubes.csv").open("a") as stream:
        stream.write("q2,0,0,0,0,1,1\nq3,0,0,0,0,1,1\nq9,0,0,0,0,1,1\n")
    records, report, frames = convert("vuestg", tmp_path / "VUE_STG", tmp_path / "o.jsonl")
    record = records["vuestg/test/q1"]
    assert (record["clip"], record["seconds"], record["fps"]) == ([0.0, 20.5], 21, 1.0)
    assert (record["split"], record["query"], record["video"]) == ("test", "a dog", "v1.mp4")
    assert (record["width"], record["height"]) == (1000, 1000)
    assert record["span"] == [3, 7]
    assert record["track"] == [{"second": k, "box": pytest.approx([0.1, 0.2, 0.3, 0.4])} for k in (3, 4, 7)]
    assert [state["frame"] for state in frames["vuestg/test/q1"]["boxes"]] == [3, 4, 7]
    assert list(records) == ["vuestg/test/q1", "vuestg/test/q2"], "the published means count the placeholder"
    assert report["found"] == {"queries": 3, "queries with gaps": 1, "placeholder sentences": 1}
    assert report["expected"] == {"queries": 1600}
    assert report["dropped"] == {"no_query": 1}
    assert report["ignored"] == {"tubes of no query": 1}


@pytest.mark.parametrize(
    ("files", "reason", "detail"),
    [
        ({"tubes": []}, "no_truth", "no box of it in tubes.csv"),
        ({"tubes": ["q1,1000,0,0.5,0.5,0.5,0.9"]}, "no_truth", "no box of it"),  # without width
        ({"tubes": ["q1,1000,0,0.5,0.5,left,0.9"]}, "malformed", "line 2"),
        ({"tubes": ["q1,1000,0,0.5,0.5,nan,0.9"]}, "malformed", "four finite numbers"),
        ({"tubes": ["q1,-1000,0,0,0,1,1"]}, "malformed", "expected at least 0"),
        ({"tubes": ["q1,1000"]}, "malformed", "line 2"),
        ({"queries": ["q1,a dog,v2"]}, "malformed", "v2 is not in video.csv"),
        ({"videos": "v1,7.0"}, "bad_span", "a box at 7 s of a video of 7.0 s"),
        ({"videos": "v1,long"}, "bad_span", "video of long s"),
        ({"queries": ["q1,a dog,../v1"], "videos": "../v1,20"}, "bad_path", '".." parts'),
    ],
)
def test_a_query_is_dropped_with_its_reason(tmp_path, files, reason, detail):
    vuestg(tmp_path / "a", **files)
    _, report, _ = convert("vuestg", tmp_path / "a", tmp_path / "o.jsonl")
    assert report["dropped"] == {reason: 1}
    assert detail in report["examples"][reason][0]


def test_a_second_query_of_one_id_is_left_out(tmp_path):
    vuestg(tmp_path / "a", queries=["q1,a dog,v1", "q1,a cat,v1"])
    records, report, _ = convert("vuestg", tmp_path / "a", tmp_path / "o.jsonl")
    assert [record["query"] for record in records.values()] == ["a dog"]
    assert report["dropped"] == {"malformed": 1}


def test_the_size_is_that_of_the_video(tmp_path, tiny_data):
    video = sorted((tiny_data / "videos").rglob("*.mp4"))[0]
    (tmp_path / "v").mkdir()
    shutil.copy(video, tmp_path / "v" / "A dog [v1].mp4")  # yt-dlp's name
    (tmp_path / "v" / "v2.mp4").write_bytes(b"no video")
    rows = [f"{name},1000,0,0.1,0.2,0.3,0.4" for name in ("q1", "q2", "q3")]
    queries = ["q1,a dog,v1", "q2,a cat,v2", "q3,a cow,v3"]
    vuestg(tmp_path / "a", rows, queries, "v1,3\nv2,3\nv3,3")
    records, report, _ = convert("vuestg", tmp_path / "a", tmp_path / "o.jsonl", "--videos", tmp_path / "v")
    (record,) = records.values()
    assert record["video"] == "A dog [v1].mp4"
    assert 0 < record["width"] < 1000
    assert record["track"] == [{"second": 1, "box": pytest.approx([0.1, 0.2, 0.3, 0.4])}]
    assert report["dropped"] == {"unreadable": 1, "missing_video": 1}


@pytest.mark.parametrize("name", ["query.csv", "video.csv", "tubes.csv"])
def test_a_missing_file_or_column_is_one_line(tmp_path, capsys, name):
    vuestg(tmp_path / "a")
    command = ["vuestg", "--annotations", str(tmp_path / "a"), "--out", str(tmp_path / "o.jsonl")]
    write(tmp_path / "a" / name, "one,two\n1,2\n")
    assert main(command) == 2
    assert "columns one,two, expected also" in capsys.readouterr().err
    (tmp_path / "a" / name).unlink()
    assert main(command) == 2
    assert name in capsys.readouterr().err
    assert not (tmp_path / "o.jsonl").exists()


def test_tubes_are_read_by_the_benchmarks_rules(tmp_path):
    lines = [
        "q,1499,0.8,0.1,0.3,1.2",  # swapped, clipped; 1.499 s counts for second 1
        "q,1500,0.1,0.1,0.1,0.5",  # second 2, a box without width
        "q,2100,0.1,0.1,0.9,0.5",  # second 2 again: the first stands, although it is empty
        "r,soon,0,0,1,1",
    ]
    found = read_tubes(write(tmp_path / "t.csv", "\n".join(["query_id,time_ms,x0,y0,x1,y1", *lines])))
    assert found.boxes == {"q": {1: (0.3, 0.1, 0.8, 1.0), 2: (0.1, 0.1, 0.1, 0.5)}, "r": {}}
    assert found.repeated == 1
    assert list(found.broken) == ["r"]
    assert found.broken["r"][0].startswith("line 5: ")
    with pytest.raises(BadFile, match="expected also query_id"):
        read_tubes(write(tmp_path / "x.csv", '{"id": "a"}\n'))
