"""Every source, on small files in its layout, with numbers by hand; each output fits the published schema."""

import json

import pytest

from data_prep.__main__ import COMMANDS, main
from tests.helpers.layouts import convert, hcstvg_record, mask, png, rle_of, sav_file, vidor, vidstg_record, write

# --- VidSTG -----------------------------------------------------------------------------------------------------


def test_vidstg(tmp_path):
    write(tmp_path / "a" / "val_annotations.json", [vidstg_record()])
    vidor(tmp_path / "vidor")
    records, report, frames = convert("vidstg", tmp_path / "a", tmp_path / "o.jsonl", "--vidor", tmp_path / "vidor")
    assert list(records) == ["vidstg/val/0/0", "vidstg/val/0/1"]
    record = records["vidstg/val/0/0"]
    assert (record["kind"], record["query"], record["label"]) == ("declarative", "an adult walks", "adult-1")
    assert records["vidstg/val/0/1"]["kind"] == "interrogative"
    # The clip is frames 10..49 (both included): 1.0 s to 5.0 s, 4 seconds. The event is frames [15, 30) of it.
    assert record["clip"] == [1.0, 5.0]
    assert record["seconds"] == 4
    assert record["span"] == [1, 2]
    # xmax 29 is included: [10, 30) of 100; ymax 24: [5, 25) of 50.
    assert record["track"] == [{"second": k, "box": [0.1, 0.1, 0.3, 0.5]} for k in (1, 2)]
    assert record["video"] == "0001/1000.mp4"
    assert record["distractors"] == 1
    line = frames["vidstg/val/0/0"]
    assert (line["fps"], line["begin"], line["end"]) == (10, 15, 30)
    assert [state["frame"] for state in line["boxes"]] == [f for f in range(15, 30) if f != 20]  # frame 30 - 10
    assert report["expected"] == {"records": 3996, "captions": 3996, "questions": 4960}
    assert report["difference"] == {"records": -3995, "captions": -3995, "questions": -4959}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"used_segment": {"begin_fid": 10, "end_fid": 60}}, "bad_span"),
        ({"temporal_gt": {"begin_fid": 40, "end_fid": 40}}, "bad_span"),
        ({"temporal_gt": {"begin_fid": 10, "end_fid": 15}}, "no_box"),
        ({"width": 0}, "bad_size"),
        ({"fps": "fast"}, "malformed"),
        ({"vid": "../../etc"}, "malformed"),
        ({"captions": [{"description": " \xa0", "target_id": 1}], "questions": []}, "no_query"),
        ({"captions": [{"description": "x", "target_id": 7}], "questions": []}, "malformed"),
        ({"vid": "2000"}, "no_annotation"),
    ],
)
def test_vidstg_drops_with_a_reason(tmp_path, change, reason):
    write(tmp_path / "val_annotations.json", [vidstg_record(**change)])
    vidor(tmp_path / "vidor")
    records, report, _ = convert(
        "vidstg", tmp_path / "val_annotations.json", tmp_path / "o", "--vidor", tmp_path / "vidor"
    )
    assert records == {}
    assert list(report["dropped"]) == [reason]


def test_strict_turns_the_first_drop_into_an_error(tmp_path, capsys):
    write(tmp_path / "val_annotations.json", [vidstg_record(fps=None)])
    words = ["vidstg", "--annotations", str(tmp_path), "--out", str(tmp_path / "o.jsonl"), "--strict"]
    assert main(words) == 2
    assert "record vidstg/val/0: malformed" in capsys.readouterr().err
    assert not (tmp_path / "o.jsonl").exists()


# --- HC-STVG ----------------------------------------------------------------------------------------------------


