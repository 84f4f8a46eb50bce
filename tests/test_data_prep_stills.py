"""Folders of pictures that are meant to hurt: no other program is started, nothing waits, nothing outside is read."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from data_prep.sources.masks import read_ids
from data_prep.sources.rows import BadFile
from data_prep.video.clips import clip_frames
from data_prep.video.looks import look
from data_prep.video.sampling import VideoError
from data_prep.video.stills import open_still
from tests.helpers.films import make_fifo, one_line, write

RECORD = {"clip": [0, 1], "fps": 1.0}
POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    b"%%BeginPageSetup\n%%EndPageSetup\nshowpage\n%%EOF\n"
)


def picture(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (200, 30, 30)).save(path, kind)
    return path


def frames(folder, **more):
    return clip_frames(folder, RECORD, [0.5], (8, 6), **more)


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A stand-in for gs, first on PATH, that leaves a note where it is started."""
    note = tmp_path / "started"
    tool = tmp_path / "bin" / "gs"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho started >> {note}\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # Pillow looks once a process
    assert shutil.which("gs") == str(tool)
    return note


def test_postscript_in_a_jpeg_starts_no_program(tmp_path, ghostscript):
    folder = tmp_path / "seq"
    folder.mkdir()
    path = write(folder / "000001.jpg", POSTSCRIPT)
    assert Image.open(path).format == "EPS", "the case is one that Pillow takes"
    with pytest.raises(VideoError, match=r"000001.jpg: no picture in it \(cannot identify image file") as error:
        frames(folder)
    assert one_line(error)
    assert "no picture in it" in look(folder).problem
    with pytest.raises(BadFile, match="cannot identify"):
        read_ids(path)
    with pytest.raises(OSError, match="cannot identify"):
        open_still(io.BytesIO(POSTSCRIPT))
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_three_formats_are_read_whatever_their_ending(tmp_path, kind):
    picture(tmp_path / "seq" / "000001.jpg", kind)
    (found,) = frames(tmp_path / "seq")
    assert np.allclose(np.asarray(found), (200, 30, 30), atol=8)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "PPM"])
def test_other_formats_are_refused(tmp_path, kind):
    picture(tmp_path / "seq" / "000001.jpg", kind)
    with pytest.raises(VideoError, match="no picture in it"):
        frames(tmp_path / "seq")


def test_a_pipe_does_not_hang(tmp_path):
    folder = tmp_path / "seq"
    folder.mkdir()
    path = make_fifo(folder / "000001.jpg")
    with pytest.raises(VideoError, match=r"no plain file, expected a picture"):
        frames(folder)
    assert "no picture in it" in look(folder).problem
    with pytest.raises(BadFile, match="no plain file"):
        read_ids(path)


def test_links_lead_only_to_places_under_the_root(tmp_path):
    root = tmp_path / "videos"
    outside = picture(tmp_path / "outside.png")
    shared = picture(root / "shared" / "1.png")
    (root / "seq").mkdir()
    (root / "out").mkdir()
    (root / "seq" / "1.png").symlink_to(shared)
    (root / "out" / "1.png").symlink_to(outside)
    assert len(frames(root / "seq", root=root)) == 1
    for folder, allowed in ((root / "out", root), (root / "out", None), (root / "seq", None)):
        with pytest.raises(VideoError, match="a link out of the root"):
            frames(folder, root=allowed)
    # The root may be a link.
    (tmp_path / "linked").symlink_to(root)
    assert len(frames(root / "seq", root=tmp_path / "linked")) == 1


def test_a_loop_of_links_is_one_line(tmp_path):
    (tmp_path / "seq").mkdir()
    (tmp_path / "seq" / "1.png").symlink_to(tmp_path / "seq" / "1.png")
    with pytest.raises(VideoError, match="no picture in it"):
        frames(tmp_path / "seq")
