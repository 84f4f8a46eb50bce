"""vLLM answers as Hugging Face's generate does, and guided decoding always parses.

.venv-vllm/bin/python -m pytest -m vllm tests/test_recipe_ground_vllm.py
"""

import json
import subprocess
import sys

import pytest

from stvg_rewards import parse_answer

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]


def ask(video, base, out, *others):
    """The command's result, from a process of its own: an engine stays in the one that made it."""
    words = ["-m", "recipe.ground", str(video), "the red square", "--model", str(base), "--out", str(out)]
    words += ["--prompts", "tiny", "--max_frame_pixels", "2304", "--smooth", "off", *others]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


@pytest.mark.parametrize("units", ["frames", "pairs"])
def test_the_same_greedy_answer(units, tiny_data, tiny_base, tmp_path):
    pytest.importorskip("vllm")
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    words = ["--max_new_tokens", "48", "--video_units", units]
    ours = ask(video, tiny_base, tmp_path / "hf.json", *words)
    theirs = ask(video, tiny_base, tmp_path / "vllm.json", *words, "--backend", "vllm")
    assert len(ours["answer"]) > 20
    assert theirs["answer"] == ours["answer"]


def test_guided_answers_parse(tiny_data, tiny_base, tmp_path):
    """Even of an untrained model, sampled at T = 1."""
    pytest.importorskip("vllm")
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    words = ["--backend", "vllm", "--guided", "--temperature", "1", "--max_new_tokens", "3500"]
    result = ask(video, tiny_base, tmp_path / "guided.json", *words)
    answer = parse_answer(result["answer"], seconds=result["seconds"])
    assert answer.parsed
    if result["answer"].endswith("</answer>"):  # random bytes may use up the tokens before
        assert not answer.salvaged
    assert not answer.discarded_by.keys() & {"key", "late", "shape"}