def test_hcstvg_in_both_key_sets(tmp_path):
    two = hcstvg_record(English="she stands up", img_size=[50, 100], bbox=[[-10, 40, 30, 30]] * 10)
    for key in ("caption", "width", "height"):
        del two[key]
    write(tmp_path / "val_v2.json", {"a.mp4": hcstvg_record(), "b.mkv": two})
    records, report, frames = convert("hcstvg", tmp_path / "val_v2.json", tmp_path / "o.jsonl")
    record = records["hcstvg/val/a.mp4"]
    # 200 frames of 20 s: 10 a second. st_frame 41 from 1: frames [40, 70), whatever ed_time says.
    assert (record["fps"], record["seconds"], record["span"]) == (10.0, 20, [4, 6])
    assert record["track"][0] == {"second": 4, "box": [0.1, 0.2, 0.3, 0.6]}
    assert frames["hcstvg/val/a.mp4"]["begin"] == 40
    assert frames["hcstvg/val/a.mp4"]["end"] == 70
    # x from -10 to 20 and y from 40 to 70, clipped to the picture of 100 x 50.
    assert records["hcstvg/val/b.mkv"]["track"] == [{"second": 4, "box": [0.0, 0.8, 0.2, 1.0]}]
    assert records["hcstvg/val/b.mkv"]["query"] == "she stands up"
    assert report["expected"] == {"clips": 3482}
    assert report["difference"] == {"clips": 2 - 3482}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("a sentence alone", "no_truth"),
        (hcstvg_record(bbox=[]), "bad_span"),
        (hcstvg_record(st_frame=0), "bad_span"),
        (hcstvg_record(st_frame=190), "bad_span"),
        (hcstvg_record(bbox=[[1, 2, 3]]), "malformed"),
        (hcstvg_record(bbox=[[1, 2, 0, 3]]), "no_box"),
        (hcstvg_record(bbox=[[1e308, 2, 1e308, 3]]), "bad_box"),
        ([], "malformed"),
        (None, "malformed"),
    ],
)
def test_hcstvg_drops_with_a_reason(tmp_path, record, reason):
    write(tmp_path / "train.json", {"a.mp4": record})
    _, report, _ = convert("hcstvg", tmp_path / "train.json", tmp_path / "o.jsonl")
    assert list(report["dropped"]) == [reason]


# --- tracking ---------------------------------------------------------------------------------------------------


def test_mot(tmp_path):
    rows = [
        "1, 7, 10, 20, 30, 40, 1, 1, 1.0",
        "2, 7, 10, 20, 30, 40, 1, 1, 0.5",
        "25, 7, 12, 20, 30, 40, 1, 1, 1.0",
        "1, 8, 60, 20, 30, 40, 1, 1, 1.0",
        "1, 9, 1, 1, 5, 5, 0, 1, 1.0",  # ignored
        "1, 10, 1, 1, 5, 5, 1, 3, 1.0",  # a car
    ]
    write(tmp_path / "train" / "S1" / "gt" / "gt.txt", "\n".join(rows))
    info = "[Sequence]\nname=S1\nimDir=img1\nframeRate=10\nseqLength=40\nimWidth=100\nimHeight=100\n"
    write(tmp_path / "train" / "S1" / "seqinfo.ini", info)
    records, report, frames = convert("mot", tmp_path / "train", tmp_path / "o.jsonl", "--name", "player")
    assert list(records) == ["mot/train/S1/7", "mot/train/S1/8", "mot/train/S1/scene"]
    one = records["mot/train/S1/7"]
    # Frames 0, 1 and 24 of 10 a second; no row is at 0, so pixels count from 1: x from 9 to 39.
    assert one["span"] == [0, 2]
    assert one["track"] == [
        {"second": 0, "box": [0.09, 0.19, 0.39, 0.59]},
        {"second": 2, "box": [0.11, 0.19, 0.41, 0.59]},
    ]
    assert one["seconds"] == 4
    assert "on the left" in one["query"]
    assert [state["frame"] for state in frames["mot/train/S1/7"]["boxes"]] == [0, 1, 24]
    scene = records["mot/train/S1/scene"]
    assert [item["label"] for item in scene["tracks"]] == ["player-1", "player-2"]
    assert report["dropped"] == {}


def test_mot_counts_pixels_from_0_where_a_row_does(tmp_path):
    write(tmp_path / "train" / "S1" / "gt" / "gt.txt", "1,1,0,0,10,10,1,1,1\n2,1,0,0,10,10,1,1,1\n")
    size = ("--size", "100x100", "--fps", "10")
    records, _, _ = convert("mot", tmp_path / "train", tmp_path / "o.jsonl", *size)
    assert records["mot/train/S1/1"]["track"][0]["box"] == [0.0, 0.0, 0.1, 0.1]


