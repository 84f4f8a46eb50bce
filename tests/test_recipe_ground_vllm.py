"""vLLM answers as Hugging Face's generate does, and guided decoding always parses.

.venv-vllm/bin/python -m pytest -m vllm tests/test_recipe_ground_vllm.py
"""

import json
import subprocess
import sys

import pytest

from recipe import ground
from recipe.inference.answer_key import AnswerKey
from recipe.inference.answers_file import read_lines
from recipe.inference.backends import Decoding, builder_of
from recipe.inference.jobs import AnswerBatches, engines_of
from recipe.inference.predictions import predict
from recipe.inputs.arguments import StageArguments
from stvg_rewards import parse_answer

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]


def ask(video, base, out, *others):
    """The command's result, from a process of its own: an engine stays in the one that made it."""
    words = ["-m", "recipe.ground", str(video), "the red square", "--model", str(base), "--out", str(out)]
    words += ["--prompts", "tiny", "--max_frame_pixels", "2304", "--smooth", "off", *others]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


def test_the_same_greedy_answers_from_one_engine_and_from_two(tiny_data, tiny_base, tmp_path):
    """Of every record of a file: grounded in pairs of frames by one engine, and answered for evaluation by two."""
    pytest.importorskip("vllm")
    tracks, videos = tiny_data / "test.jsonl", tiny_data / "videos"
    words = ["--tracks", tracks, "--video_root", videos, "--model", tiny_base, "--prompts", "tiny"]
    words += ["--max_frame_pixels", "2304", "--max_new_tokens", "48", "--video_units", "pairs"]
    found = {}
    for backend in ("hf", "vllm"):
        out = tmp_path / f"{backend}.jsonl"
        ground.main(*ground.parse([*map(str, words), "--backend", backend, "--out", str(out)]))
        found[backend] = {name: line["answer"] for name, line in read_lines(out).items()}
    assert min(map(len, found["hf"].values())) > 20
    assert found["vllm"] == found["hf"]

    script = StageArguments(video_root=str(videos), prompts="tiny", max_frame_pixels=2304)
    for backend in ("hf", "vllm"):
        job, key = AnswerBatches(script, str(tiny_base), Decoding(0.0, 48), backend), AnswerKey(backend, {}, {})
        with engines_of(job, 2 if backend == "vllm" else 1) as answering:
            given = (answering, str(tracks), builder_of(script, str(tiny_base)), tmp_path / f"{backend}-2.jsonl")
            found[backend] = predict(*given, key=key, batch_size=1 if backend == "vllm" else 5, by_record=True)
    assert len(set(found["hf"].values())) > 1
    assert found["vllm"] == found["hf"]


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
