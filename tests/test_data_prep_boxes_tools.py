"""Label Studio, COCO and TAO, YouTube-VIS and VIA, each in its own schema on real clips, with seconds by hand."""

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from data_prep.annotations.formats import format_of
from tests.helpers.annotation_files import (
    coco_video,
    import_boxes,
    label_studio,
    label_studio_keyframe,
    via_2,
    via_3,
    youtube_vis,
)
from tests.helpers.layouts import write
from tests.test_data_prep_boxes import only, states, videos

__all__ = ["videos"]  # the fixture: street.mp4 of 6 s at 10 frames a second, 64 x 48
key = label_studio_keyframe
# Per cent of 64 x 48: 16 x 12 pixels at the upper left corner, and 32 pixels further to the right.
LEFT, RIGHT = (0, 0, 25, 25), (50, 0, 25, 25)


# --- Label Studio -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minimal", [False, True])
def test_label_studio_joins_keyframes_until_one_is_not_enabled(tmp_path, videos, minimal):
    keyframes = [key(20, LEFT), key(36, RIGHT, enabled=False), key(50, RIGHT)]
    path = label_studio(tmp_path / "project-1.json", ("Dog", keyframes), minimal=minimal)
    records, _, frames = import_boxes(path, videos)
    record = only(records)
    assert (record["video"], record["label"], record["kind"]) == ("street.mp4", "Dog-1", "tracking")
    # 2 pixels a frame from frame 20 on; frame 36 is still shown, then nothing until 50; that stays to the end.
    assert [state["frame"] for state in only(frames)["boxes"]] == [*range(20, 37), *range(50, 60)]
    assert states(record) == {2: [9, 0, 25, 12], 3: [26, 0, 42, 12], 5: [32, 0, 48, 12]}


def test_label_studios_frames_are_of_its_own_rate(tmp_path, videos):
    # 24 frames a second are its default, whatever the video has: frame 48 is 2.0 s, frame 72 is 3.0 s.
    keyframes = [key(48, LEFT, rate=24), key(72, RIGHT, enabled=False, rate=24)]
    records, _, frames = import_boxes(label_studio(tmp_path / "a.json", ("Dog", keyframes)), videos)
    assert [state["frame"] for state in only(frames)["boxes"]] == list(range(20, 31))
    # The video's frame 25, at 2.5 s, is the tool's frame 60: half way.
    assert only(frames)["boxes"][5]["box"][0] == pytest.approx(16 / 64)
    assert states(only(records))[3] == [32, 0, 48, 12]


def test_label_studios_first_frame_is_shown_from_the_start(tmp_path, videos):
    records, _, frames = import_boxes(label_studio(tmp_path / "a.json", ("Dog", [key(1, LEFT)])), videos)
    assert [state["frame"] for state in only(frames)["boxes"]] == list(range(60))


def test_label_studio_turns_boxes_about_their_corner(tmp_path, videos):
    keyframes = [key(1, (50, 50, 25, 25), rotation=90), key(10, (50, 50, 25, 25), rotation=90, enabled=False)]
    records, _, _ = import_boxes(label_studio(tmp_path / "a.json", ("Dog", keyframes)), videos)
    # A box of 16 x 12 pixels whose corner is at (32, 24), turned clockwise by a quarter: 12 wide, to the left.
    assert states(only(records))[0] == [20, 24, 32, 40]


def test_label_studios_sentence_is_what_was_written_about_a_region(tmp_path, videos):
    words = {"id": "region0", "from_name": "sentence", "to_name": "video", "type": "textarea"}
    others = [words | {"value": {"text": ["the dog", "runs"]}}, words | {"type": "timelinelabels", "value": {}}]
    path = label_studio(tmp_path / "a.json", ("Dog", [key(1, LEFT)]), ("Cat", [key(1, LEFT)]), others=others)
    records, report, _ = import_boxes(path, videos, "--query_attribute", "sentence")
    assert only(records)["query"] == "the dog runs"
    assert "attribute sentence is missing or blank; attributes here: video" in report["examples"]["no_query"][0]
    assert report["ignored"] == {"regions of type timelinelabels": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frame": "x"}, "bad_box"),
        ({"width": None}, "bad_box"),
        ({"time": 0}, None),  # the number of frames and the duration say the rate
        ({"time": 1e-9}, "unknown_fps"),
    ],
)
def test_what_a_keyframe_gets_wrong(tmp_path, videos, change, reason):
    path = label_studio(tmp_path / "a.json", ("Dog", [key(20, LEFT) | change]))
    records, report, _ = import_boxes(path, videos)
    assert list(report["dropped"]) == ([reason] if reason else [])
    assert [record["span"] for record in records.values()] == ([] if reason else [[2, 5]])


# --- COCO and TAO -----------------------------------------------------------------------------------------------

