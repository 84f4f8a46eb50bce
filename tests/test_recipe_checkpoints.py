"""Only whole checkpoints are gone on from."""

import shutil
from types import SimpleNamespace

import pytest

from data_prep.stages import Stage, StageError, cpu_seconds
from recipe import grpo
from recipe.checkpoints import (
    MARKER,
    MarkComplete,
    begin,
    check_whole_rollouts,
    last_complete,
    remove_half_written,
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


def test_half_written_ones_are_removed_with_a_message(tmp_path, capsys):
    kept, half = checkpoint(tmp_path, 50, True), checkpoint(tmp_path, 100, False)
    remove_half_written(tmp_path)
    assert kept.exists()
    assert not half.exists()
    assert "checkpoint-100: half-written, removed" in capsys.readouterr().err


def test_the_marker_is_left_by_the_main_process_alone(tmp_path):
    path = checkpoint(tmp_path, 7, whole=False)
    args = SimpleNamespace(output_dir=str(tmp_path))
    MarkComplete().on_save(args, SimpleNamespace(is_world_process_zero=False, global_step=7), None)
    assert not (path / MARKER).exists()
    MarkComplete().on_save(args, SimpleNamespace(is_world_process_zero=True, global_step=7), None)
    assert (path / MARKER).exists()


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


def test_begin_keeps_checkpoints_of_the_same_settings_and_skips_what_is_done(tmp_path):
    stage = Stage(tmp_path / "sft", "sft", {"rate": 1})
    assert begin(stage)
    checkpoint(tmp_path / "sft", 5, True)
    assert begin(Stage(tmp_path / "sft", "sft", {"rate": 1}))
    assert last_complete(tmp_path / "sft")
    assert begin(Stage(tmp_path / "sft", "sft", {"rate": 2}))
    assert last_complete(tmp_path / "sft") is None, "of other settings"
    stage = Stage(tmp_path / "sft", "sft", {"rate": 2})
    stage.finish({})
    assert not begin(stage)


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
