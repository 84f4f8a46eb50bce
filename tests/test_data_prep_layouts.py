"""Every variant of the layouts that the data sets come in: which files, which split, which rows count."""

import json

import pytest

from data_prep.__main__ import main
from tests.helpers.films import make_plain_video
from tests.helpers.layouts import convert, hcstvg_record, mask, png, rle_of, sav_file, vidor, vidstg_record, write

ASKED = ("--size", "100x100", "--fps", "10")


def tracks_of(records):
    return {key: [(state["second"], state["box"]) for state in record["track"]] for key, record in records.items()}


# --- VidSTG -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vidor_part", ["", "annotation", "annotation/training", "annotation/training/0001/1000.json"])
def test_vidstg_finds_boxes_under_any_part_of_vidor(tmp_path, vidor_part):
    write(tmp_path / "a" / "annotations" / "train_annotations.json", [vidstg_record()])
    vidor(tmp_path / "VidOR" / "annotation")
    records, report, _ = convert("vidstg", tmp_path / "a", tmp_path / "o", "--vidor", tmp_path / "VidOR" / vidor_part)
    assert [record["video"] for record in records.values()] == ["0001/1000.mp4"] * 2
    assert report["expected"] == {"records": 36202, "captions": 36202}


def test_vidstg_without_vidor_or_without_sentences_is_counted(tmp_path):
    path = write(tmp_path / "val_annotations.json", [vidstg_record(), vidstg_record(captions=[], questions=[])])
    _, report, _ = convert("vidstg", path, tmp_path / "o")
    assert report["dropped"] == {"no_annotation": 2, "no_query": 1}


def test_vidstg_temporal_end_is_excluded_and_the_last_frame_of_the_segment_is_not(tmp_path):
    whole = {"used_segment": {"begin_fid": 0, "end_fid": 49}, "temporal_gt": {"begin_fid": 45, "end_fid": 50}}
    path = write(tmp_path / "val_annotations.json", [vidstg_record(questions=[], **whole)])
    vidor(tmp_path / "vidor")
    records, _, frames = convert("vidstg", path, tmp_path / "o", "--vidor", tmp_path / "vidor")
    (record,) = records.values()
    (line,) = frames.values()
    # Frames 0..49 are 5 s; the event is 45..49, all in second 4.
    assert (record["clip"], record["seconds"], record["span"]) == ([0.0, 5.0], 5, [4, 4])
    assert [state["frame"] for state in line["boxes"]] == [45, 46, 47, 48, 49]


def test_vidstg_refuses_two_boxes_of_one_target_in_a_frame(tmp_path):
    path = write(tmp_path / "val_annotations.json", [vidstg_record()])
    entry = {"tid": 1, "bbox": {"xmin": 1, "ymin": 1, "xmax": 5, "ymax": 5}}
    write(tmp_path / "v" / "1000.json", {"trajectories": [[], [entry, entry]]})
    _, report, _ = convert("vidstg", path, tmp_path / "o", "--vidor", tmp_path / "v")
    assert report["dropped"] == {"no_annotation": 2}
    assert "trajectories[1] has two boxes of target 1" in report["examples"]["no_annotation"][0]


def test_a_bad_box_outside_the_event_harms_nobody(tmp_path):
    path = write(tmp_path / "val_annotations.json", [vidstg_record(questions=[])])
    good = {"xmin": 1, "ymin": 1, "xmax": 5, "ymax": 5}
    boxes = [good | {"xmin": -1e300} if frame < 20 else good for frame in range(60)]
    write(tmp_path / "v" / "1000.json", {"trajectories": [[{"tid": 1, "bbox": box}] for box in boxes]})
    records, _, frames = convert("vidstg", path, tmp_path / "o", "--vidor", tmp_path / "v")
    assert len(records) == len(frames) == 1


# --- HC-STVG ----------------------------------------------------------------------------------------------------


def test_hcstvg_root_with_all_files_of_v2(tmp_path):
    root = tmp_path / "anno_v2"
    write(root / "train_v2.json", {"a.mp4": hcstvg_record()})
    write(root / "val_v2.json", {"b.mp4": hcstvg_record()})
    write(root / "query_v2.json", {"c.mp4": "a man", "d.mp4": "a woman"})
    records, report, _ = convert("hcstvg", tmp_path, tmp_path / "o.jsonl")
    assert list(records) == ["hcstvg/train/a.mp4", "hcstvg/val/b.mp4"]
    assert report["dropped"] == {"no_truth": 2}
    assert report["expected"] == {"clips": 10131 + 3482 + 2931}
    records, _, _ = convert("hcstvg", tmp_path, tmp_path / "o.jsonl", "--split", "val")
    assert list(records) == ["hcstvg/val/b.mp4"]


