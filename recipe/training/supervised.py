"""The loop that CPT and SFT share: the stages differ in their data and settings, not in their loss (eq. 3)."""

from __future__ import annotations

from trl import ModelConfig, SFTConfig

from recipe.cli import Parser
from recipe.dashboards.wandb_run import begin_run, keep_training
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import load_mixture, training_rows, validation_rows
from recipe.inputs.loading import load_model, load_processor, row_builder
from recipe.inputs.media import VALIDATED
from recipe.training.checkpoints import MarkComplete
from recipe.training.ending import end
from recipe.training.held_out import held_out
from recipe.training.lora import peft_config
from recipe.training.starting import begin
from recipe.training.trainers import GroundingSFTTrainer
from recipe.training.wrong_image import wrong_image_loss_ratio


def parse(
    args: list[str] | None = None, *, section: str | None = None
) -> tuple[StageArguments, SFTConfig, ModelConfig]:
    """Return the settings from --config YAML and the command line (which wins).

    Args:
        args: the command line; None: this process's.
        section: "cpt" or "sft", which is read of an overlay with sections.

    Raises:
        ValueError: A key is unknown.
    """
    return Parser((StageArguments, SFTConfig, ModelConfig), section).parse_args_and_config(args)


def main(name: str, script_args: StageArguments, training_args: SFTConfig, model_args: ModelConfig) -> None:
    """Run one supervised stage; does nothing if its folder holds the same stage already."""
    # Data
    start = begin(name, script_args, training_args, model_args)
    if start is None:
        return
    begin_run(start.stage.folder, training_args, tracks=script_args.tracks)
    processor = load_processor(model_args, script_args.video_units)
    model = load_model(model_args, script_args)
    builder = row_builder(script_args, model, processor, completions=True)
    train_dataset = training_rows(script_args, training_args, builder)
    if script_args.validation_tracks:  # say before the training, not after it, that its videos cannot be used
        validated = [script_args.validation_tracks]
        load_mixture(validated, builder, limit=VALIDATED, max_missing=script_args.max_missing, targets_only=True)
    eval_dataset = validation_rows(script_args, training_args, builder)

    # Trainer
    trainer = GroundingSFTTrainer(
        model=model,
        args=training_args,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=processor,
        peft_config=peft_config(model_args, model.config, processor),
        callbacks=[MarkComplete(start.spent_before)],
    )
    keep_training(trainer)
    trainer.vision_learning_rate = script_args.vision_learning_rate
    if script_args.held_out_every:
        trainer.add_callback(held_out(trainer, builder, processor, script_args, script_args.held_out_tokens))

    # Train
    trainer.train(resume_from_checkpoint=start.checkpoint)

    # Save
    def results() -> dict[str, float]:
        if not script_args.validation_tracks:
            return {}
        tracks, most = [script_args.validation_tracks], script_args.max_seconds
        return {"wrong_image_loss_ratio": wrong_image_loss_ratio(trainer, tracks, builder, max_seconds=most)}

    end(start, trainer, model_args, results)
