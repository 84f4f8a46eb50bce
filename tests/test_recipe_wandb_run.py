"""A stage that goes on, goes on with its W&B run; another stage has another."""

import pytest

from recipe.wandb_run import FILE, keep_run


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "x")
    monkeypatch.delenv("WANDB_RUN_ID")
    monkeypatch.setenv("WANDB_RESUME", "x")
    monkeypatch.delenv("WANDB_RESUME")
    return monkeypatch


def test_the_same_folder_goes_on_with_its_run(tmp_path, environment):
    first = keep_run(tmp_path, ["wandb"])
    assert (tmp_path / FILE).read_text().strip() == first
    environment.delenv("WANDB_RUN_ID")  # a new process after kill -9
    assert keep_run(tmp_path, ["wandb"]) == first
    (tmp_path / FILE).unlink()  # the stage was emptied: other settings
    environment.delenv("WANDB_RUN_ID")
    assert keep_run(tmp_path, ["wandb"]) != first


def test_the_environment_says_so_to_wandb(tmp_path, environment):
    import os

    run_id = keep_run(tmp_path, ["tensorboard", "wandb"])
    assert os.environ["WANDB_RUN_ID"] == run_id
    assert os.environ["WANDB_RESUME"] == "allow"


def test_a_run_of_the_users_own_wins_and_is_kept(tmp_path, environment):
    environment.setenv("WANDB_RUN_ID", "mine")
    environment.setenv("WANDB_RESUME", "must")
    assert keep_run(tmp_path, ["wandb"]) == "mine"
    environment.delenv("WANDB_RUN_ID")
    assert keep_run(tmp_path, ["wandb"]) == "mine"


def test_without_wandb_nothing_is_written(tmp_path):
    assert keep_run(tmp_path, ["none"]) is None
    assert keep_run(tmp_path, []) is None
    assert list(tmp_path.iterdir()) == []


def test_an_offline_run_goes_on_under_its_id(tmp_path, environment):
    wandb = pytest.importorskip("wandb")
    environment.setenv("WANDB_MODE", "offline")
    environment.setenv("WANDB_DIR", str(tmp_path))
    environment.setenv("WANDB_SILENT", "true")
    ids = []
    for _ in range(2):
        keep_run(tmp_path, ["wandb"])
        run = wandb.init(project="test")
        ids.append(run.id)
        run.finish()
        environment.delenv("WANDB_RUN_ID")
    assert ids[0] == ids[1] == (tmp_path / FILE).read_text().strip()