@pytest.mark.parametrize(("name", "expected"), [("HCVG_train.json", 4500), ("train.json", 4500), ("test.json", 1160)])
def test_hcstvg_v1_under_both_names(tmp_path, name, expected):
    path = write(tmp_path / name, {"55_vfjywN5CN0Y.mp4": hcstvg_record(ed_frame=99)})
    records, report, _ = convert("hcstvg", path, tmp_path / "o")
    assert report["expected"] == {"clips": expected}
    (record,) = records.values()
    assert record["span"] == [4, 6], "the length of bbox counts: 30 frames from frame 40, at 10 a second"


def test_hcstvg_videos_in_parts(tmp_path):
    make_plain_video(tmp_path / "v" / "video_parts" / "3" / "a.mp4", (9, 9, 9), seconds=20, size=(100, 50))
    path = write(tmp_path / "val_v2.json", {"a.mp4": hcstvg_record(), "b.mp4": hcstvg_record()})
    records, report, _ = convert("hcstvg", path, tmp_path / "o", "--video_root", tmp_path / "v")
    assert [record["video"] for record in records.values()] == ["video_parts/3/a.mp4"]
    assert report["dropped"] == {"missing_video": 1}


def test_hcstvg_a_box_of_no_size_is_absence_and_nan_a_bad_box(tmp_path):
    boxes = [[10, 10, 20, 20]] * 10 + [[10, 10, 0, 20]] * 10 + [[10, 10, 20, 20]] * 10
    one, two = hcstvg_record(bbox=boxes, st_frame=1), hcstvg_record(bbox=[[0, 0, float("nan"), 5]])
    path = write(tmp_path / "val.json", {"a.mp4": one, "b.mp4": two, "c.mp4": one})
    records, report, _ = convert("hcstvg", path, tmp_path / "o")
    assert [state["second"] for state in records["hcstvg/val/a.mp4"]["track"]] == [0, 2]
    assert list(records) == ["hcstvg/val/a.mp4", "hcstvg/val/c.mp4"], "the rest of the file goes on"
    assert report["dropped"] == {"bad_box": 1}


# --- MOT --------------------------------------------------------------------------------------------------------


def sequence(root, name, rows, info=True, length=40):
    write(root / name / "gt" / "gt.txt", "\n".join(rows) + "\n")
    if info:
        stated = f"name={name}\nimDir=img1\nframeRate=10\nseqLength={length}\nimWidth=100\nimHeight=100\nimExt=.jpg\n"
        write(root / name / "seqinfo.ini", f"[Sequence]\n{stated}")


def test_mot17_flags_classes_and_pixels_from_1(tmp_path):
    rows = [
        "1,1,1,1,10,10,1,1,1",
        "1,2,-3,0,10,10,1,1,0.5",  # leaves the picture: its 0 does not say that pixels count from 0
        "1,3,5,5,10,10,0,1,1",  # to be ignored
        "1,4,5,5,10,10,1,3,1",  # a car
        "1,5,5,5,10,10,1,7,1",  # a static person
        "1,6,5,5,0,10,1,1,1",  # no width
    ]
    sequence(tmp_path / "MOT17" / "train", "MOT17-02-FRCNN", rows)
    records, report, _ = convert("mot", tmp_path / "MOT17", tmp_path / "o.jsonl")
    place = "mot/train/MOT17-02-FRCNN"
    assert list(records) == [f"{place}/1", f"{place}/2", f"{place}/scene"]
    assert records[f"{place}/1"]["track"] == [{"second": 0, "box": [0.0, 0.0, 0.1, 0.1]}]
    assert records[f"{place}/2"]["track"] == [{"second": 0, "box": [0.0, 0.0, 0.06, 0.09]}]
    assert report["dropped"] == {"no_box": 1}
    assert report["ignored"] == {"rows that are flagged to be ignored or show no person": 3}


def test_mot15_has_ten_columns_and_no_class(tmp_path):
    sequence(tmp_path / "train", "TUD", ["1,1,1,1,10,10,1,-1,-1,-1", "2,1,1,1,10,10,0,-1,-1,-1"], info=False)
    records, _, frames = convert("mot", tmp_path / "train", tmp_path / "o.jsonl", *ASKED)
    assert records["mot/train/TUD/1"]["track"] == [{"second": 0, "box": [0.0, 0.0, 0.1, 0.1]}]
    assert [state["frame"] for state in frames["mot/train/TUD/1"]["boxes"]] == [0]


