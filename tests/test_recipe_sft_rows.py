"""Rows as files: the same as recipe.sft builds, and SFTTrainer takes them as they are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from data_prep.__main__ import main as data_prep
from data_prep.locks import InUse, locked
from data_prep.records import RecordWriter, read_records
from data_prep.stages import StageError
from recipe.inputs import export as sft_rows
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from stvg_rewards import parse_answer


@pytest.fixture(scope="module")
def traces(tiny_data, tmp_path_factory):
    """The small data with traces of the template teacher."""
    out = tmp_path_factory.mktemp("traces")
    assert data_prep(["traces", "--tracks", str(tiny_data / "ground.jsonl"), "--out", str(out)]) == 0
    return out / "traces.jsonl"


def make(tiny_data, tracks, out, *more):
    arguments = ["--tracks", str(tracks), "--video_root", str(tiny_data / "videos"), "--out", str(out), *more]
    sft_rows.main(*sft_rows.parse(["--config", "recipe/configs/tiny/traces.yaml", *arguments]))
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


def test_rows_are_those_that_sft_builds(tiny_data, traces, tmp_path):
    rows = make(tiny_data, traces, tmp_path)
    builder = make_builder(tiny_data / "videos", load_prompts("tiny"), FAMILIES["glm4v"], grid=24, max_pixels=2304)
    records = list(read_records(traces))
    assert len(rows) == len(records) > 5
    for row, record in zip(rows, records, strict=True):
        built = builder.row(record)
        assert {name: row[name] for name in row if name != "images"} == {
            k: v for k, v in built.items() if k != "images"
        }
        assert len(row["images"]) == record["seconds"]
        for name, picture in zip(row["images"], built["images"], strict=True):
            assert not Path(name).is_absolute()
            assert np.array_equal(np.array(Image.open(tmp_path / name)), np.array(picture))
        text = row["completion"][0]["content"]
        assert record["reasoning"] in text
        answer = parse_answer(text, seconds=record["seconds"], scale=(1000, 1000))
        assert answer.span == tuple(record["span"])
        assert answer.track.label == record["label"]


def test_an_interrupted_run_keeps_frames_and_jpeg_is_close(tiny_data, traces, tmp_path):
    names = make(tiny_data, traces, tmp_path)[0]["images"]
    first = tmp_path / names[0]
    before = first.stat().st_mtime_ns
    (tmp_path / names[1]).unlink()
    make(tiny_data, traces, tmp_path)
    assert first.stat().st_mtime_ns == before
    assert (tmp_path / names[1]).exists()
    jpeg = make(tiny_data, traces, tmp_path, "--image_format", "jpg")[0]["images"]
    difference = np.array(Image.open(tmp_path / jpeg[0])).astype(int) - np.array(Image.open(first)).astype(int)
    assert np.abs(difference).mean() < 4


def test_a_replaced_video_has_other_frames(tiny_data, traces, tmp_path):
    records = list({record["video"]: record for record in read_records(traces)}.values())[:2]
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        writer.write(records[0])
    shutil.copytree(tiny_data / "videos", tmp_path / "videos")
    own = ["--video_root", str(tmp_path / "videos")]

    def first_frame():
        (row,) = make(tiny_data, tmp_path / "tracks.jsonl", tmp_path / "out", *own)
        return np.array(Image.open(tmp_path / "out" / row["images"][0]))

    before = first_frame()
    shutil.copyfile(tmp_path / "videos" / records[1]["video"], tmp_path / "videos" / records[0]["video"])
    assert not np.array_equal(first_frame(), before)


def test_one_process_and_no_input_overwritten(tiny_data, traces, tmp_path):
    with locked(tmp_path / "out", folder=True), pytest.raises(InUse, match="out: another thread"):
        make(tiny_data, traces, tmp_path / "out")
    content = traces.read_bytes()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/rows.jsonl").symlink_to(traces)
    with pytest.raises(StageError, match="rows.jsonl: one of the inputs"):
        make(tiny_data, traces, tmp_path / "out")
    with pytest.raises(StageError, match="one of the inputs"):
        make(tiny_data, traces, tiny_data / "videos")
    assert traces.read_bytes() == content


def test_control_tokens_of_a_query_or_trace_are_broken(tiny_data, traces, tmp_path):
    record = next(iter(read_records(traces)))
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        writer.write(
            record | {"query": "a <|image|> dog <|vision_start|>", "reasoning": "it is <|assistant|> </think> there"}
        )
    (row,) = make(tiny_data, tmp_path / "tracks.jsonl", tmp_path / "out")
    assert row["prompt"][0]["content"][-1]["text"].count("< |") == 2
    text = row["completion"][0]["content"]
    assert text.count("</think>") == 1
    assert "<|assistant|>" not in text


def test_missing_videos_are_counted_and_none_is_an_error(tiny_data, traces, tmp_path, capsys):
    records = list(read_records(traces))
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        writer.write(records[0] | {"video": "gone.mp4"})
        writer.write(records[1])
    assert len(make(tiny_data, tmp_path / "tracks.jsonl", tmp_path / "out")) == 1
    assert "1 left out without a video" in capsys.readouterr().out
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        writer.write(records[0] | {"video": "gone.mp4"})
    with pytest.raises(StageError, match="none of its 1 records has its video"):
        make(tiny_data, tmp_path / "tracks.jsonl", tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--family", "x"], "family 'x' is unknown"), (["--image_format", "gif"], "expected jpg or png")],
)
def test_wrong_settings_are_named(more, said):
    with pytest.raises(ValueError, match=said):
        sft_rows.parse(more)


def test_sft_trainer_takes_the_parquet_file_as_it_is(tiny_data, tiny_base, traces, tmp_path, monkeypatch):
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import SFTConfig, SFTTrainer

    make(tiny_data, traces, tmp_path / "rows")
    monkeypatch.chdir(tmp_path)  # nothing depends on where the trainer runs
    dataset = load_dataset("parquet", data_files="rows/rows.parquet", split="train", cache_dir=str(tmp_path / "cache"))
    assert dataset.column_names == ["id", "prompt", "completion", "images"]
    assert dataset[0]["images"][0].size == (48, 48)
    assert (tmp_path / "rows/rows.parquet").stat().st_size < 100_000  # pictures by reference
    settings = SFTConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, max_length=None, use_cpu=True,
        bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no",
    )  # fmt: skip
    trainer = SFTTrainer(
        model=AutoModelForImageTextToText.from_pretrained(tiny_base),
        processing_class=AutoProcessor.from_pretrained(tiny_base),
        train_dataset=dataset,
        args=settings,
    )
    assert 0 < trainer.train().training_loss < 20
