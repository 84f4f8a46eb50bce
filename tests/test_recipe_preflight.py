"""The preflight as a command and at the start of a stage: every recipe passes it, and what is wrong is one line."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from transformers import AutoConfig, AutoProcessor
from trl import ModelConfig
from trl.data_utils import prepare_multimodal_messages

from data_prep.records import read_records
from data_prep.stages import StageError
from recipe import grpo, preflight
from recipe.checks import checkpoint, loads
from recipe.checks import stage as checks_stage
from recipe.checks.facts import Texts, read_facts
from recipe.checks.launches import Launch, launch_of
from recipe.checks.layer_bytes import Layers
from recipe.inputs.arguments import StageArguments
from recipe.inputs.config_files import merge
from recipe.inputs.families import FAMILIES, family_of, frame_grid
from recipe.inputs.loading import load_processor, row_builder
from recipe.inputs.run_folder import stage_files
from recipe.training import supervised
from tests.helpers.family_models import POSITIONS

RECIPES = {
    "glm-4.1v-9b": "glm4v",
    "glm-4.1v-9b-base": "glm4v",
    "glm-4.6v-flash": "glm46v",
    "qwen2.5-vl-7b": "qwen2_5_vl",
    "qwen3-vl-2b": "qwen3_vl",
    "qwen3-vl-4b": "qwen3_vl",
    "qwen3-vl-8b": "qwen3_vl",
}


@pytest.fixture
def words(tiny_data, family_checkpoints, tmp_path):
    """The arguments that let a recipe's own file find data and a small model on this machine."""

    def arguments(recipe, stage, *more):
        found = ["--stage", stage, "--use_cpu", "true"]
        for path in stage_files(f"recipe/configs/{'tiny' if recipe == 'tiny' else f'models/{recipe}.yaml'}", stage):
            found += ["--config", str(path)]
        found += ["--model_name_or_path", str(family_checkpoints / RECIPES.get(recipe, "glm4v"))]
        found += ["--tracks", str(tiny_data / "ground.jsonl"), "--video_root", str(tiny_data / "videos")]
        found += ["--output_dir", str(tmp_path / "out")]
        found += ["--validation_tracks", str(tiny_data / "test.jsonl")]
        if stage == "grpo":
            found += ["--use_vllm", "false"]
        return [*found, *more]

    return arguments


@pytest.fixture
def large(monkeypatch):
    """What large recipes need beside data and a checkpoint: DeepSpeed is not installed here."""
    monkeypatch.setattr(checks_stage, "installed", lambda package: True)


@pytest.fixture
def no_memory(monkeypatch):
    """Layers that cost nothing to measure, where no card is asked about: test_recipe_labels.py has each family's."""
    for layers in ("language_layers", "vision_layers"):
        monkeypatch.setattr(loads, layers, lambda *args: Layers(1, 1.0, 1.0, 1.0, 1.0))


def findings(arguments, launch=None):
    *settings, own, _, name = preflight.parse(arguments)
    return checks_stage.check(*settings, launch or own, name)


def without_reasoning(tiny_data, tmp_path, reasoned, others):
    """A track file of grounding records, so many with reasoning and so many without, and one question."""
    record = next(read_records(tiny_data / "ground.jsonl"))
    rows = [record | {"id": f"r{n}", "reasoning": "He is on the left."} for n in range(reasoned)]
    rows += [record | {"id": f"o{n}", "reasoning": " "} for n in range(others)]
    question = {name: record[name] for name in ("schema", "source", "split", "video", "clip", "seconds")}
    rows.append(question | {"id": "q", "kind": "qa", "query": "Who?", "answer": "He."})
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "mine.jsonl")


@pytest.mark.parametrize(
    ("stage", "reasoned", "others", "more", "refused"),
    [
        ("sft", 0, 4, (), True),
        ("sft", 1, 3, (), True),
        ("sft", 2, 2, (), False),
        ("sft", 0, 0, (), False),  # questions only
        ("sft", 0, 4, ("--reasoning_share", "0"), False),
        ("sft", 3, 1, ("--reasoning_share", "1"), True),
        ("cpt", 0, 4, (), False),
        ("cpt", 0, 4, ("--reasoning_share", "0.1"), True),
    ],
)
def test_sft_without_reasoning_is_refused_and_counted(
    words, tiny_data, tmp_path, capsys, stage, reasoned, others, more, refused
):
    """Think tags are left out of rows without reasoning, and section 3.5 would be lost without a word."""
    tracks = without_reasoning(tiny_data, tmp_path, reasoned, others)
    found = [line for line in lines(words("tiny", stage, "--tracks", tracks, *more)) if ": reasoning: " in line]
    assert bool(found) == refused
    said = f"{reasoned} of {reasoned + others} grounding records have reasoning"
    assert (said in capsys.readouterr().err) == (reasoned + others > 0)
    assert all(line.startswith(f"refused: reasoning: {said}, ") and "--reasoning_share 0" in line for line in found)