def test_sportsmot_counts_pixels_from_0_and_calls_them_players(tmp_path):
    rows = [f"{frame}, 0, {frame}, 5, 10, 10, 1, 1, 1" for frame in [*range(1, 11), *range(31, 41)]]
    root = tmp_path / "SportsMOT"
    for split, name in (("train", "v_aaa_c001"), ("val", "v_bbb_c002"), ("test", "v_ccc_c003")):
        sequence(root / "dataset" / split, name, rows)
    write(root / "splits_txt" / "football.txt", "v_bbb_c002\n")
    records, report, _ = convert("mot", root, tmp_path / "o.jsonl", "--split", "train")
    assert list(records) == ["mot/train/v_aaa_c001/0", "mot/train/v_aaa_c001/scene"]
    record = records["mot/train/v_aaa_c001/0"]
    # Frame 1 is at 0 s and its x is 1 of 100; gone in seconds 1 and 2, back in second 3.
    assert (record["span"], [state["second"] for state in record["track"]]) == ([0, 3], [0, 3])
    assert record["track"][0]["box"] == pytest.approx([0.055, 0.05, 0.155, 0.15])
    assert record["label"] == "player-1" and "player" in record["query"] and "on the left" in record["query"]
    assert [state["second"] for state in records["mot/train/v_aaa_c001/scene"]["tracks"][0]["track"]] == [0, 3]
    assert report["expected"] == {"sequences": 45} and report["found"] == {"sequences": 1}
    records, _, _ = convert("mot", root, tmp_path / "o.jsonl", "--split", "football")
    assert list(records) == ["mot/football/v_bbb_c002/0", "mot/football/v_bbb_c002/scene"]


def test_dancetrack_and_its_test_sequences_without_truth(tmp_path):
    sequence(tmp_path / "dancetrack" / "train", "dancetrack0001", ["1,1,10,10,10,10,1,1,1"])
    sequence(tmp_path / "dancetrack" / "test", "dancetrack0003", ["1,1,10,10,10,10,1,1,1"])
    (tmp_path / "dancetrack" / "test" / "dancetrack0003" / "gt" / "gt.txt").unlink()
    records, report, _ = convert("mot", tmp_path / "dancetrack", tmp_path / "o.jsonl")
    assert records["mot/train/dancetrack0001/1"]["label"] == "dancer-1"
    assert report["dropped"] == {"no_truth": 1}
    assert report["expected"] == {"sequences": 75}


@pytest.mark.parametrize("part", ["", "S1", "S1/gt", "S1/gt/gt.txt"])
def test_mot_from_any_part(tmp_path, part):
    sequence(tmp_path / "val", "S1", ["1,1,10,10,10,10,1,1,1"])
    records, _, _ = convert("mot", tmp_path / "val" / part, tmp_path / "o.jsonl")
    assert list(records) == ["mot/val/S1/1", "mot/val/S1/scene"]


@pytest.mark.parametrize(
    ("rows", "reason", "detail"),
    [
        (["1,1,5,5,5,5,1,1,1", "1,1,6,6,5,5,1,1,1"], "ambiguous", "two rows for frame 1"),
        (["0,1,5,5,5,5,1,1,1"], "malformed", "frames from 1"),
        (["1.5,1,5,5,5,5,1,1,1"], "malformed", "whole numbers"),
        (["1,1,nan,5,5,5,1,1,1"], "bad_box", "finite"),
        (["1,1,1e308,5,1e308,5,1,1,1"], "bad_box", "finite"),
        (["1e300,1,5,5,5,5,1,1,1"], "bad_box", "finite"),
        (["1,1,5,5,5,5,0,1,1"], "no_box", "no row of a target"),
        (["1,1,5,5,5,5,1,1,1", "2,1,5,5"], "malformed", "gt.txt:2: 4 numbers"),
        (["1,1,5,5,5,5,1,1,1", "2,1,x,5,5,5,1,1,1"], "malformed", "gt.txt:2: '2,1,x"),
        (["99,1,5,5,5,5,1,1,1"], "bad_span", "of a clip of 40"),
        ([], "no_box", "no row of a target"),
    ],
)
def test_mot_drops_with_a_reason(tmp_path, rows, reason, detail):
    sequence(tmp_path, "S1", rows)
    _, report, _ = convert("mot", tmp_path, tmp_path / "o.jsonl")
    assert reason in report["dropped"]
    assert detail in report["examples"][reason][0]
    assert report["read"] >= 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [("frameRate=nan", "malformed"), ("frameRate=0", "bad_fps"), ("imWidth=0\nimHeight=5", "bad_size")],
)
def test_mot_seqinfo_that_states_nonsense(tmp_path, line, reason):
    sequence(tmp_path, "S1", ["1,1,5,5,5,5,1,1,1"], info=False)
    write(tmp_path / "S1" / "seqinfo.ini", f"[Sequence]\n{line}\n")
    _, report, _ = convert("mot", tmp_path, tmp_path / "o.jsonl", *ASKED)
    assert list(report["dropped"]) == [reason]


