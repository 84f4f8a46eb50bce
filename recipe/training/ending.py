"""End a training stage: save what the next stage loads, mark the folder complete, and close the run's log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trl import ModelConfig

from recipe.dashboards.wandb_run import end_run, keep_results
from recipe.training.lora import save_whole
from recipe.training.signs import print_signs, signs_of
from recipe.training.starting import Start


def end(start: Start, trainer: Any, model_args: ModelConfig, results: Callable[[], Mapping[str, Any]]) -> None:
    """Save the model and the trainer's state, mark the stage's folder complete, and end the W&B run.

    Args:
        start: how the stage began.
        results: called in every process once the model is saved, because it may ask the model in all of them; what it
            returns in the main process goes into the folder's stamp and W&B's summary, with `signs` of a model
            that does not look or whose answers are not read.
    """
    save_whole(trainer, model_args)
    trainer.save_state()
    figures = dict(results())
    if trainer.accelerator.is_main_process:
        signs = signs_of(figures, trainer.state.log_history)
        print_signs(start.stage.folder.name, signs)
        figures |= {"signs": signs}
        keep_results(figures)
        start.stage.finish(figures, spent_before=start.spent_before)
    end_run()
