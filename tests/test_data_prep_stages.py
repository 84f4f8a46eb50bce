"""A stage is made once, goes on when it was interrupted, and never destroys what another run made."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.locks import InUse
from data_prep.stages import STAMP, Stage, StageError, file_digest, move_aside, read_stamp
from data_prep.stamps import Difference, setting_of


def made(folder, name="cpt", settings=None, inputs=(), results=None, **options):
    """A stage that was begun, left a file and ended."""
    stage = Stage(folder, name, settings or {"rate": 1}, inputs, **options)
    stage.begin()
    (folder / "weights").write_text("w")
    stage.finish(results or {}, files=["weights"])
    return stage


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_is_not_complete_and_appears_with_its_stamp(tmp_path):
    stage = Stage(tmp_path / "a" / "b", "cpt", {})
    assert not stage.is_complete()
    stage.begin()
    assert read_stamp(stage.folder)["complete"] is False
    assert names(stage.folder) == [".lock", STAMP]
    stage.finish({})
    assert names(stage.folder) == [STAMP]


def test_the_same_settings_are_not_made_again(tmp_path, capsys):
    made(tmp_path / "cpt", settings={"rate": 0.1, "steps": [1, 2], "where": None})
    same = Stage(tmp_path / "cpt", "cpt", {"steps": (1, 2), "where": None, "rate": 0.1})  # another order, a tuple
    assert same.is_complete()
    assert capsys.readouterr().err == f"cpt: {tmp_path / 'cpt'} is up to date\n"


def test_where_results_go_is_no_setting(tmp_path):
    made(tmp_path / "cpt", settings={"rate": 1, "output_dir": "here", "config": "a.yaml"})
    assert Stage(tmp_path / "cpt", "cpt", {"rate": 1, "output_dir": "there", "config": "b.yaml"}).is_complete()


def test_a_stage_of_another_name_is_another_stage(tmp_path):
    made(tmp_path / "x", "cpt")
    other = Stage(tmp_path / "x", "sft", {"rate": 1})
    assert not other.is_complete()
    with pytest.raises(StageError, match='differs in stage "cpt" -> "sft"; nothing was touched'):
        other.begin(goes_on=lambda differences: True)  # nothing lets one stage go on as another


def test_other_settings_are_refused_in_one_line_and_nothing_is_touched(tmp_path):
    folder = tmp_path / "cpt"
    made(folder, settings={"rate": 1, "steps": 2, "gone": 3})
    (folder / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    changed = Stage(folder, "cpt", {"rate": 5, "steps": 2, "new": 4}, flag="--output_dir", ways=("a third",))
    assert not changed.is_complete()
    with pytest.raises(StageError) as error:
        changed.begin()
    assert str(error.value) == (
        f"{folder}: holds another run, which differs in gone 3 -> null; new null -> 4; rate 1 -> 5; nothing was "
        "touched. Ways on: another --output_dir, or --overwrite_output_dir, which moves that folder aside, or a third"
    )
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_overwriting_moves_the_old_folder_aside_and_says_so(tmp_path, capsys):
    folder = tmp_path / "cpt"
    for number in (1, 2):
        made(folder, settings={"rate": number})
        stage = Stage(folder, "cpt", {"rate": number + 1})
        stage.begin(overwrite=True)
        assert f"cpt: {folder} was moved aside, to {folder}.old-{number}\n" in capsys.readouterr().err
        assert (tmp_path / f"cpt.old-{number}" / "weights").read_text() == "w"
        assert names(folder) == [".lock", STAMP]
        stage.release()
        shutil.rmtree(folder)
    assert read_stamp(tmp_path / "cpt.old-1")["settings"] == {"rate": 1}


def test_overwriting_an_empty_or_missing_folder_moves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        stage = Stage(tmp_path / name, "cpt", {})
        stage.begin(overwrite=True)
        stage.release()
    assert names(tmp_path) == ["empty", "missing"]


def test_a_changed_input_is_named_and_refused(tmp_path):
    tracks = tmp_path / "tracks.jsonl"
    tracks.write_text("one\n")
    made(tmp_path / "cpt", inputs={"tracks": tracks, "model": "abc"})
    os.utime(tracks, (1, 1))  # its content counts, not its date
    assert Stage(tmp_path / "cpt", "cpt", {"rate": 1}, {"tracks": tracks, "model": "abc"}).is_complete()
    tracks.write_text("two\n")
    changed = Stage(tmp_path / "cpt", "cpt", {"rate": 1}, {"tracks": tracks, "model": "abc"})
    assert changed.differences() == [Difference("input tracks")]
    with pytest.raises(StageError, match=r"differs in tracks \(other content\)"):
        changed.begin()
    assert (tmp_path / "cpt" / "weights").exists()


def test_an_input_under_another_name_is_the_same(tmp_path):
    (tmp_path / "a.jsonl").write_text("one\n")
    made(tmp_path / "cpt", inputs={"tracks": [tmp_path / "a.jsonl"]})
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    assert Stage(tmp_path / "cpt", "cpt", {"rate": 1}, {"tracks": [tmp_path / "b.jsonl"]}).is_complete()


def test_an_interrupted_stage_keeps_what_it_has(tmp_path, capsys):
    stage = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    stage.begin()
    (stage.folder / "checkpoint-50").mkdir()
    stage.release()
    again = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    assert not again.is_complete()
    again.begin()
    assert (stage.folder / "checkpoint-50").is_dir()
    assert capsys.readouterr().err == ""
    assert [entry["event"] for entry in read_stamp(stage.folder)["history"]] == ["begun", "went on"]


def test_an_interrupted_stage_with_other_settings_is_kept_too(tmp_path):
    stage = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    stage.begin()
    (stage.folder / "checkpoint-50").mkdir()
    stage.release()
    with pytest.raises(StageError, match="holds another run"):
        Stage(tmp_path / "cpt", "cpt", {"rate": 2}).begin()
    assert (stage.folder / "checkpoint-50").is_dir()
    assert read_stamp(stage.folder)["settings"] == {"rate": 1}


def test_going_on_with_other_settings_is_written_into_the_history(tmp_path, capsys):
    folder = tmp_path / "cpt"
    made(folder, settings={"steps": 400}, beside={"workers": 1})
    longer = Stage(folder, "cpt", {"steps": 600}, beside={"workers": 4})
    assert not longer.is_complete()
    longer.begin(goes_on=lambda found: [str(one) for one in found] == ["steps 400 -> 600"], note="asked for")
    assert "cpt: goes on with other settings: steps 400 -> 600; workers 1 -> 4" in capsys.readouterr().err
    stamp = read_stamp(folder)
    assert stamp["complete"] is False
    assert stamp["settings"] == {"steps": 600}
    assert stamp["history"][-1]["changed"] == ["steps 400 -> 600", "workers 1 -> 4"]
    assert stamp["history"][-1]["note"] == "asked for"
    longer.finish({}, files=["weights"])
    assert Stage(folder, "cpt", {"steps": 600}, beside={"workers": 1}).is_complete()


def test_settings_beside_change_nothing(tmp_path):
    made(tmp_path / "cpt", beside={"workers": 1})
    assert Stage(tmp_path / "cpt", "cpt", {"rate": 1}, beside={"workers": 2}).is_complete()
    assert setting_of(tmp_path / "cpt", "workers") == 1
    assert setting_of(tmp_path / "cpt", "rate") == 1
    assert setting_of(tmp_path / "cpt", "seed", 42) == 42


def test_a_setting_that_older_stamps_could_not_state(tmp_path):
    made(tmp_path / "data", "data", {"seed": 0})
    assert Stage(tmp_path / "data", "data", {"seed": 0, "generator": 1}, defaults={"generator": 1}).is_complete()
    newer = Stage(tmp_path / "data", "data", {"seed": 0, "generator": 2}, defaults={"generator": 1})
    assert [str(one) for one in newer.differences()] == ["generator 1 -> 2"]


def test_a_whole_stamp_vouches_for_its_files(tmp_path):
    folder = tmp_path / "cpt"
    made(folder)
    (folder / "weights").unlink()
    stage = Stage(folder, "cpt", {"rate": 1})
    assert not stage.is_complete(), "its weights are gone: it is made again from what is left"
    stage.begin()
    (folder / "weights").write_text("w")
    stage.finish({}, files=["weights"])
    (folder / "weights").write_text("somebody else's")
    assert not Stage(folder, "cpt", {"rate": 1}).is_complete()
    with pytest.raises(StageError, match=r"weights in it \(other content\)"):
        Stage(folder, "cpt", {"rate": 1}).begin()
    assert (folder / "weights").read_text() == "somebody else's"


def test_a_folder_that_no_stage_made_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    stage = Stage(tmp_path, "cpt", {})
    assert not stage.is_complete()
    with pytest.raises(
        StageError, match=r"not empty and without a readable stamp.json.*choose another --out"
    ) as error:
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
    with pytest.raises(StageError, match=r"tracks.jsonl: no such file; an earlier stage makes it"):
        Stage(tmp_path / "cpt", "cpt", {}, [tmp_path / "tracks.jsonl"])


def test_the_digest_of_a_file_is_sha256(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    # The well-known sha256 of nothing.
    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_a_second_process_is_refused_while_the_first_is_at_work(tmp_path):
    stage = Stage(tmp_path / "cpt", "cpt", {"rate": 1})
    stage.begin()
    with pytest.raises(InUse, match="another thread of this process is at work there"):
        Stage(tmp_path / "cpt", "cpt", {"rate": 1}).begin()
    code = (
        "import sys; from pathlib import Path; from data_prep.stages import Stage\n"
        "Stage(Path(sys.argv[1]), 'cpt', {'rate': 1}).begin()"
    )
    second = subprocess.run([sys.executable, "-c", code, str(stage.folder)], capture_output=True, text=True)
    assert f"{stage.folder}: process {os.getpid()} on" in second.stderr
    stage.release()
    assert subprocess.run([sys.executable, "-c", code, str(stage.folder)]).returncode == 0


def version_1(folder, name, settings, inputs):
    """A finished folder as the version before left it."""
    folder.mkdir(parents=True)
    digests = []
    for path in inputs:
        stamp = read_stamp(path) if path.is_dir() else None
        if stamp:
            digests.append(stamp["fingerprint"])
        elif path.is_dir():
            digests.append(file_digest(path / "config.json"))
        else:
            digests.append(file_digest(path))
    text = json.dumps([name, settings, digests], sort_keys=True)
    stamp = {
        "stage": name,
        "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
        "complete": True,
        "results": {"cpu_seconds": 3.0},
        "settings": settings,
    }
    (folder / STAMP).write_text(json.dumps(stamp))


def test_a_stamp_of_version_1_is_still_read(tmp_path):
    tracks = tmp_path / "tracks.jsonl"
    tracks.write_text("one\n")
    version_1(tmp_path / "cpt", "cpt", {"rate": 1.5, "logging_steps": 25}, [tracks])
    version_1(tmp_path / "sft", "sft", {"rate": 2, "logging_steps": 25}, [tracks, tmp_path / "cpt"])

    def asked(rate):
        return Stage(
            tmp_path / "sft",
            "sft",
            {"rate": rate},
            {"tracks": tracks, "model": "weights"},
            was=lambda old: {"rate": old["rate"]},
            version_1_inputs=[tracks, tmp_path / "cpt"],
        )

    assert asked(2).is_complete()
    assert [str(one) for one in asked(3).differences()] == ["rate 2 -> 3"]
    tracks.write_text("two\n")
    assert [str(one) for one in asked(2).differences()] == ["its inputs (other content)"]


KILLED_WHILE_MOVING = """
import os, signal, sys
from pathlib import Path
from data_prep import stages

