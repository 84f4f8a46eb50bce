"""Files and checkpoints are known by what they hold; an output is never an input."""

import json
import os
import shutil

import pytest

from data_prep import identity
from data_prep.identity import (
    check_outputs,
    checkpoint_identity,
    checkpoint_parts,
    file_digest,
    hub_cache,
    same_file,
    stamp_of,
)
from data_prep.stages import Stage, StageError


def checkpoint(folder, weights=b"weights"):
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "glm4v"}')
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "optimizer.pt").write_bytes(b"state")
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_a_checkpoint_is_its_content_and_not_its_place_or_date(tmp_path):
    first = checkpoint(tmp_path / "a")
    shutil.copytree(first, tmp_path / "b")
    os.utime(tmp_path / "b" / "model.safetensors", (1, 1))
    (tmp_path / "b" / "optimizer.pt").unlink()
    assert checkpoint_identity(first) == checkpoint_identity(tmp_path / "b")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "chat_template.jinja", "tokenizer.json"])
def test_what_its_answers_depend_on_changes_it(tmp_path, name):
    folder = checkpoint(tmp_path / "a")
    before = checkpoint_identity(folder)
    old = (folder / name).stat() if (folder / name).exists() else None
    (folder / name).write_bytes(b"WEIGHTS")  # of the same length as the weights
    if old:
        os.utime(folder / name, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert checkpoint_identity(folder) != before


def test_a_model_id_is_its_name_and_a_folder_without_config_is_none(tmp_path):
    assert checkpoint_identity("zai-org/GLM-4.1V-9B-Thinking") == "id:zai-org/GLM-4.1V-9B-Thinking"
    with pytest.raises(StageError, match=r"no config.json there, so no checkpoint"):
        checkpoint_identity(tmp_path)
    assert checkpoint_parts(tmp_path) == {}


def test_a_model_id_is_known_by_the_commit_in_the_local_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--org--model"
    (model / "refs").mkdir(parents=True)
    assert checkpoint_identity("org/model") == "id:org/model"
    for commit in ("a" * 40, "b" * 40):
        (model / "snapshots" / commit).mkdir(parents=True)
        (model / "refs" / "main").write_text(commit)
        assert checkpoint_identity("org/model") == f"id:org/model@{commit}"
    (model / "refs" / "main").write_text("c" * 40)  # its files are not there: an interrupted download
    assert checkpoint_identity("org/model") == "id:org/model"
    (model / "refs" / "main").write_text("../../elsewhere")
    assert checkpoint_identity("org/model") == "id:org/model"
    for name, value, expected in (
        ("HF_HUB_CACHE", "/cache", "/cache"),
        ("HF_HOME", "/here", "/here/hub"),
        ("XDG_CACHE_HOME", "/xdg", "/xdg/huggingface/hub"),
    ):
        monkeypatch.setenv(name, value)
        assert str(hub_cache()) == expected
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        ("id:a/b@1", "id:a/b@1", True),
        ("id:a/b@1", "id:a/b@2", False),
        ("id:a/b", "id:a/b@2", True),
        ("id:a/b@1", "id:a/b", True),
        ("id:a/b", "id:a/c", False),
        ("0123", "4567", False),
        (None, "id:a/b", False),
    ],
)
def test_a_stage_begun_before_the_commit_was_known_goes_on(tmp_path, was, now, same):
    Stage(tmp_path, "sft", {}, {} if was is None else {"model": was}).begin()
    assert (Stage(tmp_path, "sft", {}, {"model": now}).differences() == []) is same


def test_digests_of_large_files_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(identity, "LARGE", 4)
    path = tmp_path / "weights"
    path.write_bytes(b"first content")
    fresh = file_digest(path)
    assert not (tmp_path / "cache").exists(), "it changed just now: within one tick of the clock it may change again"
    os.utime(path, (1000, 1000))
    assert file_digest(path) == fresh
    memory = tmp_path / "cache" / "stvg-recipe" / "digests.json"
    assert json.loads(memory.read_text()) == {stamp_of(path): fresh}
    memory.write_text(json.dumps({stamp_of(path): "remembered"}))
    assert file_digest(path) == "remembered"
    path.write_bytes(b"other content")  # of the same size, at another time
    os.utime(path, (2000, 2000))
    assert file_digest(path) not in (fresh, "remembered")
    memory.write_text("[broken")
    assert file_digest(path) != fresh


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(identity, "LARGE", 0)
    path = tmp_path / "weights"
    path.write_bytes(b"")
    os.utime(path, (1000, 1000))
    assert file_digest(path).startswith("e3b0c44298fc1c14")


def test_another_spelling_of_an_input_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = tmp_path / "a.mp4"
    video.write_bytes(b"precious")
    (tmp_path / "link.mp4").symlink_to(video)
    os.link(video, tmp_path / "hard.mp4")
    for spelling in ("a.mp4", "./a.mp4", "x/../a.mp4", "link.mp4", "hard.mp4", str(video)):
        with pytest.raises(StageError, match=r"--overlay .*: one of the inputs, which would be overwritten"):
            check_outputs({"--out": None, "--overlay": tmp_path / spelling}, [None, video])
    check_outputs({"--overlay": tmp_path / "b.mp4"}, [video, tmp_path])  # a folder counts for itself


def test_two_outputs_are_two_files(tmp_path):
    with pytest.raises(StageError, match=r"--sheet .*: --overlay names the same file"):
        check_outputs({"--overlay": tmp_path / "x.png", "--sheet": tmp_path / "y" / ".." / "x.png"}, [])


def test_files_that_are_not_there_yet(tmp_path):
    assert same_file(tmp_path / "new", tmp_path / "." / "new")
    assert not same_file(tmp_path / "new", tmp_path / "other")