def test_the_stage_itself_refuses_it_too(words, tiny_data, tmp_path):
    arguments = words("tiny", "sft", "--tracks", without_reasoning(tiny_data, tmp_path, 0, 2))
    with pytest.raises(StageError, match="^reasoning: 0 of 2 grounding records have reasoning, 50% expected"):
        supervised.main("sft", *supervised.parse(arguments[2:], section="sft"))


def test_a_share_of_reasoning_is_a_share():
    with pytest.raises(ValueError, match="reasoning_share 50.0, expected a share from 0 to 1"):
        preflight.parse(["--stage", "sft", "--output_dir", "x", "--reasoning_share", "50"])


def lines(arguments, launch=None):
    return [str(finding) for finding in findings(arguments, launch)[0]]


@pytest.mark.parametrize("stage", ["cpt", "sft", "grpo"])
def test_every_recipe_passes(stage, words, large, no_memory):
    """With its own batch sizes, limits and optimiser; weights and data are small ones of its family.

    Recipes of one family that differ in the checkpoint's name alone are one case, as that name is not used here.
    """
    tried = set()
    for recipe, family in RECIPES.items():
        settings = merge(stage_files(f"recipe/configs/models/{recipe}.yaml", stage), stage)
        settings.pop("model_name_or_path", None)
        case = (family, json.dumps(settings, sort_keys=True))
        if case in tried:
            continue
        tried.add(case)
        found, load = findings(words(recipe, stage), Launch(1, "zero3"))
        assert [str(finding) for finding in found if finding.refused] == [], recipe
        assert load.sharding == "zero3"
        assert load.tokens > 0, recipe
        topics = {finding.topic for finding in found}
        assert topics <= {"tags"}, "tokenizers of the small models spell some tags; nothing else is to be said"
    assert {family for family, _ in tried} == set(RECIPES.values())


# What is one family's or one stage's own shows with the smallest card; the other overlays change numbers.
CARDS = [(recipe, 24, "lora", stage) for recipe in ("qwen3-vl-2b", "glm-4.1v-9b") for stage in ("cpt", "sft", "grpo")]
CARDS += [("qwen3-vl-2b", *case, "grpo") for case in ((48, "lora"), (80, "lora"), (24, "qlora"))]
CARDS += [("qwen2.5-vl-7b", 48, "lora", "sft"), ("glm-4.6v-flash", 48, "lora", "sft")]


@pytest.mark.parametrize(("recipe", "card", "peft", "stage"), CARDS)
def test_every_recipe_passes_on_one_card(recipe, card, peft, stage, words, large, no_memory):
    files = [f"cards/{card}gb.yaml", "peft/lora.yaml", *(["peft/qlora.yaml"] if peft == "qlora" else [])]
    overlays = [word for file in files for word in ("--config", f"recipe/configs/{file}")]
    found, load = findings(words(recipe, stage, *overlays), Launch(1, "none"))
    assert [str(finding) for finding in found if finding.refused] == []
    assert {finding.topic for finding in found} <= {"tags"}  # LoRA's own are none of these
    assert 0 < load.trainable < load.parameters


def test_deepspeed_is_asked_for_where_the_launch_file_needs_it(words, no_memory):
    refused = "refused: DeepSpeed: the launch file asks for it and it is not installed in this environment"
    for sharding, asked in (("zero2", True), ("zero3", True), ("fsdp", False), ("none", False)):
        found = lines(words("glm-4.1v-9b", "sft"), Launch(1, sharding))
        assert any(line.startswith(refused) for line in found) == asked, sharding


def test_clips_that_are_left_out_are_not_looked_at(words):
    arguments = words("tiny", "sft", "--max_length", "16")
    assert any("context: record" in line for line in lines(arguments))
    assert not any("context: record" in line for line in lines([*arguments, "--max_seconds", "2"]))


@pytest.mark.parametrize("stage", ["cpt", "sft", "grpo"])
def test_the_tiny_recipe_passes(stage, words):
    assert lines(words("tiny", stage)) == []


