"""Reinforcement learning with the verifier reward (section 3.6, eq. 4 to 8) through TRL's GRPOTrainer.

python -m recipe.grpo --config recipe/configs/tiny/grpo.yaml --reward tiou_mviou
"""

from __future__ import annotations

from trl import GRPOConfig, ModelConfig

from data_prep.errors import StageError
from recipe.checks.data import batches_are_even
from recipe.checks.settings import check_whole_rollouts
from recipe.cli import Parser, run
from recipe.dashboards.wandb_run import begin_run, keep_training
from recipe.inputs.arguments import GRPOArguments
from recipe.inputs.dataset import training_rows
from recipe.inputs.loading import load_model, load_processor, row_builder
from recipe.inputs.run_folder import fill
from recipe.rewards import Variant, variant_of
from recipe.training.checkpoints import MarkComplete
from recipe.training.ending import end
from recipe.training.held_out import held_out
from recipe.training.lora import peft_config
from recipe.training.starting import begin
from recipe.training.trainers import GroundingGRPOTrainer

PRINTED = 4  # answers that `log_completions` prints at each log; W&B's table and the files get all


def parse(args: list[str] | None = None) -> tuple[GRPOArguments, GRPOConfig, ModelConfig]:
    """Return the settings of --config YAML files and the command line (which wins).

    `$VARIANT` and `$SEED` in `output_dir` and `run_name` become the name of the reward variant and the seed, so that
    every variant and seed has a folder of its own.

    Raises:
        ValueError: A key is unknown, or rewards and weights do not fit each other.
    """
    script_args, training_args, model_args = Parser(
        (GRPOArguments, GRPOConfig, ModelConfig), "grpo"
    ).parse_args_and_config(args)
    if training_args.num_completions_to_print is None:  # TRL prints all: 128 answers at each log of the tiny recipe
        training_args.num_completions_to_print = PRINTED
    names = {"VARIANT": variant_of(script_args, training_args).name, "SEED": str(training_args.seed)}
    for key in ("output_dir", "run_name"):
        setattr(training_args, key, fill(getattr(training_args, key), names, where=key))
    return script_args, training_args, model_args


def check_enough(records: int, training_args: GRPOConfig) -> None:
    """Refuse data that fill no rollout: TRL leaves unfilled ones out, and would train nothing without a word.

    Raises:
        StageError: Fewer records than one rollout has prompts.
    """
    for finding in batches_are_even(training_args.generation_batch_size, training_args.num_generations, records):
        raise StageError(finding.text)


def chosen_variant(script_args: GRPOArguments, training_args: GRPOConfig) -> Variant:
    """Return the reward functions and weights of the settings, under their name.

    Raises:
        StageError: They do not fit each other.
    """
    try:
        return variant_of(script_args, training_args)
    except ValueError as error:
        raise StageError(str(error)) from None


def main(script_args: GRPOArguments, training_args: GRPOConfig, model_args: ModelConfig) -> None:
    """Run the stage; does nothing if its folder holds the same stage already."""
    # Data
    check_whole_rollouts(training_args)
    variant = chosen_variant(script_args, training_args)
    code = {"reward code": variant.code_digest}
    start = begin("grpo", script_args, training_args, model_args, extra=lambda: code)
    if start is None:
        return
    begin_run(start.stage.folder, training_args, tracks=script_args.tracks, variant=variant)
    processor = load_processor(model_args, script_args.video_units)
    model = load_model(model_args, script_args)
    builder = row_builder(script_args, model, processor, completions=False)
    train_dataset = training_rows(script_args, training_args, builder)
    check_enough(len(train_dataset), training_args)

    # Trainer
    training_args.reward_weights = list(variant.weights)
    trainer = GroundingGRPOTrainer(
        model=model,
        reward_funcs=list(variant.functions),
        args=training_args,
        train_dataset=train_dataset,
        processing_class=processor,
        peft_config=peft_config(model_args, model.config, processor),
        callbacks=[MarkComplete(start.spent_before)],
    )
    keep_training(trainer)
    trainer.vision_learning_rate = script_args.vision_learning_rate
    trainer.dynamic_sampling = script_args.dynamic_sampling
    trainer.frozen_features = script_args.frozen_features
    trainer.shared_prefix = script_args.shared_prefix
    trainer.shared_prefix_tokens = script_args.shared_prefix_tokens
    builder.clock = trainer.clock
    trainer.clips_ahead = builder.clips if script_args.decode_ahead else None
    if script_args.held_out_every:
        trainer.add_callback(held_out(trainer, builder, processor, script_args, training_args.max_completion_length))

    # Train
    trainer.train(resume_from_checkpoint=start.checkpoint)

    # Save
    end(start, trainer, model_args, lambda: {"clips_decoded": builder.clips.decoded})


if __name__ == "__main__":
    run(parse, main)
