"""Real videos with real sentences and spans through the same code: records, frames, one step of each stage.

The four clips are VidOR's with the sentences and spans that VidSTG has for them. VidOR's boxes are not public, so
every frame of an event gets one and the same made-up box: the boxes of these records mean nothing.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_prep.aggregate import aggregate_frames
from data_prep.records import SCHEMA_VERSION, RecordWriter, read_records
from data_prep.seconds import frame_time, seconds_of, span_of_frames
from data_prep.stages import read_stamp
from data_prep.video import probe, sample_frames
from recipe import grpo, supervised
from recipe.dataset import RowBuilder, load_mixture
from recipe.families import FAMILIES
from recipe.prompts import load_prompts

SAMPLES = Path(os.environ.get("STVG_SAMPLES", "/nowhere"))
VIDEOS = SAMPLES / "videos" / "vidor"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not VIDEOS.is_dir(), reason="STVG_SAMPLES names no folder with videos/vidor"),
]

MADE_UP_BOX = (0.25, 0.25, 0.75, 0.75)


def annotations():
    """VidSTG's records of the four clips, frames counted from 0; ends as each field states them."""
    names = {path.stem for path in VIDEOS.glob("*.mp4")}
    for split in ("val", "test"):
        path = SAMPLES / "samples" / "vidstg" / "annotations" / f"{split}_annotations.json"
        for item in json.loads(path.read_text()):
            if item["vid"] in names:
                yield split, item


def records():
    for number, (split, item) in enumerate(annotations()):
        fps, segment, event = item["fps"], item["used_segment"], item["temporal_gt"]
        first, frames = segment["begin_fid"], segment["end_fid"] - segment["begin_fid"] + 1  # inclusive
        begin, end = event["begin_fid"] - first, min(event["end_fid"] - first, frames)  # exclusive
        boxes = aggregate_frames(dict.fromkeys(range(begin, end), MADE_UP_BOX), fps, "mean")
        for kind, name in (("declarative", "captions"), ("interrogative", "questions")):
            for place, sentence in enumerate(item[name]):
                yield {
                    "schema": SCHEMA_VERSION,
                    "id": f"vidstg/{split}/{item['vid']}/{number}/{kind}/{place}",
                    "source": "vidstg",
                    "split": split,
                    "kind": kind,
                    "video": f"{item['vid']}.mp4",
                    "clip": [float(frame_time(first, fps)), float(frame_time(first + frames, fps))],
                    "fps": fps,
                    "width": item["width"],
                    "height": item["height"],
                    "seconds": seconds_of(frames, fps),
                    "query": sentence["description"],
                    "label": f"{sentence['type']}-1",
                    "span": list(span_of_frames(begin, end, fps)),
                    "track": [{"second": k, "box": list(box)} for k, box in sorted(boxes.items())],
                    "reasoning": "a made-up box",
                }


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    with RecordWriter(folder / "ground.jsonl") as ground, RecordWriter(folder / "general.jsonl") as general:
        for record in records():
            ground.write(record)
            general.write(record | {"kind": "tracking", "id": record["id"] + "/tracking"})
    return folder


def test_every_clip_has_sentences_and_its_frames(tracks):
    found = list(read_records(tracks / "ground.jsonl"))
    assert {record["video"] for record in found} == {path.name for path in VIDEOS.glob("*.mp4")}
    assert len(found) > 40
    builder = RowBuilder(VIDEOS, load_prompts(), FAMILIES["glm4v"], grid=28, max_pixels=448 * 448)
    for record in found:
        info = probe(VIDEOS / record["video"])
        assert (info.width, info.height) == (record["width"], record["height"])
        row = builder.row(record)
        images = row["images"]
        assert len(images) == record["seconds"]
        assert all(side % 28 == 0 for image in images for side in image.size)
        # The same instants asked of the file as a whole.
        start = record["clip"][0]
        times = [min(start + k + 0.5, record["clip"][1] - 1 / 60) for k in range(record["seconds"])]
        assert images == sample_frames(VIDEOS / record["video"], times, size=images[0].size)
        assert record["query"] in row["prompt"][0]["content"][-1]["text"]


def words(tracks, kind, model, out):
    return [
        *("--model_name_or_path", str(model), "--tracks", str(tracks / f"{kind}.jsonl"), "--video_root", str(VIDEOS)),
        *(
            "--output_dir",
            str(out),
            "--max_steps",
            "1",
            "--warmup_steps",
            "0",
            "--disable_tqdm",
            "true",
            "--logging_steps",
            "1",
        ),
    ]


def moved(before, after):
    old, new = (load_file(folder / "model.safetensors") for folder in (before, after))
    return {name for name in old if not torch.equal(old[name], new[name])}


def logged(folder, name):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return next(entry[name] for entry in history if name in entry)


def test_one_step_of_each_stage(tracks, tiny_base, tmp_path):
    cpt, sft, rl = tmp_path / "cpt", tmp_path / "sft", tmp_path / "grpo"
    small = ["--per_device_train_batch_size", "4"]
    for name, kind, model, out in (("cpt", "general", tiny_base, cpt), ("sft", "ground", cpt, sft)):
        config = ["--config", f"recipe/configs/tiny/{name}.yaml", *words(tracks, kind, model, out), *small]
        config += ["--validation_tracks", str(tracks / "ground.jsonl")]
        supervised.main(name, *supervised.parse(config))
        stamp = read_stamp(out)
        assert stamp["complete"]
        assert 0.9 < stamp["results"]["wrong_image_loss_ratio"] < 1.1
        assert 1.0 < logged(out, "loss") < 12.0
        assert any(".visual." in name for name in moved(model, out))
    config = ["--config", "recipe/configs/tiny/grpo.yaml", *words(tracks, "ground", sft, rl)]
    config += ["--per_device_train_batch_size", "4", "--num_generations", "4", "--max_completion_length", "16"]
    grpo.main(*grpo.parse(config))
    assert read_stamp(rl)["complete"]
    assert logged(rl, "rewards/tiou_reward/mean") >= 0
    assert 0 <= logged(rl, "parse_rate") <= 1


def test_the_sentences_are_real(tracks):
    rows = load_mixture(
        [str(tracks / "ground.jsonl")],
        RowBuilder(VIDEOS, load_prompts("tiny"), FAMILIES["glm4v"], grid=24, max_pixels=2304),
    )
    asked = [json.loads(text)["query"] for text in rows.with_format(None)["record"]]
    assert "a child in white rides a bicycle outdoors." in asked
    assert "who grabs the ball in the playground?" in asked