def kill(path, *args):
    if sys.argv[2] == "after":
        plain(path, *args)
    os.kill(os.getpid(), signal.SIGKILL)
plain, Path.rename = Path.rename, kill
stages.Stage(Path(sys.argv[1]), "cpt", {"rate": 2}).begin(overwrite=True)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_the_old_folder_is_moved_aside(tmp_path, when):
    folder = tmp_path / "cpt"
    made(folder, settings={"rate": 1})
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_MOVING, str(folder), when])
    assert killed.returncode == -signal.SIGKILL
    where = folder if when == "before" else tmp_path / "cpt.old-1"
    assert (where / "weights").read_text() == "w"
    new = Stage(folder, "cpt", {"rate": 2})
    assert not new.is_complete()
    new.begin(overwrite=True)
    assert names(folder) == [".lock", STAMP]
    assert (tmp_path / "cpt.old-1" / "weights").read_text() == "w"


def test_a_kill_while_the_first_stamp_is_written(tmp_path):
    # `atomic_write` leaves its hidden file when it is killed; nothing else is in the folder yet.
    (tmp_path / ".stamp.json.0123456789ab.part").write_text("{")
    Stage(tmp_path, "cpt", {}).begin()
    assert json.loads((tmp_path / STAMP).read_text())["complete"] is False


def test_a_name_aside_that_is_free(tmp_path):
    for name in ("x", "x.old-1", "x.old-3"):
        (tmp_path / name).mkdir()
    assert move_aside(tmp_path / "x") == Path(tmp_path / "x.old-2")
