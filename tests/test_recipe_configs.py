"""Every YAML of the tree parses with the parser of its stage; a typo is named."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from data_prep.stages import StageError
from recipe import cpt, evaluate, grpo, preflight, sft, tiny
from recipe.inputs import export
from recipe.inputs.config_files import MOVED, merge, moved_to
from recipe.inputs.run_folder import recipes, stage_files
from recipe.studies import (
    before_after,
    figure3,
    figure4,
    frame_rates,
    lift,
    paper_mini,
    questions,
    retention,
    rewards,
    table1,
    video_units,
)

CONFIGS = Path("recipe/configs")
FAMILIES = {
    "glm-4.1v-9b": "zai-org/GLM-4.1V-9B-Thinking",
    "glm-4.1v-9b-base": "zai-org/GLM-4.1V-9B-Base",
    "glm-4.6v-flash": "zai-org/GLM-4.6V-Flash",
    "qwen2.5-vl-7b": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3-vl-2b": "Qwen/Qwen3-VL-2B-Instruct",
    "qwen3-vl-4b": "Qwen/Qwen3-VL-4B-Instruct",
    "qwen3-vl-8b": "Qwen/Qwen3-VL-8B-Instruct",
}
CARDS = (24, 48, 80)
STAGES = {"cpt": cpt.parse, "sft": sft.parse, "grpo": grpo.parse, "eval": evaluate.parse}

# What each file is read with: its parser, and the files that it is laid over.
TINY_EVAL, FULL_EVAL = "tiny/eval.yaml", "full/eval.yaml"
READ_BY = {
    **{f"tiny/{stage}.yaml": [(parse, ())] for stage, parse in STAGES.items()},
    **{f"full/{stage}.yaml": [(parse, ())] for stage, parse in STAGES.items()},
    **{f"models/{name}.yaml": [(STAGES[s], (f"full/{s}.yaml",)) for s in STAGES] for name in FAMILIES},
    "peft/lora.yaml": [(STAGES[s], (f"{of}/{s}.yaml",)) for of in ("full", "tiny") for s in ("cpt", "sft", "grpo")],
    "peft/qlora.yaml": [(STAGES[s], (f"full/{s}.yaml", "peft/lora.yaml")) for s in ("cpt", "sft", "grpo")],
    **{f"cards/{card}gb.yaml": [(STAGES[s], (f"full/{s}.yaml",)) for s in STAGES] for card in CARDS},
    "studies/frame-rates.yaml": [(frame_rates.parse, (FULL_EVAL,))],
    "studies/rewards.yaml": [(rewards.parse, (FULL_EVAL,))],
    "studies/table1.yaml": [(table1.parse, ())],
    "studies/figure3.yaml": [(figure3.parse, ())],
    "studies/figure4.yaml": [(figure4.parse, ())],
    "tiny/model.yaml": [(tiny.parse, ())],
    "tiny/traces.yaml": [(export.parse, ())],
    "tiny/table1.yaml": [(table1.parse, ())],
    "tiny/figure4.yaml": [(figure4.parse, ())],
    "tiny/lift.yaml": [(lift.parse, (TINY_EVAL,))],
    "tiny/rewards.yaml": [(rewards.parse, (TINY_EVAL,))],
    "tiny/frame-rates.yaml": [(frame_rates.parse, (TINY_EVAL,))],
    "tiny/video-units.yaml": [(video_units.parse, (TINY_EVAL,))],
    "tiny/retention.yaml": [(retention.parse, (TINY_EVAL,))],
    "tiny/retention-study.yaml": [(questions.parse, (TINY_EVAL,))],
    "tiny/paper-mini.yaml": [(paper_mini.parse, (TINY_EVAL,))],
    "tiny/paper-mini-rewards.yaml": [(rewards.parse, (TINY_EVAL, "tiny/rewards.yaml"))],
    "tiny/paper-mini-gpu.yaml": [(paper_mini.parse, (TINY_EVAL, "tiny/paper-mini.yaml"))],
    "tiny/paper-mini-gpu-runs.yaml": [
        (rewards.parse, (TINY_EVAL, "tiny/rewards.yaml", "tiny/paper-mini-rewards.yaml")),
        (questions.parse, (TINY_EVAL, "tiny/retention-study.yaml")),
    ],
}
READ_BY["tiny/eval.yaml"].append((before_after.parse, ()))
READ_BY["full/eval.yaml"].append((before_after.parse, ()))
OF_DATA_PREP = {"full/data.yaml", "tiny/data.yaml", "tiny/scenes.yaml", "tiny/questions.yaml", "tiny/unit-clips.yaml"}


def config(*names):
    """The options that name files of recipe/configs."""
    return [word for name in names for word in ("--config", f"{CONFIGS}/{name}")]


def full(recipe, stage):
    """The options that name the files of a full recipe's stage."""
    return config(f"full/{stage}.yaml", f"models/{recipe}.yaml")