@pytest.mark.parametrize(
    ("stage", "more", "expected"),
    [
        (
            "grpo",
            ["--steps_per_generation", "1", "--max_completion_length", "3", "--remove_unused_columns", "true"]
            + ["--temperature", "0", "--loss_type", "cispo"],
            ["warning: clip: the clip never acts"]
            + ["warning: answers: max_completion_length 3 cuts true answers", "refused: columns: "]
            + ["refused: temperature: ", "refused: loss: loss_type cispo"],
        ),
        (
            "grpo",
            ["--max_completion_length", str(POSITIONS), "--save_steps", "3", "--use_vllm", "true"],
            ["refused: context: record ", "refused: save_steps: save_steps 3 falls inside a rollout"]
            + ["refused: vLLM: use_vllm is on"],
        ),
        ("grpo", ["--per_device_train_batch_size", "128"], ["refused: batch: "]),
        (
            "sft",
            ["--max_length", "16", "--use_peft", "true", "--lora_target_modules", "qkv"]
            + ["--attn_implementation", "flash_attention_2", "--remove_unused_columns", "true"],
            ["refused: context: record ", "refused: LoRA: 'qkv' misses", "refused: attention: ", "refused: columns: "],
        ),
        ("sft", ["--packing", "true", "--max_length", "4096"], ["refused: packing: "]),
        (
            "cpt",
            ["--use_cpu", "false", "--load_in_4bit", "true", "--tracks", "no.jsonl"],
            ["refused: GPU: none found", "refused: dtype: load_in_4bit needs LoRA"]
            + ["refused: data: no such track file: no.jsonl"],
        ),
        ("cpt", ["--model_name_or_path", "runs/none"], ["refused: weights: runs/none: no checkpoint there"]),
    ],
)
def test_settings_trip_their_check(stage, more, expected, words, monkeypatch):
    """Several at once are all told, and none of them without its setting (`test_the_tiny_recipe_passes`)."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    found = lines(words("tiny", stage, *more))
    for line in expected:
        assert any(one.startswith(line) for one in found), (line, found)


def test_frames_below_the_processors_limit(words, monkeypatch):
    """A processor may have a lower limit of pixels than one frame has."""

    def larger(model_args):
        processor = AutoProcessor.from_pretrained(model_args.model_name_or_path)
        processor.image_processor.size = {"shortest_edge": 4 * 48 * 48, "longest_edge": 64 * 48 * 48}
        return processor

    monkeypatch.setattr(checkpoint, "load_processor", larger)
    found = lines(words("tiny", "sft", "--max_frame_pixels", "100"))
    assert any(one.startswith("refused: frames: frames of 24 x 24 are not kept") for one in found), found


def test_rewards_and_weights_that_do_not_fit_are_refused_as_they_are_read(words):
    """The run's folder is called after them."""
    with pytest.raises(ValueError, match=r"reward_weights \[1\.0\] has 1 values"):
        preflight.parse(words("tiny", "grpo", "--reward_weights", "1.0"))


def test_held_out_clips_are_looked_for_where_they_are_read(words):
    missing = ["--validation_tracks", "no.jsonl"]
    assert any("no.jsonl" in line for line in lines(words("tiny", "grpo", *missing)))
    assert lines(words("tiny", "grpo", *missing, "--held_out_every", "0")) == []


def test_a_disk_that_is_full(words, monkeypatch):
    monkeypatch.setattr(checks_stage.shutil, "disk_usage", lambda folder: type("usage", (), {"free": 1000})())
    assert lines(words("tiny", "sft"))[0].startswith("refused: disk: about 0.01 GiB")


def test_what_a_run_wrote_itself_is_room_for_it(words, monkeypatch, tmp_path):
    """Its family_checkpoints are written over or removed, so a run that fitted the disk fits when it is resumed."""
    monkeypatch.setattr(checks_stage.shutil, "disk_usage", lambda folder: type("usage", (), {"free": 1000})())
    folder = tmp_path / "out" / "checkpoint-5" / "deep"
    folder.mkdir(parents=True)
    with (folder / "optimizer.pt").open("wb") as out:
        out.truncate(2**30)  # sparse: takes no room itself
    assert not [line for line in lines(words("tiny", "sft")) if "disk" in line]


def test_an_unknown_family_is_named(words, family_checkpoints, tmp_path):
    folder = tmp_path / "other"
    AutoConfig.for_model("llava").save_pretrained(folder)
    AutoProcessor.from_pretrained(family_checkpoints / "glm4v").save_pretrained(folder)
    found = lines(words("tiny", "sft", "--model_name_or_path", str(folder)))
    line = "refused: family: model type 'llava' with a Glm4vProcessor is unknown here"
    assert any(one.startswith(line) for one in found)