@pytest.mark.parametrize(("options", "reason"), [((), "unknown_size"), (("--size", "9x9"), "unknown_fps")])
def test_what_a_source_does_not_state_is_asked_for(tmp_path, options, reason):
    write(tmp_path / "train" / "S1" / "gt" / "gt.txt", "1,1,1,1,5,5,1,-1,-1,-1\n")
    _, report, _ = convert("mot", tmp_path / "train", tmp_path / "o.jsonl", *options)
    assert list(report["dropped"]) == [reason]


def test_lasot_in_both_layouts(tmp_path):
    full = tmp_path / "full" / "cat" / "cat-1"
    # 1-based; the second line is flagged, the third has no width.
    boxes = "11,11,20,20\n11,11,20,20\n1,1,-1,5\n13,11,20,20\n"
    write(full / "groundtruth.txt", boxes)
    write(full / "full_occlusion.txt", "0,1,0,0")
    write(full / "out_of_view.txt", "0,0,0,0")
    write(full / "nlp.txt", "a grey cat on the sofa")
    toolkit = tmp_path / "toolkit" / "annos"
    write(toolkit / "cat-1.txt", boxes)
    write(toolkit / "absent" / "cat-1.txt", "0\n1\n0\n0\n")
    write(toolkit / "nlp" / "cat-1.txt", "a grey cat on the sofa")
    options = ("--size", "100x100", "--fps", "2", "--aggregation", "middle")
    for root in (tmp_path / "full", tmp_path / "toolkit"):
        records, _, frames = convert("lasot", root, tmp_path / f"{root.name}.jsonl", *options)
        record = records["lasot/train/cat-1"]
        assert record["query"] == "a grey cat on the sofa"
        assert record["video"] == "cat/cat-1/img"
        assert record["span"] == [0, 1]
        assert record["track"] == [
            {"second": 0, "box": [0.1, 0.1, 0.3, 0.3]},
            {"second": 1, "box": [0.12, 0.1, 0.32, 0.3]},
        ]
        assert [state["frame"] for state in frames["lasot/train/cat-1"]["boxes"]] == [0, 3]


SIZE = ("--size", "100x100")


def test_trackingnet(tmp_path):
    write(tmp_path / "TRAIN_0" / "anno" / "v_0.txt", "-10.5,10,30,20\r\n-10.5,10,30,20\r\n")
    write(tmp_path / "TRAIN_0" / "anno" / "v_1.txt", "1,1,5,5\r\n")
    write(tmp_path / "TRAIN_0" / "classmap.txt", "v_0\tblue bear\n")
    records, report, _ = convert("trackingnet", tmp_path / "TRAIN_0", tmp_path / "o.jsonl", *SIZE, "--fps", "30")
    (record,) = records.values()
    assert record["label"] == "blue bear-1"
    assert "blue bear" in record["query"]
    assert record["track"] == [{"second": 0, "box": [0.0, 0.1, 0.195, 0.3]}]
    assert report["dropped"] == {"no_truth": 1}


def test_got10k(tmp_path):
    folder = tmp_path / "train" / "GOT-10k_Train_000001"
    write(folder / "groundtruth.txt", "10,10,20,20\n" * 12)
    write(folder / "absence.label", "0\n" * 10 + "1\n0\n")
    write(folder / "cover.label", "8\n" * 11 + "0\n")
    meta = "[METAINFO]\nurl: x\nobject_class: bear\nmotion_class: walking\nresolution: (200, 100)\n"
    write(folder / "meta_info.ini", meta)
    records, _, frames = convert("got10k", tmp_path, tmp_path / "o.jsonl", "--split", "train")
    record = records["got10k/train/GOT-10k_Train_000001"]
    assert (record["width"], record["height"], record["fps"]) == (200, 100, 10.0)
    assert "walking bear" in record["query"]
    # Frame 10 is absent and frame 11 covered: the event is [0, 10).
    assert record["span"] == [0, 0]
    assert record["track"] == [{"second": 0, "box": [0.05, 0.1, 0.15, 0.3]}]
    assert frames[record["id"]]["end"] == 10


