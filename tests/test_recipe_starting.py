"""A stage begins only where nothing of another run is lost, and goes on from what is its own."""

import shutil
from pathlib import Path

import pytest

from data_prep.stages import StageError, read_stamp
from recipe.training import starting, supervised
from recipe.training.checkpoints import MARKER, WRITING, mark

BASE = {
    "max_steps": 100, "learning_rate": 1e-3, "bf16": False, "use_cpu": True, "per_device_train_batch_size": 4
}  # fmt: skip


@pytest.fixture
def here(tiny_data, tiny_base, tmp_path):
    """A folder with data, prompts and a checkpoint of its own to change."""
    for name in ("ground.jsonl", "test.jsonl"):
        shutil.copy(tiny_data / name, tmp_path / name)
    shutil.copytree(tiny_data / "videos", tmp_path / "videos")
    shutil.copytree(tiny_base, tmp_path / "base")
    (tmp_path / "prompts").mkdir()
    for name in ("ground", "track"):
        (tmp_path / "prompts" / f"{name}.txt").write_text("Find $query.")
    return tmp_path


def begin(here, *words, out="sft", checked=None):
    """Begin SFT in `here`; `checked` takes what preflight saw in the folder."""
    paths = {
        "model_name_or_path": here / "base", "tracks": here / "ground.jsonl", "video_root": here / "videos",
        "prompts": here / "prompts", "output_dir": here / out,
    }  # fmt: skip
    given = [str(word) for name, value in (paths | BASE).items() for word in (f"--{name}", value)]
    arguments = supervised.parse([*given, *words])
    calls = checked if checked is not None else []
    folder = here / out
    found = starting.begin(
        "sft", *arguments, preflight=lambda *_: calls.append(sorted(folder.iterdir()) if folder.exists() else None)
    )
    if found is not None:
        found.stage.release()  # as the end of the process would
    return found


def checkpoint(here, step, out="sft"):
    folder = here / out / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(f"weights of {step}")
    (folder / "config.json").write_text("{}")
    (folder / "trainer_state.json").write_text("{}")
    mark(folder, 10.0 * step)
    return folder


def end(here):
    found = begin(here)
    (here / "sft" / "config.json").write_text("{}")
    (here / "sft" / "model.safetensors").write_text("trained")
    found.stage.begin()
    found.stage.finish({})


def test_a_new_stage_is_checked_before_anything_is_written(here):
    checked = []
    found = begin(here, checked=checked)
    assert checked == [None]
    assert (found.checkpoint, found.spent_before) == (None, 0.0)
    assert read_stamp(here / "sft")["complete"] is False


def test_an_interrupted_one_goes_on_from_its_newest_whole_checkpoint(here, capsys):
    begin(here)
    checkpoint(here, 50)
    half = checkpoint(here, 60)
    (half / MARKER).unlink()
    found = begin(here)
    assert found.checkpoint == str(here / "sft" / "checkpoint-50")
    assert found.spent_before == 500.0
    assert f"{half}: half-written, not gone on from" in capsys.readouterr().err
    assert half.exists()


def test_an_ended_one_is_not_made_again(here, capsys):
    end(here)
    checked = []
    assert begin(here, checked=checked) is None
    assert begin(here, "--logging_steps", "1", "--save_steps", "7", "--dataloader_num_workers", "2") is None
    assert begin(here, "--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "2") is None
    assert checked == []
    assert "sft: " in capsys.readouterr().err


@pytest.mark.parametrize("ended", [True, False])
def test_other_settings_are_refused_and_the_ways_on_are_named(here, ended):
    if ended:
        end(here)
    else:
        begin(here)
    checkpoint(here, 50)
    checked = []
    with pytest.raises(StageError) as error:
        begin(here, "--learning_rate", "2e-3", "--seed", "1", checked=checked)
    text = str(error.value)
    assert "differs in learning_rate 0.001 -> 0.002; seed null -> 1; nothing was touched" in text
    assert "another --output_dir, or --overwrite_output_dir" in text
    assert "or --resume_from_checkpoint last" in text
    assert checked == [], "nothing costly was done before"
    assert (here / "sft" / "checkpoint-50" / "model.safetensors").exists()


def test_overwriting_moves_the_old_run_aside(here, capsys):
    end(here)
    found = begin(here, "--learning_rate", "2e-3", "--overwrite_output_dir", "true")
    assert found.checkpoint is None
    assert (here / "sft.old-1" / "model.safetensors").read_text() == "trained"
    assert "was moved aside, to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda here: (here / "base" / "model.safetensors").write_bytes(b"other"), "model"),
        (lambda here: (here / "prompts" / "ground.txt").write_text("Seek $query."), "prompts"),
        (lambda here: next((here / "videos").rglob("*.mp4")).write_bytes(b"another film"), "videos"),
        (lambda here: shutil.copy(here / "test.jsonl", here / "ground.jsonl"), "tracks"),
    ],
)
def test_an_input_with_other_content_under_its_old_name(here, change, name):
    end(here)
    change(here)
    with pytest.raises(StageError, match=rf"differs in .*{name} \(other content\)"):
        begin(here)
    assert (here / "sft" / "model.safetensors").read_text() == "trained"


