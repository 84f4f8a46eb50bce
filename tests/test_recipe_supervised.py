"""CPT and SFT say what is missing before they train, not after."""

import json
import shutil

import pytest
from trl import ModelConfig, SFTConfig

from data_prep.errors import StageError
from data_prep.records import read_records
from data_prep.stages import read_stamp
from recipe.inputs.arguments import StageArguments
from recipe.training import supervised
from tests.helpers.tiny_parts import COMMON


@pytest.mark.parametrize("reason", ["missing", "unreadable"])
def test_validation_videos_of_no_use_stop_it_before_training(tiny_data, tiny_base, tmp_path, monkeypatch, reason):
    elsewhere, videos = tmp_path / "val.jsonl", tmp_path / "videos"
    shutil.copytree(tiny_data / "videos", videos)
    if reason == "unreadable":
        (videos / "broken.mp4").touch()
    record = next(read_records(tiny_data / "ground.jsonl")) | {"video": "broken.mp4"}
    elsewhere.write_text(json.dumps(record) + "\n")
    monkeypatch.setattr(supervised.GroundingSFTTrainer, "train", lambda *_, **__: pytest.fail("it trains"))
    script = StageArguments(
        tracks=[str(tiny_data / "ground.jsonl")],
        validation_tracks=str(elsewhere),
        video_root=str(videos),
        prompts="tiny",
        max_frame_pixels=2304,
    )
    args = SFTConfig(output_dir=str(tmp_path / "sft"), max_length=None, **COMMON)
    with pytest.raises(StageError, match=rf"val\.jsonl: 1 of 1 records without a usable video: 1 {reason}"):
        supervised.main("sft", script, args, ModelConfig(model_name_or_path=str(tiny_base), dtype="float32"))
    assert not (tmp_path / "sft" / "model.safetensors").exists()


def test_validation_loss_and_held_out_answers_stand_in_the_log(tiny_data, tiny_base, tmp_path):
    """CPT and SFT have them as GRPO has; rows of one length are trained on together."""
    script = StageArguments(
        tracks=[str(tiny_data / "ground.jsonl")],
        validation_tracks=str(tiny_data / "test.jsonl"),
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        max_frame_pixels=2304,
        held_out_every=1,
        held_out_clips=3,
        held_out_tokens=8,
        media_clips=0,
    )
    evaluation = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 1}
    grouped = {"train_sampling_strategy": "group_by_length", "logging_steps": 1}
    args = SFTConfig(output_dir=str(tmp_path / "sft"), max_length=None, **COMMON | evaluation | grouped)
    supervised.main("sft", script, args, ModelConfig(model_name_or_path=str(tiny_base), dtype="float32"))
    log = json.loads((tmp_path / "sft" / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in log if "held_out/m_vIoU" in entry] == [0, 1]
    (loss,) = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert 0 < loss < 20
    assert read_stamp(tmp_path / "sft")["results"]["wrong_image_loss_ratio"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("settings", [{"eval_strategy": "steps", "eval_steps": 1}, {}])
def test_what_needs_validation_tracks_says_so(settings, tiny_data, tiny_base, tmp_path):
    script = StageArguments(
        tracks=[str(tiny_data / "ground.jsonl")],
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        max_frame_pixels=2304,
        held_out_every=0 if settings else 5,
    )
    args = SFTConfig(output_dir=str(tmp_path / "sft"), max_length=None, **COMMON | settings)
    with pytest.raises(StageError, match="validation_tracks is not: name a track file, or set it to"):
        supervised.main("sft", script, args, ModelConfig(model_name_or_path=str(tiny_base), dtype="float32"))