# --- masks ------------------------------------------------------------------------------------------------------


def test_davis(tmp_path):
    png(tmp_path / "judo" / "00005.png", mask(o1=(4, 2, 8, 6), o255=(0, 0, 2, 2)))
    png(tmp_path / "judo" / "00006.png", mask(o1=(4, 2, 8, 6), o2=(30, 10, 40, 20)))
    records, _, frames = convert("davis", tmp_path, tmp_path / "o.jsonl", "--fps", "24")
    assert list(records) == ["davis/train/judo/1", "davis/train/judo/2"]
    # Columns 4..7 and rows 2..5: half-open [4, 8) of 40 and [2, 6) of 20.
    assert records["davis/train/judo/1"]["track"] == [{"second": 0, "box": [0.1, 0.1, 0.2, 0.3]}]
    assert records["davis/train/judo/2"]["track"] == [{"second": 0, "box": [0.75, 0.5, 1.0, 1.0]}]
    assert frames["davis/train/judo/2"]["begin"] == 1


def test_vspw(tmp_path):
    write(tmp_path / "panoVIPSeg_categories.json", [
        {"id": 0, "name": "wall", "isthing": 0}, {"id": 1, "name": "dog_x", "isthing": 1},
        {"id": 2, "name": "person", "isthing": 1},
    ])  # fmt: skip
    two = mask(o1=(0, 0, 40, 2), o2=(10, 10, 20, 20), o3=(22, 5, 26, 9))
    two[5:9, 32:36] = 3
    png(tmp_path / "data" / "1_a" / "mask" / "00000151.png", mask(o1=(0, 0, 40, 2), o2=(10, 10, 20, 20)), "L")
    png(tmp_path / "data" / "1_a" / "mask" / "00000152.png", two, "L")
    records, report, _ = convert("vspw", tmp_path, tmp_path / "o.jsonl")
    (record,) = records.values()
    assert record["label"] == "dog x-1"
    assert record["track"] == [{"second": 0, "box": [0.25, 0.5, 0.5, 1.0]}]
    assert report["dropped"] == {"ambiguous": 1}
    assert "person: several pieces in mask 00000152" in report["examples"]["ambiguous"][0]


def test_sav(tmp_path):
    seen = rle_of(mask(o1=(4, 2, 8, 6)))
    sav_file(tmp_path / "sav_1_manual.json", [seen, rle_of(mask()), seen])
    records, _, frames = convert("sav", tmp_path, tmp_path / "o.jsonl")
    (record,) = records.values()
    assert record["track"] == [{"second": 0, "box": [0.1, 0.1, 0.2, 0.3]}]
    (line,) = frames.values()
    assert [state["frame"] for state in line["boxes"]] == [0, 8]  # entry 1, frame 4, is empty
    assert line["end"] == 9


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [40, 20], "counts": rle_of(mask())["counts"]},
        {"size": [20, 40], "counts": "~~~~"},
        {"size": [20, 40], "counts": ""},
        {"size": [20, 40], "counts": "PPPPPPPPPPPPPP"},
        {"size": [20, 40]},
        None,
        "x",
    ],
)
def test_sav_refuses_run_lengths_that_do_not_fit(tmp_path, rle):
    sav_file(tmp_path / "a.json", [rle])
    _, report, _ = convert("sav", tmp_path, tmp_path / "o.jsonl")
    assert list(report["dropped"]) == ["bad_mask"]


# --- text -------------------------------------------------------------------------------------------------------


def test_activitynet(tmp_path):
    video = {"duration": 10.0, "timestamps": [[0, 4.5], [9, 30], [12, 14]], "sentences": ["A man.", " He sits. ", "x"]}
    write(tmp_path / "val_1.json", {"v_1": video})
    records, report, frames = convert("activitynet", tmp_path, tmp_path / "o.jsonl")
    assert [record["answer"] for record in records.values()] == ["A man.", "He sits."]
    assert [record["clip"] for record in records.values()] == [[0.0, 4.5], [9.0, 10.0]]
    assert [record["seconds"] for record in records.values()] == [5, 1]
    assert report["dropped"] == {"bad_span": 1}
    assert frames == {}