def test_the_tree_holds_them():
    held = {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
    assert held == READ_BY.keys() | OF_DATA_PREP


@pytest.mark.parametrize("name", READ_BY)
def test_it_parses_and_opens_with_its_story(name, monkeypatch):
    monkeypatch.setenv("RUN", "runs/x")  # make says which run
    text = (CONFIGS / name).read_text()
    assert text.startswith("# ")
    assert "make " in text or "python -m" in text
    for parse, below in READ_BY[name]:
        assert parse(config(*below, name))


@pytest.mark.parametrize("recipe", FAMILIES)
def test_a_recipe_s_video_units_are_what_its_model_was_pre_trained_on(recipe, monkeypatch):
    monkeypatch.setenv("RUN", "runs/x")
    units = "frames" if recipe.startswith("qwen2.5") else "pairs"
    for stage in ("cpt", "sft", "grpo"):
        script, *_ = STAGES[stage](full(recipe, stage))
        assert (script.video_units, script.frame_rate) == (units, "2" if units == "pairs" else "1")
    (evaluation,) = STAGES["eval"](full(recipe, "eval"))
    assert evaluation.video_units == (units if units == "pairs" else None)


def test_no_recipes_yaml_names_a_run_folder():
    for path in CONFIGS.rglob("*.yaml"):
        stated = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in stated if "runs/" in line.partition(" #")[0]], path


@pytest.mark.parametrize("name", [name for name, read in READ_BY.items() if any(below for _, below in read)])
def test_an_overlay_states_only_what_differs(name):
    """A value that the files below say already would hide that somebody changes it there."""
    for parse, below in READ_BY[name]:
        section = next((stage for stage, of_stage in STAGES.items() if of_stage is parse), "eval")
        before = merge([CONFIGS / one for one in below], section)
        stated = merge([CONFIGS / name], section)
        assert {key for key, value in stated.items() if before.get(key, ...) == value} == set()


def test_a_copied_recipe_is_a_recipe_of_its_own(tmp_path, monkeypatch):
    """cp -r recipe/configs/tiny recipe/configs/mine: its data, its stages and its studies are none of the first's."""
    shutil.copytree(CONFIGS / "tiny", tmp_path / "mine")
    found = 0
    for name, read in READ_BY.items():
        if not name.startswith("tiny/"):
            continue
        for parse, below in read:
            paths = [str(tmp_path / one.replace("tiny/", "mine/")) for one in (*below, name)]
            parts = parse([word for path in paths for word in ("--config", path)])
            values = " ".join(str(vars(part) if hasattr(part, "__dict__") else part) for part in parts)
            assert "runs/tiny" not in values, name
            assert "recipe/configs/tiny" not in values, name
            found += "runs/mine" in values
    assert found >= 10
    _, training, model = sft.parse(["--config", str(tmp_path / "mine/sft.yaml")])
    assert (model.model_name_or_path, training.output_dir) == ("runs/mine/cpt", "runs/mine/sft")
    study, _ = rewards.parse(
        ["--config", str(tmp_path / "mine/eval.yaml"), "--config", str(tmp_path / "mine/rewards.yaml")]
    )
    assert (study.run, study.configs) == ("runs/mine", str(tmp_path / "mine"))
    monkeypatch.setenv("RUN", "elsewhere/run")
    assert (
        grpo.parse(["--config", str(tmp_path / "mine/grpo.yaml")])[1].output_dir == "elsewhere/run/grpo-tiou_mviou-s0"
    )


