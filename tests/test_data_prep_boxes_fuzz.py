"""Damaged and made-up files of annotation tools: an object is counted or the file is one line, and that is all."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.__main__ import main
from tests.helpers.annotation_files import (
    coco_video,
    cvat,
    cvat_box,
    label_studio,
    label_studio_keyframe,
    via_2,
    via_3,
    youtube_vis,
)
from tests.helpers.films import make_video
from tests.helpers.layouts import write
from tests.test_data_prep_fuzz import PIECES, replaced

LINE = {"video": "street.mp4", "query": "q", "span": [1, 2], "boxes": [{"time": 1.5, "box": [0, 0, 8, 8]}]}
KEYFRAMES = [label_studio_keyframe(1, (0, 0, 9, 9)), label_studio_keyframe(9, (0, 0, 9, 9), enabled=False)]
RECTANGLE = ({"name": "rect", "x": 0, "y": 0, "width": 9, "height": 9}, {"class": "dog"})
MASK = {"size": [48, 64], "counts": [0, 96, 2976]}
FILES = {
    "csv": lambda path: write(
        path, "video,query,frame,x_min,y_min,x_max,y_max\nstreet,q,3,0,0,8,8\nstreet,q,4,0,0,8,8\n"
    ),
    "jsonl": lambda path: write(path, json.dumps(LINE) + "\n"),
    "cvat": lambda path: cvat(path, [cvat_box(2, (0, 0, 9, 9), sentence="q"), cvat_box(5, (0, 0, 9, 9), outside=1)]),
    "label-studio": lambda path: label_studio(path, ("Dog", KEYFRAMES)),
    "coco": lambda path: coco_video(path, [(5, 4, [0, 0, 16, 12]), (7, 4, [8, 0, 16, 12])]),
    "youtube-vis": lambda path: youtube_vis(path, [MASK, [[0, 0, 8, 0, 8, 8]]], ["street/0.jpg", "street/5.jpg"]),
    "via": lambda path: via_3(path, ([2.0], [2, 0, 0, 16, 12], {"2": "1"})),
    "via-2": lambda path: via_2(path, {"street/3.png": [RECTANGLE]}),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """One clip, which files find whatever name they say."""
    root = tmp_path_factory.mktemp("films")
    make_video(root / "street.mp4", 30, 10)
    return root


def check(path, films, name):
    """One import: accounted for, or refused in one line; never anything outside the folder of outputs."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "o.jsonl"
        said = io.StringIO()
        words = ["boxes", str(path), "--videos", str(films), "--out", str(out), "--format", name.removesuffix("-2")]
        with contextlib.redirect_stderr(said):
            code = main([*words, "--query_attribute", "video"] if name == "label-studio" else words)
        assert code in (0, 2)
        assert all(written.name.startswith("o.jsonl") for written in Path(folder).iterdir())
        if code:
            assert said.getvalue().splitlines()[-1].startswith("error: ")
            return None
        report = json.loads(Path(f"{out}.report.json").read_text())
        assert report["read"] == report["written"] + sum(report["dropped"].values()) >= 1
        assert len(out.read_text().splitlines()) == report["written"]
        return report


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(name, tmp_path, films):
    assert check(FILES[name](tmp_path / "a"), films, name)["written"] >= 1


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12)
@given(data=st.data())
def test_damaged_bytes(name, films, data):
    with tempfile.TemporaryDirectory() as folder:
        path = FILES[name](Path(folder) / "a")
        content = path.read_bytes()
        for _ in range(data.draw(st.integers(1, 3))):
            begin = data.draw(st.integers(0, len(content)))
            end = min(begin + data.draw(st.sampled_from([0, 1, 4, 10**6])), len(content))
            content = content[:begin] + data.draw(PIECES) + content[end:]
        path.write_bytes(content)
        check(path, films, name)


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"csv", "cvat"}))
@settings(max_examples=25)
@given(data=st.data())
def test_values_of_another_kind(name, films, data):
    with tempfile.TemporaryDirectory() as folder:
        path = FILES[name](Path(folder) / "a")
        path.write_text(json.dumps(replaced(json.loads(path.read_text()), data)))
        check(path, films, name)
