"""Two processes (gloo) train as one does on the same global batch, and a group is one across their border."""

import json
import os
import socket
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

SHORT = {
    "sft": "--reasoning_share 0 --max_steps 4 --save_steps 2 --logging_steps 1 --warmup_steps 0",
    # A group of 8 in batches of 4: it lies on both processes. In the second pass the ratio is not 1, nor the loss 0.
    "grpo": "--max_steps 4 --save_steps 2 --num_generations 8 --num_iterations 2 --steps_per_generation 1"
    " --max_completion_length 12 --logging_steps 1 --temperature 1.0 --held_out_every 0 --log_completions true"
    " --learning_rate 4e-3",
}
BATCH = {"sft": 4, "grpo": 16}  # of all processes together


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def train(name, processes, folder, tiny_data, tiny_base):
    """Run the stage in so many processes with the tiny recipe's YAML, shortened; returns its standard error."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    words += ["--master_port", str(free_port()), "-m", "tests.helpers.two_processes", name]
    words += ["--config", f"recipe/configs/tiny/{name}.yaml", "--model_name_or_path", str(tiny_base)]
    tracks = str(tiny_data / "ground.jsonl")
    words += ["--tracks", tracks, tracks]  # 12 records: batches of 4 fill them without a rest
    words += ["--video_root", str(tiny_data / "videos")]
    words += ["--validation_tracks", str(tiny_data / "test.jsonl"), "--dataloader_num_workers", "0"]
    words += ["--per_device_train_batch_size", str(BATCH[name] // processes)]
    words += ["--output_dir", str(folder), "--disable_tqdm", "true", *SHORT[name].split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stderr


@pytest.fixture(scope="module", params=["sft", "grpo"])
def both(request, tiny_data, tiny_base, tmp_path_factory):
    """(stage, folder of one process, folder of two)"""
    folder = tmp_path_factory.mktemp(f"two-{request.param}")
    for processes in (1, 2):
        train(request.param, processes, folder / str(processes), tiny_data, tiny_base)
    return request.param, folder / "1", folder / "2"


def logged(folder, key):
    entries = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry[key] for entry in entries if "loss" in entry]


def rollouts(folder):
    """What each rollout's answers earned, over all processes, in order."""
    return pd.concat([pd.read_parquet(path) for path in sorted((folder / "completions").glob("*.parquet"))])


def test_the_same_losses_and_weights(both, tiny_base):
    _, one, two = both
    for key in ("loss", "grad_norm"):
        ours, theirs = logged(one, key), logged(two, key)
        assert len(ours) == 4
        assert theirs == pytest.approx(ours, abs=1e-4, rel=1e-4)
        assert any(abs(value) > 1e-3 for value in ours)
    ours, theirs, start = (load_file(folder / "model.safetensors") for folder in (one, two, tiny_base))
    moved = max((value - start[key]).abs().max().item() for key, value in ours.items())
    apart = max((value - theirs[key]).abs().max().item() for key, value in ours.items())
    assert moved > 1e-3
    assert apart < moved / 20  # Adam makes much of the last digits of small gradients


def test_rewards_are_grouped_by_prompt_over_both_processes(both):
    name, one, two = both
    if name == "sft":
        pytest.skip("no rewards")
    ours, theirs = rollouts(one), rollouts(two)
    assert len(ours) == len(theirs) > 0
    for column in ("completion", "variety_reward", "advantage"):
        assert ours[column].map(str).tolist() == theirs[column].map(str).tolist()
    prompts = theirs["prompt"].map(str).tolist()
    rewards = torch.tensor(theirs["variety_reward"].tolist()).view(-1, 8)
    for first in range(0, len(prompts), 8):
        assert len(set(prompts[first : first + 8])) == 1
    assert (rewards.std(dim=1) > 0).all()
    expected = (rewards - rewards.mean(dim=1, keepdim=True)) / (rewards.std(dim=1, keepdim=True) + 1e-4)
    assert torch.allclose(torch.tensor(theirs["advantage"].tolist()).view(-1, 8), expected.float(), atol=1e-4)


def test_a_checkpoint_is_marked_when_every_process_has_written_its_part(both):
    """The second writes a second late; tests/helpers/two_processes.py raises where the marker was there before."""
    _, _, two = both
    (checkpoint,) = two.glob("checkpoint-*")
    assert {"COMPLETE", "rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
