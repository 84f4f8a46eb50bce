"""Every YAML of the tree parses with the parser of its stage; a typo is named."""

import shutil
from pathlib import Path

import pytest

from data_prep.stages import StageError
from recipe import evaluate, grpo, tiny
from recipe.inputs import export as sft_rows
from recipe.studies import before_after, figure3, figure4, paper_mini, retention, table1
from recipe.studies import frame_rates as fps_study
from recipe.studies import lift as study_lift
from recipe.studies import questions as retention_study
from recipe.studies import rewards as reward_study
from recipe.training import supervised

CONFIGS = Path("recipe/configs")
FAMILIES = {
    "glm-4.1v-9b": "zai-org/GLM-4.1V-9B-Thinking",
    "glm-4.6v-flash": "zai-org/GLM-4.6V-Flash",
    "qwen2.5-vl-7b": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3-vl-8b": "Qwen/Qwen3-VL-8B-Instruct",
}
PARSERS = {
    "cpt": [supervised.parse],
    "sft": [supervised.parse],
    "grpo": [grpo.parse],
    "eval": [evaluate.parse, before_after.parse],
    "study": [study_lift.parse],
    "reward-study": [reward_study.parse],
    "model": [tiny.parse],
    "supervised": [supervised.parse],  # an overlay
    "table1": [table1.parse],
    "traces": [sft_rows.parse],
    "fps-study": [fps_study.parse],
    "figure3": [figure3.parse],
    "figure4": [figure4.parse],
    "retention-study": [retention_study.parse],
    "paper-mini-gpu-questions": [retention_study.parse],  # an overlay
    "retention": [retention.parse],
    "paper-mini": [paper_mini.parse],
    "paper-mini-gpu": [paper_mini.parse],  # an overlay
    "paper-mini-rewards": [reward_study.parse],
    "paper-mini-gpu-rewards": [reward_study.parse],  # an overlay
}
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.stem not in ("data", "scenes", "questions"))


