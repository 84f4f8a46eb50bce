"""Which W&B run a stage logs to: a stage that goes on from a checkpoint goes on with the run that it began."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from accelerate import PartialState

from data_prep.files import atomic_write

FILE = "wandb_run_id"


def keep_run(folder: Path, report_to: Iterable[str]) -> str | None:
    """Tell W&B through its environment variables which run to begin or to go on with; call before training.

    The id lies in the stage's folder, which is emptied when a setting changes: another run then. A WANDB_RUN_ID that
    is set already wins and is kept, as what the user asked for. Steps that were logged after the checkpoint that is
    gone on from are logged again with the same values.

    Args:
        folder: the stage's; it exists.
        report_to: the trainer's settings.

    Returns:
        The run's id; None if the stage does not log to W&B, and in all processes but the first, which do not either.
    """
    if "wandb" not in report_to or not PartialState().is_main_process:
        return None
    path = folder / FILE
    stored = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    run_id = os.environ.get("WANDB_RUN_ID") or stored or uuid.uuid4().hex[:8]
    if run_id != stored:
        with atomic_write(path) as out:
            out.write(f"{run_id}\n")
    os.environ["WANDB_RUN_ID"] = run_id
    os.environ.setdefault("WANDB_RESUME", "allow")
    return run_id
