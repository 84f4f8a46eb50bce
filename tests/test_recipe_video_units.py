"""`video_units: pairs`: rows, odd clips, shards, settings, preflight, and what a stage saves."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from trl import ModelConfig
from trl.data_utils import prepare_multimodal_messages

from data_prep.__main__ import main as data_prep
from data_prep.records import read_records
from data_prep.stages import StageError
from data_prep.video.frame_store import FrameStore
from data_prep.video.sampling import probe_whole, sample_frames
from recipe import evaluate, ground, preflight
from recipe.checks import stage as checks_stage
from recipe.checks.checkpoint import checkpoint_of
from recipe.checks.data import Volume, videos_keep_their_size
from recipe.checks.facts import Texts, read_facts
from recipe.checks.labels import end_ids, labels_are_the_completion, prompts_are_the_same, rows_taught
from recipe.checks.native_video import size_kept
from recipe.inference.answer_key import key_of
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES, family_of, frame_grid
from recipe.inputs.loading import load_processor, row_builder
from recipe.inputs.native_video import NativeVideoProcessor, accept_native_video
from recipe.inputs.pair_pictures import frames_shown, video_of
from recipe.inputs.prompts import load_prompts
from stvg_rewards.prompts.box_format import BoxFormat
from tests.helpers.films import index_of, make_video
from tests.test_recipe_family_steps import run
from tests.test_recipe_native_video import NATIVE

PAIRS = ["--video_units", "pairs"]


def first(tiny_data):
    return next(read_records(tiny_data / "ground.jsonl"))


def builder_of(root, prompts="tiny", **options):
    options = {"rate": 2.0, "units": "pairs"} | options
    return make_builder(root, load_prompts(prompts), FAMILIES["glm4v"], 24, 2304, **options)


def test_a_row_of_pairs(tiny_data):
    """A picture a second of the frames at its quarter points, and no times of ours in the prompt."""
    record = first(tiny_data)
    row = builder_of(tiny_data / "videos", prompts=None).row(record)
    seconds = record["seconds"]
    assert [picture.size for picture in row["images"]] == [(48, 96)] * seconds
    times = [second + part for second in range(seconds) for part in (0.25, 0.75)]
    wanted = sample_frames(tiny_data / "videos" / record["video"], times, size=(48, 48))
    assert [frame.tobytes() for frame in frames_shown(row["images"])] == [frame.tobytes() for frame in wanted]
    (message,) = row["prompt"]
    assert [part["type"] for part in message["content"]] == ["image"] * seconds + ["text"]
    assert "The video stands above." in message["content"][-1]["text"]
    single = builder_of(tiny_data / "videos", units="frames", rate=1.0).row(record)
    for name in ("completion", "box_scale", "track", "seconds"):
        assert row[name] == single[name], "the answer's clock and scale stay"


def test_pixels_are_those_of_a_frame_and_not_of_a_pair(tiny_data):
    """A served model that is asked for pixels sees frames of 48 x 48, which travel one above the other."""
    builder = replace(builder_of(tiny_data / "videos"), boxes=BoxFormat(unit="pixels"))
    assert builder.row(first(tiny_data))["box_scale"] == [48, 48]


@pytest.mark.parametrize(
    ("options", "own", "grids", "frames", "fps"),
    [
        ({"rate": 1.0}, {}, 2, 3, 1.0),  # three seconds: the last grid holds the third frame twice
        ({"rate": 4.0}, {}, 6, 12, 4.0),
        ({"rate": 2.0}, {"rate": 0.5}, 1, 2, 0.5),  # the record's own
        ({"rate": "dynamic", "frame_budget": 6, "completions": False}, {}, 3, 6, 2.0),
    ],
)
def test_other_densities(options, own, grids, frames, fps, tiny_data):
    record = first(tiny_data) | {"clip": [0.0, 3.0], "seconds": 3} | own
    builder = builder_of(tiny_data / "videos", **options)
    row = builder.row(record)
    video, described = video_of(row["images"])
    assert (len(row["images"]), len(frames_shown(row["images"])), described["fps"]) == (grids, frames, fps)
    assert len(video) == 2 * grids
    assert len(row["prompt"][0]["content"]) == grids + 1
    assert builder.clips.starts(record) == [2 * index / fps for index in range(grids)]


def seen(path, rate=2.0):
    """Which frames of a film the pairs of its clip show, and how many seconds it has."""
    info = probe_whole(path)
    record = {"id": "a", "kind": "qa", "query": "?", "answer": "", "video": path.name, "width": 64, "height": 48}
    record |= {"clip": [0.0, float(info.duration_s)], "seconds": info.seconds}
    builder = make_builder(path.parent, load_prompts("tiny"), FAMILIES["glm4v"], 16, 64 * 48, rate=rate, units="pairs")
    row = builder.row(record)
    video, _ = video_of(row["images"])
    return info.seconds, [index_of(picture) for picture in map(Image.fromarray, video)]


def test_odd_clips(tmp_path):
    """One frame; a last second with half its frames; a variable rate; an odd number of seconds at 1 frame a second."""
    assert seen(make_video(tmp_path / "one.mp4", 1, 10)) == (1, [0, 0])
    # 25 frames at 10 a second end at 2.4: past it the last frame stands, at 2.75.
    assert seen(make_video(tmp_path / "half.mp4", 25, 10)) == (3, [2, 7, 12, 17, 22, 24])
    # Frames at 0, 0.5, 0.6, 0.7, 1.9 s: on screen at .25 .75, 1.25 1.75 are the first and the fourth.
    variable = make_video(tmp_path / "vfr.mp4", 5, 10, pts=[0, 5, 6, 7, 19], time_base=Fraction(1, 10), b_frames=0)
    assert seen(variable) == (2, [0, 3, 3, 3])
    assert seen(make_video(tmp_path / "odd.mp4", 30, 10), rate=1.0) == (3, [5, 15, 25, 25])


def test_the_rate_s_default_follows_the_units():
    assert StageArguments().frame_rate == "1"
    assert StageArguments(video_units="pairs").frame_rate == "2"
    assert StageArguments(video_units="pairs", frame_rate="1").frame_rate == "1"
    with pytest.raises(ValueError, match="video_units 'pair', expected frames or pairs"):
        StageArguments(video_units="pair")
    with pytest.raises(ValueError, match="video_units 'video', expected frames or pairs"):
        evaluate.EvalArguments(tracks="t", video_units="video")


@pytest.mark.parametrize("units", ["frames", "pairs"])
@pytest.mark.parametrize("rate", ["0", "x", "-1", "nan"])
def test_a_rate_that_is_none_is_refused_with_the_settings(rate, units):
    for settings in (StageArguments, evaluate.EvalArguments):
        with pytest.raises(ValueError, match=f"frame rate '{rate}', expected frames a second such as 1 or 0.5"):
            settings(tracks="t", video_units=units, frame_rate=rate)


def test_the_key_of_answers_says_the_units(tiny_base):
    keys = {units: key_of(str(tiny_base), StageArguments(video_units=units)) for units in ("frames", "pairs")}
    assert "video_units" not in keys["frames"].settings, "answers from before the setting keep their keys"
    assert keys["pairs"].settings["video_units"] == "pairs"
    assert keys["pairs"].settings["frame_rate"] == 2.0
    assert keys["pairs"].short != key_of(str(tiny_base), StageArguments(frame_rate="2")).short


def test_frames_from_shards(tiny_data, tmp_path):
    words = ["frames", "--tracks", str(tiny_data / "ground.jsonl"), "--video_root", str(tiny_data / "videos")]
    words += ["--max_frame_pixels", "2304", "--grid", "24", "--workers", "1", "--out", str(tmp_path / "shards")]
    assert data_prep([*words, "--frame_rate", "2"]) == 0
    record = first(tiny_data)
    store = FrameStore(tmp_path / "shards")
    stored = builder_of(tiny_data / "nothing", store=store).row(record)
    decoded = builder_of(tiny_data / "videos").row(record)
    assert stored["prompt"] == decoded["prompt"]
    ours, theirs = (np.asarray(frames_shown(row["images"]), float) for row in (stored, decoded))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 6, "JPEG's error"
    missing = builder_of(tiny_data / "nothing", store=store, rate=1.0, units="frames").clips.fault(record)
    assert "no frames at frame_rate 1 in" in missing[1]


@pytest.mark.parametrize("rate", ["1", "2"])
@pytest.mark.parametrize("name", NATIVE)
def test_tokens_are_counted_as_the_processor_makes_them(name, rate, family_checkpoints, tiny_data):
    script = StageArguments(
        tracks=[str(tiny_data / "ground.jsonl")],
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        video_units="pairs",
        frame_rate=rate,
    )
    folder = str(family_checkpoints / name)
    processor = load_processor(ModelConfig(model_name_or_path=folder), "pairs")
    config = AutoConfig.from_pretrained(folder)
    record = first(tiny_data) | {"clip": [0.0, 3.0], "seconds": 3}
    row = row_builder(script, SimpleNamespace(config=config), processor, completions=True).row(record)
    made = processor.apply_chat_template(
        [prepare_multimodal_messages(row["prompt"], images=row["images"])],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
    )
    sample = Texts(script, family_of(config, processor), frame_grid(config), processor).measure(record, None)
    assert sample.images == sum(made["mm_token_type_ids"][0])
    assert sample.images + sample.text == len(made["input_ids"][0])
    facts = read_facts(script, frame_grid(config))
    assert {volume.frames % 2 for volume in facts.volumes} == {0}
    assert [facts.volumes[0].pixels, facts.volumes[1].pixels] == sorted(volume.pixels for volume in facts.volumes)


def stage_words(tiny_data, checkpoint, tmp_path, stage="sft"):
    words = ["--config", f"recipe/configs/tiny/{stage}.yaml", "--tracks", str(tiny_data / "ground.jsonl")]
    words += ["--model_name_or_path", str(checkpoint), "--video_root", str(tiny_data / "videos")]
    words += ["--reasoning_share", "0"] if stage == "sft" else ["--per_device_train_batch_size", "16"]
    words += ["--validation_tracks", str(tiny_data / "test.jsonl"), "--output_dir", str(tmp_path / "out"), *PAIRS]
    return words


def findings(words):
    *settings, launch, _, _ = preflight.parse(words)
    return [str(found) for found in checks_stage.check(*settings, launch)[0]]


@pytest.mark.parametrize("name", NATIVE)
def test_labels_cover_the_answer_only(name, tiny_data, family_checkpoints, tmp_path, capsys):
    """The prompt is generation's, and vLLM's with one placeholder for the video; all of it can be shown."""
    words = stage_words(tiny_data, family_checkpoints / name, tmp_path)
    script, training, model_args, *_ = preflight.parse(words)
    config, processor, problem = checkpoint_of(model_args, None, "pairs")
    assert problem is None
    ends, decode = end_ids(str(family_checkpoints / name), config), processor.tokenizer.decode
    rows = list(rows_taught(script, training, read_facts(script, 24).kinds, config, processor))
    assert rows
    for row in rows:
        assert labels_are_the_completion(row, ends, decode) == []
        assert prompts_are_the_same(row, config.image_token_id, decode, processor.unexpanded(row.sent)) == []
        assert row.completion in decode(row.labels)
    preflight.main(*preflight.parse([*words, "--show_rows"]))
    shown = capsys.readouterr().out
    family = FAMILIES[name]
    token = family.image_token if name.startswith("glm") else family.video_token
    assert f"{token} x 4 " in shown
    assert {"glm4v": "<|end_of_image|>1<|", "qwen3_vl": "<1.2 seconds>"}.get(name, "1.") in shown
    assert token not in shown.rpartition("labels (")[2]


def test_preflight_of_a_supervised_stage(tiny_data, family_checkpoints, tmp_path):
    words = stage_words(tiny_data, family_checkpoints / "glm4v", tmp_path)
    assert [line for line in findings(words) if line.startswith("refused") or "video" in line] == []


@pytest.mark.slow
def test_preflight_of_grpo(tiny_data, family_checkpoints, tmp_path):
    words = [*stage_words(tiny_data, family_checkpoints / "qwen3_vl", tmp_path, "grpo"), "--steps_per_generation", "1"]
    assert [line for line in findings(words) if line.startswith("refused")] == []


def test_a_family_without_times_is_refused(tiny_data, family_checkpoints, tmp_path):
    words = stage_words(tiny_data, family_checkpoints / "qwen2_5_vl", tmp_path)
    (line,) = [line for line in findings(words) if line.startswith("refused")]
    assert line.startswith("refused: video_units: pairs: qwen2_5_vl writes no times into a video")
    with pytest.raises(StageError, match=r"video_units pairs: qwen2_5_vl .* leave it at frames"):
        preflight.main(*preflight.parse([*words, "--show_rows"]))
    with pytest.raises(StageError, match="video_units pairs: qwen2_5_vl"):
        load_processor(ModelConfig(model_name_or_path=str(family_checkpoints / "qwen2_5_vl")), "pairs")


def test_the_limit_for_a_whole_video():
    """GLM-4.1V's files hold 47 million pixels a video: 117 s of 448 x 448 at 2 frames a second, then frames shrink."""
    glm = NativeVideoProcessor(SimpleNamespace(video_processor=Glm4vVideoProcessor()))
    assert size_kept(glm, 2 * 117, (448, 448)) == (448, 448)
    assert size_kept(glm, 2 * 118, (448, 448)) == (420, 420)
    assert size_kept(glm, 2 * 118, (448, 392)) == (448, 392)
    limits = {"size": {"shortest_edge": 4096, "longest_edge": 25_165_824}}
    qwen = NativeVideoProcessor(SimpleNamespace(video_processor=Qwen3VLVideoProcessor(**limits)))
    assert size_kept(qwen, 2 * 62, (448, 448)) == (448, 448)
    assert size_kept(qwen, 2 * 63, (448, 448)) != (448, 448)

    def found(*volumes):
        return [str(one) for one in videos_keep_their_size(volumes, lambda count, size: size_kept(glm, count, size))]

    fits, long = Volume("a", 20, (448, 448)), Volume("b/long", 240, (448, 448))
    assert found(fits, fits) == []
    (line,) = found(fits, long)
    assert line.startswith("warning: video: record b/long: 240 frames of 448 x 448 are 48168960 pixels, which ")
    assert "frames of 420 x 420" in line
    assert "lower max_frame_pixels or max_seconds" in line
    (line,) = found(Volume("tiny", 2, (56, 56)), fits)
    assert "frames of 84 x 84: training keeps them" in line
    assert "lower" not in line


