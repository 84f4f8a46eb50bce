"""A stage is made once, goes on when it was interrupted, and is made again when its settings change."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from data_prep.stages import STAMP, Stage, StageError, file_digest, read_stamp


def made(folder, name="cpt", settings=None, inputs=(), results=None):
    """A stage that was begun, left a file and ended."""
    stage = Stage(folder, name, settings or {"rate": 1}, inputs)
    stage.begin()
    (folder / "weights").write_text("w")
    stage.finish(results or {})
    return stage


def test_a_new_folder_is_not_complete_and_appears_with_its_stamp(tmp_path):
    stage = Stage(tmp_path / "a" / "b", "cpt", {})
    assert not stage.is_complete()
    stage.begin()
    assert read_stamp(stage.folder)["complete"] is False
    assert [path.name for path in stage.folder.iterdir()] == [STAMP]


def test_the_same_settings_are_not_made_again(tmp_path, capsys):
    made(tmp_path / "cpt", settings={"rate": 0.1, "steps": [1, 2], "where": None})
    same = Stage(tmp_path / "cpt", "cpt", {"steps": (1, 2), "where": None, "rate": 0.1})  # another order, a tuple
    assert same.is_complete()
    assert capsys.readouterr().err == f"cpt: {tmp_path / 'cpt'} is up to date\n"


def test_where_results_go_is_no_setting(tmp_path):
    made(tmp_path / "cpt", settings={"rate": 1, "output_dir": "here", "disable_tqdm": False, "report_to": []})
    other = {"rate": 1, "output_dir": "there", "disable_tqdm": True, "report_to": ["wandb"]}
    assert Stage(tmp_path / "cpt", "cpt", other).is_complete()


def test_a_stage_of_another_name_is_another_stage(tmp_path):
    made(tmp_path / "x", "cpt")
    assert not Stage(tmp_path / "x", "sft", {"rate": 1}).is_complete()


def test_changed_settings_empty_the_folder_and_are_named(tmp_path, capsys):
    made(tmp_path / "cpt", settings={"rate": 1, "steps": 2, "gone": 3})
    changed = Stage(tmp_path / "cpt", "cpt", {"rate": 5, "steps": 2, "new": 4})
    assert not changed.is_complete()
    changed.begin()
    assert capsys.readouterr().err == "cpt: made again, changed: gone, new, rate\n"
    assert [path.name for path in (tmp_path / "cpt").iterdir()] == [STAMP]
    assert read_stamp(tmp_path / "cpt")["settings"] == {"rate": 5, "steps": 2, "new": 4}


def test_a_changed_input_makes_it_again(tmp_path, capsys):
    tracks = tmp_path / "tracks.jsonl"
    tracks.write_text("one\n")
    made(tmp_path / "cpt", inputs=[tracks])
    assert Stage(tmp_path / "cpt", "cpt", {"rate": 1}, [tracks]).is_complete()
    os.utime(tracks, (1, 1))  # its content counts, not its date
    assert Stage(tmp_path / "cpt", "cpt", {"rate": 1}, [tracks]).is_complete()
    capsys.readouterr()

    tracks.write_text("two\n")
    changed = Stage(tmp_path / "cpt", "cpt", {"rate": 1}, [tracks])
    assert not changed.is_complete()
    changed.begin()
    assert capsys.readouterr().err == "cpt: made again, changed: its inputs\n"
    assert not (tmp_path / "cpt" / "weights").exists()


def test_an_interrupted_stage_keeps_what_it_has(tmp_path, capsys):
    stage = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    stage.begin()
    (stage.folder / "checkpoint-50").mkdir()
    again = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    assert not again.is_complete()
    again.begin()
    assert (stage.folder / "checkpoint-50").is_dir()
    assert capsys.readouterr().err == ""


def test_an_interrupted_stage_with_other_settings_starts_anew(tmp_path):
    stage = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    stage.begin()
    (stage.folder / "checkpoint-50").mkdir()
    Stage(tmp_path / "cpt", "cpt", {"rate": 2}).begin()
    assert not (stage.folder / "checkpoint-50").exists()


def test_a_folder_that_no_stage_made_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    stage = Stage(tmp_path, "cpt", {})
    assert not stage.is_complete()
    with pytest.raises(StageError, match=r"not empty and without stamp.json.*move it away or choose") as error:
        stage.begin()
    assert "\n" not in str(error.value)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("stamp", "remark"),
    [
        (b"", "empty"),
        (b'{"fingerprint": "ab', "cut short"),
        (b'["fingerprint", "complete"]', "another thing"),
        (b'{"complete": true}', "without a fingerprint"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (b"null", "null"),
    ],
)
def test_a_stamp_that_cannot_be_read_deletes_nothing(tmp_path, stamp, remark):
    made(tmp_path / "cpt")
    (tmp_path / "cpt" / STAMP).write_bytes(stamp)
    stage = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    assert read_stamp(tmp_path / "cpt") is None
    assert not stage.is_complete(), remark
    with pytest.raises(StageError, match="not empty"):
        stage.begin()
    assert (tmp_path / "cpt" / "weights").read_text() == "w"


def test_results_and_cpu_time_are_kept(tmp_path):
    made(tmp_path / "cpt", results={"ratio": 1.5})
    results = read_stamp(tmp_path / "cpt")["results"]
    assert results.keys() == {"ratio", "cpu_seconds"}
    assert results["ratio"] == 1.5
    assert results["cpu_seconds"] > 0


def test_an_input_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(StageError, match=r"tracks.jsonl: no such file or folder; an earlier stage makes it"):
        Stage(tmp_path / "cpt", "cpt", {}, [tmp_path / "tracks.jsonl"])


def test_an_input_that_did_not_end_is_refused(tmp_path):
    Stage(tmp_path / "cpt", "cpt", {}).begin()
    with pytest.raises(StageError, match="begun and did not end"):
        Stage(tmp_path / "sft", "sft", {}, [tmp_path / "cpt"])


def test_a_stage_as_input_counts_by_its_fingerprint(tmp_path):
    first = made(tmp_path / "cpt")
    assert file_digest(tmp_path / "cpt") == first.fingerprint
    sft = made(tmp_path / "sft", "sft", inputs=[tmp_path / "cpt"])
    shutil.rmtree(tmp_path / "cpt")
    made(tmp_path / "cpt", settings={"rate": 2})
    assert Stage(tmp_path / "sft", "sft", {"rate": 1}, [tmp_path / "cpt"]).fingerprint != sft.fingerprint


def test_weights_from_elsewhere_count_by_their_config(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "glm4v"}')
    before = file_digest(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    assert file_digest(tmp_path) != before


def test_the_digest_of_a_file_is_sha256(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    # The well-known sha256 of nothing.
    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")


# A kill in the middle of `begin` must leave a folder that the next run can take and that no settings call complete.
KILLED_WHILE_DELETING = """
import os, signal, sys
from pathlib import Path
from data_prep.stages import Stage