def test_a_copied_overlay_is_a_recipe_of_its_own(tmp_path, monkeypatch):
    """cp recipe/configs/models/glm-4.1v-9b.yaml recipe/configs/models/mine.yaml"""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setattr("recipe.inputs.run_folder.CONFIGS", tmp_path / "configs")
    mine = tmp_path / "configs/models/mine.yaml"
    shutil.copy(tmp_path / "configs/models/glm-4.1v-9b.yaml", mine)
    assert recipes() == sorted(["tiny", "mine", *FAMILIES])
    _, training, model = sft.parse(["--config", str(tmp_path / "configs/full/sft.yaml"), "--config", str(mine)])
    assert (model.model_name_or_path, training.output_dir) == ("runs/mine/cpt", "runs/mine/sft")
    study, _ = rewards.parse(
        ["--config", str(tmp_path / "configs/full/eval.yaml"), "--config", str(mine)]
        + ["--config", str(tmp_path / "configs/studies/rewards.yaml")]
    )
    assert (study.run, study.configs) == ("runs/mine", str(mine))
    assert stage_files(study.configs, "grpo") == [tmp_path / "configs/full/grpo.yaml", mine]


def test_a_stage_of_the_full_recipe_needs_a_model():
    with pytest.raises(
        ValueError, match=r"nothing says what \$RUN is, .*add --config recipe/configs/models/NAME.yaml"
    ):
        sft.parse(config("full/sft.yaml"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("glm-4.1v-9b/sft.yaml", ("full/sft.yaml", "models/glm-4.1v-9b.yaml")),
        ("qwen3-vl-8b/eval.yaml", ("full/eval.yaml", "models/qwen3-vl-8b.yaml")),
        ("glm-4.1v-9b/fps-study.yaml", ("full/eval.yaml", "models/glm-4.1v-9b.yaml", "studies/frame-rates.yaml")),
        ("peft/grpo.yaml", ("peft/lora.yaml",)),
        ("table1.yaml", ("studies/table1.yaml",)),
        ("tiny/study.yaml", ("tiny/eval.yaml", "tiny/lift.yaml")),
    ],
)
def test_a_file_that_moved_is_named_with_the_new_ones(old, new):
    for parse in (sft.parse, table1.parse):
        with pytest.raises(ValueError, match="no such file; its settings are in") as error:
            parse(config(old))
        assert str(error.value).endswith(" ".join(config(*new)))
    for path in new:
        assert (CONFIGS / path).is_file()


def test_a_card_that_has_no_file_is_told_those_that_have():
    with pytest.raises(ValueError, match=r"no such file \(CARD=24, 48 or 80\); there are 24gb.yaml, 48gb.yaml, 80gb"):
        sft.parse([*full("qwen3-vl-2b", "sft"), *config("cards/32gb.yaml")])