BOXES = [(5, 4, [0, 0, 16, 12]), (7, 4, [8, 0, 16, 12]), (15, 4, [32, 0, 16, 12]), (15, 5, [0, 0, 8, 8])]


@pytest.mark.parametrize("names", [{}, {"frame_id": "frame_index", "instance_id": "track_id"}])
def test_coco_of_videos_and_tao(tmp_path, videos, names):
    path = coco_video(tmp_path / "a.json", BOXES, **names)
    records, report, _ = import_boxes(path, videos, "--query_attribute", "caption")
    first, second = records["mine/train/a/4"], records["mine/train/a/5"]
    assert (first["query"], first["label"], first["video"]) == ("the dog runs", "dog-1", "street.mp4")
    assert (first["span"], states(first)) == ([0, 1], {0: [4, 0, 20, 12], 1: [32, 0, 48, 12]})
    assert states(second) == {1: [0, 0, 8, 8]}
    assert report["found"] == {"objects (coco)": 2}
    records, _, _ = import_boxes(path, videos, "--without_occluded")
    assert states(records["mine/train/a/4"])[0] == [0, 0, 16, 12]


def test_crowds_of_coco_are_no_objects(tmp_path, videos):
    path = coco_video(tmp_path / "a.json", BOXES)
    write(path, path.read_text().replace('"iscrowd": 0', '"iscrowd": 1', 3))
    records, report, _ = import_boxes(path, videos)
    assert list(records) == ["mine/train/a/5"]
    assert report["ignored"] == {"annotations of crowds (iscrowd)": 3}


def test_coco_in_a_folder_of_pictures_goes_by_their_names(tmp_path):
    for frame in range(1, 31):  # numbered from 1, whatever frame_id says
        picture = tmp_path / f"videos/street/{frame:06}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(picture)
    path = coco_video(tmp_path / "a.json", [(5, 4, [0, 0, 16, 12]), (21, 4, [8, 0, 16, 12])], video="street")
    records, _, frames = import_boxes(path, tmp_path / "videos", "--fps", 10)
    assert [state["frame"] for state in only(frames)["boxes"]] == [4, 20]
    assert only(records)["span"] == [0, 2]
    _, report, _ = import_boxes(path, tmp_path / "videos")
    assert "give --fps" in report["examples"]["unknown_fps"][0]


def test_coco_without_videos_takes_folders_names(tmp_path, videos):
    path = coco_video(tmp_path / "a.json", BOXES)
    text = path.read_text().replace('"videos"', '"albums"').replace('"frame_id"', '"_"')
    records, _, _ = import_boxes(write(tmp_path / "b.json", text), videos)
    assert [record["video"] for record in records.values()] == ["street.mp4", "street.mp4"]
    assert records["mine/train/b/4"]["span"] == [0, 1]  # by the numbers in the pictures' names


# --- YouTube-VIS ------------------------------------------------------------------------------------------------


def mask_of(box):
    ids = np.zeros((48, 64), np.uint8, order="F")
    left, top, right, bottom = box
    ids[top:bottom, left:right] = 1
    return ids


def compressed(box):
    mask = coco_mask.encode(mask_of(box))
    return {"size": [48, 64], "counts": mask["counts"].decode()}


def uncompressed(box):
    flat = np.concatenate([[0], mask_of(box).ravel(order="F")])  # begins with zeros, as the runs do
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = [1, *edges.tolist(), len(flat)]
    return {"size": [48, 64], "counts": [end - begin for begin, end in zip(bounds, bounds[1:], strict=False)]}


def polygon(box):
    left, top, right, bottom = box
    return [[left, top, right, top, right, bottom, left, bottom]]


FILES = [f"street/{number:05}.jpg" for number in (0, 5, 10, 15)]


@pytest.mark.parametrize("form", [compressed, uncompressed, polygon])
def test_youtube_vis_masks_become_boxes(tmp_path, videos, form):
    masks = [form((0, 0, 16, 12)), form((8, 4, 24, 16)), None, form((32, 0, 48, 12))]
    records, _, frames = import_boxes(youtube_vis(tmp_path / "a.json", masks, FILES), videos)
    record = only(records)
    assert (record["label"], record["span"]) == ("dog-1", [0, 1])
    assert [state["frame"] for state in only(frames)["boxes"]] == [0, 5, 15]
    assert states(record) == {0: [4, 2, 20, 14], 1: [32, 0, 48, 12]}