def test_a_crowd_is_no_scene_and_counted(tmp_path):
    sequence(tmp_path, "S1", [f"1,{n},5,5,5,5,1,1,1" for n in range(1, 5)])
    records, report, _ = convert("mot", tmp_path, tmp_path / "o.jsonl", "--most_objects", "3")
    assert len(records) == 4
    assert report["dropped"] == {"crowded": 1}
    assert report["examples"]["crowded"] == ["mot/train/S1/scene: 4 targets, at most 3 (--most_objects)"]


@pytest.mark.parametrize(("targets", "scenes"), [(24, 1), (25, 0)])
def test_most_scenes_of_two_teams_are_asked_for(tmp_path, targets, scenes):
    sequence(tmp_path, "S1", [f"1,{n},5,5,5,5,1,1,1" for n in range(1, targets + 1)])
    records, _, _ = convert("mot", tmp_path, tmp_path / "o.jsonl")
    assert len(records) == targets + scenes


# --- one object a sequence --------------------------------------------------------------------------------------


def test_trackingnet_splits_by_its_parts(tmp_path):
    for part, lines in (("TRAIN_0", "1,1,5,5\n" * 3), ("TRAIN_11", "1,1,-1,5\n1,1,5,5\n"), ("TEST", "1,1,5,5\n")):
        write(tmp_path / part / "anno" / f"{part}_v_0.txt", lines)
    records, report, frames = convert("trackingnet", tmp_path, tmp_path / "o.jsonl", *ASKED)
    assert list(records) == ["trackingnet/train/TRAIN_0_v_0", "trackingnet/train/TRAIN_11_v_0"]
    assert [state["frame"] for state in frames["trackingnet/train/TRAIN_11_v_0"]["boxes"]] == [1]
    assert report["dropped"] == {"no_truth": 1}
    assert report["expected"] == {"sequences": 30132 + 511}
    records, _, _ = convert("trackingnet", tmp_path, tmp_path / "o.jsonl", *ASKED, "--split", "train")
    assert len(records) == 2
    assert records["trackingnet/train/TRAIN_0_v_0"]["video"] == "TRAIN_0/frames/TRAIN_0_v_0"


def test_a_class_map_that_is_no_text_is_one_line(tmp_path, capsys):
    write(tmp_path / "TRAIN_0" / "anno" / "v_0.txt", "1,1,5,5\n" * 3)
    (tmp_path / "train_classmap.txt").write_bytes(b"v_0\tcaf\xe9\n")
    code = main(["trackingnet", "--annotations", str(tmp_path), "--out", str(tmp_path / "o.jsonl"), *map(str, ASKED)])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert said.startswith("error: ") and "train_classmap.txt" in said and "can't decode byte 0xe9" in said


@pytest.mark.parametrize("source", ["trackingnet", "lasot"])
def test_no_rate_is_guessed(tmp_path, source):
    write(tmp_path / "annos" / "cat-1.txt", "1,1,5,5\n1,1,5,5\n")
    write(tmp_path / "annos" / "absent" / "cat-1.txt", "0\n0\n")
    _, report, _ = convert(source, tmp_path / "annos" / "cat-1.txt", tmp_path / "o.jsonl", "--size", "9x9")
    assert report["dropped"] == {"unknown_fps": 1}


def got10k(folder, lines=12, absence=None, cover=None, meta=""):
    write(folder / "groundtruth.txt", "10.0000,10.0000,20.0000,20.0000\n" * lines)
    if absence is not None:
        write(folder / "absence.label", "\n".join(map(str, absence)) + "\n")
    if cover is not None:
        write(folder / "cover.label", "\n".join(map(str, cover)) + "\n")
    write(folder / "meta_info.ini", f"[METAINFO]\nobject_class: bear\nresolution: (200, 100)\n{meta}")


