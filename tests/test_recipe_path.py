"""`make grpo` in small, with real commands: every file appears, nothing is made twice, nothing is lost."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors import safe_open

from data_prep.records import read_records
from data_prep.stages import read_stamp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not Path(".venv/.done").exists(), reason="`make install` was not run"),
]

SMALL = {
    "DATA_ARGS": "--scale 0.02",
    "CPT_ARGS": "--max_steps 3 --per_device_train_batch_size 4",
    "SFT_ARGS": "--max_steps 3 --per_device_train_batch_size 4",
    "GRPO_ARGS": "--max_steps 2 --per_device_train_batch_size 8 --num_generations 4 --max_completion_length 12",
    "EVAL_ARGS": "--max_new_tokens 12",
}
STAGES = ("data", "base", "cpt", "sft", "grpo-tiou_mviou-s0")


def make(folder, target="grpo", **changes):
    words = [f"{name}={value}" for name, value in (SMALL | changes).items()]
    done = subprocess.run(["make", target, f"RUN={folder}", *words], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def made(folder):
    """What there is: path -> when it was written."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("path") / "run"
    return folder, make(folder)


def test_every_stage_leaves_its_files(run):
    folder, done = run
    for name in STAGES:
        stamp = read_stamp(folder / name)
        assert stamp is not None, name
        assert stamp["complete"], name
    for name in STAGES[1:]:
        assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
            path.name for path in (folder / name).iterdir()
        }
        with safe_open(folder / name / "model.safetensors", "pt") as weights:
            assert len(list(weights.keys())) > 50
    for split in ("cpt", "val_general", "sft", "grpo", "val", "test"):
        assert list(read_records(folder / "data" / f"{split}.jsonl"))
    assert (folder / STAGES[-1] / "report.html").stat().st_size > 10_000
    assert f"report:  {folder / STAGES[-1] / 'report.html'}" in done.stdout
    assert f'href="{STAGES[-1]}/report.html"' in (folder / "report.html").read_text()
    assert "| greedy | m_vIoU |" in done.stdout
    assert not list(folder.rglob("*.part")), "nothing half-written is left"


def test_the_summary(run):
    summary = json.loads((run[0] / "summary.json").read_text())
    assert summary == json.loads((run[0] / STAGES[-1] / "summary.json").read_text())
    assert summary["seed"] == 0
    assert summary["sft"]["greedy"]["n"] == 8  # 2 % of 400
    assert summary["wrong_image_loss_ratio"].keys() == {"cpt", "sft"}
    assert all(ratio > 0 for ratio in summary["wrong_image_loss_ratio"].values())
    assert summary["clip_ratio_region_mean"] is not None
    assert summary["gain"]["sampled"]["m_vIoU"].keys() == {"mean", "low95", "high95"}


def test_a_second_time_nothing_is_made_again(run):
    folder, _ = run
    before = made(folder)
    done = make(folder)
    for name in ("data", "base", "cpt", "sft", "grpo"):
        assert re.search(rf"^{name}: .* is up to date$", done.stderr, re.MULTILINE), name
    after = made(folder)
    written = {path.relative_to(folder).as_posix() for path in after if after[path] != before.get(path)}
    # The comparison is put together from the kept answers.
    made_again = {f"{place}{name}" for place in ("", f"{STAGES[-1]}/") for name in ("summary.json", "report.html")}
    assert {name for name in written if "/eval/" not in name} == made_again
    assert not any("answers" in name for name in written)


def test_a_changed_setting_stops_and_deletes_nothing(run):
    folder, _ = run
    before = made(folder)
    words = [
        f"{name}={value}" for name, value in (SMALL | {"SFT_ARGS": SMALL["SFT_ARGS"] + " --weight_decay 0.5"}).items()
    ]
    done = subprocess.run(["make", "grpo", f"RUN={folder}", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"{folder / 'sft'}: holds another run, which differs in weight_decay" in line
    assert made(folder) == before


def test_another_reward_lies_beside_the_first(run):
    folder, _ = run
    kept = made(folder / STAGES[-1])
    make(folder, REWARD="viou")
    assert read_stamp(folder / "grpo-viou-s0")["settings"]["variant"] == "viou"
    assert json.loads((folder / "grpo-viou-s0" / "summary.json").read_text())["reward"] == "viou"
    assert made(folder / STAGES[-1]) == kept, "its report and summary too"
    assert json.loads((folder / "summary.json").read_text())["reward"] == "viou"


def test_the_folder_that_arguments_name_is_evaluated_and_reported(run):
    """Its table is its own, never the default run's."""
    folder, _ = run
    kept = made(folder / STAGES[-1])
    other = folder / "grpo-lr2e-4"
    done = make(folder, ARGS=f"--output_dir {other} --learning_rate 2e-4 --seed 1 --reward mviou --max_steps 1")
    assert f"report:  {other / 'report.html'}" in done.stdout
    summary = json.loads((other / "summary.json").read_text())
    assert (summary["reward"], summary["seed"], summary["folder"]) == ("mviou", 1, str(other))
    assert json.loads((other / "trainer_state.json").read_text())["global_step"] == 1
    assert made(folder / STAGES[-1]) == kept


def test_a_copied_recipe_makes_data_and_stages_of_its_own(tmp_path):
    for name in ("Makefile", "setup.cfg", "constraints.txt"):
        shutil.copy2(name, tmp_path / name)  # with its time, or make would install anew
    for name in ("recipe", "data_prep", "rewards", "scripts"):
        shutil.copytree(name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(".venv").resolve())
    shutil.copytree(tmp_path / "recipe/configs/tiny", tmp_path / "recipe/configs/mine")
    words = [f"{name}={value}" for name, value in SMALL.items()]
    own = os.environ | {"PYTHONPATH": f"{tmp_path / 'rewards'}:{tmp_path}"}
    done = subprocess.run(
        ["make", "sft", "RECIPE=mine", *words], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"]
    assert {"data", "base", "traces", "cpt", "sft"} <= {path.name for path in (tmp_path / "runs/mine").iterdir()}
    assert read_stamp(tmp_path / "runs/mine/sft")["complete"]


def test_it_stops_at_bad_input_with_one_line(run):
    folder, _ = run
    words = [f"{name}={value}" for name, value in (SMALL | {"SFT_ARGS": "--max_steps many"}).items()]
    done = subprocess.run(["make", "sft", f"RUN={folder}", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "error: sft: argument --max_steps: invalid int value: 'many'" in done.stderr
    assert "Traceback" not in done.stderr
