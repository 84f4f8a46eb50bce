"""The families' table, by config and processor, and the frame size on the patch grid."""

import re

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from recipe.inference.guided import answer_regex
from recipe.inputs.families import FAMILIES, families_tokens, family_of, fit_frame, frame_grid, is_vision


class Config:
    def __init__(self, model_type):
        self.model_type = model_type


def processor_of(name):
    return object.__new__(getattr(transformers, FAMILIES[name].processor))


def test_box_scale_is_a_setting_of_the_family():
    assert FAMILIES["glm4v"].box_scale((640, 360)) == (1000, 1000)
    assert FAMILIES["qwen3_vl"].box_scale((640, 360)) == (1000, 1000)
    assert FAMILIES["qwen2_5_vl"].box_scale((640, 360)) == (640, 360)


def test_the_control_tokens_hold_the_familys_own_tags_and_pictures():
    for family in FAMILIES.values():
        tags = {family.image_token, family.video_token, *family.think, *family.answer, *family.end_tokens} - {""}
        assert tags <= set(family.control_tokens)
        assert set(family.control_tokens) < set(families_tokens())


def test_config_and_processor_decide_together():
    """GLM-4.1V and GLM-4.6V-Flash are one model type, Qwen3-VL and Qwen3.5 have one processor class."""
    pairs = {(family.config, family.processor) for family in FAMILIES.values()}
    assert len(pairs) == len(FAMILIES)
    assert family_of(Config("glm4v"), processor_of("glm4v")).answer == ("<answer>", "</answer>")
    assert family_of(Config("glm4v"), processor_of("glm46v")).answer == ("", "")
    assert family_of(Config("glmga"), processor_of("glmga")).name == "glmga"
    assert family_of(Config("qwen3_5"), processor_of("qwen3_5")).name == "qwen3_5"


@pytest.mark.parametrize(("model_type", "name"), [("llama", "glm4v"), ("glm46v", "glm46v"), ("qwen3_vl", "glm4v")])
def test_an_unknown_pair_is_named(model_type, name):
    line = f"model type '{model_type}' with a {FAMILIES[name].processor} is unknown here; known: glm4v with Glm4vProc"
    with pytest.raises(ValueError, match=line):
        family_of(Config(model_type), processor_of(name))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_small_checkpoints_are_of_their_family(name, family_checkpoints):
    config = AutoConfig.from_pretrained(family_checkpoints / name)
    processor = AutoProcessor.from_pretrained(family_checkpoints / name)
    assert family_of(config, processor).name == name


@pytest.mark.parametrize("name", FAMILIES)
def test_lora_reaches_every_language_layer_and_no_other(name, family_checkpoints):
    """Of Qwen3.5 those of the linear attention too, which three layers of four have."""
    config = AutoConfig.from_pretrained(family_checkpoints / name)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    linear = {layer for layer, module in model.named_modules() if isinstance(module, nn.Linear)}
    language = {layer for layer in linear if not is_vision(layer) and layer != "lm_head"}
    reached = {layer for layer in linear if re.fullmatch(FAMILIES[name].lora_targets, layer)}
    assert reached == language
    assert any(is_vision(layer) for layer in linear)
    assert any("linear_attn" in layer for layer in reached) == (name == "qwen3_5")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_agrees_with_the_config_classes(name):
    """Patch grid and frames a patch are those of the published sizes, which are the classes' defaults."""
    family = FAMILIES[name]
    config = AutoConfig.for_model(family.config)
    assert frame_grid(config) == family.grid
    assert config.vision_config.temporal_patch_size == family.temporal_patch


@pytest.mark.parametrize("name", ["glm4v", "glm46v", "glmga"])
def test_a_second_of_a_video_is_written_as_the_processor_does(name, family_checkpoints):
    processor = AutoProcessor.from_pretrained(family_checkpoints / name)
    written = FAMILIES[name].second.format(whole=12, time=12.75)
    assert processor.replace_frame_token_id(12.75).endswith(f"<|end_of_image|>{written}")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_guided_answer_is_one_that_the_family_writes(name):
    answer = '{"3": [{"label": "cat-1", "bbox_2d": [1, 2, 3, 4]}]}'
    assert re.fullmatch(answer_regex(FAMILIES[name], 12), FAMILIES[name].written("It enters late.", answer))


@given(st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([24, 28, 32]), st.integers(1, 400))
def test_frames_lie_on_the_grid_within_the_limit(width, height, grid, cells):
    most = cells * grid * grid
    columns, rows = (side / grid for side in fit_frame(width, height, grid=grid, max_pixels=most))
    assert columns == int(columns) >= 1
    assert rows == int(rows) >= 1
    assert columns * rows <= cells
