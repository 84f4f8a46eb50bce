"""Which checkpoint an interrupted run goes on from: the last one that was written whole."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from data_prep.stages import Stage

MARKER = "COMPLETE"


class MarkComplete(TrainerCallback):
    """Leaves a marker in each checkpoint folder after its last file, so that half of one is never taken for whole."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / MARKER).touch()


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


def remove_half_written(output_dir: Path) -> None:
    """Delete checkpoint folders without the marker, with a message."""
    for folder in output_dir.glob("checkpoint-*"):
        if not (folder / MARKER).exists():
            print(f"{folder}: half-written, removed", file=sys.stderr)
            shutil.rmtree(folder)


def last_complete(output_dir: Path) -> str | None:
    """The path of the newest whole checkpoint, or None."""
    steps = [
        int(marker.parent.name.removeprefix("checkpoint-")) for marker in output_dir.glob(f"checkpoint-*/{MARKER}")
    ]
    return str(output_dir / f"checkpoint-{max(steps)}") if steps else None
