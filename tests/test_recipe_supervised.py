"""CPT and SFT say what is missing before they train, not after."""

import json
import shutil

import pytest
from trl import ModelConfig, SFTConfig

from data_prep.errors import StageError
from data_prep.records import read_records
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
