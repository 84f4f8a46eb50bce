"""Which checkpoint an interrupted run goes on from: the last one that was written whole."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from data_prep.files import atomic_write
from data_prep.stages import Stage, StageError, cpu_seconds

MARKER = "COMPLETE"


class MarkComplete(TrainerCallback):
    """Leaves a marker in each checkpoint folder after its last file, so that half of one is never taken for whole.

    Trainer deletes what `save_total_limit` leaves no room for before `on_save`, when the new checkpoint has no marker
    yet: a kill in between would leave none that is whole. So the limit is taken from it and kept here, after marking.

    Each process writes a part of its own (its generator's state, with sharding its optimiser's); the marker waits for
    all of them.

    The marker holds the CPU time that the checkpoint took, so that a run which goes on from it counts it too.

    Args:
        spent_before: CPU seconds that the checkpoint gone on from took.
    """

    limit: int | None = None

    def __init__(self, spent_before: float = 0.0) -> None:
        self.spent_before = spent_before

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.limit, args.save_total_limit = args.save_total_limit, None

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            marker = Path(args.output_dir) / f"checkpoint-{state.global_step}" / MARKER
            with atomic_write(marker) as out:
                out.write(f"{self.spent_before + cpu_seconds():.1f}\n")
            if self.limit:
                remove_oldest(Path(args.output_dir), self.limit)


def begin(stage: Stage) -> bool:
    """Take the stage's folder, on the main process before the others look. Returns whether there is work to do."""
    state = PartialState()
    with state.main_process_first():
        if stage.is_complete(quiet=not state.is_main_process):
            return False
        if state.is_main_process:
            stage.begin()
            remove_half_written(stage.folder)
    return True


def check_whole_rollouts(args: Any) -> None:
    """Refuse GRPO settings whose checkpoints fall inside a rollout.

    What is left of a rollout is not saved, so a run that goes on from there would draw another one and end with other
    weights than a run that was not stopped.

    Args:
        args: GRPOConfig.

    Raises:
        StageError: `save_steps` is no multiple of the optimiser steps that a rollout is used in.
    """
    batches = args.steps_per_generation * args.num_iterations
    if args.save_strategy == "steps" and args.save_steps * args.gradient_accumulation_steps % batches:
        steps = batches / args.gradient_accumulation_steps
        raise StageError(
            f"save_steps {args.save_steps:g} falls inside a rollout, which is used in {steps:g} optimiser steps "
            "(steps_per_generation x num_iterations / gradient_accumulation_steps); make it a multiple"
        )


def remove_half_written(output_dir: Path) -> None:
    """Delete checkpoint folders without the marker, with a message."""
    for folder in output_dir.glob("checkpoint-*"):
        if not (folder / MARKER).exists():
            print(f"{folder}: half-written, removed", file=sys.stderr)
            shutil.rmtree(folder)


def remove_oldest(output_dir: Path, limit: int) -> None:
    """Delete whole checkpoints but the newest `limit`; the marker goes first."""
    for folder in complete(output_dir)[:-limit]:
        (folder / MARKER).unlink()
        shutil.rmtree(folder)


def complete(output_dir: Path) -> list[Path]:
    """Folders of whole checkpoints, oldest first."""
    folders = [marker.parent for marker in output_dir.glob(f"checkpoint-*/{MARKER}")]
    return sorted(folders, key=lambda folder: int(folder.name.removeprefix("checkpoint-")))


def last_complete(output_dir: Path) -> str | None:
    """The path of the newest whole checkpoint, or None."""
    folders = complete(output_dir)
    return str(folders[-1]) if folders else None


def spent_on(checkpoint: str | None) -> float:
    """CPU seconds that went into a checkpoint, over all the processes that led to it; 0 for none."""
    return float((Path(checkpoint) / MARKER).read_text() or 0) if checkpoint else 0.0