def test_ground_and_evaluate_with_pairs(tiny_data, tiny_base, tmp_path, monkeypatch):
    """The tiny model answers from a native video; the result and the answers' file say so."""
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    words = [str(video), "the red ball moves", "--model", str(tiny_base), "--prompts", "tiny", *PAIRS]
    words += ["--max_frame_pixels", "2304", "--max_new_tokens", "4", "--out", str(tmp_path / "result.json")]
    ground.main(*ground.parse(words))
    settings = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert (settings["video_units"], settings["frame_rate"]) == ("pairs", 2.0)
    with pytest.raises(StageError, match="video_units pairs: qwen2_5_vl writes no times"):
        ground.backend_of(*ground.parse([*words, "--backend", "openai", "--family", "qwen2_5_vl"]))

    trained = {"video_units": "pairs", "frame_rate": "2", "max_frame_pixels": 2304, "prompts": "tiny"}
    monkeypatch.setattr("recipe.inputs.loading.setting_of", lambda folder, name: trained.get(name))
    of = ground.settings_of(*ground.parse(["a.mp4", "a sentence", "--model", "runs/x/sft"]))
    assert (of.video_units, of.frame_rate) == ("pairs", "2")
    of = ground.settings_of(*ground.parse(["a.mp4", "a", "--model", "runs/x/sft", "--video_units", "frames"]))
    assert (of.video_units, of.frame_rate) == ("frames", "1"), "the checkpoint's rate was for pairs"
    args = evaluate.EvalArguments(
        tracks=str(tiny_data / "test.jsonl"),
        model=str(tiny_base),
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        max_frame_pixels=2304,
        max_new_tokens=4,
        limit=2,
        out=str(tmp_path / "metrics.json"),
    )
    assert args.frames_seen().video_units == "pairs"
    evaluate.evaluate(args)
    (answers,) = tmp_path.glob("metrics.answers-*.jsonl")
    assert json.loads(answers.read_text().splitlines()[0])["about"]["settings"]["video_units"] == "pairs"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glm4v", "qwen3_vl"])