def test_inputs_elsewhere_with_the_same_content_are_the_same(here):
    end(here)
    (here / "base").rename(here / "moved")
    (here / "base").symlink_to(here / "moved")
    shutil.copytree(here / "prompts", here / "prompts-2")
    assert begin(here, "--prompts", str(here / "prompts-2")) is None


@pytest.mark.parametrize("ended", [True, False])
def test_training_longer_goes_on(here, ended, capsys):
    if ended:
        end(here)
    else:
        begin(here)
    checkpoint(here, 100)
    found = begin(here, "--max_steps", "150")
    assert found.checkpoint == str(here / "sft" / "checkpoint-100")
    assert "goes on with other settings: max_steps 100 -> 150" in capsys.readouterr().err
    assert read_stamp(here / "sft")["history"][-1]["changed"] == ["max_steps 100 -> 150"]
    with pytest.raises(StageError, match="max_steps 150 -> 120"):
        begin(here, "--max_steps", "120")


def test_more_epochs_go_on_and_both_at_once_do_not():
    difference = starting.Difference
    assert starting.is_longer(difference("num_train_epochs", 1, 2))
    assert starting.is_longer(difference("num_train_epochs", None, 4))  # the default is 3
    assert not starting.is_longer(difference("num_train_epochs", None, 2))
    assert not starting.is_longer(difference("max_steps", None, 100))  # from epochs to steps
    assert not starting.is_longer(difference("max_steps", 100, None))
    assert not starting.is_longer(difference("learning_rate", 1.0, 2.0))
    wanted = starting.Resume()
    assert not wanted.goes_on([difference("max_steps", 1, 2), difference("seed", 0, 1)])


def test_resuming_with_other_settings_where_asked_for(here):
    begin(here)
    checkpoint(here, 50)
    found = begin(here, "--learning_rate", "2e-3", "--resume_from_checkpoint", "last")
    assert found.checkpoint == str(here / "sft" / "checkpoint-50")
    entry = read_stamp(here / "sft")["history"][-1]
    assert entry["changed"] == ["learning_rate 0.001 -> 0.002"]
    assert entry["note"].endswith("checkpoint-50")


def test_going_back_to_an_older_checkpoint_moves_the_newer_ones_aside(here, capsys):
    begin(here)
    for step in (25, 50, 75):
        checkpoint(here, step)
    found = begin(here, "--resume_from_checkpoint", str(here / "sft" / "checkpoint-50"))
    assert found.checkpoint == str(here / "sft" / "checkpoint-50")
    left = sorted(path.name for path in (here / "sft").glob("checkpoint-*"))
    assert left == ["checkpoint-25", "checkpoint-50", "checkpoint-75.old-1"]
    assert "checkpoint-75: after checkpoint-50, moved aside" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["/nowhere", "last", "half", "weights only"])
def test_a_checkpoint_that_cannot_be_resumed_from_is_refused(here, what):
    begin(here)
    path = what
    if what in ("half", "weights only"):
        folder = checkpoint(here, 50)
        (folder / MARKER).unlink()
        (folder / WRITING).touch()
        path = folder if what == "half" else here / "base"
    with pytest.raises(StageError, match=r"resume_from_checkpoint .*no whole checkpoint"):
        begin(here, "--resume_from_checkpoint", str(path))


def test_starting_from_another_runs_checkpoint(here):
    begin(here, out="other")
    theirs = checkpoint(here, 40, out="other")
    words = ("--resume_from_checkpoint", str(theirs))
    assert begin(here, *words).checkpoint == str(theirs)
    own = checkpoint(here, 60)
    assert begin(here, *words).checkpoint == str(own), "the same command goes on from its own"
    with pytest.raises(StageError, match="resumed_from"):
        begin(here)


def test_the_model_is_not_trained_into_its_own_folder(here):
    with pytest.raises(StageError, match="that is model_name_or_path, which would be overwritten"):
        begin(here, "--overwrite_output_dir", "true", out="base")
    assert (here / "base" / "model.safetensors").exists()
    (here / "link").symlink_to(here / "base")
    with pytest.raises(StageError, match="would be overwritten"):
        begin(here, out="link")


def test_another_stages_folder_is_refused(here):
    end(here)
    (here / "base" / "stamp.json").unlink()
    stamp = (here / "sft" / "stamp.json").read_text().replace('"stage": "sft"', '"stage": "cpt"')
    (here / "sft" / "stamp.json").write_text(stamp.replace('"fingerprint": "', '"fingerprint": "0'))
    with pytest.raises(StageError, match='stage "cpt" -> "sft"'):
        begin(here, "--resume_from_checkpoint", str(checkpoint(here, 5)))


def test_a_stage_that_did_not_end_is_no_model_to_start_from(here):
    begin(here)
    shutil.copy(Path(here / "base" / "config.json"), here / "sft" / "config.json")
    with pytest.raises(StageError, match="begun and did not end"):
        begin(here, "--model_name_or_path", str(here / "sft"), out="next")
