"""Real videos with real sentences and spans through the same code: records, frames, one step of each stage.

The four clips are VidOR's with the sentences and spans that VidSTG has for them. VidOR's boxes are not public, so
every object gets one and the same made-up box in every frame: the boxes of these records mean nothing.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_prep.__main__ import main
from data_prep.aggregate import aggregate_frames
from data_prep.records import SCHEMA_VERSION, RecordWriter, read_records
from data_prep.seconds import frame_time, seconds_of, span_of_frames
from data_prep.stages import read_stamp
from data_prep.video.sampling import probe, sample_frames
from recipe import grpo
from recipe.inputs.dataset import load_mixture, make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from recipe.training import supervised

SAMPLES = Path(os.environ.get("STVG_SAMPLES", "/nowhere"))
VIDEOS = SAMPLES / "videos"
CLIPS = VIDEOS / "vidor"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLIPS.is_dir(), reason="STVG_SAMPLES names no folder with videos/vidor"),
]


def made_up_box(item):
    """(x_min, y_min, x_max, y_max) in whole pixels, half-open."""
    width, height = item["width"], item["height"]
    return width // 4, height // 4, width // 4 * 3, height // 4 * 3


def annotations():
    """VidSTG's records of the four clips, frames counted from 0; ends as each field states them."""
    names = {path.stem for path in CLIPS.glob("*.mp4")}
    for split in ("val", "test"):
        path = SAMPLES / "samples" / "vidstg" / "annotations" / f"{split}_annotations.json"
        for item in json.loads(path.read_text()):
            if item["vid"] in names:
                yield split, item


def records():
    """What the records have to be, by the definitions and without the converter."""
    for number, (split, item) in enumerate(annotations()):
        fps, segment, event = item["fps"], item["used_segment"], item["temporal_gt"]
        first, frames = segment["begin_fid"], segment["end_fid"] - segment["begin_fid"] + 1  # inclusive
        begin, end = event["begin_fid"] - first, min(event["end_fid"] - first, frames)  # exclusive
        sides = (item["width"], item["height"]) * 2
        box = tuple(pixel / side for pixel, side in zip(made_up_box(item), sides, strict=True))
        boxes = aggregate_frames(dict.fromkeys(range(begin, end), box), fps, "mean")
        for kind, name in (("declarative", "captions"), ("interrogative", "questions")):
            for place, sentence in enumerate(item[name]):
                yield {
                    "schema": SCHEMA_VERSION,
                    "id": f"vidstg/{split}/{item['vid']}/{number}/{kind}/{place}",
                    "source": "vidstg",
                    "split": split,
                    "kind": kind,
                    "video": f"vidor/{item['vid']}.mp4",
                    "clip": [float(frame_time(first, fps)), float(frame_time(first + frames, fps))],
                    "fps": fps,
                    "width": item["width"],
                    "height": item["height"],
                    "seconds": seconds_of(frames, fps),
                    "query": sentence["description"],
                    "label": f"{sentence['type']}-1",
                    "span": list(span_of_frames(begin, end, fps)),
                    "track": [{"second": k, "box": list(box)} for k, box in sorted(boxes.items())],
                    "answer": None,
                }


def trajectories(item):
    """VidOR's file of a video: the made-up box for every object in every frame, right and lower pixels included."""
    left, top, right, bottom = made_up_box(item)
    box = {"xmin": left, "ymin": top, "xmax": right - 1, "ymax": bottom - 1}
    frame = [{"tid": target["tid"], "bbox": box} for target in item["subject/objects"]]
    return {"trajectories": [frame] * item["frame_count"]}


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """`converted.jsonl`, and of it `ground.jsonl` for SFT and GRPO and `general.jsonl` for CPT."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "annotations").mkdir()
    (folder / "boxes" / "vidor").mkdir(parents=True)
    items = list(annotations())
    for split in {split for split, _ in items}:
        kept = [item for name, item in items if name == split]
        (folder / "annotations" / f"{split}_annotations.json").write_text(json.dumps(kept))
    for _, item in items:
        (folder / "boxes" / "vidor" / f"{item['vid']}.json").write_text(json.dumps(trajectories(item)))
    words = [
        "--annotations",
        str(folder / "annotations"),
        "--vidor",
        str(folder / "boxes"),
        "--video_root",
        str(VIDEOS),
    ]
    assert main(["vidstg", *words, "--out", str(folder / "converted.jsonl")]) == 0
    with RecordWriter(folder / "ground.jsonl") as ground, RecordWriter(folder / "general.jsonl") as general:
        for record in read_records(folder / "converted.jsonl"):
            ground.write(record | {"reasoning": "a made-up box"})
            general.write(record | {"kind": "tracking", "id": record["id"] + "/tracking"})
    return folder


def test_the_converter_makes_what_the_definitions_say(tracks):
    fields = ("video", "kind", "query", "clip", "fps", "width", "height", "seconds", "span", "track")

    def compared(found):
        rows = []
        for record in found:
            row = {name: record[name] for name in fields}
            row["clip"] = [round(value, 6) for value in row["clip"]]
            row["track"] = [[s["second"], *(round(v, 6) for v in s["box"])] for s in row["track"]]
            rows.append(json.dumps(row, sort_keys=True))
        return sorted(rows)

    ours = compared(read_records(tracks / "converted.jsonl"))
    assert len(ours) > 40
    assert ours == compared(records())


def test_every_clip_has_sentences_and_its_frames(tracks):
    found = list(read_records(tracks / "ground.jsonl"))
    assert {record["video"] for record in found} == {f"vidor/{path.name}" for path in CLIPS.glob("*.mp4")}
    assert len(found) > 40
    builder = make_builder(VIDEOS, load_prompts(), FAMILIES["glm4v"], grid=28, max_pixels=448 * 448)
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
    config += ["--validation_tracks", str(tracks / "ground.jsonl"), "--held_out_clips", "2"]
    grpo.main(*grpo.parse(config))
    assert read_stamp(rl)["complete"]
    assert logged(rl, "rewards/tiou_reward/mean") >= 0
    assert 0 <= logged(rl, "parse_rate") <= 1


def test_the_sentences_are_real(tracks):
    rows = load_mixture(
        [str(tracks / "ground.jsonl")],
        make_builder(VIDEOS, load_prompts("tiny"), FAMILIES["glm4v"], grid=24, max_pixels=2304),
    )
    asked = [json.loads(text)["query"] for text in rows.with_format(None)["record"]]
    assert "a child in white rides a bicycle outdoors." in asked
    assert "who grabs the ball in the playground?" in asked
