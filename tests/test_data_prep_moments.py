"""Sets of sentences with times and without boxes, and sets of sentences about masked objects, in their own layouts."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from data_prep.records import read_records
from tests.helpers.films import make_video
from tests.helpers.layouts import convert, png, write


def lines(*entries):
    return "\n".join(json.dumps(entry) for entry in entries) + "\n"


def only(records):
    (record,) = records.values()
    return record


# --- Times ------------------------------------------------------------------------------------------------------


def test_charades_lines_take_their_length_from_the_video_or_the_table(tmp_path):
    text = "AO8RW 0.9 3.3##a person closes the door.\nAO8RW 5.0 30.0##they sit.\nAO8RW 9 12##they go.\nbroken\n"
    path = write(tmp_path / "charades_sta_test.txt", text)
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos/AO8RW.mp4", 85, 10)
    records, report, _ = convert("charades", path, tmp_path / "o.jsonl", "--videos", tmp_path / "videos")
    record = records["charades/test/1"]
    assert (record["schema"], record["task"], record["kind"]) == (2, "temporal", "declarative")
    assert (record["query"], record["video"]) == ("a person closes the door.", "AO8RW.mp4")
    # 85 frames at 10 a second: 8.5 s, and 9 seconds hold a frame.
    assert (record["clip"], record["seconds"], record["spans"]) == ([0.0, 8.5], 9, [[0.9, 3.3]])
    assert (record["span"], record["track"], record["width"]) == (None, None, 64)
    assert records["charades/test/2"]["spans"] == [[5.0, 9.0]]
    assert list(report["noted"].values()) == ["charades/test/2"]  # it goes on after the video's end
    assert report["dropped"] == {"bad_span": 1, "malformed": 1}
    assert report["difference"] == {"sentences": 4 - 3720}

    table = write(tmp_path / "Charades_v1_test.csv", "id,subject,length\nAO8RW,X,31.5\n")
    records, _, _ = convert("charades", path, tmp_path / "p.jsonl", "--lengths", table)
    assert records["charades/test/3"]["spans"] == [[9.0, 12.0]]
    assert records["charades/test/3"]["seconds"] == 32
    _, report, _ = convert("charades", path, tmp_path / "q.jsonl")
    assert report["dropped"] == {"unknown_length": 3, "malformed": 1}


def test_qvhighlights_windows_are_several_events(tmp_path):
    entry = {
        "qid": 7,
        "query": "A man rides.",
        "duration": 150,
        "vid": "bP5_60.0_210.0",
        "saliency_scores": [[4, 4, 4]],
    }
    text = lines(
        entry | {"relevant_windows": [[40, 60], [2, 10], [60, 72]], "relevant_clip_ids": [1]},
        entry | {"qid": 8, "relevant_windows": []},
        entry | {"qid": 9},
        entry | {"qid": 10, "relevant_windows": [[10, 2]]},
        {"qid": 11},
    )
    path = write(tmp_path / "highlight_val_release.jsonl", text)
    records, report, _ = convert("qvhighlights", path, tmp_path / "o.jsonl")
    record = records["qvhighlights/val/7"]
    assert (record["video"], record["seconds"], record["clip"]) == ("bP5_60.0_210.0.mp4", 150, [0.0, 150.0])
    assert record["spans"] == [[2.0, 10.0], [40.0, 72.0]]  # in order; windows that touch are one event
    nothing = records["qvhighlights/val/8"]
    assert (nothing["no_target"], nothing.get("spans")) == (True, None)
    assert report["dropped"] == {"no_truth": 1, "bad_span": 1, "malformed": 1}
    question = json.loads((tmp_path / "o.jsonl.questions.jsonl").read_text())
    assert question["id"] == "qvhighlights/val/9"


def test_timelens_lines_and_benchmarks(tmp_path):
    video = {"source": "cosmo_cap", "video_path": "cosmo_cap/BVs52yd-RUQ.mp4", "duration": 117.4}
    events = [
        {"query": "When does the speaker introduce himself?", "span": [[0.0, 5.0]]},
        {"query": "A close-up shot.", "span": [8.0, 12.5]},
        {"query": "It is late.", "span": [[118.5, 120.0]]},
    ]
    text = lines(video | {"events": events}, video | {"events": []}) + "{\n"
    records, report, _ = convert("timelens", write(tmp_path / "timelens-100k.jsonl", text), tmp_path / "o.jsonl")
    first, second = records["timelens/train/1/0"], records["timelens/train/1/1"]
    assert (first["kind"], first["spans"], first["seconds"]) == ("interrogative", [[0.0, 5.0]], 118)
    assert (second["video"], second["spans"]) == ("cosmo_cap/BVs52yd-RUQ.mp4", [[8.0, 12.5]])
    assert report["dropped"] == {"bad_span": 1, "no_query": 1, "malformed": 1}

    bench = {"3MSZA": {"duration": 31.0, "spans": [[25, 30], [1, 24]], "queries": ["A.", "B."]}, "x": {"spans": []}}
    path = write(tmp_path / "charades-timelens.json", bench)
    records, report, _ = convert("timelens", path, tmp_path / "p.jsonl", "--video_prefix", "charades")
    record = records["timelens/test/charades-timelens/3MSZA/1"]
    assert (record["video"], record["query"], record["spans"]) == ("charades/3MSZA.mp4", "B.", [[1.0, 24.0]])
    assert report["dropped"] == {"malformed": 1}


def test_captions_and_questions_as_sentences_to_find_in_time(tmp_path):
    captions = {"v_a": {"duration": 20.4, "timestamps": [[0, 4.5], [3, 30]], "sentences": [" He runs.", " He rests."]}}
    path = write(tmp_path / "val_1.json", captions)
    records, _, _ = convert("activitynet", path, tmp_path / "a.jsonl", "--task", "temporal")
    assert [(r["query"], r["spans"], r["clip"]) for r in records.values()] == [
        ("He runs.", [[0.0, 4.5]], [0.0, 20.4]),
        ("He rests.", [[3.0, 20.4]], [0.0, 20.4]),
    ]
    question = {
        "id": "1",
        "video": "0/1.mp4",
        "question": "why?",
        "options": ["(A) fun"],
        "answer": "(A)",
        "duration": 9,
    }
    path = write(tmp_path / "nextgqa_val.json", [question | {"glue": [[1, 2.5], [6, 8]]}, question | {"id": "2"}])
    records, report, _ = convert("nextgqa", path, tmp_path / "b.jsonl", "--task", "temporal")
    assert (only(records)["query"], only(records)["kind"]) == ("why?", "interrogative")
    assert only(records)["spans"] == [[1.0, 2.5], [6.0, 8.0]]
    assert report["dropped"] == {"no_truth": 1}
    assert [record["task"] for record in read_records(tmp_path / "b.jsonl")] == ["temporal"]


# --- Tracks and masks -------------------------------------------------------------------------------------------


def test_tnl2k(tmp_path):
    folder = tmp_path / "TNL2K_test_subset/Cartoon_ball"
    write(folder / "groundtruth.txt", "10,20,30,40\n12,20,30,40\n0,0,0,0\n16,20,30,40\n")
    write(folder / "language.txt", "the red ball\n")
    words = ("--size", "100x100", "--fps", "2")
    records, report, frames = convert("tnl2k", tmp_path / "TNL2K_test_subset", tmp_path / "o.jsonl", *words)
    record = records["tnl2k/test/Cartoon_ball"]
    assert (record["query"], record["video"], record["kind"]) == ("the red ball", "Cartoon_ball/imgs", "tracking")
    assert record["span"] == [0, 1]
    assert record["track"][0] == {"second": 0, "box": pytest.approx([0.11, 0.2, 0.41, 0.6])}  # the mean of 10 and 12
    assert [state["frame"] for state in only(frames)["boxes"]] == [0, 1, 3]
    assert report["difference"] == {"sequences": -699}


def ids(**objects):
    """10 x 8 pixels with a rectangle an object: o1=(left, top, right, bottom)."""
    picture = np.zeros((8, 10), np.uint8)
    for name, (left, top, right, bottom) in objects.items():
        picture[top:bottom, left:right] = int(name[1:])
    return picture


def rle(**objects):
    mask = coco_mask.encode(np.asfortranarray(ids(**objects) > 0).astype(np.uint8))
    return {"size": [8, 10], "counts": mask["counts"].decode()}


@pytest.mark.parametrize("source", ["mevis", "revos"])
def test_sentences_about_masks_as_run_lengths(tmp_path, source):
    sentences = {
        "0": {"exp": "the cat that jumps", "obj_id": [0], "anno_id": [31]},
        "1": {"exp": "which animals play?", "obj_id": [0, 1], "anno_id": [31, 32]},
        "2": {"exp": "the missing bird", "obj_id": [], "anno_id": [], "type_id": 2},
        "3": {"exp": "the one without a mask", "obj_id": [5], "anno_id": [99]},
        "4": {"exp": "the hidden one", "obj_id": [6], "anno_id": [33]},
        "5": {"exp": "a question"},
        "6": {"exp": None, "anno_id": [31]},
    }
    document = {"videos": {"clip1": {"expressions": sentences, "frames": ["00000", "00001", "00002", "00003"]}}}
    masks = {
        "31": [None, rle(o1=(0, 0, 5, 4)), rle(o1=(5, 4, 10, 8)), None],
        "32": [rle(o1=(0, 0, 10, 8))] * 4,
        "33": [None] * 4,
        "34": "of nobody",
    }
    folder = tmp_path / "train" if source == "mevis" else tmp_path
    name = "meta_expressions.json" if source == "mevis" else "meta_expressions_train_.json"
    write(folder / name, document)
    write(folder / "mask_dict.json", masks)
    records, report, frames = convert(source, folder, tmp_path / "o.jsonl", "--fps", "2")
    one, several, none = (records[f"{source}/train/clip1/{number}"] for number in (0, 1, 2))
    assert (one["kind"], one["span"], one["seconds"], one["distractors"]) == ("declarative", [0, 1], 2, 2)
    assert one["track"] == [
        {"second": 0, "box": [0.0, 0.0, 0.5, 0.5]},
        {"second": 1, "box": [0.5, 0.5, 1.0, 1.0]},
    ]
    assert [state["frame"] for state in only(frames)["boxes"]] == [1, 2]
    assert (several["kind"], [track["label"] for track in several["tracks"]]) == ("scene", ["object-1", "object-2"])
    assert (none["no_target"], none["clip"]) == (True, [0.0, 2.0])
    assert report["dropped"] == {"no_annotation": 1, "no_box": 1, "no_truth": 1, "malformed": 1}
    assert report["found"] == {"sentences": 7}


def test_sentences_about_masks_as_pictures(tmp_path):
    sentences = {"0": {"exp": "a man", "obj_id": "1"}, "1": {"exp": "who waves?", "obj_id": "2"}}
    root = tmp_path / "Ref-Youtube-VOS"
    document = {"videos": {"003234408d": {"expressions": sentences, "frames": ["00000", "00005", "00010"]}}}
    write(root / "meta_expressions/train/meta_expressions.json", document)
    hidden = {"videos": {"x": {"expressions": {"0": {"exp": "a dog"}}, "frames": ["00000"]}}}
    write(root / "meta_expressions/valid/meta_expressions.json", hidden)
    objects = {"1": {"category": "person", "frames": ["00000"]}}
    write(root / "train/meta.json", {"videos": {"003234408d": {"objects": objects}}})
    for number, place in ((0, (0, 0, 5, 4)), (5, (5, 4, 10, 8)), (10, (5, 4, 10, 8))):
        shown = ids(o1=place) if number else ids(o1=place, o2=(6, 0, 8, 4))
        png(root / f"train/Annotations/003234408d/{number:05}.png", shown)
    records, report, frames = convert("refer-youtube-vos", root, tmp_path / "o.jsonl")
    man, other = records["refer-youtube-vos/train/003234408d/0"], records["refer-youtube-vos/train/003234408d/1"]
    # Every fifth frame of 30 a second: three pictures at 6 a second are half a second.
    assert (man["fps"], man["seconds"], man["label"]) == (6.0, 1, "person-1")
    assert man["track"][0]["box"] == pytest.approx([10 / 30, 8 / 24, 25 / 30, 20 / 24])  # the mean of three
    assert (other["kind"], other["label"], other["track"][0]["box"]) == (
        "interrogative",
        "object-1",
        [0.6, 0, 0.8, 0.5],
    )
    assert report["dropped"] == {"no_truth": 1}
    assert [state["frame"] for state in frames[man["id"]]["boxes"]] == [0, 1, 2]