def test_got10k_flags_lists_and_the_test_split(tmp_path):
    got10k(tmp_path / "train" / "GOT-10k_Train_000001", 12, [0] * 11 + [1], [0] + [1] * 11)
    got10k(tmp_path / "val" / "GOT-10k_Val_000001", 12)
    got10k(tmp_path / "test" / "GOT-10k_Test_000001", 1)
    write(tmp_path / "train" / "list.txt", "GOT-10k_Train_000001\nGOT-10k_Train_000002\n")
    records, report, frames = convert("got10k", tmp_path, tmp_path / "o.jsonl")
    assert list(records) == ["got10k/train/GOT-10k_Train_000001", "got10k/val/GOT-10k_Val_000001"]
    line = frames["got10k/train/GOT-10k_Train_000001"]
    # Covered in frame 0, absent in frame 11; level 1 of cover is little, but something is to be seen.
    assert (line["begin"], line["end"], line["fps"]) == (1, 11, 10.0)
    assert report["dropped"] == {"no_annotation": 1, "no_truth": 1}
    assert "GOT-10k_Train_000002" in report["examples"]["no_annotation"][0]
    records, _, _ = convert("got10k", tmp_path, tmp_path / "o.jsonl", "--split", "val", "--fps", "30")
    (record,) = records.values()
    assert record["fps"] == 10.0, "what the data set states is not overruled"


@pytest.mark.parametrize("part", ["", "train/G_1", "train/G_1/groundtruth.txt"])
def test_got10k_from_any_part(tmp_path, part):
    got10k(tmp_path / "train" / "G_1", meta="anno_fps: 5Hz\n")
    records, _, _ = convert("got10k", tmp_path / part, tmp_path / "o.jsonl")
    assert records["got10k/train/G_1"]["video"] == "train/G_1"
    assert records["got10k/train/G_1"]["fps"] == 5.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"absence": [0] * 11}, "wrong_length"),
        ({"absence": [0] * 11 + [2]}, "malformed"),
        ({"cover": [0] * 13}, "wrong_length"),
        ({"cover": [8] * 11 + [9]}, "malformed"),
        ({"cover": [8] * 11 + ["x"]}, "malformed"),
        ({"absence": [1] * 12}, "no_box"),
        ({"meta": "anno_fps: fast\n"}, "bad_fps"),
    ],
)
def test_got10k_drops_with_a_reason(tmp_path, change, reason):
    got10k(tmp_path / "G", **change)
    _, report, _ = convert("got10k", tmp_path, tmp_path / "o.jsonl")
    assert list(report["dropped"]) == [reason]


def lasot_toolkit(root, name, rows="11,11,20,20\n" * 4, absent="0\n0\n0\n0\n"):
    write(root / "annos" / f"{name}.txt", rows)
    if absent:
        write(root / "annos" / "absent" / f"{name}.txt", absent)
    write(root / "annos" / "nlp" / f"{name}.txt", "a cat")


def test_lasot_splits_by_its_list(tmp_path):
    for number in (1, 2, 3):
        lasot_toolkit(tmp_path, f"cat-{number}", absent="" if number == 3 else "0\n0\n0\n0\n")
    write(tmp_path / "testing_set.txt", "cat-2\n")
    records, report, _ = convert("lasot", tmp_path, tmp_path / "o.jsonl", *ASKED)
    assert [(record["id"], record["split"]) for record in records.values()] == [
        ("lasot/train/cat-1", "train"),
        ("lasot/test/cat-2", "test"),
    ]
    assert report["dropped"] == {"no_annotation": 1}, "a sequence whose flags are missing is no silent loss"
    assert report["expected"] == {"sequences": 1400}
    records, _, _ = convert("lasot", tmp_path / "annos", tmp_path / "o.jsonl", *ASKED, "--split", "test")
    assert list(records) == ["lasot/test/cat-2"]


def test_lasot_drops_on_the_flag_and_on_the_size(tmp_path):
    # Flagged with a box that repeats the line before; not flagged with a negative size; flagged NaN is no harm.
    rows = "11,11,20,20\n11,11,20,20\n1,1,-1,-1\n1,1,0,0\nnan,1,2,2\n21,11,20,20\n"
    lasot_toolkit(tmp_path, "cat-1", rows, "0\n1\n0\n0\n1\n0\n")
    _, _, frames = convert("lasot", tmp_path, tmp_path / "o.jsonl", *ASKED)
    assert [(state["frame"], state["box"][0]) for state in frames["lasot/train/cat-1"]["boxes"]] == [
        (0, 0.1),
        (5, 0.2),
    ]


