"""Run lengths of a whole video at once, against pycocotools a mask at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.sources.rle import boxes_of, run_lengths
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
