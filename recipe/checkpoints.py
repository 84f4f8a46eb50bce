"""Which checkpoint an interrupted run goes on from: the last one that was written whole."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

MARKER = "COMPLETE"


class MarkComplete(TrainerCallback):
    """Leaves a marker in each checkpoint folder after its last file, so that half of one is never taken for whole."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / MARKER).touch()


def last_complete(output_dir: Path) -> str | None:
    """The path of the newest whole checkpoint, or None; half-written ones are removed with a message."""
    found: list[tuple[int, Path]] = []
    for folder in output_dir.glob("checkpoint-*"):
        step = folder.name.removeprefix("checkpoint-")
        if not step.isdigit():
            continue
        if (folder / MARKER).exists():
            found.append((int(step), folder))
        else:
            print(f"{folder}: half-written, removed", file=sys.stderr)
            shutil.rmtree(folder)
    return str(max(found)[1]) if found else None