@pytest.mark.parametrize(
    ("rows", "reason", "detail"),
    [
        ("1,1,5,5\n\n1,1,5,5\n", "malformed", "cat-1.txt:2: blank"),
        ("1,1,5,5\n1,nan,5,5\n", "bad_box", "cat-1.txt:2"),
        ("1,1,5,5\n1,1e308,5,5\n", "bad_box", "frame 1"),
        ("1,1,5,5\n1,1,5\n", "malformed", "cat-1.txt:2: 3 numbers"),
        ("1,1,5,5\n[1,1,5,5],[1,1,5,5\n", "malformed", "cat-1.txt:2"),
        ("", "no_annotation", "no line"),
    ],
)
def test_rows_that_are_wrong_are_named(tmp_path, rows, reason, detail):
    lasot_toolkit(tmp_path, "cat-1", rows, "0\n0\n")
    _, report, _ = convert("lasot", tmp_path, tmp_path / "o.jsonl", *ASKED)
    assert list(report["dropped"]) == [reason]
    assert detail in report["examples"][reason][0]


# --- masks ------------------------------------------------------------------------------------------------------


def test_vspw_in_its_own_layout(tmp_path):
    write(tmp_path / "label_num_dic_final.json", {"others": "0", "wall": "1", "person": "61", "dog": "63"})
    for split, name in (("train", "1_a"), ("val", "2_b")):
        write(tmp_path / f"{split}.txt", f"{name}\n")
        place = tmp_path / "data" / name / "mask"
        png(place / "00000151.png", mask(o1=(0, 0, 40, 2), o61=(10, 10, 20, 20), o255=(0, 18, 9, 20)), "L")
        png(place / "00000166.png", mask(o1=(0, 0, 40, 2)), "L")
        png(place / "00000167.png", mask(o61=(11, 10, 21, 20), o63=(0, 0, 2, 2)), "P")
    write(tmp_path / "test.txt", "3_c\n")
    records, report, frames = convert("vspw", tmp_path, tmp_path / "o.jsonl", "--fps", "30")
    assert list(records) == [f"vspw/{place}" for place in ("train/1_a/61", "train/1_a/63", "val/2_b/61", "val/2_b/63")]
    # Frame 151 is the clip's first, 166 a second later: absent there, back in frame 167.
    record = records["vspw/train/1_a/61"]
    assert (record["fps"], record["seconds"], record["span"]) == (15.0, 2, [0, 1])
    assert tracks_of(records)["vspw/train/1_a/61"] == [(0, [0.25, 0.5, 0.5, 1.0]), (1, [0.275, 0.5, 0.525, 1.0])]
    assert [state["frame"] for state in frames["vspw/train/1_a/61"]["boxes"]] == [0, 16]
    assert report["dropped"] == {"no_annotation": 1}, "the listed video without masks"
    assert report["ignored"] == {"classes of a video that are no things": 2}
    assert report["expected"] == {"videos": 3536}
    records, _, _ = convert("vspw", tmp_path, tmp_path / "o.jsonl", "--split", "val")
    assert list(records) == ["vspw/val/2_b/61", "vspw/val/2_b/63"]
    records, _, _ = convert("vspw", tmp_path / "data" / "1_a" / "mask", tmp_path / "o.jsonl")
    assert list(records) == ["vspw/train/1_a/61", "vspw/train/1_a/63"]


def test_vspw_one_pixel_apart_is_another_object_and_corners_touch(tmp_path):
    apart, touching = mask(o61=(2, 2, 30, 18)), mask(o61=(2, 2, 10, 10))
    apart[19, 39] = 61
    touching[10, 10] = 61
    png(tmp_path / "1_a" / "mask" / "00000001.png", apart, "L")
    png(tmp_path / "2_b" / "mask" / "00000001.png", touching, "L")
    records, report, _ = convert("vspw", tmp_path, tmp_path / "o.jsonl")
    assert list(records) == ["vspw/train/2_b/61"]
    assert report["dropped"] == {"ambiguous": 1}