def test_every_file_that_moved_leads_to_one_that_is_there():
    assert MOVED
    for old in MOVED:
        assert not (CONFIGS / old).exists()
        for path in moved_to(CONFIGS / old):
            assert path.is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all: {seed: 1}\nsfft: {seed: 2}", "unknown section 'sfft'; did you mean 'sft'?"),
        ("all: {seed: 1}\nlearning_rate: 1.0", "the setting 'learning_rate' stands beside sections; put it into one"),
        ("all: {seed: 1}\nsft: 3", "section 'sft' is 3, expected settings by name"),
        ("- a", "expected a YAML mapping of settings"),
        ("sft: {lerning_rate: 1.0}", "unknown key 'lerning_rate'"),
    ],
)
def test_an_overlay_that_is_none(text, message, tmp_path):
    (tmp_path / "o.yaml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        sft.parse([*config("tiny/sft.yaml"), "--config", str(tmp_path / "o.yaml")])
    assert "\n" not in str(error.value)


def test_each_command_takes_its_own_section(tmp_path, monkeypatch):
    (tmp_path / "o.yaml").write_text(
        "all: {seed: 1}\ncpt: {seed: 2}\ngrpo: {seed: 3, temperature: 0.5}\neval: {batch_size: 7}"
    )
    overlay = ["--config", str(tmp_path / "o.yaml")]
    seeds = {s: STAGES[s]([*config(f"tiny/{s}.yaml"), *overlay])[1].seed for s in ("cpt", "sft", "grpo")}
    assert seeds == {"cpt": 2, "sft": 1, "grpo": 3}
    assert evaluate.parse([*config("tiny/eval.yaml"), *overlay])[0].batch_size == 7
    assert sft.parse([*overlay, *config("tiny/sft.yaml")])[1].seed == 0, "a later file wins"
    assert sft.parse([*config("tiny/sft.yaml"), *overlay, "--seed", "9"])[1].seed == 9
    with pytest.raises(ValueError, match="nothing says which of its sections .* recipe.preflight takes --stage"):
        preflight.parse([*config("tiny/sft.yaml"), *overlay])
    assert preflight.parse(["--stage", "sft", *config("tiny/sft.yaml"), *overlay])[1].seed == 1
    assert preflight.parse([*config("tiny/grpo.yaml"), *overlay])[1].seed == 3, "its keys say that it is GRPO's"
    with pytest.raises(ValueError, match="only commands of a stage have one"):
        tiny.parse([*config("tiny/model.yaml"), *overlay])


def test_a_study_may_name_a_checkpoint_as_a_section_is_called(tmp_path):
    """`sft` is a key of the comparison too: a value that holds no settings makes no section."""
    (tmp_path / "o.yaml").write_text("sft: runs/other/sft")
    args, _ = before_after.parse([*config("tiny/eval.yaml"), "--config", str(tmp_path / "o.yaml")])
    assert args.sft == "runs/other/sft"


def test_a_grpo_run_is_called_after_its_reward_and_seed():
    words = ["--config", "recipe/configs/tiny/grpo.yaml", "--reward", "viou", "--seed", "3"]
    assert grpo.parse(words)[1].output_dir == "runs/tiny/grpo-viou-s3"
    assert grpo.parse([*words, "--output_dir", "runs/x"])[1].output_dir == "runs/x"


@pytest.mark.parametrize("name", READ_BY)
def test_a_typo_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RUN", "runs/x")
    wrong = tmp_path / "wrong.yaml"
    settings = yaml.safe_load((CONFIGS / name).read_text())
    parse, below = READ_BY[name][0]
    (settings["all"] if "all" in settings else settings.get("cpt", settings))["lerning_rate"] = 1.0
    wrong.write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match="lerning_rate"):
        parse([*config(*below), "--config", str(wrong)])


def test_the_command_line_beats_the_yaml():
    _, training, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", "--learning_rate", "5e-6"])
    assert training.learning_rate == 5e-6


@pytest.mark.parametrize("recipe", ["tiny", *FAMILIES])
def test_grpo_is_the_papers(recipe):
    script, training, _ = grpo.parse(config("tiny/grpo.yaml") if recipe == "tiny" else full(recipe, "grpo"))
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
    _, first, cpt_model = cpt.parse(full(recipe, "cpt"))
    _, second, sft_model = sft.parse(full(recipe, "sft"))
    script, rl, rl_model = grpo.parse(full(recipe, "grpo"))
    assert cpt_model.model_name_or_path == FAMILIES[recipe]
    assert (first.output_dir, second.output_dir, rl.output_dir) == (
        f"{folder}/cpt",
        f"{folder}/sft",
        f"{folder}/grpo-tiou_mviou-s0",
    )
    assert (sft_model.model_name_or_path, rl_model.model_name_or_path) == (first.output_dir, second.output_dir)
    for training in (first, second, rl):
        assert training.bf16
        assert not training.use_cpu
        assert training.gradient_checkpointing
    assert first.max_length is second.max_length is None
    assert rl.steps_per_generation == 2 * rl.gradient_accumulation_steps, "the clip acts"
    assert rl.use_vllm
    assert (script.format_weight, script.length_weight, script.dynamic_sampling) == (0, 0, 0)
    assert not any(model.use_peft for model in (cpt_model, sft_model, rl_model)), "LoRA is an overlay"


