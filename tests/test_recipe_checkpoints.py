"""Only whole checkpoints are gone on from, and none is deleted that `save_total_limit` does not name."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_prep.stages import StageError, cpu_seconds
from recipe import grpo
from recipe.checks.settings import check_whole_rollouts
from recipe.training import checkpoints
from recipe.training.checkpoints import (
    MARKER,
    WRITING,
    MarkComplete,
    WholeCheckpoints,
    complete,
    is_whole,
    last_complete,
    mark,
    read_marker,
    report_half_written,
    spent_on,
)


def checkpoint(folder, step, whole):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_text("w")
    if whole:
        (path / MARKER).touch()
    return path


def test_nothing_to_go_on_from(tmp_path):
    assert last_complete(tmp_path) is None
    checkpoint(tmp_path, 50, whole=False)
    assert last_complete(tmp_path) is None


def test_the_newest_whole_one_by_number(tmp_path):
    for step, whole in ((50, True), (100, True), (1000, False), (9, True)):
        checkpoint(tmp_path, step, whole)
    assert last_complete(tmp_path) == str(tmp_path / "checkpoint-100")


def test_half_written_ones_are_named_and_kept(tmp_path, capsys):
    checkpoint(tmp_path, 50, True)
    half = checkpoint(tmp_path, 100, False)
    report_half_written(tmp_path)
    assert half.exists()
    assert capsys.readouterr().err == f"{half}: half-written, not gone on from\n"


@pytest.mark.parametrize("damage", ["gone", "cut", "marker"])
def test_a_checkpoint_that_lost_a_file_is_not_gone_on_from(tmp_path, capsys, damage):
    """Without its optimiser a run would go on in silence and end with other weights."""
    for step in (50, 100):
        path = checkpoint(tmp_path, step, whole=False)
        (path / "optimizer.pt").write_text("moments")
        mark(path, 1.0)
    assert last_complete(tmp_path) == str(path)
    if damage == "gone":
        (path / "optimizer.pt").unlink()
    elif damage == "cut":
        (path / "optimizer.pt").write_text("mom")
    else:
        (path / MARKER).write_text("{garbled")
    assert last_complete(tmp_path) == str(tmp_path / "checkpoint-50")
    report_half_written(tmp_path)
    name = MARKER if damage == "marker" else "optimizer.pt"
    assert capsys.readouterr().err == f"{path}: {name} is missing or damaged, not gone on from\n"


def test_a_marker_of_an_older_version_is_read(tmp_path):
    path = checkpoint(tmp_path, 50, whole=False)
    (path / MARKER).write_text("123.4\n")
    assert complete(tmp_path) == [path]
    assert spent_on(str(path)) == 123.4


def test_folders_of_other_names_are_no_checkpoints(tmp_path):
    for name in ("checkpoint-best", "checkpoint-5.old-1", "checkpoint-"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MARKER).touch()
    (tmp_path / "checkpoint-7").write_text("a file")
    assert complete(tmp_path) == []


def test_a_checkpoint_of_another_trainer(tmp_path):
    path = checkpoint(tmp_path, 50, whole=False)
    assert not is_whole(path), "weights without a trainer's state"
    (path / "trainer_state.json").write_text("{}")
    assert is_whole(path)
    (path / WRITING).touch()
    assert not is_whole(path), "half-written by this recipe"


def test_a_marker_is_not_left_in_a_folder_that_is_gone(tmp_path):
    with pytest.raises(StageError, match="checkpoint-7: gone while it was being written"):
        mark(tmp_path / "checkpoint-7", 0.0)
    assert not (tmp_path / "checkpoint-7").exists()


class Upstream:
    """What a trainer does where the mixin calls it."""

    def __init__(self, folder, step, max_steps=10):
        self.args = SimpleNamespace(output_dir=str(folder))
        self.state = SimpleNamespace(global_step=step, max_steps=max_steps)
        self.control = SimpleNamespace(should_training_stop=False)
        self.called = []

    def _save_checkpoint(self, model, trial):
        folder = next(path for path in [self.folder()] if path.is_dir())
        self.called.append(sorted(path.name for path in folder.iterdir()))

    def _run_epoch(self, **kwargs):
        self.called.append(kwargs)

    def folder(self):
        return Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"


class Saver(WholeCheckpoints, Upstream):
    pass


def test_a_checkpoint_is_announced_before_it_is_written(tmp_path):
    saver = Saver(tmp_path, 5)
    saver._save_checkpoint(None, None)
    assert saver.called == [[WRITING]]


def test_what_a_killed_run_left_half_is_written_over(tmp_path):
    half = checkpoint(tmp_path, 5, whole=False)
    (half / WRITING).touch()
    Saver(tmp_path, 5)._save_checkpoint(None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


def test_a_checkpoint_that_somebody_else_put_there_is_moved_aside(tmp_path, capsys):
    checkpoint(tmp_path, 5, whole=False)
    Saver(tmp_path, 5)._save_checkpoint(None, None)
    assert (tmp_path / "checkpoint-5.old-1" / "model.safetensors").read_text() == "w"
    assert "checkpoint-5: not of this run's making, moved aside to checkpoint-5.old-1" in capsys.readouterr().err


@pytest.mark.parametrize(("step", "runs"), [(9, True), (10, False), (11, False)])
def test_training_that_has_ended_trains_no_more(tmp_path, step, runs):
    trainer = Saver(tmp_path, step)
    trainer._run_epoch(epoch=0)
    assert bool(trainer.called) == runs
    assert trainer.control.should_training_stop == (not runs)


def test_the_marker_is_left_by_the_main_process_alone(tmp_path):
    path = checkpoint(tmp_path, 7, whole=False)
    args = SimpleNamespace(output_dir=str(tmp_path))
    MarkComplete().on_save(args, SimpleNamespace(is_world_process_zero=False, global_step=7), None)
    assert not (path / MARKER).exists()
    MarkComplete().on_save(args, SimpleNamespace(is_world_process_zero=True, global_step=7), None)
    assert (path / MARKER).exists()


def test_the_marker_waits_for_the_other_processes(tmp_path, monkeypatch):
    """Each writes a part of its own: a marker that does not know them would vouch for a checkpoint without them."""
    path = checkpoint(tmp_path, 7, whole=False)

    def wait():
        assert not (path / MARKER).exists()
        (path / "rng_state_1.pth").write_text("of the slower process")

    monkeypatch.setattr(checkpoints, "PartialState", lambda: SimpleNamespace(wait_for_everyone=wait))
    state = SimpleNamespace(is_world_process_zero=True, global_step=7)
    MarkComplete().on_save(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    assert read_marker(path)["files"] == {"model.safetensors": 1, "rng_state_1.pth": 21}


def test_old_ones_go_after_the_new_one_is_marked(tmp_path, monkeypatch):
    """Trainer would delete them before: a kill in between would leave no whole one."""
    for step in (2, 4, 10):
        checkpoint(tmp_path, step, whole=True)
    checkpoint(tmp_path, 12, whole=False)
    args = SimpleNamespace(output_dir=str(tmp_path), save_total_limit=2)
    callback = MarkComplete()
    callback.on_train_begin(args, None, None)
    assert args.save_total_limit is None, "Trainer is to delete nothing"
    whole = []
    upstream = shutil.rmtree

    def rmtree(path):
        assert not (path / MARKER).exists(), "no half-deleted folder is taken for whole"
        whole.append(last_complete(tmp_path))
        upstream(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    callback.on_save(args, SimpleNamespace(is_world_process_zero=True, global_step=12), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-12"]
    assert whole == [str(tmp_path / "checkpoint-12")] * 2


def test_the_time_that_went_into_a_checkpoint(tmp_path):
    path = checkpoint(tmp_path, 7, whole=False)
    MarkComplete(1000.0).on_save(
        SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(is_world_process_zero=True, global_step=7), None
    )
    assert 1000.0 < spent_on(str(path)) < 1000.0 + cpu_seconds() + 1
    assert spent_on(None) == 0.0
    assert spent_on(str(checkpoint(tmp_path, 8, whole=True))) == 0.0  # a marker without a number


def test_without_a_limit_all_are_kept(tmp_path):
    for step in (2, 4, 6):
        checkpoint(tmp_path, step, whole=True)
    args = SimpleNamespace(output_dir=str(tmp_path), save_total_limit=None)
    callback = MarkComplete()
    callback.on_train_begin(args, None, None)
    callback.on_save(args, SimpleNamespace(is_world_process_zero=True, global_step=6), None)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ((), None),  # 50 and 2
        (("--save_steps", "25"), 2),
        (("--save_steps", "25", "--save_strategy", "no"), None),
        (("--save_steps", "6", "--num_iterations", "2"), 4),
        (("--save_steps", "8", "--num_iterations", "2"), None),
        (("--save_steps", "3", "--steps_per_generation", "1"), None),
        (("--save_steps", "3", "--gradient_accumulation_steps", "2"), None),
        (("--save_steps", "3", "--gradient_accumulation_steps", "2", "--steps_per_generation", "8"), 4),
    ],
)
def test_checkpoints_inside_a_rollout_are_refused(words, steps):
    _, training, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", *words])
    if steps is None:
        check_whole_rollouts(training)
    else:
        with pytest.raises(StageError, match=f"falls inside a rollout, which is used in {steps} optimiser steps"):
            check_whole_rollouts(training)
