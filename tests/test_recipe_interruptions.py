"""A stage that is killed or stopped goes on from its last whole checkpoint and ends with the same weights."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from data_prep.locks import locked
from data_prep.stages import read_stamp
from recipe.training.checkpoints import spent_on

pytestmark = pytest.mark.slow

SHORT = {
    "sft": "--reasoning_share 0 --max_steps 7 --save_steps 2 --per_device_train_batch_size 2 --logging_steps 1",
    "grpo": "--max_steps 8 --save_steps 2 --per_device_train_batch_size 4 --num_generations 4"
    " --max_completion_length 12 --logging_steps 1 --temperature 1.0",
}


def stage(name, folder, tiny_data, tiny_base, where="never", step=0, extra=""):
    """Run one stage with the tiny recipe's YAML, shortened; returns (exit code, stderr)."""
    words = [sys.executable, "-m", "tests.helpers.interrupted", name, where, str(step)]
    words += ["--config", f"recipe/configs/tiny/{name}.yaml", "--model_name_or_path", str(tiny_base)]
    words += ["--tracks", str(tiny_data / "ground.jsonl"), "--video_root", str(tiny_data / "videos")]
    words += ["--output_dir", str(folder), "--disable_tqdm", "true", *SHORT[name].split()]
    words += ["--validation_tracks", str(tiny_data / "test.jsonl")]
    if name == "grpo":
        words += ["--held_out_every", "2", "--held_out_clips", "2"]
    words += extra.split()
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, start_new_session=True)
    return done.returncode, done.stderr


def weights(folder):
    return load_file(folder / "model.safetensors")


def logged(folder):
    """What was logged at each step, without times; a resumed run's log goes on from the checkpoint's."""
    entries = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    kept = ("loss", "reward", "grad_norm", "learning_rate", "step")
    return [{key: entry[key] for key in kept if key in entry} for entry in entries if "loss" in entry]


@pytest.fixture(scope="module")
def whole(tiny_data, tiny_base, tmp_path_factory):
    """Each stage run without an interruption, made when it is asked for."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("whole") / name
            code, error = stage(name, folder, tiny_data, tiny_base)
            assert code == 0, error
            made[name] = folder
        return made[name]

    return get


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_a_whole_run_learns_and_says_that_it_ended(whole, tiny_base, name):
    before, after = weights(tiny_base), weights(whole(name))
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert read_stamp(whole(name))["complete"]
    assert [path.name for path in whole(name).glob("checkpoint-*")] == [
        "checkpoint-7" if name == "sft" else "checkpoint-8"
    ]


@pytest.mark.parametrize(
    ("where", "step", "goes_on_from"),
    [
        ("between", 5, "checkpoint-4"),
        ("within", 4, "checkpoint-2"),
        ("ctrl-c", 5, "checkpoint-4"),
        ("between", 1, None),
        ("ended", 0, "the last"),
        ("saving", 0, "the last"),
    ],
)
@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_it_goes_on_and_ends_with_the_same_weights(
    whole, tiny_data, tiny_base, tmp_path, name, where, step, goes_on_from
):
    folder = tmp_path / name
    code, error = stage(name, folder, tiny_data, tiny_base, where, step)
    assert code == (130 if where == "ctrl-c" else -9), error
    if where == "ctrl-c":
        assert "stopped; the same command goes on from the last checkpoint" in error
        assert "Traceback" not in error
    assert not read_stamp(folder)["complete"]
    marked = [marker.parent.name for marker in folder.glob("checkpoint-*/COMPLETE")]
    if goes_on_from == "the last":
        goes_on_from = "checkpoint-7" if name == "sft" else "checkpoint-8"
    assert marked == ([goes_on_from] if goes_on_from else [])
    spent = [spent_on(path.parent) for path in folder.glob("checkpoint-*/COMPLETE")]
    code, error = stage(name, folder, tiny_data, tiny_base)
    assert code == 0, error
    # The CPU time of what was gone on from is counted in.
    assert read_stamp(folder)["results"]["cpu_seconds"] > sum(spent)
    assert all(seconds > 0 for seconds in spent)
    assert ("half-written, not gone on from" in error) == (where == "within")
    assert logged(folder) == logged(whole(name))
    theirs = weights(whole(name))
    assert all(torch.equal(value, theirs[key]) for key, value in weights(folder).items())
    code, error = stage(name, folder, tiny_data, tiny_base)
    assert (code, "is up to date" in error) == (0, True)


def test_a_second_process_is_refused_and_other_settings_are_too(whole, tiny_data, tiny_base, tmp_path):
    """A finished run is never lost to a changed setting; harmless ones, and a longer run, go on."""
    folder = tmp_path / "sft"
    shutil.copytree(whole("sft"), folder)
    before = (folder / "model.safetensors").read_bytes()
    code, error = stage("sft", folder, tiny_data, tiny_base, extra="--learning_rate 1e-5")
    assert (code, "holds another run, which differs in learning_rate 0.0015 -> 1e-05" in error) == (2, True), error
    code, error = stage("sft", folder, tiny_data, tiny_base, extra="--logging_steps 3 --dataloader_num_workers 0")
    assert (code, "is up to date" in error) == (0, True)
    with locked(folder, folder=True):
        code, error = stage("sft", folder, tiny_data, tiny_base, extra="--max_steps 9")
        assert (code, f"process {os.getpid()} on" in error) == (2, True), error
    assert (folder / "model.safetensors").read_bytes() == before
    code, error = stage("sft", folder, tiny_data, tiny_base, extra="--max_steps 9")
    assert (code, "goes on with other settings: max_steps 7 -> 9" in error) == (0, True), error
    assert [entry["step"] for entry in logged(folder)] == list(range(1, 10))
    assert logged(folder)[:7] == logged(whole("sft"))


def test_the_same_batch_in_two_passes_goes_on_with_the_same_data(whole, tiny_data, tiny_base, tmp_path):
    """What one does after running out of memory."""
    folder = tmp_path / "sft"
    code, error = stage("sft", folder, tiny_data, tiny_base, "between", 5)
    assert code == -9, error
    halves = "--per_device_train_batch_size 1 --gradient_accumulation_steps 2"
    code, error = stage("sft", folder, tiny_data, tiny_base, extra=halves)
    assert (code, "goes on with other settings" in error) == (0, True), error
    ours, theirs = logged(folder), logged(whole("sft"))
    assert [entry["step"] for entry in ours] == [entry["step"] for entry in theirs]
    assert [entry["loss"] for entry in ours] == pytest.approx([entry["loss"] for entry in theirs], rel=1e-3)