def test_youtube_vis_boxes_stand_in_for_masks(tmp_path, videos):
    boxes = [[0, 0, 16, 12], None, None, [32, 0, 16, 12]]
    records, _, _ = import_boxes(youtube_vis(tmp_path / "a.json", None, FILES, bboxes=boxes), videos)
    assert states(only(records)) == {0: [0, 0, 16, 12], 1: [32, 0, 48, 12]}


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        ([None] * 4, "no_box"),
        ([None] * 3, "wrong_length"),
        ([{"size": [48, 64], "counts": [1, 2]}, None, None, None], "bad_mask"),
        ([{"size": [48, 64], "counts": "P`]"}, None, None, None], "bad_mask"),
        ([{"size": [9, 9], "counts": [81]}, None, None, None], "bad_mask"),
        ([[[1, 2, 3]], None, None, None], "bad_mask"),
        ([compressed((0, 0, 0, 0)), None, None, None], "no_box"),
        ([3, None, None, None], "bad_mask"),
    ],
)
def test_masks_that_are_none(tmp_path, videos, masks, reason):
    _, report, _ = import_boxes(youtube_vis(tmp_path / "a.json", masks, FILES), videos)
    assert list(report["dropped"]) == [reason]


# --- VIA --------------------------------------------------------------------------------------------------------


def test_via_3_regions_of_one_object(tmp_path, videos):
    dog, cat = {"2": "1", "3": "the dog runs"}, {"2": "2", "3": "who sleeps?"}
    path = via_3(
        tmp_path / "a.json",
        ([2.0], [2, 0, 0, 16, 12], dog),
        ([2.5], [2, 8, 0, 16, 12], dog),
        ([3.95], [7, 32, 0, 48, 0, 40, 12], dog),
        ([3.0], [3, 20, 20, 4], cat),
        ([1.0], [1, 5, 5], cat),  # a point
    )
    records, report, _ = import_boxes(path, videos)
    dogs, cats = records.values()
    assert (dogs["query"], dogs["label"], dogs["span"]) == ("the dog runs", "dog-1", [2, 3])
    assert states(dogs) == {2: [4, 0, 20, 12], 3: [32, 0, 48, 12]}
    assert (cats["kind"], states(cats)) == ("interrogative", {3: [16, 16, 24, 24]})
    assert report["ignored"] == {"regions without an area, or on no single frame": 1}


def test_via_3_segments_say_when_only(tmp_path, videos):
    path = via_3(tmp_path / "a.json", ([1.5, 3.0], [], {"1": "it barks"}), ([5.0, 9.0], [], {"1": "too late"}))
    records, report, _ = import_boxes(path, videos)
    assert (only(records)["task"], only(records)["query"]) == ("temporal", "it barks")
    assert only(records)["spans"] == [[1.5, 3.0]]
    assert report["dropped"] == {"bad_span": 1}


@pytest.mark.parametrize("whole", [True, False])
def test_via_2_pictures_are_frames_by_their_numbers(tmp_path, videos, whole):
    rectangle = {"name": "rect", "x": 0, "y": 0, "width": 16, "height": 12}
    ellipse = {"name": "ellipse", "cx": 40, "cy": 6, "rx": 8, "ry": 6}
    polygon = {"name": "polygon", "all_points_x": [0, 16, 8], "all_points_y": [0, 0, 12]}
    dog, cat = {"class": "dog", "mood": {"happy": True, "sad": False}}, {"class": "cat", "mood": "calm"}
    pictures = {
        "street/frame_020.png": [(rectangle, dog), (polygon, cat)],
        "street/frame_035.png": [(ellipse, dog), ({"name": "point", "cx": 1, "cy": 1}, dog)],
    }
    path = via_2(tmp_path / "a.json", pictures, whole=whole)
    records, _, _ = import_boxes(path, videos, "--query_attribute", "mood", "--video", "street.mp4")
    dogs, cats = records.values()
    assert (dogs["query"], dogs["label"]) == ("happy", "dog-1")
    assert states(dogs) == {2: [0, 0, 16, 12], 3: [32, 0, 48, 12]}
    assert (cats["query"], states(cats)) == ("calm", {2: [0, 0, 16, 12]})


# --- Which is which ---------------------------------------------------------------------------------------------


def test_each_sample_is_known_by_what_stands_in_it(tmp_path):
    samples = {
        "label-studio": label_studio(tmp_path / "1", ("Dog", [key(1, LEFT)])),
        "coco": coco_video(tmp_path / "2", BOXES),
        "youtube-vis": youtube_vis(tmp_path / "3", [None], FILES[:1]),
        "via": via_3(tmp_path / "4", ([1], [2, 0, 0, 1, 1], {})),
    }
    assert {name: format_of(path) for name, path in samples.items()} == {name: name for name in samples}


def test_a_named_format_beats_what_stands_in_the_file(tmp_path, videos):
    path = write(tmp_path / "a.txt", "video,query,frame,x1,y1,x2,y2\nstreet,a dog,1,0,0,8,8\n")
    assert format_of(path) == "csv"
    _, report, _ = import_boxes(path, videos, "--format", "jsonl")
    assert report["dropped"] == {"malformed": 2}
    assert "a.txt:1: no JSON" in report["examples"]["malformed"][0]
