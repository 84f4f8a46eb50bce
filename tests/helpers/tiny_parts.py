"""What a trainer needs, made of the tiny data and the tiny checkpoint."""

from trl import ModelConfig

from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import load_mixture
from recipe.inputs.loading import load_model, load_processor, row_builder

# Settings of every trainer in the tests.
COMMON = {
    "max_steps": 1,
    "learning_rate": 1e-3,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
    "remove_unused_columns": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
}


def parts(tiny_data, tiny_base, completions, vision_rate, **others):
    """Build the model, processor, row builder and rows of a stage on the tiny data."""
    script = StageArguments(
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        max_frame_pixels=2304,
        vision_learning_rate=vision_rate,
        **others,
    )
    model_args = ModelConfig(model_name_or_path=str(tiny_base), dtype="float32")
    model, processor = load_model(model_args, script), load_processor(model_args, script.video_units)
    builder = row_builder(script, model, processor, completions=completions)
    return model, processor, builder, load_mixture([str(tiny_data / "ground.jsonl")], builder)