def test_sav_in_folders_and_in_pictures(tmp_path):
    seen, size = rle_of(mask(o1=(4, 2, 8, 6))), (20, 40)
    sav_file(tmp_path / "sav_train" / "sav_000" / "sav_1_manual.json", [rle_of(mask()), seen], size)
    records, _, frames = convert("sav", tmp_path / "sav_train", tmp_path / "o.jsonl", "--fps", "30")
    (record,) = records.values()
    assert (record["video"], record["fps"], record["span"]) == ("sav_000/sav_1.mp4", 24.0, [0, 0])
    assert [state["frame"] for state in frames[record["id"]]["boxes"]] == [4]

    masks = tmp_path / "sav_val" / "Annotations_6fps" / "sav_9"
    png(masks / "000" / "00000.png", mask(o255=(4, 2, 8, 6)), "L")  # any value but 0
    png(masks / "000" / "00024.png", mask(o1=(4, 2, 8, 6)))
    png(masks / "001" / "00000.png", mask())
    for frame in range(49):
        write(tmp_path / "sav_val" / "JPEGImages_24fps" / "sav_9" / f"{frame:05}.jpg", "")
    write(tmp_path / "sav_val" / "sav_val.txt", "sav_9\nsav_8\n")
    records, report, frames = convert("sav", tmp_path / "sav_val", tmp_path / "o.jsonl")
    (record,) = records.values()
    assert record["id"] == "sav/val/sav_9/000"
    assert tracks_of(records)["sav/val/sav_9/000"] == [(0, [0.1, 0.1, 0.2, 0.3]), (1, [0.1, 0.1, 0.2, 0.3])]
    assert (record["seconds"], record["video"]) == (3, "JPEGImages_24fps/sav_9"), "49 frames of 24 a second"
    assert report["dropped"] == {"no_annotation": 1, "no_box": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"video_frame_count": float("inf")},
        {"video_frame_count": 1.0},
        {"video_width": -40, "video_height": -20},
        {"masklet": []},
        {"masklet": [[None], []]},
        {"masklet_id": [0, 1]},
        {"video_id": 7},
    ],
)
def test_sav_files_that_contradict_themselves(tmp_path, change):
    sav_file(tmp_path / "a.json", [rle_of(mask())] * 2, **change)
    _, report, _ = convert("sav", tmp_path, tmp_path / "o.jsonl")
    assert report["dropped"] == {"malformed": 1}


def test_davis_lists_sizes_and_single_files(tmp_path):
    for size in ("480p", "Full-Resolution"):
        for name in ("judo", "bmx"):
            png(tmp_path / "Annotations" / size / name / "00000.png", mask(o1=(4, 2, 8, 6)))
    write(tmp_path / "ImageSets" / "2017" / "val.txt", "judo\n")
    records, _, _ = convert("davis", tmp_path / "Annotations" / "480p", tmp_path / "o.jsonl", "--fps", "24")
    assert list(records) == ["davis/train/bmx/1", "davis/train/judo/1"]
    records, _, _ = convert("davis", tmp_path, tmp_path / "o.jsonl", "--fps", "24", "--split", "val")
    assert list(records) == [f"davis/val/Annotations/{size}/judo/1" for size in ("480p", "Full-Resolution")]
    one = tmp_path / "Annotations" / "480p" / "judo" / "00000.png"
    records, _, _ = convert("davis", one, tmp_path / "o.jsonl", "--fps", "24")
    assert list(records) == ["davis/train/judo/1"]


# --- text -------------------------------------------------------------------------------------------------------


def test_activitynet_root_with_lists_of_ids(tmp_path):
    video = {"duration": 10.0, "timestamps": [[0, 4.5], [5, 3]], "sentences": [" A\xa0man. ", "x"]}
    write(tmp_path / "train.json", {"v_1": video})
    write(
        tmp_path / "val_1.json", {"v_2": video, "v_3": video | {"sentences": []}, "v_4": video | {"duration": 1e999}}
    )
    write(tmp_path / "val_ids.json", ["v_2"])
    records, report, _ = convert("activitynet", tmp_path, tmp_path / "o.jsonl", "--split", "val")
    (record,) = records.values()
    assert (record["id"], record["answer"]) == ("activitynet/val/val_1/v_2/0", "A man.")
    assert report["dropped"] == {"bad_span": 1, "malformed": 1, "wrong_length": 1}
    assert not (tmp_path / "o.jsonl.frames.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": ""}, "malformed"),
        ({"answer": 3}, "malformed"),
        ({"question": None}, "malformed"),
        ({"question": " "}, "no_query"),
        ({"duration": 1e999}, "bad_span"),
        ({"glue": [[1, float("nan")]]}, "malformed"),
        ({"glue": [[2]]}, "malformed"),
        ({"glue": [[0, 10**399]]}, "malformed"),  # no float
        ({"video": "../1.mp4"}, "bad_path"),
        ({"video": "/etc/passwd"}, "bad_path"),
        ({"options": "(A) x"}, "malformed"),
    ],
)
def test_nextgqa_drops_with_a_reason(tmp_path, change, reason):
    question = {"id": "1_2", "video": "00/1.mp4", "question": "why?", "options": ["(A) fun"], "duration": 9}
    path = write(
        tmp_path / "nextgqa_val.json",
        [question | {"answer": "(A)"} | change, question | {"id": "1_3", "answer": "(A)"}],
    )
    records, report, _ = convert("nextgqa", path, tmp_path / "o.jsonl")
    assert len(records) == 1
    assert report["dropped"] == {reason: 1}


