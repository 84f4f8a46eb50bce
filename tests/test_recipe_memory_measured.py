"""The estimate of memory against trainings on a CPU whose every tensor is counted: within 15 %."""

from pathlib import Path

import pytest
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe.checks.launches import Launch
from recipe.checks.loads import load_of
from recipe.checks.memory import GIB, peak_phase
from tests.helpers.memory_runs import FRAMES, RANK, SHORT, SIDE, larger_model, measured, rows, trainer_of
from tests.helpers.memory_table import table

CASES = [
    ("glm4v", "sft", {}),
    ("glm4v", "sft", {"batch": 4}),
    ("glm4v", "sft", {"checkpointing": False}),
    ("glm4v", "sft", {"accumulation": 4}),
    ("glm4v", "sft", {"lora": True}),
    ("glm4v", "sft", {"frozen": True}),
    ("glm4v", "sft", {"bf16": True}),
    ("glm4v", "sft", {"autocast": True}),
    ("glm4v", "grpo", {"batch": 2}),
    ("qwen3_vl", "sft", {}),
    ("qwen3_vl", "sft", {"checkpointing": False, "frozen": True}),
]


def estimated(trainer, config, processor, *, stage, frozen=False, lora=False, bf16=False):
    """Bytes by the estimate, and the phase in which they are needed."""
    row = rows(1, processor, completions=stage == "sft")[0]
    text = processor.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    prompt = processor(text=[text], images=row["images"], return_tensors="pt")["input_ids"].shape[1]
    answer = SHORT
    if stage == "sft":
        answer = len(processor.tokenizer(row["completion"][0]["content"][0]["text"])["input_ids"])
    assert isinstance(trainer.args, SFTConfig if stage == "sft" else GRPOConfig)
    load = load_of(
        config,
        trainer.args,
        ModelConfig(dtype="bfloat16" if bf16 else "float32", use_peft=lora, lora_r=RANK),
        Launch(),
        prompt=prompt,
        answer=answer,
        patches=FRAMES * (SIDE // config.vision_config.patch_size) ** 2,
        frozen_vision=frozen,
        on_cpu=True,
        padded=False,  # all rows are of one length here
        shared_prefix=stage == "grpo",
    )
    phase, parts = peak_phase(load)
    return sum(parts.values()) * GIB, phase


@pytest.mark.slow
@pytest.mark.parametrize(("family", "stage", "settings"), CASES, ids=lambda value: str(value))
def test_the_estimate_is_within_15_percent_of_what_is_counted(family, stage, settings, tiny_data, tmp_path):
    tracks = [tiny_data / "general.jsonl", tiny_data / "ground.jsonl"]
    config, processor = larger_model(family, tracks, tmp_path / "model")
    trainer = trainer_of(stage, config, processor, tmp_path / "run", **settings)
    kinds = {name: value for name, value in settings.items() if name in ("frozen", "lora", "bf16")}
    estimate, phase = estimated(trainer, config, processor, stage=stage, **kinds)
    counted = measured(trainer)
    print(
        f"{family} {stage} {settings}: counted {counted / 2**20:.0f} MiB, estimated {estimate / counted:.3f} ({phase})"
    )
    assert estimate == pytest.approx(counted, rel=0.15), phase


@pytest.mark.slow
def test_the_table_of_cards_is_the_documented_one():
    page = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    block = page.split("<!-- memory -->")[1].split("<!-- /memory -->")[0]
    assert block.strip().splitlines() == table(), "python -m tests.helpers.memory_table writes it"
