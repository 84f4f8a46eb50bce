"""launch/ without a GPU: accelerate reads its files, and the scripts, run dry, say what the stages accept."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(Path("launch/accelerate").glob("*.yaml"))
SCRIPTS = sorted(Path("launch").rglob("*.sh"))
SETTINGS = {
    "cpt": "recipe/configs/tiny/cpt.yaml",
    "sft": "recipe/configs/tiny/sft.yaml",
    "grpo": "recipe/configs/tiny/grpo.yaml",
}

# Each stand-in adds a line to $CALLS: its name, its node and its arguments. srun runs the command once a node.
STAND_IN = """#!{python}
import json, os, sys, time
while "--vllm_server_host" in sys.argv and '"trl"' not in open(os.environ["CALLS"]).read():
    time.sleep(0.01)  # as TRL waits for the server
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([{name!r}, os.environ.get("SLURM_NODEID"), sys.argv[1:]]) + "\\n")
"""
SRUN = """#!/usr/bin/env bash
nodes=1
while [[ $1 == --* ]]; do case $1 in --nodes=*) nodes=${1#*=};; esac; shift; done
for ((k = 0; k < nodes; k++)); do SLURM_NODEID=$k "$@"; done
"""
SCONTROL = """#!/usr/bin/env bash
printf '%s\\n' ${*: -1}
"""


def dry_run(folder, script, *arguments, **variables):
    """What a script calls, as (name, node, arguments), and how it ends."""
    folder.mkdir(exist_ok=True)
    stand_ins = {name: STAND_IN.format(python=sys.executable, name=name) for name in ("accelerate", "trl")}
    for name, text in (stand_ins | {"srun": SRUN, "scontrol": SCONTROL}).items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    calls = folder / "calls.jsonl"
    calls.write_text("")
    variables |= {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls), "VENV": str(folder / "no-venv")}
    command = ["bash", f"launch/slurm/{script}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
    return [json.loads(line) for line in calls.read_text().splitlines()], done


def launched(call):
    """accelerate's settings and the stage's own, both read by their parsers; an unknown one is an error."""
    from accelerate.commands.launch import launch_command_parser

    from recipe import grpo
    from recipe.training import supervised

    name, _, (verb, *words) = call
    assert (name, verb) == ("accelerate", "launch")
    settings, unknown = launch_command_parser().parse_known_args(words)
    assert not unknown
    assert settings.module
    stage = settings.training_script.removeprefix("recipe.")
    parse = grpo.parse if stage == "grpo" else supervised.parse
    return settings, parse(settings.training_script_args)


def test_there_are_some():
    assert len(CONFIGS) == 5
    assert len(SCRIPTS) == 3


def test_there_is_no_python():
    assert not list(Path("launch").rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_scripts_parse(path):
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_accelerate_takes_its_files(path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.mixed_precision == "bf16"
    assert config.distributed_type is not None


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_they_open_with_the_command_that_uses_them(path):
    (command,) = re.findall(r"^#   accelerate launch (.*)", path.read_text(), re.MULTILINE)
    command = command.replace("my/sft.yaml", SETTINGS["sft"]).split()
    settings, _ = launched(["accelerate", None, ["launch", *command]])
    assert Path(settings.config_file) == path


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_they_hold_no_hyperparameters(path):
    assert not {"learning_rate", "max_steps", "num_train_epochs"} & yaml.safe_load(path.read_text()).keys()


def test_what_is_saved_can_be_loaded_again():
    """Trainer.save_model writes nothing under FSDP with sharded states, and under ZeRO-3 only if told to gather."""
    fsdp = yaml.safe_load(Path("launch/accelerate/fsdp2.yaml").read_text())["fsdp_config"]
    assert fsdp["fsdp_state_dict_type"] == "FULL_STATE_DICT"
    assert yaml.safe_load(Path("launch/accelerate/zero3.yaml").read_text())["deepspeed_config"][
        "zero3_save_16bit_model"
    ]


@pytest.mark.parametrize("name", ["zero2", "zero3"])
def test_deepspeed_on_several_nodes_needs_no_hostfile(name):
    config = yaml.safe_load(Path(f"launch/accelerate/{name}.yaml").read_text())
    assert config["deepspeed_config"]["deepspeed_multinode_launcher"] == "standard"


@pytest.mark.parametrize("stage", SETTINGS)
def test_one_node(stage, tmp_path):
    calls, done = dry_run(
        tmp_path / "bin", "one_node.sh", stage, SETTINGS[stage], "--seed", "3", SLURM_GPUS_ON_NODE="4"
    )
    assert done.returncode == 0, done.stderr
    settings, (_, training, _) = launched(calls[0])
    assert len(calls) == 1
    assert (settings.num_processes, settings.config_file) == (4, "launch/accelerate/zero2.yaml")
    assert training.seed == 3


def test_one_node_with_another_file(tmp_path):
    config = "launch/accelerate/fsdp2.yaml"
    calls, _ = dry_run(tmp_path / "bin", "one_node.sh", "sft", SETTINGS["sft"], ACCELERATE_CONFIG=config)
    assert launched(calls[0])[0].config_file == config


def test_many_nodes_all_train(tmp_path):
    variables = {"SLURM_JOB_NODELIST": "a b c", "SLURM_GPUS_ON_NODE": "2"}
    calls, done = dry_run(tmp_path / "bin", "many_nodes.sh", "sft", SETTINGS["sft"], "--seed", "3", **variables)
    assert done.returncode == 0, done.stderr
    runs = [launched(call) for call in calls]
    assert [settings.machine_rank for settings, _ in runs] == [0, 1, 2]
    assert {(s.num_machines, s.num_processes, s.main_process_ip) for s, _ in runs} == {(3, 6, "a")}
    assert {training.seed for _, (_, training, _) in runs} == {3}


def test_many_nodes_grpo_serves_on_the_first(tmp_path):
    variables = {"SLURM_JOB_NODELIST": "a b c", "SLURM_GPUS_ON_NODE": "8", "MODEL": "runs/my/sft"}
    calls, done = dry_run(tmp_path / "bin", "many_nodes.sh", "grpo", SETTINGS["grpo"], **variables)
    assert done.returncode == 0, done.stderr
    (served,) = [arguments for name, _, arguments in calls if name == "trl"]
    words = ["--tensor_parallel_size", "8", "--mm-encoder-tp-mode", "data"]
    assert served == ["vllm-serve", "--model", "runs/my/sft", *words], "all GPUs of the node"
    runs = [launched(call) for call in calls if call[0] == "accelerate"]
    assert {(s.num_machines, s.num_processes, s.main_process_ip) for s, _ in runs} == {(2, 16, "b")}
    for _, (_, training, model) in runs:
        assert (training.use_vllm, training.vllm_mode, training.vllm_server_host) == (True, "server", "a")
        assert model.model_name_or_path == "runs/my/sft"  # what is served is what is trained


@pytest.mark.parametrize(
    ("nodes", "model", "message"),
    [("a b", None, "MODEL: the checkpoint to start from"), ("a", "m", "grpo needs two nodes or more")],
)
def test_many_nodes_grpo_says_what_it_needs(nodes, model, message, tmp_path):
    variables = {"SLURM_JOB_NODELIST": nodes} | ({"MODEL": model} if model else {})
    calls, done = dry_run(tmp_path / "bin", "many_nodes.sh", "grpo", SETTINGS["grpo"], **variables)
    assert done.returncode != 0
    assert message in done.stderr
    assert not calls


@pytest.mark.parametrize("script", ["one_node.sh", "many_nodes.sh"])
def test_no_stage_is_one_line(script, tmp_path):
    _, done = dry_run(tmp_path / "bin", script)
    assert done.returncode != 0
    assert "stage: cpt, sft or grpo" in done.stderr
