"""`make` on records of one's own: TRACKS, VIDEOS and FROM."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from recipe import sft
from recipe.checks import plan
from recipe.inputs.run_folder import CONFIGS, MODELS


def make(*words, timeout=60):
    return subprocess.run(["make", *words], capture_output=True, text=True, timeout=timeout)


def steps(*words):
    """Return what `make -n` would run: (module and command, words)."""
    done = make("-n", *words)
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines() if " -m " in line and "checks.plan" not in line]
    return [(line[line.index("-m") + 1], line[line.index("-m") + 2 :]) for line in lines]


def option(words, name):
    return words[len(words) - 1 - words[::-1].index(name) + 1]


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}\n")
    (tmp_path / "videos").mkdir()
    return [f"TRACKS={tmp_path / 'mine.jsonl'}", f"VIDEOS={tmp_path / 'videos'}", f"RUN={tmp_path / 'run'}"]


def test_own_records_are_divided_and_every_stage_reads_its_part(mine, tmp_path, monkeypatch):
    run = str(tmp_path / "run")
    found = steps("grpo", "RECIPE=qwen3-vl-2b", "CARD=24", "FROM=sft", *mine)
    modules = [module if module != "data_prep" else f"data_prep {words[0]}" for module, words in found]
    assert modules == [
        "data_prep split",
        "data_prep traces",
        "recipe.sft",
        "recipe.grpo",
        "recipe.studies.before_after",
    ]
    split, traces, trained, grpo, table = (words for _, words in found)
    assert option(split, "--out") == f"{run}/tracks"
    assert option(traces, "--tracks") == f"{run}/tracks/train.jsonl"
    assert option(trained, "--tracks") == f"{run}/traces/traces.jsonl"
    assert option(trained, "--model_name_or_path") == "Qwen/Qwen3-VL-2B-Instruct"
    assert option(grpo, "--tracks") == f"{run}/tracks/train.jsonl"
    assert "--model_name_or_path" not in grpo  # from SFT's folder, as its YAML says
    for words in (trained, grpo):
        assert option(words, "--validation_tracks") == f"{run}/tracks/val.jsonl"
        assert option(words, "--video_root") == str(tmp_path / "videos")
    assert table[: table.index("--")].count(f"{run}/tracks/test.jsonl") == 1
    monkeypatch.setenv("RUN", run)
    script, training, model = sft.parse(trained)
    assert (script.tracks, training.output_dir) == ([f"{run}/traces/traces.jsonl"], f"{run}/sft")
    assert model.model_name_or_path == "Qwen/Qwen3-VL-2B-Instruct"
    plan.parse(["--recipe", "qwen3-vl-2b", *(word for module, words in found for word in ("then", module, *words))])


@pytest.mark.parametrize(
    ("words", "modules"),
    [
        (["sft", "FROM=sft"], ["data_prep", "recipe.tiny", "data_prep", "recipe.sft"]),
        (["grpo", "FROM=grpo"], ["data_prep", "recipe.tiny", "recipe.grpo", "recipe.studies.before_after"]),
        (["cpt", "FROM=cpt"], ["data_prep", "recipe.tiny", "recipe.cpt"]),
    ],
)
def test_stages_before_from_are_left_out_and_it_begins_with_the_base(words, modules):
    found = steps(*words)
    assert [module for module, _ in found] == modules
    begun = next(given for module, given in found if module == f"recipe.{words[1].removeprefix('FROM=')}")
    assert option(begun, "--model_name_or_path") == "runs/tiny/base"


def test_model_and_args_win():
    found = dict(steps("grpo", "FROM=grpo", "MODEL=some/checkpoint", "GRPO_ARGS=--video_root elsewhere"))
    assert option(found["recipe.grpo"], "--model_name_or_path") == "some/checkpoint"
    assert option(found["recipe.grpo"], "--video_root") == "elsewhere"


def test_without_them_nothing_changes():
    assert all("--model_name_or_path" not in words and "tracks/" not in " ".join(words) for _, words in steps("grpo"))


@pytest.mark.parametrize("overlay", sorted((CONFIGS / MODELS).glob("*.yaml")), ids=lambda path: path.stem)
def test_every_overlay_names_its_published_checkpoint_once(overlay):
    """What FROM begins with is read from the overlay by its line."""
    (name,) = re.findall(r"^  model_name_or_path: *(\S+)$", overlay.read_text(), re.MULTILINE)
    (_, words), *_ = steps("sft", f"RECIPE={overlay.stem}", "FROM=sft", "LAUNCH=")
    assert option(words, "--model_name_or_path") == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["FROM=ssft"], "FROM=ssft: expected the stage that begins: cpt, sft or grpo"),
        (["TRACKS=none.jsonl"], "TRACKS=none.jsonl: no such file; python -m data_prep boxes makes one of annotations"),
        (["TRACKS=README.md", "VIDEOS=none"], "VIDEOS=none: expected the folder that the videos of TRACKS lie in"),
    ],
)
def test_what_is_missing_is_one_line(words, message):
    done = make("-n", "sft", *words)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.fixture
def checkout(tmp_path):
    """Return a folder with what `make new-recipe` reads."""
    shutil.copytree(CONFIGS, tmp_path / "recipe" / "configs")
    shutil.copytree("scripts", tmp_path / "scripts")
    return tmp_path


def new_recipe(checkout, *words):
    done = subprocess.run(["scripts/new_recipe.sh", *words], cwd=checkout, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("recipe", "made"), [("qwen3-vl-2b", "models/mine.yaml"), ("tiny", "mine")])
def test_a_recipe_is_copied_under_another_name(recipe, made, checkout):
    assert new_recipe(checkout, recipe, "mine") == (
        0,
        f"recipe/configs/{made}: copied from {recipe}; make grpo RECIPE=mine\n",
    )
    configs = checkout / "recipe" / "configs"
    source = configs / (f"models/{recipe}.yaml" if made.endswith(".yaml") else f"{recipe}/sft.yaml")
    copy = configs / (made if made.endswith(".yaml") else f"{made}/sft.yaml")
    assert copy.read_bytes() == source.read_bytes()
    assert new_recipe(checkout, recipe, "mine") == (
        2,
        f"error: NAME=mine: recipe/configs/{made} is there already; choose another name\n",
    )


@pytest.mark.parametrize("name", ["", "../out", "Mine", "a b"])
def test_a_name_that_is_no_files_is_refused(name, checkout):
    code, said = new_recipe(checkout, "tiny", name)
    assert code == 2
    assert said.startswith(f"error: NAME={name}: expected small letters, digits")


@pytest.mark.slow
def test_from_records_of_ones_own_to_a_report(tiny_data, tmp_path):
    """The walk of docs/own-videos.md, shortened, with the tiny recipe's model."""
    lines = [json.loads(line) for line in (tiny_data / "ground.jsonl").read_text().splitlines()]
    assert len({line["video"] for line in lines}) >= 3
    tracks, run = tmp_path / "mine.jsonl", tmp_path / "run"
    tracks.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = [f"TRACKS={tracks}", f"VIDEOS={tiny_data / 'videos'}", f"RUN={run}", "FROM=sft"]
    short = ["SFT_ARGS=--max_steps 2 --save_steps 2 --per_device_train_batch_size 2"]
    short += ["GRPO_ARGS=--max_steps 2 --save_steps 2 --held_out_every 0 --per_device_train_batch_size 8 "
              "--num_generations 8 --max_completion_length 8"]  # fmt: skip
    done = make("grpo", *words, *short, "EVAL_ARGS=--max_new_tokens 8", timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    parts = {name: (run / "tracks" / f"{name}.jsonl").read_text().splitlines() for name in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == len(lines)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["sft"]["greedy"]["n"] == len(parts["test"])
    assert any("hardly looks" in sign for sign in summary["signs"]["sft"])  # two steps teach nobody to look
    report = (run / "grpo-tiou_mviou-s0" / "report.html").read_text()
    assert re.search(r'class="sign">sft: the loss with another clip', report)
    assert "warning: sft: the loss with another clip" in done.stderr
    assert Path(run / "traces" / "traces.jsonl").is_file()
