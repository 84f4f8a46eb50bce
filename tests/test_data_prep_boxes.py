"""Your own annotations: tables, lines and CVAT files, on real H.264 clips, with seconds computed by hand."""

import json
from fractions import Fraction

import pytest

from data_prep.__main__ import main
from tests.helpers.annotation_files import cvat, cvat_box, import_boxes
from tests.helpers.films import make_video
from tests.helpers.layouts import write

HEAD = "video,query,time,x_min,y_min,x_max,y_max\n"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Clips of 64 x 48 and 10 frames a second: street.mp4 of 6 s, and park/dogs.mp4 of 2 s."""
    root = tmp_path_factory.mktemp("videos")
    (root / "park").mkdir()
    make_video(root / "street.mp4", 60, 10)
    make_video(root / "park/dogs.mp4", 20, 10)
    return root


def only(records):
    (record,) = records.values()
    return record


def states(record):
    """Second -> box in pixels of 64 x 48."""
    return {
        state["second"]: [round(edge * side, 4) for edge, side in zip(state["box"], (64, 48, 64, 48), strict=True)]
        for state in record["track"]
    }


# --- Tables -----------------------------------------------------------------------------------------------------


def test_a_table_of_times_and_pixels(tmp_path, videos):
    rows = "".join(f"street.mp4,the dog runs,{t},{8 * t},12,{8 * t + 16},36\n" for t in (2, 2.5, 3, 3.5, 4))
    records, report, frames = import_boxes(write(tmp_path / "a.csv", HEAD + rows), videos)
    record = records["mine/train/a/1"]
    assert (record["source"], record["split"], record["kind"], record["label"]) == (
        "mine",
        "train",
        "declarative",
        "object-1",
    )
    assert (record["fps"], record["width"], record["height"], record["seconds"]) == (10.0, 64, 48, 6)
    assert (record["clip"], record["span"]) == ([0.0, 6.0], [2, 4])
    # Second 2 has boxes at x 16 and 20, second 3 at 24 and 28, second 4 at 32.
    assert states(record) == {2: [18, 12, 34, 36], 3: [26, 12, 42, 36], 4: [32, 12, 48, 36]}
    assert [state["frame"] for state in frames["mine/train/a/1"]["boxes"]] == [20, 25, 30, 35, 40]
    assert report["found"] == {"objects (csv)": 1}


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("video;sentence;frame;left;top;right;bottom", "street.mp4;a dog;20;8;12;24;36"),
        ("File\tCaption\tFrame ID\tx\ty\tw\th", "street\ta dog\t20\t8\t12\t16\t24"),
        ("filename,width,height,class,frame,xmin,ymin,xmax,ymax,query", "street.mp4,128,96,dog,20,16,24,48,72,a dog"),
        ("video,query,frame,x1,y1,x2,y2", "street.mp4,a dog,20,.125,.25,.375,.75"),
        ("video,query,timestamp,x1,y1,width,height", "park/../street.mp4,a dog,0:02,8,12,16,24"),
        ("video_id,text,time_ms,xtl,ytl,xbr,ybr", "/Volumes/card/street.avi,a dog,2040,8,12,24,36"),
    ],
)
def test_columns_by_their_usual_names_and_units(tmp_path, videos, head, row):
    records, report, _ = import_boxes(write(tmp_path / "a.csv", f"{head}\n{row}\n"), videos)
    assert only(records)["query"] == "a dog"
    assert states(only(records)) == {2: [8, 12, 24, 36]}
    assert ("notes" in report) == (".125" in row)  # that a scale was read from the numbers is said


def test_objects_of_a_table_are_told_apart_by_video_sentence_label_and_track(tmp_path, videos):
    head = "video,query,label,track,frame,x_min,y_min,x_max,y_max\n"
    rows = [
        "street.mp4,a dog,dog,1,0,0,0,8,8",
        "street.mp4,a dog,dog,2,0,8,8,16,16",
        "dogs,a dog,dog,1,0,0,0,8,8",
        "street.mp4,who runs?,man,1,1,0,0,8,8",
    ]
    records, _, _ = import_boxes(write(tmp_path / "a.csv", head + "\n".join(rows)), videos)
    assert [(r["video"], r["label"], r["kind"]) for r in records.values()] == [
        ("street.mp4", "dog-1", "declarative"),
        ("street.mp4", "dog-1", "declarative"),
        ("park/dogs.mp4", "dog-1", "declarative"),
        ("street.mp4", "man-1", "interrogative"),
    ]
    assert list(records) == ["mine/train/a/1", "mine/train/a/2", "mine/train/a/1-2", "mine/train/a/1-3"]


def test_an_event_that_the_table_states_cuts_the_track(tmp_path, videos):
    head = "video,query,begin,end,frame,x_min,y_min,x_max,y_max\n"
    rows = "".join(f"street.mp4,it barks,1.5,3.2,{f},0,0,{f + 1},24\n" for f in range(60))
    records, _, frames = import_boxes(write(tmp_path / "a.csv", head + rows), videos)
    line = only(frames)
    assert (line["begin"], line["end"]) == (15, 32)
    assert only(records)["span"] == [1, 3]
    # x_max is frame + 1: means of 16..20, 21..30, 31..32.
    assert {k: box[2] for k, box in states(only(records)).items()} == {1: 18, 2: 25.5, 3: 31.5}


def test_boxes_are_joined_only_where_that_is_asked_for(tmp_path, videos):
    rows = "street.mp4,a dog,1,0,0,8,8\nstreet.mp4,a dog,3,20,0,28,8\nstreet.mp4,a dog,5.9,20,0,28,8\n"
    path = write(tmp_path / "a.csv", HEAD + rows)
    records, _, _ = import_boxes(path, videos)
    assert states(only(records)) == {1: [0, 0, 8, 8], 3: [20, 0, 28, 8], 5: [20, 0, 28, 8]}
    records, _, _ = import_boxes(path, videos, "--interpolate", 2)
    # x moves 1 pixel a frame from frame 10 to 30: means of 0..9 and 10..19.
    assert states(only(records)) == {1: [4.5, 0, 12.5, 8], 2: [14.5, 0, 22.5, 8], 3: [20, 0, 28, 8], 5: [20, 0, 28, 8]}
    assert only(records)["span"] == [1, 5]


@pytest.mark.parametrize(
    ("rows", "reason", "words"),
    [
        ("nothere.mp4,a,1,0,0,8,8", "missing_video", "nothere.mp4 is not under"),
        ("../../etc/passwd,a,1,0,0,8,8", "missing_video", "etc/passwd"),
        ("street.mp4,a,7,0,0,8,8", "bad_span", "a box at s 7, but the video ends at 6.00 s"),
        ("street.mp4,a,-1,0,0,8,8", "bad_span", "s -1"),
        ("street.mp4,a,1,0,0,8,x", "malformed", "a.csv:2: y_max x, expected a number"),
        ("street.mp4,a,1,0,0,8,inf", "malformed", "y_max inf"),
        ("street.mp4,a,soon,0,0,8,8", "malformed", "time soon, expected seconds"),
        ("street.mp4,a,1,,,,", "no_box", "neither a box nor a time of it"),
        ("street.mp4,a,1,8,8,8,8", "no_box", "no visible box"),
        ("street.mp4,,1,0,0,8,8", "no_query", "give --queries or --query_attribute"),
        ("street.mp4,a,1,0,0,8,8\nstreet.mp4,a,1,9,9,18,18", "ambiguous", "two boxes at 1 s"),
    ],
)
def test_what_a_table_gets_wrong_is_dropped_with_its_reason(tmp_path, videos, rows, reason, words):
    records, report, _ = import_boxes(write(tmp_path / "a.csv", f"{HEAD}{rows}\n"), videos)
    assert records == {}
    assert list(report["dropped"]) == [reason]
    assert words in report["examples"][reason][0]


def test_a_box_just_after_the_end_is_left_out_and_said(tmp_path, videos):
    head = HEAD.replace("time", "frame")
    rows = "street.mp4,a dog,59,0,0,8,8\nstreet.mp4,a dog,60,0,0,8,8\n"
    path = write(tmp_path / "a.csv", head + rows)
    records, report, _ = import_boxes(path, videos)
    assert only(records)["span"] == [5, 5]
    assert sum(report["notes"].values()) == 1
    records, report, _ = import_boxes(path, videos, "--first_frame", 1)
    assert "notes" not in report


def test_a_video_of_an_uneven_rate_is_read_by_its_own_times(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    # Frames at 0.0, 0.1, ..., 0.9 s, then one a second: frame 10 is at 1.0 s, frame 13 at 4.0 s.
    times = [*range(0, 1000, 100), 1000, 2000, 3000, 4000]
    make_video(root / "phone.mp4", len(times), 10, pts=times, time_base=Fraction(1, 1000), b_frames=0)
    rows = "".join(f"phone.mp4,a dog,{frame},{frame},0,{frame + 16},24\n" for frame in range(5, 14))
    records, _, frames = import_boxes(write(tmp_path / "a.csv", HEAD.replace("time", "frame") + rows), root)
    record = only(records)
    assert (record["seconds"], record["span"]) == (5, [0, 4])
    assert {k: box[0] for k, box in states(record).items()} == {0: 7, 1: 10, 2: 11, 3: 12, 4: 13}


def test_times_count_for_their_own_second_whether_a_frame_appears_in_it_or_not(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    times = [0, 500, 1000, 1500, 4000]  # nothing appears in seconds 2 and 3, and the frame of 1.5 s stays on screen
    make_video(root / "phone.mp4", len(times), 10, pts=times, time_base=Fraction(1, 1000), b_frames=0)
    rows = "".join(f"phone.mp4,a dog,{tenth / 10},{tenth},0,{tenth + 16},24\n" for tenth in range(45))
    records, report, _ = import_boxes(write(tmp_path / "a.csv", HEAD + rows), root)
    assert (only(records)["seconds"], only(records)["span"]) == (5, [0, 4])
    # Two places a second, each with the last of its rows: those of x.4 and x.9; second 4 has one place, of 4.0 to 4.4.
    assert {k: box[0] for k, box in states(only(records)).items()} == {0: 6.5, 1: 16.5, 2: 26.5, 3: 36.5, 4: 44}
    assert list(report["notes"].values()) == [45 - 9]


def test_whole_seconds_of_a_rate_that_has_no_frame_there(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    make_video(root / "tv.mp4", 150, Fraction(30000, 1001))
    rows = "".join(f"tv.mp4,a dog,{second},{second},0,{second + 16},24\n" for second in range(5))
    records, _, frames = import_boxes(write(tmp_path / "a.csv", HEAD + rows), root)
    # At 1.0 s frame 29 (0.968 s) is still on screen; the box is that of second 1, whose first frame is 30.
    assert {k: box[0] for k, box in states(only(records)).items()} == {k: k for k in range(5)}
    assert [state["frame"] for state in only(frames)["boxes"]] == [0, 30, 60, 90, 120]


# --- Sentences --------------------------------------------------------------------------------------------------


def test_sentences_from_a_table_of_labels(tmp_path, videos):
    head = "video,label,frame,x_min,y_min,x_max,y_max\n"
    rows = "".join(f"street.mp4,{label},{f},0,0,8,8\n" for label in ("dog", "cat", "cow") for f in range(30))
    sentences = [
        "street,dog,the brown dog,,",
        ",cat,a cat wakes,0.5,1",
        ",cat,what does the cat do?,1,2",
        ",hen,a hen,,",
    ]
    table = "\n".join(["video,label,sentence,begin,end", *sentences, "park/dogs.mp4,dog,another dog,,"])
    path, queries = write(tmp_path / "a.csv", head + rows), write(tmp_path / "labels.csv", table)
    records, report, _ = import_boxes(path, videos, "--queries", queries)
    assert [(r["query"], r["span"], r["label"]) for r in records.values()] == [
        ("the brown dog", [0, 2], "dog-1"),
        ("a cat wakes", [0, 0], "cat-1"),
        ("what does the cat do?", [1, 1], "cat-1"),
    ]
    assert list(report["dropped"]) == ["no_query"]
    assert "label cow" in report["examples"]["no_query"][0]
    assert list(report["notes"].values()) == [2]  # sentences of a label and of a video that no object has


def test_one_sentence_of_two_objects_keeps_each_ones_event(tmp_path, videos):
    head = "video,label,track,begin,end,frame,x_min,y_min,x_max,y_max\n"
    rows = "".join(f"street.mp4,dog,1,1,2,{f},0,0,8,8\nstreet.mp4,dog,2,,,{f},9,9,18,18\n" for f in range(40))
    queries = write(tmp_path / "labels.csv", "label,query\ndog,a dog\n")
    records, _, _ = import_boxes(write(tmp_path / "a.csv", head + rows), videos, "--queries", queries)
    assert [record["span"] for record in records.values()] == [[1, 1], [0, 3]]


def test_without_a_sentence_the_label_is_worded(tmp_path, videos):
    path = write(tmp_path / "a.csv", "video,label,frame,x_min,y_min,x_max,y_max\nstreet.mp4,brown dog,1,0,0,8,8\n")
    records, _, _ = import_boxes(path, videos)
    assert only(records)["kind"] == "tracking"
    assert "brown dog" in only(records)["query"]


# --- Lines of JSON ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "boxes",
    [
        {"2": [8, 12, 24, 36], "3": [16, 12, 32, 36]},
        [[2, 8, 12, 24, 36], [3.5, 16, 12, 32, 36]],
        [{"time": 2.2, "box": [8, 12, 24, 36]}, {"second": 3, "box": [16, 12, 32, 36]}],
        [{"frame": 29, "box": [8, 12, 24, 36]}, {"frame": 30, "box": [16, 12, 32, 36]}],
        {"2": [0.125, 0.25, 0.375, 0.75], "3": [0.25, 0.25, 0.5, 0.75]},
    ],
)
def test_lines_of_ones_own(tmp_path, videos, boxes):
    line = {
        "video": "street.mp4",
        "query": "the dog runs",
        "span": [1.2, 4.0],
        "boxes": boxes,
        "id": "x",
        "label": "dog",
    }
    records, _, _ = import_boxes(write(tmp_path / "a.jsonl", json.dumps(line) + "\n"), videos, "--split", "val")
    record = records["mine/val/a/x"]
    assert (record["span"], record["label"]) == ([1, 3], "dog-1")
    assert states(record) == {2: [8, 12, 24, 36], 3: [16, 12, 32, 36]}


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"boxes": {"2": [1, 2, 3]}}, "bad_box", "a.jsonl:1: box at 2 [1, 2, 3], expected 4 finite numbers"),
        ({"boxes": [[1, 2, 3, 4]]}, "bad_box", "expected 5"),
        ({"boxes": [{"box": [0, 0, 8, 8]}]}, "malformed", "second, time or frame"),
        ({"boxes": [{"frame": 1, "box": [0, 0, 8, 8]}, [2, 0, 0, 8, 8]]}, "malformed", "some have a frame"),
        ({"boxes": "none"}, "malformed", "expected a list"),
        ({"span": [3, 2]}, "bad_span", "expected 0 <= begin < end"),
        ({"span": [1, 9]}, "bad_span", "the video ends at 6.00 s"),
        ({"span": 3}, "bad_span", "span 3"),
        ({"video": 3}, "malformed", "video 3"),
        ({"video": None}, "missing_video", "holds 2; give --video NAME"),
    ],
)
def test_what_a_line_gets_wrong_is_dropped_with_its_reason(tmp_path, videos, change, reason, words):
    line = {"video": "street.mp4", "query": "q", "boxes": {"2": [8, 12, 24, 36]}} | change
    records, report, _ = import_boxes(write(tmp_path / "a.jsonl", json.dumps(line)), videos)
    assert records == {}
    assert list(report["dropped"]) == [reason]
    assert words in report["examples"][reason][0]


def test_lines_without_boxes_say_when_only(tmp_path, videos):
    lines = [
        {"video": "street.mp4", "query": "it barks", "spans": [[4, 5.5], [1, 2]]},
        {"video": "street.mp4", "query": "it barks twice", "spans": [[1, 2], [4, 5.5]], "boxes": {"1": [0, 0, 8, 8]}},
        {"video": "street.mp4", "query": "when?"},
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    records, report, _ = import_boxes(path, videos)
    times, boxed = records["mine/train/a/1"], records["mine/train/a/2"]
    assert (times["task"], times["spans"], times["track"]) == ("temporal", [[1.0, 2.0], [4.0, 5.5]], None)
    assert (times["seconds"], times["fps"], times["width"]) == (6, 10.0, 64)
    assert (boxed["spans"], states(boxed)) == ([[1.0, 2.0], [4.0, 5.5]], {1: [0, 0, 8, 8]})
    assert report["dropped"] == {"no_box": 1}


def test_a_table_of_times_needs_no_box(tmp_path, videos):
    path = write(tmp_path / "a.csv", "video,query,start,end\nstreet,it barks,0:01,0:02.5\nstreet,it barks,4,5\n")
    records, _, _ = import_boxes(path, videos)
    assert (only(records)["task"], only(records)["spans"]) == ("temporal", [[1.0, 2.5], [4.0, 5.0]])


# --- CVAT -------------------------------------------------------------------------------------------------------


def test_cvat_joins_keyframes_until_one_hides_the_object(tmp_path, videos):
    track = [
        cvat_box(20, (0, 0, 16, 12), sentence="the dog runs"),
        cvat_box(40, (40, 0, 56, 12), outside=1),
        cvat_box(50, (8, 0, 24, 12)),
    ]
    path = cvat(tmp_path / "annotations.xml", track)
    records, _, frames = import_boxes(path, videos, "--query-attribute", "Sentence")
    record = records["mine/train/annotations/0"]
    assert (record["query"], record["label"], record["video"]) == ("the dog runs", "dog-1", "street.mp4")
    # 2 pixels a frame from frame 20 on, hidden from 40, again from 50 to the task's last frame, 59.
    assert states(record) == {2: [9, 0, 25, 12], 3: [29, 0, 45, 12], 5: [8, 0, 24, 12]}
    assert record["span"] == [2, 5]
    assert [state["frame"] for state in only(frames)["boxes"]] == [*range(20, 40), *range(50, 60)]


def test_cvat_as_it_is_exported_lists_all_frames(tmp_path, videos):
    shapes = [
        cvat_box(f, (2 * (f - 20), 0, 2 * (f - 20) + 16, 12), keyframe=int(f in (20, 30))) for f in range(20, 31)
    ]
    path = cvat(tmp_path / "a.xml", [*shapes, cvat_box(31, (22, 0, 38, 12), outside=1)])
    records, _, _ = import_boxes(path, videos)
    assert only(records)["kind"] == "tracking"
    assert states(only(records)) == {2: [9, 0, 25, 12], 3: [20, 0, 36, 12]}


def test_cvat_tells_each_text_of_an_attribute_that_changes(tmp_path, videos):
    track = [
        cvat_box(0, (0, 0, 16, 12), sentence="it walks"),
        cvat_box(10, (0, 0, 16, 12)),  # says nothing: as before
        cvat_box(25, (0, 0, 16, 12), sentence="it runs"),
        cvat_box(40, (0, 0, 16, 12), sentence=""),
    ]
    records, _, frames = import_boxes(cvat(tmp_path / "a.xml", track), videos, "--query_attribute", "sentence")
    assert [(r["query"], r["span"]) for r in records.values()] == [("it walks", [0, 2]), ("it runs", [2, 3])]
    assert [(line["begin"], line["end"]) for line in frames.values()] == [(0, 25), (25, 40)]


def test_a_text_that_comes_back_is_one_sentence_with_several_events(tmp_path, videos):
    texts = {0: "it runs", 10: "", 20: "it runs", 26: ""}
    track = [cvat_box(frame, (0, 0, 16 + frame, 12), sentence=text) for frame, text in texts.items()]
    records, _, frames = import_boxes(cvat(tmp_path / "a.xml", track), videos, "--query_attribute", "sentence")
    record = only(records)
    assert (record["schema"], record["span"], record["spans"]) == (2, None, [[0.0, 1.0], [2.0, 2.6]])
    # x_max is 16 + frame: means of 0..9 and of 20..25, and nothing between them.
    assert {k: box[2] for k, box in states(record).items()} == {0: 20.5, 2: 38.5}
    assert [state["frame"] for state in only(frames)["boxes"]] == [*range(10), *range(20, 26)]


def test_cvat_shapes_that_are_turned_or_no_boxes(tmp_path, videos):
    turn = ' rotation="90.00"'
    upright = [cvat_box(f, (16, 16, 32, 24), more=turn, outside=int(f > 0)) for f in (0, 10)]
    polygon = '<polygon frame="0" keyframe="1" outside="0" occluded="0" points="8,4;20,30;4,12" z_order="0"/>'
    ellipse = '<ellipse frame="0" keyframe="1" outside="0" occluded="0" cx="20" cy="10" rx="8" ry="4" z_order="0"/>'
    mask = '<mask frame="0" keyframe="1" outside="0" occluded="0" rle="3, 5" left="4" top="2" width="10" height="6"/>'
    hidden = '<box frame="5" keyframe="1" outside="1" occluded="0" xtl="4" ytl="2" xbr="14" ybr="8"/>'
    points = '<points frame="0" keyframe="1" outside="0" occluded="0" points="8,4;20,30" z_order="0"/>'
    path = cvat(tmp_path / "a.xml", upright, *([shape + hidden] for shape in (ellipse, mask)), [polygon], [points])
    records, report, _ = import_boxes(path, videos)
    tops = {name.rsplit("/", 1)[-1]: states(record)[0] for name, record in records.items()}
    # A box of 16 x 8 around (24, 20), turned by a quarter, is one of 8 x 16.
    assert tops["0"] == [20, 12, 28, 28]
    assert tops["3"] == [4, 4, 20, 30]
    assert report["dropped"] == {"no_box": 1}
    assert report["ignored"] == {"shapes that have no area (points)": 1}


def test_cvat_flags_of_occlusion_are_the_annotators_word(tmp_path, videos):
    track = [cvat_box(0, (0, 0, 16, 12)), cvat_box(10, (0, 0, 16, 12), occluded=1), cvat_box(20, (0, 0, 16, 12))]
    path = cvat(tmp_path / "a.xml", track, stop=29)
    assert list(states(only(import_boxes(path, videos)[0]))) == [0, 1, 2]
    assert list(states(only(import_boxes(path, videos, "--without_occluded")[0]))) == [0, 2]


def test_cvat_projects_name_a_video_a_task(tmp_path, videos):
    text = cvat(tmp_path / "a.xml", [cvat_box(0, (0, 0, 16, 12))], [cvat_box(0, (0, 0, 16, 12))]).read_text()
    task = text[text.index("    <task>") : text.index("    <dumped>")]
    second = task.replace("<id>7</id>", "<id>8</id>").replace("street.mp4", "dogs.mp4").replace(">59<", ">19<")
    text = text.replace(task, f"<project><id>1</id><name>p</name><tasks>{task}{second}</tasks></project>")
    text = text.replace('<track id="0"', '<track id="0" task_id="7" subset="default"')
    text = text.replace('<track id="1"', '<track id="1" task_id="8" subset="default"')
    records, _, _ = import_boxes(write(tmp_path / "a.xml", text), videos)
    assert [(r["video"], r["span"]) for r in records.values()] == [("street.mp4", [0, 5]), ("park/dogs.mp4", [0, 1])]


def test_a_picture_of_another_size_is_scaled_and_of_another_shape_refused(tmp_path, videos):
    text = cvat(tmp_path / "a.xml", [cvat_box(0, (0, 0, 64, 48))]).read_text()
    larger = text.replace("<width>64</width><height>48<", "<width>128</width><height>96<")
    records, _, _ = import_boxes(write(tmp_path / "b.xml", larger), videos)
    assert states(only(records))[0] == [0, 0, 32, 24]
    wider = text.replace("<width>64</width>", "<width>100</width>")
    _, report, _ = import_boxes(write(tmp_path / "c.xml", wider), videos)
    assert "pictures of 64x48, the file states 100x48" in report["examples"]["other_size"][0]


# --- Files that are none ----------------------------------------------------------------------------------------

BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><annotations>&c;</annotations>'
OUTER = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><track id="&x;"/></annotations>'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xml", BOMB, "a document type (a), which no export of CVAT has"),
        ("a.xml", OUTER, "a document type"),
        ("a.xml", "<annotations><track>", "no whole XML"),
        ("a.xml", "<html></html>", "XML of html, expected CVAT's annotations"),
        (
            "a.xml",
            '<annotations><image id="0" name="x"/></annotations>',
            "images in it; expected the export 'CVAT for vid",
        ),
        ("a.xml", f"<annotations>{'<a>' * 40}", "nested more than 32 deep"),
        ("a.xml", f"<annotations><a>{'x' * 70000}", "a text of more than 65536 characters"),
        ("a.xml", '<?xml version="1.0" encoding="no-such"?><annotations/>', "no whole XML"),
        ("a.csv", "", "expected CSV, JSONL"),
        ("a.csv", "hello\nworld\n", "expected CSV, JSONL"),
        (
            "a.csv",
            "video,query,frame\nstreet.mp4,a,1\n",
            "columns video, query, frame; expected video, query, time or",
        ),
        ("a.csv", "video,file,frame,x\na,b,1,2\n", "columns video and file mean video; rename one"),
        ("a.csv", HEAD, "no record of mine found there"),
        ("a.json", '{"a": [1]}', "begins with"),
        ("a.zip", "PK\x03\x04....", "a ZIP archive; unpack it"),
    ],
)
def test_a_file_that_is_none_ends_in_one_line(tmp_path, videos, capsys, name, content, words):
    path = write(tmp_path / name, content)
    assert main(["boxes", str(path), "--videos", str(videos), "--out", str(tmp_path / "o.jsonl")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert words in line
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--videos DIR is needed"),
        (["--videos", "nowhere"], "no such file or folder"),
        (["--videos", ".", "--queries", "nowhere.csv"], "--queries nowhere.csv: no such file"),
        (["--videos", ".", "--format", "cvta"], "did you mean 'cvat'?"),
    ],
)
def test_options_that_are_wrong_end_in_one_line(tmp_path, capsys, options, words):
    path = write(tmp_path / "a.csv", f"{HEAD}street.mp4,a dog,1,0,0,8,8\n")
    assert main(["boxes", str(path), "--out", str(tmp_path / "o.jsonl"), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path, videos):
    root = tmp_path / "linked"
    root.mkdir()
    (root / "street.mp4").symlink_to(videos / "street.mp4")
    _, report, _ = import_boxes(write(tmp_path / "a.csv", f"{HEAD}street.mp4,a dog,1,0,0,8,8\n"), root)
    assert list(report["dropped"]) == ["bad_path"]


def test_two_videos_of_one_name_are_not_guessed_between(tmp_path, videos):
    root = tmp_path / "two"
    for folder in ("a", "b"):
        (root / folder).mkdir(parents=True)
        (root / folder / "x.mp4").write_bytes((videos / "park/dogs.mp4").read_bytes())
    rows = "x.mp4,a dog,1,0,0,8,8\nset/b/x.mp4,a dog,1,0,0,8,8\n"
    records, report, _ = import_boxes(write(tmp_path / "a.csv", HEAD + rows), root)
    assert only(records)["video"] == "b/x.mp4"
    assert "name it with its folder" in report["examples"]["ambiguous"][0]
