"""The loop that CPT and SFT share: the stages differ in their data and settings, not in their loss (eq. 3)."""

from __future__ import annotations

from pathlib import Path

from trl import ModelConfig, SFTConfig

from data_prep.stages import Stage
from recipe import preflight
from recipe.arguments import StageArguments
from recipe.checkpoints import MarkComplete, begin, last_complete, spent_on
from recipe.cli import Parser
from recipe.dataset import load_mixture
from recipe.loading import load_model, load_processor, row_builder, stage_inputs
from recipe.lora import peft_config, save_whole
from recipe.trainers import GroundingSFTTrainer
from recipe.wandb_run import begin_run, end_run, keep_training
from recipe.wrong_image import wrong_image_loss_ratio


def parse(args: list[str] | None = None) -> tuple[StageArguments, SFTConfig, ModelConfig]:
    """Settings from --config YAML and the command line (which wins); an unknown key is an error."""
    return Parser((StageArguments, SFTConfig, ModelConfig)).parse_args_and_config(args)


def main(name: str, script_args: StageArguments, training_args: SFTConfig, model_args: ModelConfig) -> None:
    """Run one supervised stage; does nothing if its folder holds the same stage already."""
    # Data
    settings = vars(script_args) | vars(model_args) | training_args.to_dict()
    inputs = stage_inputs(script_args, model_args)
    stage = Stage(Path(training_args.output_dir), name, settings, inputs)
    if not stage.is_complete(quiet=True):
        preflight.begin(script_args, training_args, model_args)
    if not begin(stage):
        return
    begin_run(stage.folder, training_args, tracks=script_args.tracks)
    processor = load_processor(model_args)
    model = load_model(model_args, script_args)
    builder = row_builder(script_args, model, processor, completions=True)
    train_dataset = load_mixture(script_args.tracks, builder, limit=script_args.max_records)
    if script_args.validation_tracks:  # say before the training, not after it, that its videos are missing
        load_mixture([script_args.validation_tracks], builder, limit=1)

    # Trainer
    checkpoint = last_complete(stage.folder)
    spent_before = spent_on(checkpoint)  # read now: the next checkpoint may take its place
    trainer = GroundingSFTTrainer(
        model=model,
        args=training_args,
        train_dataset=train_dataset,
        processing_class=processor,
        peft_config=peft_config(model_args, model.config),
        callbacks=[MarkComplete(spent_before)],
    )
    keep_training(trainer)
    trainer.vision_learning_rate = script_args.vision_learning_rate

    # Train
    trainer.train(resume_from_checkpoint=checkpoint)

    # Save
    save_whole(trainer, model_args)
    trainer.save_state()
    results = {}
    if script_args.validation_tracks:
        ratio = wrong_image_loss_ratio(trainer, [script_args.validation_tracks], builder)
        results["wrong_image_loss_ratio"] = ratio
    if trainer.accelerator.is_main_process:
        stage.finish(results, spent_before=spent_before)
    end_run()