deleted = 0
def unlink(path, *args, plain=os.unlink, **kwargs):
    global deleted
    if "part" not in str(path):
        deleted += 1
        if deleted > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    return plain(path, *args, **kwargs)
os.unlink = os.remove = unlink
Stage(Path(sys.argv[1]), "cpt", {"rate": 2}).begin()
"""


@pytest.mark.parametrize("deleted", [0, 1, 2, 3])
def test_a_kill_while_old_results_are_deleted(tmp_path, deleted):
    folder = tmp_path / "cpt"
    made(folder, settings={"rate": 1})
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_DELETING, str(folder), str(deleted)])
    assert killed.returncode == -signal.SIGKILL

    old = Stage(folder, "cpt", {"rate": 1})
    assert not old.is_complete(), "files of it are gone"
    new = Stage(folder, "cpt", {"rate": 2})
    assert not new.is_complete()
    new.begin()
    assert [path.name for path in folder.iterdir()] == [STAMP], "rests of the old settings were taken for the new"


def test_a_kill_while_the_first_stamp_is_written(tmp_path):
    # `atomic_write` leaves its hidden file when it is killed; nothing else is in the folder yet.
    (tmp_path / ".stamp.json.0123456789ab.part").write_text("{")
    Stage(tmp_path, "cpt", {}).begin()
    assert json.loads((tmp_path / STAMP).read_text())["complete"] is False
