"""LoRA: which layers it adapts, and the whole model that a stage leaves for the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from transformers import AutoModelForImageTextToText
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from trl import ModelConfig, get_peft_config

from recipe.inputs.families import family_of

ADAPTER = "adapter"


def peft_config(model_args: ModelConfig, config: Any, processor: Any) -> PeftConfig | None:
    """Return PEFT's settings, or None without `use_peft`; the family's language layers are the default."""
    if model_args.use_peft and model_args.lora_target_modules is None:
        model_args.lora_target_modules = family_of(config, processor).lora_targets
    return get_peft_config(model_args)


def save_whole(trainer: Any, model_args: ModelConfig) -> None:
    """Save what the next stage loads: the model, with an adapter merged into it, which stays beside it in `adapter`.

    The merge takes the base checkpoint anew, in the main process's memory: the trainer's own copy may be spread over
    several GPUs or quantised.
    """
    folder = Path(trainer.args.output_dir)
    if not model_args.use_peft:
        trainer.save_model(str(folder))
        return
    trainer.save_model(str(folder / ADAPTER))
    unset_hf_deepspeed_config()  # under ZeRO-3, from_pretrained would wait for the other processes
    if trainer.accelerator.is_main_process:
        base = AutoModelForImageTextToText.from_pretrained(
            model_args.model_name_or_path, dtype="auto", use_safetensors=True, trust_remote_code=False
        )
        whole = PeftModel.from_pretrained(base, str(folder / ADAPTER)).merge_and_unload()
        whole.save_pretrained(str(folder))
        trainer.processing_class.save_pretrained(str(folder))
    trainer.accelerator.wait_for_everyone()
