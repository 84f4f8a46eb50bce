"""Trainings that are small and yet large enough to count their bytes, and what they needed at most."""

import torch
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PrinterCallback, ProgressCallback
from trl import GRPOConfig, SFTConfig

from recipe.checks.live_bytes import LiveBytes
from recipe.inputs.families import LANGUAGE_LAYERS
from recipe.inputs.loading import freeze_vision
from recipe.inputs.prompts import user_message
from recipe.training.trainers import GroundingGRPOTrainer, GroundingSFTTrainer
from tests.helpers.family_models import build

SIDE, FRAMES, ANSWER = 144, 16, 48  # 144 patches of 12 pixels a frame, 36 tokens; 16 frames a clip
RANK = 16
STEPS, SHORT = 2, 12  # of GRPO: steps a rollout serves, and tokens of an answer
TEXT = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8}
TEXT |= {"num_key_value_heads": 2, "head_dim": 64, "layer_types": None}
TOWER = {"hidden_size": 256, "depth": 6, "num_heads": 4, "intermediate_size": 1024, "out_hidden_size": 512}


def larger_model(family, tracks, folder):
    """(config, processor) of a family with more layers and width than `build` gives it."""
    build(family, [str(track) for track in tracks], folder)
    config = AutoConfig.from_pretrained(folder)
    for part, sizes in ((config.text_config, TEXT), (config.vision_config, TOWER)):
        for name, value in sizes.items():
            if name != "layer_types" or hasattr(part, name):
                setattr(part, name, ["full_attention"] * 8 if name == "layer_types" else value)
    config.text_config.rope_parameters["mrope_section"] = [4, 6, 6] if family.startswith("glm") else [12, 10, 10]
    processor = AutoProcessor.from_pretrained(folder, padding_side="left")
    for images in (processor.image_processor, processor.video_processor):
        images.size = {"shortest_edge": SIDE * SIDE, "longest_edge": 32 * SIDE * SIDE}
    return config, processor


def rows(count, processor, *, completions, frames=FRAMES):
    """A data set of clips of noise; answers are of `ANSWER` words."""
    word = min(token for token in processor.tokenizer.get_vocab() if token.isalpha())
    pictures = [Image.effect_noise((SIDE, SIDE), 40).convert("RGB") for _ in range(frames)]
    prompt = [user_message([float(second) for second in range(frames)], " ".join([word] * 8))]
    row = {"prompt": prompt, "images": pictures}
    if completions:
        text = " ".join([word] * ANSWER)
        row["completion"] = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
    return Dataset.from_dict({"number": list(range(count))}).with_transform(
        lambda batch: {name: [value] * len(batch["number"]) for name, value in row.items()}
    )


def common(folder, batch, checkpointing, accumulation):
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": 1e-5,
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": checkpointing,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_strategy": "no",
    }


def reward(completions, **kwargs):
    return [float(index % 2) for index in range(len(completions))]


def trainer_of(stage, config, processor, folder, *, batch=1, checkpointing=True, lora=False, frozen=False, **more):
    """A trainer of a stage, with float32 weights."""
    accumulation = more.pop("accumulation", 1)
    autocast = more.pop("autocast", False)
    bf16 = more.pop("bf16", False)
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16 if bf16 else torch.float32)
    if frozen:
        freeze_vision(model)
    settings = common(folder, batch, checkpointing, accumulation) | {"bf16": bf16 or autocast}
    peft = LoraConfig(r=RANK, target_modules=LANGUAGE_LAYERS) if lora else None
    if stage == "sft":
        args = SFTConfig(max_steps=2, max_length=None, completion_only_loss=True, **settings)
        data = rows(8 * batch * accumulation, processor, completions=True)
        trainer = GroundingSFTTrainer(
            model=model, args=args, train_dataset=data, processing_class=processor, peft_config=peft
        )
    else:
        args = GRPOConfig(
            max_steps=STEPS + 1,  # into the second rollout, when the first is still held
            num_generations=4,
            steps_per_generation=STEPS,
            max_completion_length=SHORT,
            generation_kwargs={"min_new_tokens": SHORT},
            log_multimodal=False,
            beta=0.0,
            loss_type="grpo",
            **settings,
        )
        data = rows(64, processor, completions=False)
        trainer = GroundingGRPOTrainer(
            model=model,
            args=args,
            train_dataset=data,
            processing_class=processor,
            peft_config=peft,
            reward_funcs=[reward],
        )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def measured(trainer):
    """(most bytes at once during a training, its weights among them)."""
    weights = sum(
        {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in trainer.model.parameters()}.values()
    )
    with LiveBytes() as live:
        trainer.train()
    return weights + live.peak
