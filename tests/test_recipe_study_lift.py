"""The study trains the right arms with the right words and writes its numbers; training itself is not run here."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.errors import StageError
from recipe.evaluate import EvalArguments
from recipe.evaluation.scores import METRICS, Sample
from recipe.studies import harness
from recipe.studies import lift as study_lift
from recipe.studies.harness import grpo_data, run_stage, variant_of_argv
from recipe.studies.lift import LiftArguments, main, parse
from stvg_rewards import Scores
from tests.helpers import forked


def ended(folder, settings=None, **results):
    """Leave the stamp of a stage that ended with these results."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = {"complete": True, "fingerprint": "0", "settings": settings or {}, "results": results}
    (folder / "stamp.json").write_text(json.dumps(stamp))


@pytest.fixture
def args(tmp_path):
    folder = tmp_path / "run"
    ended(folder / "sft", {"max_steps": 100}, cpu_seconds=200.0)
    return LiftArguments(
        run=str(folder),
        seeds=[0, 4],
        jobs=1,
        other_name="one_pass",
        other_grpo=["--steps_per_generation", "1"],
        continued_sft=["--warmup_steps", "10"],
    )


@pytest.fixture
def evaluation(tiny_data):
    return EvalArguments(tracks=str(tiny_data / "test.jsonl"))


@pytest.fixture
def in_forks(monkeypatch):
    """Stages run in forks of this process: see tests/helpers/forked.py."""
    monkeypatch.setattr(harness.subprocess, "run", forked.run)


@pytest.fixture
def trained(monkeypatch):
    """Stages that were asked for: (stage, folder's name, seed, words); each leaves a log and took 50 CPU-seconds."""
    asked = []

    def run_stage(args, stage, out, seed, *words):
        asked.append((stage, out.name, seed, words))
        out.mkdir(parents=True, exist_ok=True)
        history = [{"step": 1} | ({"clip_ratio/region_mean": 0.25} if stage == "grpo" else {"loss": 1.0})]
        (out / "trainer_state.json").write_text(json.dumps({"log_history": history}))
        return {"cpu_seconds": 50.0}

    def evaluate_both(args, checkpoint):
        better = 0.1 if "grpo" in checkpoint.name else 0.0
        samples = [[Sample(str(n), Scores(0.5, 0.5, 0.2 + better), True, False, 0) for n in range(4)]]
        numbers = dict.fromkeys((*METRICS, "mvIoU"), 0.2 + better) | {"parse_failures": 0.0, "n": 4}
        return dict.fromkeys(("sampled", "greedy"), (numbers, samples))

    monkeypatch.setattr(study_lift, "run_stage", run_stage)
    monkeypatch.setattr(study_lift, "evaluate_both", evaluate_both)
    return asked


def test_the_arms_of_each_seed(args, evaluation, trained):
    main(args, evaluation)
    model = ("--model_name_or_path", f"{args.run}/sft")
    for seed in (0, 4):
        mine = {name: (stage, words) for stage, name, its_seed, words in trained if its_seed == seed}
        assert mine == {
            f"grpo-tiou_mviou-s{seed}": ("grpo", model),
            f"grpo-one_pass-s{seed}": ("grpo", (*model, "--steps_per_generation", "1")),
            # SFT took 2 CPU-seconds a step, GRPO 50: 25 more steps.
            f"sft-continued-s{seed}": ("sft", (*model, "--max_steps", "25", "--warmup_steps", "10")),
        }


def test_the_numbers_by_seed_and_arm(args, evaluation, trained, tmp_path, capsys):
    main(args, evaluation)
    found = json.loads((tmp_path / "run" / "study-lift.json").read_text())
    assert [seed["seed"] for seed in found["seeds"]] == [0, 4]
    for seed in found["seeds"]:
        assert {"sft", "rl", "one_pass", "sft_continued"} <= seed.keys()
        assert seed["rl"]["gain"]["greedy"]["m_vIoU"]["mean"] == pytest.approx(0.1)
        assert seed["sft_continued"]["gain"]["sampled"]["m_vIoU"]["mean"] == 0.0
        assert seed["rl"]["clip_ratio_region_mean"] == 0.25
        assert seed["sft_continued"]["clip_ratio_region_mean"] is None
        assert seed["sft"]["greedy"]["m_vIoU"] == 0.2
    lines = capsys.readouterr().out.splitlines()
    assert "| greedy | rl | 0.300 | 0.300 | 0.300 | 0.300 | +0.100 (+0.100) | 0.2500 |" in lines
    assert "| greedy | sft | 0.200 | 0.200 | 0.200 | 0.200 |  |  |" in lines
    assert "| sampled | sft_continued | 0.200 | 0.200 | 0.200 | 0.200 | +0.000 (+0.000) |  |" in lines


def test_a_stage_that_fails_names_its_log(args, in_forks, tmp_path):
    args.configs = str(tmp_path / "no-configs")
    with pytest.raises(StageError, match=r"recipe\.grpo .* ended with 2; its output is in .*x\.log"):
        run_stage(args, "grpo", tmp_path / "x", 0)
    assert "No such file" in (tmp_path / "x.log").read_text()