@pytest.mark.parametrize("stage", ["cpt", "sft", "grpo"])
def test_the_lora_overlay_changes_what_it_states(stage):
    parse, own, overlay = STAGES[stage], full("qwen3-vl-2b", stage), "recipe/configs/peft/lora.yaml"
    plain, over = parse(own), parse([*own, "--config", overlay])
    before = {key: value for part in plain for key, value in vars(part).items()}
    after = {key: value for part in over for key, value in vars(part).items()}
    changed = {key for key in before if str(before[key]) != str(after[key])}
    stated = {"use_peft", "lora_r", "lora_alpha", "lora_dropout", "learning_rate", "vision_learning_rate"}
    assert changed - {"logging_dir", "distributed_state", "deepspeed_plugin"} == stated
    assert after["learning_rate"] == pytest.approx(10 * before["learning_rate"])
    assert parse([*own, "--config", overlay, "--lora_r", "8"])[2].lora_r == 8


# Keys that make or the machine fill, and what follows from others.
FOLLOWS = {"logging_dir", "distributed_state", "deepspeed_plugin", "generation_batch_size"}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("card", CARDS)
def test_a_cards_overlay_changes_what_it_states(card, stage):
    parse, own, overlay = STAGES[stage], full("qwen3-vl-2b", stage), f"cards/{card}gb.yaml"
    plain, over = parse(own), parse([*own, *config(overlay)])
    before = {key: value for part in plain for key, value in vars(part).items()}
    after = {key: value for part in over for key, value in vars(part).items()}
    changed = {key for key in before if str(before[key]) != str(after[key])}
    assert changed - FOLLOWS == merge([CONFIGS / overlay], stage).keys()


@pytest.mark.parametrize("card", CARDS)
def test_on_one_card_answers_of_the_longest_clip_fit_vllm(card):
    """40 tokens a second of an event and 400 of reasoning; a frame of a grid of 28 pixels, and its time in words."""
    script, training, _ = grpo.parse([*full("qwen3-vl-2b", "grpo"), *config(f"cards/{card}gb.yaml")])
    assert training.max_completion_length >= 40 * script.max_seconds + 400
    prompt = script.max_seconds * (script.max_frame_pixels // 28**2 + 8) + 300
    assert prompt + training.max_completion_length <= training.vllm_max_model_length
    assert training.steps_per_generation == 2 * training.gradient_accumulation_steps, "the clip acts"
    rows = training.per_device_train_batch_size * training.steps_per_generation
    assert rows % training.num_generations == 0, "whole groups"


def test_clips_of_the_full_recipe_fit_vllm():
    _, training, _ = grpo.parse(full("glm-4.1v-9b", "grpo"))
    assert 120 * (256 + 8) + 300 + training.max_completion_length <= training.vllm_max_model_length
    assert training.max_completion_length >= 40 * 90 + 400, "events of 90 seconds"
    assert training.vllm_enable_sleep_mode
    assert training.num_generations == 16


def test_reward_weights_and_extras():
    words = [*full("glm-4.1v-9b", "grpo"), "--reward_weights", "1.0", "0.5"]
    script, training, _ = grpo.parse([*words, "--format_weight", "0.1", "--length_weight", "0.2"])
    variant = grpo.chosen_variant(script, training)
    assert variant.weights == (1.0, 0.5, 0.1, 0.2)
    assert variant.name == "tiou_mviou-1-0.5+format-0.1+length-0.2"
    names = [function.__name__ for function in variant.functions]
    assert names == ["tiou_reward", "mviou_reward", "format_reward", "soft_overlong_punishment_reward"]
    # 4096 tokens at most: no punishment up to 4/5 of them (3277), then down to -1
    lengths = [[0] * tokens for tokens in (100, 3277, 4096)]
    assert variant.functions[-1](completion_ids=lengths) == [0.0, 0.0, -1.0]
    with pytest.raises(ValueError, match="reward viou has 1 functions"):
        grpo.parse([*words, "--reward", "viou"])
    script.reward = ["viou"]
    with pytest.raises(StageError, match="reward viou has 1 functions"):
        grpo.chosen_variant(script, training)
