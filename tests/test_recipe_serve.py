"""A served checkpoint answers as the same one in process (marked: needs vLLM)."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from data_prep.stages import StageError
from recipe import serve


def test_a_checkpoint_comes_first():
    for words in ([], ["--port", "8000"]):
        with pytest.raises(StageError, match="expected a checkpoint first"):
            serve.parse(words)
    assert serve.parse(["runs/x", "--port", "1"]) == ("runs/x", ["--port", "1"])


@pytest.mark.parametrize("rollouts", [[], ["--rollouts"]])
def test_only_this_machine_is_served_unless_told(rollouts):
    """vLLM's own default is every interface, with no key; argparse takes the last of two."""
    words = serve.words_of(["--port", "1", *rollouts])
    assert words[words.index("--host") + 1] == "127.0.0.1"
    told = serve.words_of([*rollouts, "--host", "0.0.0.0"])
    assert told[-2:] == ["--host", "0.0.0.0"]
    assert "--rollouts" not in words + told
    pairs = serve.words_of(["--video-units", "pairs", *rollouts])
    assert ("--trust-request-mm-kwargs" in pairs) == (rollouts == []), "only questions state the times of frames"


@pytest.mark.parametrize(
    ("words", "gpus", "expected"),
    [
        ([], 0, []),
        ([], 1, []),
        ([], 8, ["--data-parallel-size", "8"]),
        (["--data-parallel-size", "2"], 8, []),
        (["--tensor_parallel_size=4"], 8, ["--mm-encoder-tp-mode", "data", "--data-parallel-size", "2"]),
        (["-tp", "8", "--mm-encoder-tp-mode", "weights"], 8, []),
        (["--rollouts"], 1, []),
        (["--rollouts"], 8, ["--tensor-parallel-size", "8", "--mm-encoder-tp-mode", "data"]),
        (["--rollouts", "-tp", "2"], 8, ["--mm-encoder-tp-mode", "data"]),
    ],
)
def test_all_gpus_serve_unless_told(words, gpus, expected):
    assert serve.parallel_words(words, gpus=gpus, heads=32) == expected


@pytest.mark.parametrize(
    "words", [["-tp", "16"], ["-tp", "3"], ["-tp", "4", "-dp", "4"], ["-dp", "0"], ["-tp", "two"]]
)
def test_gpus_that_are_not_there_are_refused(words):
    with pytest.raises(StageError) as error:
        serve.parallel_words(words, gpus=8, heads=32)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["runs/x", "--port", "1", "--help"]])
def test_help_says_what_it_takes(words, capsys):
    with pytest.raises(SystemExit) as end:
        serve.parse(words)
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "CHECKPOINT" in printed
    assert "--rollouts" in printed
    assert "vllm serve" in printed


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tiny_base, tmp_path_factory):
    """Base URL of a server of the tiny checkpoint, in a process group of its own."""
    pytest.importorskip("vllm")
    port = free_port()
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    words = ["-m", "recipe.serve", str(tiny_base), "--port", str(port), "--max-model-len", "1024"]
    # For both kinds of question one server: the last of two limits counts, and all frames have their size already.
    words += ["--video-units", "pairs", "--limit-mm-per-prompt", json.dumps({"video": 1, "image": 64})]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=stream, stderr=stream, start_new_session=True, env=dict(os.environ)
        )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(log.read_text()[-3000:])
            try:
                urllib.request.urlopen(f"{url}/models", timeout=2).close()
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
@pytest.mark.parametrize("units", ["frames", "pairs"])
def test_the_served_answer_is_the_one_in_process(server, tiny_data, tiny_base, tmp_path, units):
    """Of pictures, and of one video of our frames, which the server neither samples nor resizes."""
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    answers = []
    for name, others in (("hf", []), ("served", ["--backend", "openai", "--base_url", server])):
        out = tmp_path / f"{name}.json"
        words = [str(video), "the red square", "--model", str(tiny_base), "--out", str(out), "--prompts", "tiny"]
        words += ["--max_frame_pixels", "2304", "--max_new_tokens", "32", "--video_units", units, *others]
        done = subprocess.run([sys.executable, "-m", "recipe.ground", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        # A character whose last byte the limit cuts off is left out by the server and marked by transformers.
        answers.append(json.loads(out.read_text())["answer"].rstrip("\ufffd"))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 20