def test_each_run_has_a_log_of_its_own(args, in_forks, tmp_path):
    """A weight's dot was taken for a suffix: all seeds of `tiou_mviou-1-0.5` wrote into one log."""
    args.configs = str(tmp_path / "no-configs")
    for seed in (0, 1):
        with pytest.raises(StageError, match=rf"viou-0\.5-s{seed}\.log"):
            run_stage(args, "grpo", tmp_path / f"grpo-viou-0.5-s{seed}", seed)


def test_the_folder_is_named_after_the_recipes_variant(args, tmp_path):
    (tmp_path / "grpo.yaml").write_text("reward: viou\nreward_weights: [2.0]\nlearning_rate: 1.0e-4\n")
    args.configs = str(tmp_path)
    assert variant_of_argv(args).name == "viou-2"
    assert variant_of_argv(args, "--reward", "tiou", "--learning_rate", "1", "--dynamic_sampling", "1").name == (
        "tiou-2+dynamic-1"
    )


def test_the_recipes_arms_are_settings_that_their_stages_know():
    from recipe import grpo
    from recipe.training import supervised

    args, _ = parse(["--config", "recipe/configs/tiny/eval.yaml", "--config", "recipe/configs/tiny/lift.yaml"])
    _, one, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml"])
    _, other, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", *args.other_grpo])
    # The same samples, used another way.
    assert samples_drawn(one) == samples_drawn(other)
    assert one.steps_per_generation * one.num_iterations != other.steps_per_generation * other.num_iterations
    assert supervised.parse(["--config", "recipe/configs/tiny/sft.yaml", *args.continued_sft])


def samples_drawn(training):
    """Completions that a GRPO run samples in all."""
    return training.max_steps * training.per_device_train_batch_size // training.num_iterations


def test_a_run_elsewhere_trains_on_its_own_data(args, evaluation):
    from recipe import grpo

    assert grpo_data(args, evaluation) == [], "a recipe whose YAML names its data"
    data = Path(args.run) / "data"
    data.mkdir(parents=True)
    (data / "grpo.jsonl").touch()
    assert grpo_data(args, evaluation)[1] == str(data / "grpo.jsonl")
    assert grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", *grpo_data(args, evaluation)])[0].tracks == [
        str(data / "grpo.jsonl")
    ]


def test_a_launch_file_starts_accelerate(args, tmp_path, monkeypatch):
    asked = []

    def started(command, **options):
        asked.append(command)
        ended(tmp_path / "x")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(harness.subprocess, "run", started)
    for launch in (None, "launch/accelerate/zero3.yaml"):
        args.launch = launch
        run_stage(args, "grpo", tmp_path / "x", 0)
    alone, launched = asked
    assert alone[:3] == [sys.executable, "-m", "recipe.grpo"]
    assert Path(launched[0]).name == "accelerate"
    assert launched[1:6] == ["launch", "--config_file", "launch/accelerate/zero3.yaml", "-m", "recipe.grpo"]
    assert launched[6:] == alone[3:]


def test_a_full_recipe_trains_with_the_overlay_of_its_model(args, tmp_path, monkeypatch):
    asked = []

    def started(command, **options):
        asked.extend(command)
        ended(tmp_path / "x")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(harness.subprocess, "run", started)
    args.configs = "recipe/configs/models/glm-4.1v-9b.yaml"
    run_stage(args, "sft", tmp_path / "x", 0)
    assert [asked[n + 1] for n, word in enumerate(asked) if word == "--config"] == [
        "recipe/configs/full/sft.yaml",
        "recipe/configs/models/glm-4.1v-9b.yaml",
    ]
    assert variant_of_argv(args, "--reward_weights", "1", "2").name == "tiou_mviou-1-2"


def test_results_come_back_by_item_in_the_order_asked(args):
    args.jobs = 3
    assert list(harness.run_all(args, lambda n: n * n, [3, 1, 2]).items()) == [(3, 9), (1, 1), (2, 4)]
    with pytest.raises(ZeroDivisionError):
        harness.run_all(args, lambda n: 1 // n, [1, 0])


@pytest.mark.parametrize(
    "name", ["lift", "rewards", "frame_rates", "questions", "paper_mini", "before_after", "report"]
)
def test_a_study_has_evaluation_settings_and_is_none(name):
    module = importlib.import_module(f"recipe.studies.{name}")
    words = {"rewards": "rewards", "frame_rates": "frame-rates", "lift": "lift"}
    more = ["--config", f"recipe/configs/tiny/{words[name]}.yaml"] if name in words else []
    study, evaluation = module.parse(["--config", "recipe/configs/tiny/eval.yaml", *more, "--max_records", "3"])
    assert type(evaluation) is EvalArguments
    assert evaluation.limit == 3
    assert not isinstance(study, EvalArguments)
    assert not {"tracks", "model", "out", "temperature"} & vars(study).keys()
    assert study.run == "runs/tiny"


def test_a_setting_of_another_study_is_refused():
    """Every study took `other_grpo`, and only the study of the lift used it."""
    from recipe.studies import rewards

    with pytest.raises(ValueError, match="unknown option '--other_name'"):
        rewards.parse(["--config", "recipe/configs/tiny/eval.yaml", "--other_name", "x"])
