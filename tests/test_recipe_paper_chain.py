"""The paper's recipe in small: the full-size YAML from miniature data sets through all four stages, for every family.

Only sizes, steps and what a CPU needs are overridden on the command line. The data sets' layouts are the published
ones, the data is made by the one command that a user runs, and each stage reads what the stage before it wrote.
"""

import json
from collections import Counter
from functools import partial

import pytest
from transformers import AutoConfig, AutoProcessor, GenerationConfig
from trl import ModelConfig

from data_prep.__main__ import main as data_prep
from data_prep.identity import checkpoint_identity
from data_prep.records import read_records
from data_prep.stages import read_stamp
from recipe import cpt, evaluate, grpo, sft
from recipe.inputs.dataset import completion_text
from recipe.inputs.families import family_of, fit_frame, frame_grid
from recipe.inputs.loading import load_processor
from recipe.inputs.run_folder import stage_files
from recipe.training import supervised
from recipe.training.trainers import GroundingSFTTrainer
from tests.helpers.datasets import PLAN, ROOT, lines_of, make_folder
from tests.helpers.family_models import build

pytestmark = pytest.mark.slow  # some ten seconds a family

OVERLAYS = {
    "glm4v": "glm-4.1v-9b",
    "glm46v": "glm-4.6v-flash",
    "glmga": None,
    "qwen2_5_vl": "qwen2.5-vl-7b",
    "qwen3_vl": "qwen3-vl-8b",
    "qwen3_5": None,
}
STAGES = {
    "cpt": (cpt.parse, partial(supervised.main, "cpt")),
    "sft": (sft.parse, partial(supervised.main, "sft")),
    "grpo": (grpo.parse, grpo.main),
    "eval": (evaluate.parse, evaluate.evaluate),
}
# All that differs from the full-size files: small pictures, few steps, and a CPU instead of eight GPUs.
SMALL = {"max_frame_pixels": 2304}
TRAINING = SMALL | {
    "use_cpu": "true", "bf16": "false", "dtype": "float32", "dataloader_num_workers": 0,
    "dataloader_pin_memory": "false", "max_steps": 2, "save_steps": 2, "logging_steps": 1, "warmup_steps": 0,
    "gradient_accumulation_steps": 1, "per_device_train_batch_size": 4, "disable_tqdm": "true",
}  # fmt: skip
# As in the file a rollout is used in two optimiser steps. Random weights answer nothing that earns a reward, so the
# punishment of long answers makes them differ.
ROLLOUT = {"use_vllm": "false", "steps_per_generation": 2, "num_generations": 4, "max_completion_length": 64}
ROLLOUT |= {"length_weight": 1.0}
ANSWERS = SMALL | {"max_new_tokens": 8, "batch_size": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with all data sets and what `make data` makes of them."""
    folder = make_folder(tmp_path_factory.mktemp("paper"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert data_prep(["build", str(PLAN), "--teacher", "template"]) == 0
    return folder


@pytest.fixture
def taught(monkeypatch):
    """The labels of every row that CPT and SFT train on, decoded, as the trainer gets them."""
    labels = []
    compute_loss = GroundingSFTTrainer.compute_loss

    def noted(self, model, inputs, *args, **kwargs):
        if model.training:
            decode = self.processing_class.tokenizer.decode
            labels.extend(decode([int(number) for number in row if number != -100]) for row in inputs["labels"])
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(GroundingSFTTrainer, "compute_loss", noted)
    return labels


def run(stage, overlay, options):
    """Run a stage with the full recipe's files, the model's overlay, and what is other here."""
    files = [ROOT / f"recipe/configs/full/{stage}.yaml"]
    if overlay is not None:
        files = stage_files(ROOT / f"recipe/configs/models/{overlay}.yaml", stage)
    argv = [word for file in files for word in ("--config", str(file))]
    argv += [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    parse, main = STAGES[stage]
    return main(*parse(argv))


@pytest.mark.parametrize("name", OVERLAYS)
def test_from_the_data_sets_to_scores(name, data, taught, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(data)
    folder, base, overlay = tmp_path / "run", tmp_path / "base", OVERLAYS[name]
    monkeypatch.setenv("RUN", str(folder))
    build(name, ["data/traces/traces.jsonl"], base)

    run("cpt", overlay, TRAINING | {"model_name_or_path": base})
    learnt = {"cpt": list(taught)}
    taught.clear()
    run("sft", overlay, TRAINING)
    learnt["sft"] = list(taught)
    rl = folder / "grpo-small"
    run("grpo", overlay, TRAINING | ROLLOUT | {"output_dir": rl})
    result, _ = run("eval", overlay, ANSWERS | {"model": rl, "out": rl / "eval/greedy.json"})

    processor = load_processor(ModelConfig(model_name_or_path=str(base)))
    check_what_was_taught(AutoConfig.from_pretrained(base), processor, learnt)
    check_the_checkpoints(processor, [base, folder / "cpt", folder / "sft", rl])
    assert not [record.message for record in caplog.records if "left out" in record.message], "videos are all found"
    state = json.loads((rl / "trainer_state.json").read_text())
    logged = next(entry for entry in state["log_history"] if "reward" in entry)
    assert logged["reward_std"] > 0
    assert {"tIoU", "mvIoU", "clip_ratio/region_mean"} <= logged.keys()
    assert result["n"] == len(lines_of(data / "data/tracks/vidstg-val.jsonl")) == 4
    assert 0 <= result["m_tIoU"] <= 1
    assert 0 <= result["m_vIoU"] <= 1
    assert json.loads((rl / "eval/greedy.json").read_text())["m_vIoU"] == result["m_vIoU"]


def check_what_was_taught(config, processor, learnt):
    """Hold that each label is a record's completion and one end token, and SFT's the reasoning too."""
    family, grid = family_of(config, processor), frame_grid(config)

    def completions(path):
        found = Counter()
        for record in read_records(path):
            # A caption or question states no size, nor does its answer depend on one.
            size = fit_frame(record["width"] or 64, record["height"] or 48, grid=grid, max_pixels=2304)
            found[completion_text(record, family, family.box_scale(size))] += 1
        return found

    for stage, path in (("cpt", "data/mix/cpt.jsonl"), ("sft", "data/traces/traces.jsonl")):
        known = completions(path)
        assert len(learnt[stage]) == 8, "two steps of four rows"
        for text in learnt[stage]:
            text = text.rstrip()  # Qwen's template writes a line break after the end, which is never generated
            assert text.removesuffix(family.end_tokens[0]) in known, stage
            assert text.endswith(family.end_tokens[0]), stage
    reasoning = [record["reasoning"] for record in read_records("data/traces/traces.jsonl")]
    for text in learnt["sft"]:
        before, closed, after = text.partition(family.think[1])
        assert closed
        assert before.startswith(family.think[0])
        assert any(words in before for words in reasoning)
        assert '"bbox_2d"' in after
        assert "bbox" not in before
    assert not any(family.think[0] in text for text in learnt["cpt"])


def check_the_checkpoints(processor, folders):
    """Hold that each stage began with what the one before wrote, and keeps the family's template, tokens and ends."""
    ends = GenerationConfig.from_pretrained(folders[0]).eos_token_id
    for before, after in zip(folders, folders[1:], strict=False):
        stamp = read_stamp(after)
        assert stamp["complete"]
        assert stamp["inputs"]["model"] == checkpoint_identity(before)
        kept = AutoProcessor.from_pretrained(after)
        assert type(kept) is type(processor)
        assert kept.chat_template == processor.chat_template
        assert kept.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
        assert kept.tokenizer.all_special_tokens == processor.tokenizer.all_special_tokens
        # Trainer puts the tokenizer's own end before the list, which the list holds already.
        assert set(GenerationConfig.from_pretrained(after).eos_token_id) == set(ends)
    for folder in folders[1:3]:
        assert read_stamp(folder)["results"]["wrong_image_loss_ratio"] > 0