def test_the_tree_holds_them():
    own = {path.stem for path in FILES if path.parent.name in ("tiny", "configs")}
    assert own == PARSERS.keys() - {"supervised"}
    for name in FAMILIES:
        studies = {"fps-study", "reward-study"} if name == "glm-4.1v-9b" else set()  # the paper's family
        assert {path.stem for path in FILES if path.parent.name == name} == {"cpt", "sft", "grpo", "eval"} | studies
    assert {path.stem for path in FILES if path.parent.name == "peft"} == {"supervised", "grpo"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_parses_and_opens_with_its_story(path, monkeypatch):
    if path.parent == CONFIGS:
        monkeypatch.setenv("RUN", "runs/x")  # of no recipe; make says which run
    text = path.read_text()
    assert text.startswith("# ")
    assert "make " in text or "python -m" in text
    for parse in PARSERS[path.stem]:
        assert parse(["--config", str(path)])


def test_no_recipes_yaml_names_a_run_folder():
    for path in FILES:
        if path.parent != CONFIGS:
            stated = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
            assert not [line for line in stated if "runs/" in line.partition(" #")[0]], path


@pytest.mark.parametrize("recipe", ["tiny", "glm-4.1v-9b"])
def test_a_copied_recipe_is_a_recipe_of_its_own(recipe, tmp_path, monkeypatch):
    """cp -r recipe/configs/tiny recipe/configs/mine: its data, its stages and its studies are none of the first's."""
    shutil.copytree(CONFIGS / recipe, tmp_path / "mine")
    found = 0
    for path in sorted((tmp_path / "mine").glob("*.yaml")):
        for parse in PARSERS.get(path.stem, []):
            values = [
                str(vars(part) if hasattr(part, "__dict__") else part) for part in parse(["--config", str(path)])
            ]
            assert f"runs/{recipe}" not in " ".join(values), path
            assert f"recipe/configs/{recipe}" not in " ".join(values), path
            found += "runs/mine" in " ".join(values)
    assert found >= 3
    _, training, model = supervised.parse(["--config", str(tmp_path / "mine/sft.yaml")])
    assert (model.model_name_or_path, training.output_dir) == ("runs/mine/cpt", "runs/mine/sft")
    if recipe == "tiny":
        (study,) = reward_study.parse(["--config", str(tmp_path / "mine/reward-study.yaml")])
        assert (study.run, study.configs) == ("runs/mine", str(tmp_path / "mine"))
    monkeypatch.setenv("RUN", "elsewhere/run")
    assert (
        grpo.parse(["--config", str(tmp_path / "mine/grpo.yaml")])[1].output_dir == "elsewhere/run/grpo-tiou_mviou-s0"
    )


def test_a_grpo_run_is_called_after_its_reward_and_seed():
    words = ["--config", "recipe/configs/tiny/grpo.yaml", "--reward", "viou", "--seed", "3"]
    assert grpo.parse(words)[1].output_dir == "runs/tiny/grpo-viou-s3"
    assert grpo.parse([*words, "--output_dir", "runs/x"])[1].output_dir == "runs/x"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_typo_is_named(path, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(path.read_text() + "\nlerning_rate: 1.0\n")
    with pytest.raises(ValueError, match="lerning_rate"):
        PARSERS[path.stem][0](["--config", str(wrong)])


def test_the_command_line_beats_the_yaml():
    _, training, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", "--learning_rate", "5e-6"])
    assert training.learning_rate == 5e-6


@pytest.mark.parametrize("recipe", ["tiny", *FAMILIES])
def test_grpo_is_the_papers(recipe):
    script, training, _ = grpo.parse(["--config", f"recipe/configs/{recipe}/grpo.yaml"])
    assert (training.epsilon, training.epsilon_high, training.beta) == (0.2, 0.28, 0.0)
    assert training.scale_rewards == "group"
    assert training.loss_type == "grpo"
    assert training.importance_sampling_level == "token"
    assert script.reward == ["tiou_mviou"]


def test_an_unknown_reward_is_named():
    with pytest.raises(ValueError, match="reward 'vioux' is unknown; choose one of tiou_mviou, mviou, viou, tiou"):
        grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", "--reward", "vioux"])


@pytest.mark.parametrize("recipe", FAMILIES)
def test_the_stages_of_a_large_recipe_follow_each_other(recipe):
    """Each begins from the checkpoint that the one before leaves; the first from the published one."""
    folder = f"runs/{recipe}"
    _, cpt, cpt_model = supervised.parse(["--config", f"recipe/configs/{recipe}/cpt.yaml"])
    _, sft, sft_model = supervised.parse(["--config", f"recipe/configs/{recipe}/sft.yaml"])
    script, rl, rl_model = grpo.parse(["--config", f"recipe/configs/{recipe}/grpo.yaml"])
    assert cpt_model.model_name_or_path == FAMILIES[recipe]
    assert (cpt.output_dir, sft.output_dir, rl.output_dir) == (
        f"{folder}/cpt",
        f"{folder}/sft",
        f"{folder}/grpo-tiou_mviou-s0",
    )
    assert (sft_model.model_name_or_path, rl_model.model_name_or_path) == (cpt.output_dir, sft.output_dir)
    for training in (cpt, sft, rl):
        assert training.bf16
        assert not training.use_cpu
        assert training.gradient_checkpointing
    assert cpt.max_length is sft.max_length is None
    assert rl.steps_per_generation == 2 * rl.gradient_accumulation_steps, "the clip acts"
    assert rl.use_vllm
    assert (script.format_weight, script.length_weight, script.dynamic_sampling) == (0, 0, 0)
    assert not any(model.use_peft for model in (cpt_model, sft_model, rl_model)), "LoRA is an overlay"


@pytest.mark.parametrize("stage", ["cpt", "sft", "grpo"])
@pytest.mark.parametrize("recipe", FAMILIES)
def test_the_lora_overlay_changes_what_it_states(recipe, stage):
    parse = grpo.parse if stage == "grpo" else supervised.parse
    own = ["--config", f"recipe/configs/{recipe}/{stage}.yaml"]
    overlay = f"recipe/configs/peft/{'grpo' if stage == 'grpo' else 'supervised'}.yaml"
    plain, over = parse(own), parse([*own, "--config", overlay])
    before = {key: value for part in plain for key, value in vars(part).items()}
    after = {key: value for part in over for key, value in vars(part).items()}
    changed = {key for key in before if str(before[key]) != str(after[key])}
    stated = {"use_peft", "lora_r", "lora_alpha", "lora_dropout", "learning_rate", "vision_learning_rate"}
    assert changed - {"logging_dir", "distributed_state", "deepspeed_plugin"} == stated
    assert after["learning_rate"] == pytest.approx(10 * before["learning_rate"])
    assert parse([*own, "--config", overlay, "--lora_r", "8"])[2].lora_r == 8


def test_reward_weights_and_extras():
    words = ["--config", "recipe/configs/glm-4.1v-9b/grpo.yaml", "--reward_weights", "1.0", "0.5"]
    script, training, _ = grpo.parse([*words, "--format_weight", "0.1", "--length_weight", "0.2"])
    variant = grpo.chosen_variant(script, training)
    assert variant.weights == (1.0, 0.5, 0.1, 0.2)
    assert variant.name == "tiou_mviou-1-0.5+format-0.1+length-0.2"
    names = [function.__name__ for function in variant.functions]
    assert names == ["tiou_reward", "mviou_reward", "format_reward", "soft_overlong_punishment_reward"]
    # 2048 tokens at most: no punishment up to 4/5 of them (1639), then down to -1
    lengths = [[0] * tokens for tokens in (100, 1639, 2048)]
    assert variant.functions[-1](completion_ids=lengths) == [0.0, 0.0, -1.0]
    with pytest.raises(ValueError, match="reward viou has 1 functions"):
        grpo.parse([*words, "--reward", "viou"])
    script.reward = ["viou"]
    with pytest.raises(StageError, match="reward viou has 1 functions"):
        grpo.chosen_variant(script, training)
