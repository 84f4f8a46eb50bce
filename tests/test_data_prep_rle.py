"""Run lengths of a whole video at once, against pycocotools a mask at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from data_prep.sources import rle
from data_prep.sources.rle import boxes_of, boxes_of_each, run_lengths
from data_prep.sources.rows import BadFile
from tests.helpers.layouts import rle_of


def test_runs_and_boxes_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for _ in range(60):
        height, width = rng.integers(1, 60, 2).tolist()
        pictures = [rng.random((height, width)) < rng.choice([0, 0.02, 0.5, 1]) for _ in range(rng.integers(1, 9))]
        masks = [rle_of(picture) for picture in pictures]
        zeros, ones, firsts = run_lengths([mask["counts"] for mask in masks], "")
        pairs = np.stack((zeros, ones), axis=1)
        for picture, rows in zip(pictures, np.split(pairs, firsts[1:]), strict=True):
            part = rows.ravel()
            flat = picture.ravel(order="F")
            bounds = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1), flat.size]
            # The first run is of the background, of length 0 where the first pixel is the object's.
            expected = [0] * bool(flat[0]) + np.diff(bounds).tolist()
            assert part.tolist() == expected + [0] * (len(expected) % 2)  # each run of zeros has one of ones
            assert part.sum() == height * width
        frames, boxes = boxes_of(masks, (width, height), "")
        seen = [index for index, picture in enumerate(pictures) if picture.any()]
        assert frames.tolist() == seen
        for index, box in zip(seen, boxes.tolist(), strict=True):
            rows, columns = np.nonzero(pictures[index])
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def of_runs(runs, size):
    """The mask of alternating runs of zeros and ones, written by pycocotools."""
    written = coco.frPyObjects({"size": list(size), "counts": runs}, *size)
    return {"size": list(size), "counts": written["counts"].decode()}


@given(
    st.lists(st.tuples(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.booleans()), min_size=1, max_size=5),
    st.integers(1, 12),
)
def test_boxes_are_those_of_pycocotools_also_of_runs_over_several_columns(shapes, height):
    """Masks of any runs, of which the first may be 0; a run of ones goes on in the next column and may fill some."""
    width = -(-max(sum(runs) for runs, _ in shapes) // height)
    masks = []
    for runs, begins_with_ones in shapes:
        runs = [0] * begins_with_ones + runs
        masks.append(of_runs([*runs[:-1], runs[-1] + width * height - sum(runs)], (height, width)))
    frames, boxes = boxes_of(masks, (width, height), "")
    assert frames.tolist() == np.flatnonzero(coco.area(masks)).tolist()
    expected = coco.toBbox(masks)[frames]
    assert (boxes[:, :2] == expected[:, :2]).all()
    assert (boxes[:, 2:] == expected[:, :2] + expected[:, 2:]).all()


def test_pictures_whose_numbers_need_more_than_31_bits():
    """Runs of up to 2^33 pixels: numbers of 7 characters, and sums that int32 does not hold."""
    size = (1 << 17, 1 << 17)  # height, width
    # 2^33 zeros, then ones that end in the last column; written by hand, as pycocotools' own runs have 32 bits.
    masks = [{"size": list(size), "counts": number(1 << 33) + number((1 << 33) - 1) + number(1)}]
    masks += [of_runs([5, 1 << 20, (1 << 31) - 5 - (1 << 20)], (1 << 17, 1 << 14))]
    masks[1]["size"] = list(size)
    with pytest.raises(BadFile, match="entry 1: its run lengths do not add up"):
        boxes_of(masks, size[::-1], "x")
    frames, boxes = boxes_of(masks[:1], size[::-1], "x")
    assert frames.tolist() == [0]
    assert boxes.tolist() == [[1 << 16, 0, 1 << 17, 1 << 17]]


def number(value):
    """A run length as COCO writes it: 5 bits a character, the lowest first."""
    text = ""
    while True:
        low, value = value & 31, value >> 5
        more = value != 0 or low & 16
        text += chr(48 + low + 32 * bool(more))
        if not more:
            return text


def test_masks_of_several_objects_are_read_together_and_refused_apart():
    pictures = np.zeros((3, 2, 20, 40), bool)
    pictures[0, 1, 2:5, 3:9] = pictures[2, 0, 0:1, 0:1] = pictures[2, 1] = True
    objects = [[rle_of(picture) for picture in each] for each in pictures]
    found = boxes_of_each(objects, (40, 20), ["a", "b", "c"])
    assert [(f.tolist(), b.tolist()) for f, b in found] == [
        ([1], [[3, 2, 9, 5]]),
        ([], []),
        ([0, 1], [[0, 0, 1, 1], [0, 0, 40, 20]]),
    ]
    objects[1][1] = {"size": [20, 40], "counts": "1"}
    again = boxes_of_each(objects, (40, 20), ["a", "b", "c"])
    assert str(again[1]).startswith("b entry 1: its run lengths do not add up")
    assert [again[k].boxes.tolist() for k in (0, 2)] == [found[k].boxes.tolist() for k in (0, 2)]
    assert boxes_of_each([], (40, 20), []) == []


def test_long_videos_are_read_in_pieces(monkeypatch):
    masks = [rle_of(np.arange(800).reshape(20, 40) % 7 == k % 7) for k in range(30)]
    whole = boxes_of(masks, (40, 20), "x")
    monkeypatch.setattr(rle, "_PIECE", 700)
    assert len(list(rle._pieces([mask["counts"] for mask in masks]))) > 5
    assert all((a == b).all() for a, b in zip(boxes_of(masks, (40, 20), "x"), whole, strict=True))
    masks[20] = {"size": [20, 40], "counts": "1"}
    with pytest.raises(BadFile, match="entry 20:"):
        boxes_of(masks, (40, 20), "x")


def test_no_masks():
    assert boxes_of([], (4, 4), "")[0].tolist() == []


good = rle_of(np.ones((20, 40)))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"size": [40, 20], "counts": good["counts"]}, "expected .20, 40."),
        ({"size": [20, 40], "counts": "~~"}, "no run lengths"),
        ({"size": [20, 40], "counts": "P"}, "no run lengths"),  # a number that another character should follow
        ({"size": [20, 40], "counts": ""}, "expected run lengths"),
        ({"size": [20, 40], "counts": "é"}, "expected run lengths"),
        ({"size": [20, 40], "counts": "PPPPPPPPPPPP0"}, "13 characters"),
        ({"size": [20, 40], "counts": "1"}, "add up to"),
        ({"size": [20, 40], "counts": "O"}, "add up to"),  # -1
        ({"size": [20, 40], "counts": [800]}, "expected run lengths"),
        ({"counts": "1"}, "expected .20, 40."),
        (None, "expected .20, 40."),
    ],
)
def test_which_mask_is_wrong_and_why(bad, message, place):
    masks = [good, good]
    masks.insert(place, bad)
    with pytest.raises(BadFile, match=rf"x entry {place}: .*{message}"):
        boxes_of(masks, (40, 20), "x")


@given(st.lists(st.text(st.characters(min_codepoint=40, max_codepoint=125), max_size=12), max_size=4))
def test_any_text_is_boxes_or_one_refusal(texts):
    masks = [{"size": [3, 4], "counts": text} for text in texts]
    try:
        frames, boxes = boxes_of(masks, (4, 3), "x")
    except BadFile as error:
        assert error.reason == "bad_mask"
        assert "\n" not in str(error)
    else:
        assert len(frames) == len(boxes)
        assert (boxes >= 0).all() and (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes[:, 2] <= 4).all() and (boxes[:, 3] <= 3).all()