def test_nextgqa(tmp_path):
    question = {
        "id": "1_2",
        "video": "00/1.mp4",
        "question": "why?",
        "options": ["(A) fun", "(B) work"],
        "duration": 9,
    }
    write(
        tmp_path / "nextgqa_val.json", [question | {"glue": [[1, 2.5]], "answer": "(B)"}, question | {"answer": "(E)"}]
    )
    records, report, _ = convert("nextgqa", tmp_path, tmp_path / "o.jsonl")
    (record,) = records.values()
    assert record["query"] == "why?\n(A) fun\n(B) work"
    assert record["answer"] == "(B) work"
    assert record["moments"] == [[1.0, 2.5]]
    assert report["dropped"] == {"malformed": 1}


def test_qa(tmp_path):
    lines = [
        {"video": "a.mp4", "question": "what colour?", "options": ["red", "blue"], "answer": "blue"},
        {"video": "a.mp4", "question": "how many?", "answer": "2"},
        {"video": "../a.mp4", "question": "how many?", "answer": "2"},
    ]
    path = write(tmp_path / "mine.jsonl", "\n".join(map(json.dumps, lines)) + '\n{"video": "a')
    records, report, _ = convert("qa", path, tmp_path / "o.jsonl")
    assert [record["answer"] for record in records.values()] == ["(B) blue", "2"]
    assert report["dropped"] == {"malformed": 1, "bad_path": 1}


# --- all sources ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", sorted(set(COMMANDS) & {
    "vidstg", "hcstvg", "mot", "trackingnet", "got10k", "lasot", "sav", "davis", "activitynet", "nextgqa", "qa",
}))  # fmt: skip
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"[1e999, NaN]", b'{"a": [1]}', b"1,2,x,4\n", b"[{}]"],
)
def test_hostile_files_are_one_line_or_counted(source, content, tmp_path, capsys):
    names = {"mot": "train/S/gt/gt.txt", "trackingnet": "anno/a.txt", "got10k": "G/groundtruth.txt"}
    names |= {
        "lasot": "cat/cat-1/groundtruth.txt",
        "davis": "v/00000.png",
        "qa": "q.jsonl",
        "vidstg": "val_annotations.json",
    }
    path = tmp_path / "data" / names.get(source, "val_1.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    annotations = path if source == "qa" else tmp_path / "data"
    code = main([source, "--annotations", str(annotations), "--out", str(tmp_path / "o.jsonl")])
    printed = capsys.readouterr()
    if code == 0:
        report = json.loads((tmp_path / "o.jsonl.report.json").read_text())
        assert report["written"] == 0
        assert report["read"] >= 1
    else:
        assert code == 2
        errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert not (tmp_path / "o.jsonl").exists()


def test_videos_are_checked_where_they_are_given(tmp_path, tiny_data):
    lines = [{"video": v, "question": "?", "answer": "a"} for v in ("test/00000.mp4", "test/none.mp4")]
    path = write(tmp_path / "mine.jsonl", "\n".join(map(json.dumps, lines)))
    records, report, _ = convert("qa", path, tmp_path / "o.jsonl", "--video_root", tiny_data / "videos")
    (record,) = records.values()
    assert (record["width"], record["height"]) == (96, 96)
    assert report["dropped"] == {"missing_video": 1}


def test_a_link_out_of_the_videos_is_refused(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "secret.mp4").write_text("x")
    (tmp_path / "videos" / "a.mp4").symlink_to(tmp_path / "secret.mp4")
    path = write(tmp_path / "mine.jsonl", json.dumps({"video": "a.mp4", "question": "?", "answer": "a"}))
    _, report, _ = convert("qa", path, tmp_path / "o.jsonl", "--video_root", tmp_path / "videos")
    assert report["dropped"] == {"bad_path": 1}


def test_missing_annotations_are_named(tmp_path, capsys):
    assert main(["qa", "--annotations", str(tmp_path / "none"), "--out", str(tmp_path / "o")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
