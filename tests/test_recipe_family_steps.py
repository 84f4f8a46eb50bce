"""Each family's real classes with small random weights: CPT, SFT and GRPO take a step, and so does LoRA."""

import json
import re

import pytest
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from trl import ModelConfig

from data_prep.records import read_records
from data_prep.stages import read_stamp
from recipe import grpo
from recipe.inputs.dataset import completion_text
from recipe.inputs.families import FAMILIES, family_of
from recipe.inputs.loading import load_processor
from recipe.training import supervised
from tests.helpers.family_models import LAYERS

FAMILY_NAMES = sorted(FAMILIES)
# A stage takes seconds, and Qwen3.5's linear attention a minute without its kernels: the fast tests take one family of
# either unit of boxes.
QUICK = ["glm4v", "qwen2_5_vl"]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILY_NAMES if name not in QUICK]
LORA = [QUICK[0], *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILY_NAMES if name != QUICK[0])]
SETTINGS = """
dtype: float32
video_root: {data}/videos
reasoning_share: 0
prompts: tiny
max_frame_pixels: 2304
max_steps: 1
learning_rate: 1.0e-3
gradient_checkpointing: false
bf16: false
use_cpu: true
dataloader_pin_memory: false
remove_unused_columns: false
report_to: none
disable_tqdm: true
per_device_train_batch_size: 4
"""
SUPERVISED = "max_length: null\ncompletion_only_loss: true\n"
ROLLOUT = "num_generations: 4\nsteps_per_generation: 2\nmax_completion_length: 64\nlog_multimodal: false\n"
ROLLOUT += "epsilon: 0.2\nepsilon_high: 0.28\nbeta: 0.0\nloss_type: grpo\nsave_steps: 2\n"


def weights(folder):
    """Weights by the names that the loaded model has; some families are stored under others."""
    return AutoModelForImageTextToText.from_pretrained(folder).state_dict()


def run(stage, model, tracks, out, tiny_data, *words):
    """One step of a stage through its own parser and main; its settings come from a YAML file as in a recipe."""
    config = out.parent / f"{out.name}.yaml"
    out.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(SETTINGS.format(data=tiny_data) + (ROLLOUT if stage == "grpo" else SUPERVISED))
    words = ["--config", str(config), "--model_name_or_path", str(model), "--output_dir", str(out), *words]
    words += ["--tracks", str(tiny_data / tracks)]
    if stage == "grpo":
        grpo.main(*grpo.parse(words))
    else:
        supervised.main(stage, *supervised.parse(words))
    assert read_stamp(out)["complete"]
    return weights(out)


def moved(before, after):
    """Names of the weights that a step changed."""
    assert before.keys() == after.keys()
    return {name for name in before if not before[name].equal(after[name])}


@pytest.mark.parametrize("name", QUICK + SLOW)
def test_cpt_sft_and_grpo_take_a_step(name, family_checkpoints, tiny_data, tmp_path):
    base = weights(family_checkpoints / name)
    cpt = run("cpt", family_checkpoints / name, "general.jsonl", tmp_path / "cpt", tiny_data)
    sft = run("sft", tmp_path / "cpt", "ground.jsonl", tmp_path / "sft", tiny_data)
    # An untrained model's answers all score 0; those that are punished for their length are not all alike.
    rl = run("grpo", tmp_path / "sft", "ground.jsonl", tmp_path / "grpo", tiny_data, "--length_weight", "1.0")
    template = load_processor(ModelConfig(model_name_or_path=str(family_checkpoints / name))).chat_template
    for stage in ("cpt", "sft", "grpo"):
        assert AutoProcessor.from_pretrained(tmp_path / stage).chat_template == template, "served as it was trained"
    for before, after in ((base, cpt), (cpt, sft), (sft, rl)):
        names = moved(before, after)
        assert any("visual" in name for name in names), "the vision tower learns"
        assert any("language_model.layers" in name for name in names), "and the language model"
    history = json.loads((tmp_path / "grpo" / "trainer_state.json").read_text())["log_history"]
    logged = next(entry for entry in history if "reward" in entry)
    assert logged["reward_std"] > 0
    assert {"tIoU", "mvIoU", "vIoU", "parse_rate", "clip_ratio/region_mean", "frac_reward_zero_std"} <= logged.keys()
    assert logged["completions/max_length"] <= 64


@pytest.mark.parametrize("name", LORA)
def test_lora_adapts_the_language_model_alone_and_leaves_a_whole_one(name, family_checkpoints, tiny_data, tmp_path):
    base = weights(family_checkpoints / name)
    after = run("sft", family_checkpoints / name, "ground.jsonl", tmp_path / "sft", tiny_data, "--use_peft", "true")
    names = moved(base, after)
    assert names
    for changed in names:
        assert re.fullmatch(FAMILIES[name].lora_targets, changed.removesuffix(".weight")), changed
    layers = {re.search(r"layers\.(\d+)", changed).group(1) for changed in names}
    parts = {changed.split(".")[-2] for changed in names}
    assert layers == {str(index) for index in range(LAYERS.get(name, 2))}
    assert {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"} <= parts
    assert parts & {"gate_up_proj", "gate_proj"}
    assert ({"in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "out_proj"} <= parts) == (name == "qwen3_5")
    assert (tmp_path / "sft" / "adapter" / "adapter_config.json").is_file()
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "sft")
    assert not any("lora" in parameter for parameter, _ in loaded.named_parameters())
    AutoProcessor.from_pretrained(tmp_path / "sft")


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_table_agrees_with_the_classes(name, family_checkpoints, tiny_data):
    """Token names and ids, and completions whose boxes are in the family's units."""
    config = AutoConfig.from_pretrained(family_checkpoints / name)
    processor = AutoProcessor.from_pretrained(family_checkpoints / name)
    tokenizer, family = processor.tokenizer, family_of(config, processor)
    assert family.name == name
    assert tokenizer.convert_tokens_to_ids(family.image_token) == config.image_token_id
    assert tokenizer.convert_tokens_to_ids(family.video_token) == config.video_token_id
    record = next(read_records(tiny_data / "ground.jsonl"))
    text = completion_text(record, family, family.box_scale((48, 24)))
    numbers = [int(number) for box in re.findall(r"\[(\d+, \d+, \d+, \d+)\]", text) for number in box.split(", ")]
    assert numbers
    assert (max(numbers) > 48) == (family.coordinates == "thousandths")
    assert text.endswith(family.answer[1] or "}")
