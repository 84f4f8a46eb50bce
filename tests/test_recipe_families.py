"""The families' table and the frame size on the patch grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.inputs.families import FAMILIES, families_tokens, family_of, fit_frame, frame_grid


class Config:
    def __init__(self, model_type):
        self.model_type = model_type


def test_box_scale_is_a_setting_of_the_family():
    assert FAMILIES["glm4v"].box_scale((640, 360)) == (1000, 1000)
    assert FAMILIES["qwen3_vl"].box_scale((640, 360)) == (1000, 1000)
    assert FAMILIES["qwen2_5_vl"].box_scale((640, 360)) == (640, 360)


def test_the_control_tokens_hold_the_familys_own_tags_and_pictures():
    for family in FAMILIES.values():
        tags = {family.image_token, family.video_token, *family.think, *family.answer} - {""}
        assert tags <= set(family.control_tokens)
        assert set(family.control_tokens) < set(families_tokens())


def test_an_unknown_model_type_is_named():
    with pytest.raises(ValueError, match="model type 'llama' is unknown here; known: glm4v"):
        family_of(Config("llama"))
    assert family_of(Config("glm4v")).image_token == "<|image|>"


@pytest.mark.parametrize("name", ["Glm4vConfig", "Qwen2_5_VLConfig", "Qwen3VLConfig"])
def test_the_grid_is_read_from_real_configs(name):
    import transformers

    config = getattr(transformers, name)()
    assert family_of(config)
    assert frame_grid(config) == config.vision_config.patch_size * config.vision_config.spatial_merge_size


@given(st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([24, 28, 32]), st.integers(1, 400))
def test_frames_lie_on_the_grid_within_the_limit(width, height, grid, cells):
    most = cells * grid * grid
    columns, rows = (side / grid for side in fit_frame(width, height, grid=grid, max_pixels=most))
    assert columns == int(columns) >= 1
    assert rows == int(rows) >= 1
    assert columns * rows <= cells