def test_stages_train_on_native_video_and_save_a_stock_checkpoint(name, family_checkpoints, tiny_data, tmp_path):
    """SFT and GRPO with HF's generate take a step; what they save gives a native video our rows' ids and logits."""
    base = family_checkpoints / name
    sft = run("sft", base, "ground.jsonl", tmp_path / "sft", tiny_data, *PAIRS)
    words = [*PAIRS, "--length_weight", "1.0", "--validation_tracks", str(tiny_data / "test.jsonl")]
    words += ["--held_out_every", "1", "--held_out_clips", "2", "--media_clips", "1"]
    rl = run("grpo", tmp_path / "sft", "ground.jsonl", tmp_path / "grpo", tiny_data, *words)
    before = AutoModelForImageTextToText.from_pretrained(base).state_dict()
    for older, newer in ((before, sft), (sft, rl)):
        assert [key for key in newer if "visual" in key and not newer[key].equal(older[key])], "the tower learns"
    assert list((tmp_path / "grpo" / "media").rglob("clip-0.png"))

    saved = tmp_path / "grpo"
    by_trainer = {"pad_token_id", "eos_token_id", "use_cache", "vision_config.dtype", "text_config.dtype"}
    assert _keys(saved / "config.json") - _keys(base / "config.json") <= by_trainer
    assert _keys(saved / "processor_config.json") == _keys(base / "processor_config.json")
    assert "pairs" not in (saved / "processor_config.json").read_text()
    script = StageArguments(
        video_root=str(tiny_data / "videos"), prompts="tiny", max_frame_pixels=2304, video_units="pairs"
    )
    ours = load_processor(ModelConfig(model_name_or_path=str(saved)), "pairs")
    model = AutoModelForImageTextToText.from_pretrained(saved).eval()
    row = row_builder(script, model, ours, completions=False).row(first(tiny_data))
    video, _ = video_of(row["images"])
    plain = AutoProcessor.from_pretrained(saved)
    question = [{"type": "video"}, row["prompt"][0]["content"][-1]]
    text = plain.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True)
    described = {"fps": 2.0, "total_num_frames": len(video), "frames_indices": list(range(len(video)))}
    stock = plain(text=[text], videos=[video], video_metadata=[described], do_sample_frames=False, return_tensors="pt")
    made = ours.apply_chat_template(
        [prepare_multimodal_messages(row["prompt"], images=row["images"])],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert made["input_ids"].equal(stock["input_ids"])
    assert made["pixel_values"].equal(stock["pixel_values_videos"])
    with torch.no_grad():
        plainly = model(**stock).logits
        assert accept_native_video(model)(**made).logits.equal(plainly)


def _keys(path: Path) -> set[str]:
    """Names of all settings of a JSON file, those inside others with their path."""

    def names(value, before=""):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield before + key
                yield from names(inner, f"{before}{key}.")

    return set(names(json.loads(path.read_text())))