def test_a_chat_template_that_drops_reasoning(words, family_checkpoints, tiny_base, tmp_path):
    """Some published templates cut a reply at its closing reasoning tag; here one is asked for."""
    template = AutoProcessor.from_pretrained(tiny_base).chat_template
    dropping = tmp_path / "dropping.jinja"
    dropping.write_text(template.replace("{{ part['text'] }}", "{{ part['text'].split('>')[-1] }}"))
    found = lines(words("tiny", "sft", "--chat_template_path", str(dropping)))
    assert any("the chat template drops <think>" in line for line in found), found


def test_rows_without_a_frame_under_zero3(words, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr("recipe.checks.facts.grid_starts", lambda seconds, rate, units: [])
    arguments = words("tiny", "cpt")
    assert not any("images" in line for line in lines(arguments, Launch(2, "zero2")))
    assert any(line.startswith("refused: images: ") for line in lines(arguments, Launch(2, "zero3")))


def test_captions_and_questions_are_passed_over(words, tiny_data, tmp_path):
    """They state no length or size; nothing is opened to measure them."""
    record = next(read_records(tiny_data / "ground.jsonl"))
    nothing = dict.fromkeys(("clip", "seconds", "fps", "width", "height", "label", "span", "track"))
    question = record | nothing | {"kind": "qa", "answer": "red"}
    (tmp_path / "qa.jsonl").write_text(json.dumps(question) + "\n")
    assert lines(words("tiny", "sft", "--tracks", str(tmp_path / "qa.jsonl"))) == []
    found = lines(words("tiny", "grpo", "--tracks", str(tmp_path / "qa.jsonl")))  # else loss 0 at every step, exit 0
    assert any(line.startswith("refused: rewards: none of 1 records has a track") for line in found), found


def test_events_that_fill_their_clips_are_said(words, tiny_data, tmp_path):
    tracks = tmp_path / "whole.jsonl"
    with tracks.open("w") as out:
        for record in read_records(tiny_data / "ground.jsonl"):
            out.write(json.dumps(record | {"span": [0, record["seconds"] - 1]}) + "\n")
    found = lines(words("tiny", "grpo", "--tracks", str(tracks)))
    assert any(line.startswith("warning: rewards: half of the ") for line in found), found


@pytest.mark.parametrize("main", [supervised.main, grpo.main])
def test_a_stage_runs_it_before_it_touches_its_folder(main, words, tmp_path, capsys):
    """What an earlier run left in the folder stays where it is, though it is to be overwritten."""
    out = tmp_path / "out"
    out.mkdir()
    stamp = {"fingerprint": "of others", "complete": True, "settings": {}}
    (out / "stamp.json").write_text(json.dumps(stamp))
    (out / "model.safetensors").touch()
    stage = "grpo" if main is grpo.main else "sft"
    limit = ["--max_completion_length", str(POSITIONS)] if stage == "grpo" else ["--max_length", "16"]
    *settings, _, _, _ = preflight.parse(words("tiny", stage, *limit, "--overwrite_output_dir", "true"))
    with pytest.raises(StageError, match="context: record"):
        main(*settings) if stage == "grpo" else main("sft", *settings)
    assert json.loads((out / "stamp.json").read_text()) == stamp
    assert (out / "model.safetensors").exists()


@pytest.mark.parametrize("option", ["--gpu_gib", "--tflops"])
@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf", "abc"])
def test_a_card_that_cannot_be(option, value, words):
    with pytest.raises(ValueError, match="expected a number above 0"):
        preflight.parse(words("tiny", "sft", option, value))


def test_the_hub_is_asked_once(monkeypatch):
    monkeypatch.setattr(checkpoint.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(checkpoint.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert checkpoint.hub_answers() is False
    monkeypatch.setattr(checkpoint.constants, "HF_HUB_OFFLINE", True)
    assert checkpoint.hub_answers() is False
    assert checkpoint.in_cache("nobody/nothing") is False


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("one_gpu", Launch(1, "none")),
        ("ddp", Launch(8, "none")),
        ("zero2", Launch(8, "zero2")),
        ("zero3", Launch(8, "zero3")),
        ("fsdp2", Launch(8, "fsdp")),
    ],
)
def test_launch_files_are_read(name, launch):
    assert launch_of(f"launch/accelerate/{name}.yaml") == launch
    assert launch.zero_stage == {"zero2": 2, "zero3": 3}.get(name, 0)


def test_help_explains_its_own_options(capsys):
    with pytest.raises(SystemExit):
        preflight.parse(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for option in preflight.own_options()._actions:
        assert option.help
        assert option.help in shown, option.dest
    assert "usage: " in shown
    assert "--learning_rate" in shown, "those of the stage follow"


def test_bad_words_of_its_own_are_one_line():
    with pytest.raises(ValueError, match="argument --stage: invalid choice: 'rl'"):
        preflight.parse(["--stage", "rl"])
    config = "recipe/configs/tiny/grpo.yaml"
    with pytest.raises(ValueError, match=f"--stage sft, but {config} has '[a-z_]+', a setting of GRPO only"):
        preflight.parse(["--stage", "sft", "--config", config])
    with pytest.raises(StageError, match="no settings of accelerate"):
        launch_of("recipe/configs/tiny/sft.yaml")


@pytest.mark.parametrize("reward", ["mviou", "viou", "tiou", "tiou_viou"])
def test_every_reward_goes_with_a_large_recipe(reward, words, large, no_memory):
    """Beside the recipe's own, tiou_mviou, which `test_every_recipe_passes` has."""
    found, _ = findings(words("glm-4.1v-9b", "grpo", "--reward", reward), Launch(1, "zero3"))
    assert not any(finding.refused for finding in found)


def test_which_stage_is_seen_by_the_keys(tmp_path):
    for stage, kind in (("sft", "SFTConfig"), ("grpo", "GRPOConfig")):
        settings = yaml.safe_load(Path(f"recipe/configs/tiny/{stage}.yaml").read_text())
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
        assert type(preflight.parse(["--config", str(tmp_path / "mine.yaml")])[1]).__name__ == kind
    assert type(preflight.parse(["--stage", "grpo", "--output_dir", "x"])[1]).__name__ == "GRPOConfig"


@pytest.mark.slow
def test_the_command_ends_in_one_line_and_lists_the_rest():
    command = [sys.executable, "-m", "recipe.preflight", "--stage", "cpt", "--config", "recipe/configs/full/cpt.yaml"]
    command += ["--config", "recipe/configs/models/glm-4.1v-9b.yaml"]
    command += ["--launch", "launch/accelerate/zero3.yaml", "--tracks", "no/cpt.jsonl", "--video_root", "no/videos"]
    environment = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin", "HF_HOME": "no-cache"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    *listed, last = [line for line in done.stderr.splitlines() if line.startswith(("preflight: ", "error: "))]
    assert last == (
        "error: not begun, preflight refused 5 points: data, videos, GPU, DeepSpeed, weights; each has its line above"
    )
    assert [line.split(": ")[2] for line in listed] == ["data", "videos", "GPU", "DeepSpeed", "weights"]
    assert "zai-org/GLM-4.1V-9B-Thinking is not in the local cache" in listed[4]


@pytest.mark.parametrize("rate", ["1", "2", "0.5"])
@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_are_counted_as_the_processor_makes_them(name, rate, family_checkpoints, tiny_data):
    """What the checks add up without a frame is the length of the prompt that the trainer gets."""
    folder = str(family_checkpoints / name)
    script = StageArguments(
        tracks=[str(tiny_data / "ground.jsonl")], video_root=str(tiny_data / "videos"), prompts="tiny", frame_rate=rate
    )
    model_args = ModelConfig(model_name_or_path=folder)
    processor, config = load_processor(model_args), AutoConfig.from_pretrained(folder)
    builder = row_builder(script, SimpleNamespace(config=config), processor, completions=True)
    record = next(read_records(tiny_data / "ground.jsonl"))
    row = builder.row(record)
    (ids,) = processor.apply_chat_template(
        [prepare_multimodal_messages(row["prompt"], images=row["images"])],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
    )["input_ids"]
    texts = Texts(script, family_of(config, processor), frame_grid(config), processor)
    sample = texts.measure(record, None)
    assert sample.images + sample.text == len(ids)
    assert sample.images == list(ids).count(config.image_token_id)
    assert sample.answer == len(processor.tokenizer(row["completion"][0]["content"])["input_ids"])
    assert read_facts(script, frame_grid(config)).sizes == {row["images"][0].size}


def test_memory_is_printed_by_part_and_phase(words, capsys):
    preflight.main(*preflight.parse(words("tiny", "grpo")))
    printed = capsys.readouterr().out
    assert re.search(r"memory, estimated: 0\.\d GiB a process at its highest, in [a-z ,]+ \(.*weights 0\.\d", printed)
    assert re.search(r"by phase: .*generation 0\.\d", printed)


def test_a_card_that_is_not_here(words):
    arguments = words("tiny", "sft")
    assert not any("memory" in line for line in lines([*arguments, "--gpu_gib", "24"]))
    (line,) = [line for line in lines([*arguments, "--gpu_gib", "0.05"]) if "memory" in line]
    assert line.startswith("refused: memory: about ")
    assert "of 0 at its highest" in line
