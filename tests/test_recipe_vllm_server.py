"""Server mode: real GRPO steps whose rollouts come from a vLLM server in another process, weights sent each step.

.venv-vllm/bin/python -m pytest -m vllm tests/test_recipe_vllm_server.py
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from safetensors.torch import load_file
from test_recipe_vllm_rollout import build_checkpoint

STEPS = 4
# The stage with a reward that random text earns in different measure: without one nothing would be learned.
STAGE = """
from recipe import cli, grpo, rewards
from tests.helpers.two_processes import variety_reward
rewards.REWARDS["tiou_mviou"] = [variety_reward]
cli.run(grpo.parse, grpo.main)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment():
    """This process's, but for what an engine made in it by other tests has left there: its port is taken."""
    left = {"MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE"}
    return {name: value for name, value in os.environ.items() if name not in left} | {"MASTER_PORT": str(free_port())}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """One that has learned not to say tokens of pictures: what only vLLM forbids has no probability then."""
    pytest.importorskip("vllm")
    folder = tmp_path_factory.mktemp("checkpoint") / "base"
    build_checkpoint(folder)
    return folder


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    """Base URL of a server for rollouts of the checkpoint, in a process group of its own."""
    port, log = free_port(), tmp_path_factory.mktemp("rollouts") / "log.txt"
    words = ["-m", "recipe.serve", str(checkpoint), "--rollouts", "--port", str(port), "--max-model-len", "512"]
    words += ["--dtype", "float32", "--enforce-eager"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=stream, stderr=stream, start_new_session=True, env=environment()
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            if process.poll() is not None:
                pytest.fail(log.read_text()[-3000:])
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(1)
        else:
            pytest.fail("the server did not start: " + log.read_text()[-3000:])
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ratios_are_one_while_both_towers_learn(server, checkpoint, tiny_data, tmp_path):
    out = tmp_path / "grpo"
    words = ["--config", "recipe/configs/tiny/grpo.yaml", "--model_name_or_path", str(checkpoint)]
    words += ["--tracks", str(tiny_data / "ground.jsonl"), "--video_root", str(tiny_data / "videos")]
    words += [
        "--output_dir",
        str(out),
        "--use_vllm",
        "true",
        "--vllm_mode",
        "server",
        "--vllm_server_base_url",
        server,
    ]
    words += ["--max_steps", str(STEPS), "--save_steps", "4", "--logging_steps", "1", "--held_out_every", "0"]
    words += ["--per_device_train_batch_size", "8", "--num_generations", "4", "--steps_per_generation", "1"]
    words += ["--max_completion_length", "24", "--temperature", "1.0", "--warmup_steps", "0", "--disable_tqdm", "true"]
    # So large that stale weights, or stale features of the vision tower, would show at the next step.
    words += ["--learning_rate", "2e-3", "--vision_learning_rate", "2e-3"]
    done = subprocess.run(
        [sys.executable, "-c", STAGE, *words], capture_output=True, text=True, timeout=800, env=environment()
    )
    assert done.returncode == 0, done.stderr[-4000:]
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    ratios = [entry["sampling/importance_sampling_ratio/mean"] for entry in history if "loss" in entry]
    assert len(ratios) == STEPS
    assert all(0.99 < ratio < 1.01 for ratio in ratios), ratios
    print(f"\nserver mode: importance ratio {min(ratios):.4f} to {max(ratios):.4f} over {STEPS} steps")
    before, after = load_file(checkpoint / "model.safetensors"), load_file(out / "model.safetensors")
    for part in (".visual.", ".language_model."):
        moved = max((after[name] - value).abs().max().item() for name, value in before.items() if part in name)
        assert moved > 1e-3, part
