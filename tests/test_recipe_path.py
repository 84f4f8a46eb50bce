"""`make grpo` in small, with real commands: every file appears, nothing is made twice, changed settings are."""

import json
import re
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
    assert (folder / "report.html").stat().st_size > 10_000
    assert f"report:  {folder / 'report.html'}" in done.stdout
    assert "| greedy | m_vIoU |" in done.stdout
    assert not list(folder.rglob("*.part")), "nothing half-written is left"


def test_the_summary(run):
    summary = json.loads((run[0] / "summary.json").read_text())
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
    assert {name for name in written if "/eval/" not in name} == {"summary.json", "report.html"}
    assert not any("answers" in name for name in written)


def test_a_changed_setting_makes_its_stage_and_the_later_ones_again(run):
    folder, _ = run
    before = made(folder)
    done = make(folder, SFT_ARGS=SMALL["SFT_ARGS"].replace("3", "4", 1))
    assert "sft: made again, changed: max_steps" in done.stderr
    assert "grpo: made again, changed: its inputs" in done.stderr
    assert all(f"{name}: {folder / name} is up to date" in done.stderr for name in ("data", "base", "cpt"))
    after = made(folder)
    for name in STAGES:
        weights = folder / name / ("test.jsonl" if name == "data" else "model.safetensors")
        assert (after[weights] != before[weights]) == (name in ("sft", STAGES[-1])), name


def test_another_reward_lies_beside_the_first(run):
    folder, _ = run
    kept = made(folder / STAGES[-1])
    make(folder, REWARD="viou", SFT_ARGS=SMALL["SFT_ARGS"].replace("3", "4", 1))
    assert read_stamp(folder / "grpo-viou-s0")["settings"]["variant"] == "viou"
    assert made(folder / STAGES[-1]) == kept
    assert json.loads((folder / "summary.json").read_text())["reward"] == "viou"


def test_it_stops_at_bad_input_with_one_line(run):
    folder, _ = run
    words = [f"{name}={value}" for name, value in (SMALL | {"SFT_ARGS": "--max_steps many"}).items()]
    done = subprocess.run(["make", "sft", f"RUN={folder}", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "error: argument --max_steps/--max-steps: invalid int value: 'many'" in done.stderr
    assert "Traceback" not in done.stderr
