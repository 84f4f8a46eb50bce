"""The table of docs/recipes.md: what each model takes on each card, how long a clip may be, and how long data takes.

    python -m tests.helpers.memory_table

Everything in it is an estimate by recipe/checks; the settings are those of the recipes.
"""

from dataclasses import dataclass, replace

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe.checks.capacity import Footage, of_length, seconds_that_fit, training_hours, vllm_gib
from recipe.checks.launches import Launch
from recipe.checks.loads import load_of
from recipe.checks.memory import peak_phase
from recipe.checks.weights import model_without_memory
from tests.helpers.published_configs import PUBLISHED

SIDE, SECONDS = 448, 30  # pixels of a frame's side, 200,704 in all; seconds of the clips that data is reckoned with
ANSWERS = {"sft": 700, "grpo": 2048}  # tokens kept free for an answer
UTILISATION = 0.3
SAMPLES = {"cpt": 200_000, "sft": 2 * 20_000, "grpo": 500 * 64}  # of the full-size recipes; two epochs of SFT
ROWS_OF_VLLM, SPARE_OF_VLLM = 4, 2.0  # answers at a time in its cache, GiB for its own activations


@dataclass(frozen=True)
class Card:
    """GPUs of `gib` GiB and `flops` operations a second in bfloat16; one of them trains LoRA, eight all weights."""

    name: str
    gib: float
    flops: float
    count: int = 1
    four_bits: bool = False


CARDS = [
    Card("1 x 24 GB, 4 bits", 24, 165e12, four_bits=True),
    Card("1 x 24 GB", 24, 165e12),
    Card("1 x 48 GB", 48, 155e12),
    Card("1 x 80 GB", 80, 312e12),
    Card("8 x 80 GB", 80, 312e12, count=8),
]


def settings(stage):
    common = {"output_dir": "x", "use_cpu": True, "bf16": False, "per_device_train_batch_size": 1}
    common |= {"gradient_accumulation_steps": 8, "gradient_checkpointing": True}
    if stage == "sft":
        args = SFTConfig(max_length=None, **common)
    else:
        vllm = {"use_vllm": True, "vllm_mode": "colocate", "vllm_enable_sleep_mode": True}
        args = GRPOConfig(num_generations=8, steps_per_generation=16, max_completion_length=2048, **vllm, **common)
    args.bf16 = True  # said afterwards, because this machine may have no GPU
    return args


def footage_of(config):
    vision = config.vision_config
    patches = (SIDE // (vision.patch_size * vision.spatial_merge_size)) ** 2 * vision.spatial_merge_size**2
    return Footage(patches, patches // vision.spatial_merge_size**2 + 6)


def load_for(config, model, card, stage):
    """The load of a stage on a card with clips of `SECONDS`; vLLM gets the least share that holds it."""
    footage, lora = footage_of(config), card.count == 1
    load = load_of(
        config,
        settings(stage),
        ModelConfig(dtype="bfloat16", use_peft=lora, lora_r=64, load_in_4bit=card.four_bits),
        Launch() if lora else Launch(card.count, "zero3"),
        prompt=footage.text + footage.tokens * SECONDS,
        answer=ANSWERS[stage],
        patches=footage.patches * SECONDS,
        frozen_vision=lora,
        model=model,
    )
    if load.rollout:
        share = (vllm_gib(load, ROWS_OF_VLLM) + SPARE_OF_VLLM) / card.gib
        load = replace(load, rollout=replace(load.rollout, vllm_share=share))
    return load, footage


def hours(load, footage, card, stage):
    """Hours of a stage's data; GRPO's without its rollouts, with a pass forward that scores them."""
    tower = load.weights.all["vision"] + load.weights.all["projector"]
    tokens = SAMPLES[stage] * (footage.text + footage.tokens * SECONDS + 400)
    patches = SAMPLES[stage] * footage.patches * SECONDS
    again = 1.25 if stage == "grpo" else 1.0
    common = {"gpus": card.count, "flops": card.flops, "utilisation": UTILISATION, "lora": card.count == 1}
    language = training_hours(load.parameters - tower, tokens, **common)
    if card.count == 1:  # the tower rests: 2 of the 6 operations that LoRA costs
        return again * (language + training_hours(tower, patches, **common) / 3)
    return again * (language + training_hours(tower, patches, **common))


def cells(config, model, card):
    for stage in ("sft", "grpo"):
        load, footage = load_for(config, model, card, stage)
        need = sum(peak_phase(of_length(load, footage, SECONDS), card.gib)[1].values())
        seconds = seconds_that_fit(load, card.gib, footage)
        yield f"{need:.0f}"
        yield f"{seconds}" if seconds else "none"
        for named in ("cpt", "sft") if stage == "sft" else ("grpo",):
            yield f"{hours(load, footage, card, named):,.0f}" if seconds >= SECONDS else "-"


def table():
    """The lines of the table."""
    lines = [
        f"| model | cards | SFT: GiB at {SECONDS} s | seconds that fit | hours CPT | hours SFT "
        f"| GRPO: GiB at {SECONDS} s | seconds that fit | hours GRPO |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, (make, _) in PUBLISHED.items():
        config = make()
        model = model_without_memory(config)
        lines += [f"| {name} | {card.name} | {' | '.join(cells(config, model, card))} |" for card in CARDS]
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
