"""What a stage loads: a checkpoint from safetensors alone, a processor that pads on the left, a builder that fits."""

import io
import json
import shutil
import sys

import pytest
import torch
from trl import ModelConfig

from data_prep.stages import StageError
from recipe.inputs import loading
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.loading import (
    check_checkpoint,
    control_tokens,
    load_config,
    load_model,
    load_processor,
    row_builder,
)
from recipe.rewards import REWARDS, reward_functions
from stvg_rewards import mviou_reward, tiou_reward, viou_reward


@pytest.mark.parametrize("name", [None, ""])
def test_no_checkpoint_is_one_line(name):
    with pytest.raises(StageError, match="model_name_or_path is missing"):
        check_checkpoint(name)


@pytest.mark.parametrize("name", ["runs/no-such-run/sft", "./nothing", "/nowhere/at/all", "a/b/c"])
def test_a_folder_without_a_checkpoint_is_named(name):
    with pytest.raises(StageError, match=f"{name}: no config.json there"):
        check_checkpoint(name)


def test_folders_and_model_ids_are_taken(tiny_base):
    assert check_checkpoint(str(tiny_base)) == str(tiny_base)
    assert check_checkpoint("zai-org/GLM-4.1V-9B-Thinking") == "zai-org/GLM-4.1V-9B-Thinking"


@pytest.mark.parametrize("load", ["config", "processor", "model"])
def test_a_checkpoints_own_code_is_neither_run_nor_asked_about(tiny_base, tmp_path, monkeypatch, load):
    """F28: transformers asked on the terminal, and ran the code if the next line was "y"."""
    folder = tmp_path / "own-code"
    shutil.copytree(tiny_base, folder)
    kinds = ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor")
    classes = {kind: f"own.{kind.removeprefix('Auto')}" for kind in kinds}
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    for name in ("config.json", "processor_config.json", "preprocessor_config.json"):
        path = folder / name
        settings = json.loads(path.read_text()) if path.is_file() else {}
        settings |= {"auto_map": classes, "model_type": "own"}
        settings.pop("processor_class", None)
        path.write_text(json.dumps(settings))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    model_args = ModelConfig(model_name_or_path=str(folder))
    loads = {
        "config": lambda: load_config(str(folder)),
        "processor": lambda: load_processor(model_args),
        "model": lambda: load_model(model_args, StageArguments()),
    }
    with pytest.raises(StageError, match=r"needs Python code that lies in the checkpoint \(auto_map\)"):
        loads[load]()
    assert not ran.exists()
    assert "y" in sys.stdin.readline(), "nothing was read"


def test_pickled_weights_are_not_read(tiny_base, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_base, folder)
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_model(ModelConfig(model_name_or_path=str(folder)), StageArguments())


@pytest.mark.parametrize(("rate", "learns"), [(None, True), (1e-4, True), (0, False)])
def test_a_vision_rate_of_zero_freezes_the_tower(tiny_base, rate, learns):
    model = load_model(ModelConfig(model_name_or_path=str(tiny_base)), StageArguments(vision_learning_rate=rate))
    vision = [p.requires_grad for name, p in model.named_parameters() if ".visual." in name]
    rest = [p.requires_grad for name, p in model.named_parameters() if ".visual." not in name]
    assert len(vision) > 10
    assert set(vision) == {learns}
    assert set(rest) == {True}


@pytest.mark.parametrize(("dtype", "loaded"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_dtype_of_the_settings(tiny_base, dtype, loaded):
    assert load_model(ModelConfig(model_name_or_path=str(tiny_base), dtype=dtype), StageArguments()).dtype == loaded


def test_the_builder_fits_the_model_and_its_processor(tiny_base):
    script = StageArguments(video_root="v", prompts="tiny", max_frame_pixels=99, frame_rate=2.0, cache_clips=7)
    model_args = ModelConfig(model_name_or_path=str(tiny_base))
    processor = load_processor(model_args)
    builder = row_builder(script, load_model(model_args, script), processor, completions=False)
    assert processor.tokenizer.padding_side == "left"
    assert (builder.family.name, builder.clips.grid) == ("glm4v", 24)  # patches of 12, merged 2 x 2
    clips = builder.clips
    assert (clips.max_pixels, clips.rate, clips.cache_clips, builder.completions) == (99, 2.0, 7, False)
    assert {"<|image|>", "<|user|>", "</think>", "[gMASK]"} <= set(builder.control_tokens)
    assert control_tokens(processor.tokenizer) == builder.control_tokens


def test_the_rewards_by_name():
    assert reward_functions("tiou_mviou") == [tiou_reward, mviou_reward]
    assert reward_functions("viou") == [viou_reward]
    assert REWARDS.keys() == {"tiou_mviou", "mviou", "viou", "tiou", "tiou_viou"}
    with pytest.raises(ValueError, match="reward 'iou' is unknown; choose one of tiou_mviou, mviou, viou, tiou"):
        GRPOArguments(reward="iou")


def test_answers_come_from_the_accelerator_where_there_is_one(tiny_base, monkeypatch):
    model_args = ModelConfig(model_name_or_path=str(tiny_base))
    model = loading.load_answering(model_args, StageArguments())
    expected = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    assert model.device.type == expected.type
    assert not model.training
    # The meta device stands for one that this machine lacks.
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    assert loading.load_answering(model_args, StageArguments()).device.type == "meta"