def test_qa_answers_as_text_letter_or_number(tmp_path):
    base = {"video": "a.mp4", "question": "which?"}
    lines = [
        base | {"options": ["red", "blue"], "answer": "B"},
        base | {"options": ["(A) red", "(B) blue"], "answer": "(B)"},
        base | {"options": ["1", "2"], "answer": 2},
        base | {"answer": 2.5},
        base | {"options": ["red", "blue"], "answer": "green"},
        base | {"answer": None},
        base | {"answer": "x" * (1 << 20)},
    ]
    write(tmp_path / "q" / "train.jsonl", "\n".join(map(json.dumps, lines)))
    records, report, _ = convert("qa", tmp_path / "q", tmp_path / "o.jsonl")
    assert [record["answer"] for record in records.values()] == ["(B) blue", "(B) blue", "(B) 2", "2.5"]
    assert report["dropped"] == {"malformed": 3}
    assert report["read"] == 7


# --- all --------------------------------------------------------------------------------------------------------


def test_wordings_follow_the_seed(tmp_path):
    for number in range(1, 21):
        lasot_toolkit(tmp_path, f"cat-{number}")
        (tmp_path / "annos" / "nlp" / f"cat-{number}.txt").unlink()

    def queries(seed):
        records, _, _ = convert("lasot", tmp_path, tmp_path / "o.jsonl", *ASKED, "--seed", seed)
        return [record["query"] for record in records.values()]

    assert queries(1) == queries(1) != queries(2)
    assert len(set(queries(1))) >= 4 and all("cat" in query for query in queries(1))


@pytest.mark.parametrize("method", ["mean", "median", "middle", "sampled"])
def test_aggregation_is_chosen(tmp_path, method):
    rows = "".join(f"{x + 1},1,10,10\n" for x in (0, 10, 20, 60, 50))
    lasot_toolkit(tmp_path, "cat-1", rows, "0\n" * 5)
    records, _, _ = convert(
        "lasot", tmp_path, tmp_path / "o", "--size", "100x100", "--fps", "5", "--aggregation", method
    )
    # Frames 0..4 of 5 a second; 0.5 s lies between frames 2 (0.4) and 3 (0.6), and 2 is on screen.
    expected = {"mean": 0.28, "median": 0.2, "middle": 0.2, "sampled": 0.2}[method]
    assert tracks_of(records)["lasot/train/cat-1"][0][1][0] == pytest.approx(expected)


@pytest.mark.parametrize("fps", ["0", "nan", "-1", "1e9", "fast"])
def test_rates_that_are_none_are_refused(tmp_path, fps, capsys):
    assert main(["davis", "--annotations", str(tmp_path), "--out", str(tmp_path / "o"), "--fps", fps]) == 2
    printed = capsys.readouterr().err
    assert "expected frames a second" in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("source", ["lasot", "trackingnet", "got10k", "hcstvg"])
def test_boxes_of_no_width_or_height_are_counted(tmp_path, source):
    """Two of the twenty rows; a flagged one is hidden and no fault of the file."""
    rows = ["11,21,30,30"] * 20
    rows[3], rows[7] = "11,21,0,30", "11,21,30,-1"
    if source == "lasot":
        rows[11] = "0,0,0,0"
        path = write(tmp_path / "annos" / "cat-1.txt", "\n".join(rows)).parent
        write(path / "absent" / "cat-1.txt", "\n".join("1" if k == 11 else "0" for k in range(20)))
    elif source == "trackingnet":
        path = write(tmp_path / "TRAIN_0" / "anno" / "a.txt", "\n".join(rows)).parents[1]
    elif source == "got10k":
        path = write(tmp_path / "train" / "GOT-10k_Train_000001" / "groundtruth.txt", "\n".join(rows)).parents[1]
    else:
        boxes = [[int(word) for word in row.split(",")] for row in rows]
        path = write(tmp_path / "val_v2.json", {"a.mp4": hcstvg_record(bbox=boxes)})
    options = [] if source == "hcstvg" else ["--size", "60x60", "--fps", 10]
    _, report, _ = convert(source, path, tmp_path / "o", *options)
    assert report["written"] == 1
    assert report["notes"] == {"boxes of no width or height, left out": 2}
