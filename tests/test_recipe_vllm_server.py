"""Server mode: real GRPO steps whose rollouts come from a vLLM server in another process, weights sent each step.

Pictures and native video reach the server as files in its folder.

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

from tests.helpers import video_rollouts

STEPS = 5
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
def media(tmp_path_factory):
    """The only folder that the server reads files from."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def server(checkpoint, media, tmp_path_factory):
    """Base URL of a server for rollouts of the checkpoint, in a process group of its own."""
    port, log = free_port(), tmp_path_factory.mktemp("rollouts") / "log.txt"
    words = ["-m", "recipe.serve", str(checkpoint), "--rollouts", "--port", str(port), "--max-model-len", "512"]
    words += ["--dtype", "float32", "--enforce-eager", "--allowed-local-media-path", str(media)]
    words += ["--video-units", "pairs", "--limit-mm-per-prompt", '{"video": 1}']  # for one test; pictures for another
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=stream, stderr=stream, start_new_session=True, env=environment()
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1000):
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
@pytest.mark.timeout(1500)
def test_ratios_are_one_while_both_towers_learn(server, checkpoint, media, tiny_data, tmp_path):
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
    words += ["--max_steps", str(STEPS), "--save_steps", str(STEPS), "--logging_steps", "1", "--held_out_every", "0"]
    words += ["--per_device_train_batch_size", "8", "--num_generations", "4", "--steps_per_generation", "1"]
    words += ["--max_completion_length", "24", "--temperature", "1.0", "--warmup_steps", "0", "--disable_tqdm", "true"]
    # So large that stale weights, or stale features of the vision tower, would show at the next step.
    words += ["--learning_rate", "2e-3", "--vision_learning_rate", "2e-3"]
    done = subprocess.run(
        [sys.executable, "-c", STAGE, *words], capture_output=True, text=True, timeout=1200, env=environment()
    )
    assert done.returncode == 0, done.stderr[-4000:]
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    ratios = [entry["sampling/importance_sampling_ratio/mean"] for entry in history if "loss" in entry]
    assert len(ratios) == STEPS
    assert all(0.999 < ratio < 1.001 for ratio in ratios), ratios
    print(f"\nserver mode: importance ratio {min(ratios):.4f} to {max(ratios):.4f} over {STEPS} steps")
    before, after = load_file(checkpoint / "model.safetensors"), load_file(out / "model.safetensors")
    for part in (".visual.", ".language_model."):
        moved = max((after[name] - value).abs().max().item() for name, value in before.items() if part in name)
        assert moved > 1e-3, part
    assert list(media.iterdir()) == []  # what was sent is gone


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_native_video_goes_by_file(server, checkpoint, media, tmp_path, monkeypatch):
    rows = [video_rollouts.row(seconds, seed, "pairs") for seed, seconds in enumerate((3, 17, 4, 5))]
    trainer = video_rollouts.trainer_of(
        checkpoint,
        tmp_path / "out",
        rows,
        "pairs",
        steps=STEPS,
        samples=4,
        length=16,
        vllm_mode="server",
        vllm_server_base_url=server,
    )
    client = trainer.vllm_generation.vllm_client
    post, sizes, parts = client._post, [], []

    def note(url, **options):
        if url.endswith("/generate"):
            sizes.append(len(json.dumps(options["json"])))
            parts.append([part["type"] for part in options["json"]["content_parts"]])
        return post(url, **options)

    monkeypatch.setattr(client, "_post", note)
    start = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    assert parts == [["video_url"]] * 2 * STEPS  # once for each distinct prompt
    assert max(sizes) < 2000  # characters; the pixels of 17 seconds are 240,000 bytes
    ratios = [entry["sampling/importance_sampling_ratio/" + which] for entry in trainer.state.log_history
              if "loss" in entry for which in ("min", "max")]  # fmt: skip
    assert len(ratios) == 2 * STEPS
    assert all(0.999 <= ratio <= 1.001 for ratio in ratios), ratios
    print(f"\nserver mode, native video: importance ratio {min(ratios):.5f} to {max(ratios):.5f} over {STEPS} steps")
    assert video_rollouts.unmoved(trainer, start) == []
    assert list(media.iterdir()) == []


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_file_elsewhere_is_not_read(server, checkpoint, media, tmp_path):
    """A path outside of the folder, and one that climbs out of it."""
    import requests

    outside = tmp_path / "secret.safetensors"
    outside.write_bytes(b"no video")
    for url in (outside.as_uri(), f"file://{media}/../{tmp_path.name}/secret.safetensors"):
        body = {"token_ids": [1], "sampling_params": {"max_tokens": 1}}
        body["content_parts"] = [{"type": "video_url", "url": url}]
        answer = requests.post(f"{server}/inference/v1/generate", json=body)
        assert answer.status_code >= 400
        assert "must be a subpath" in answer.text, answer.text
