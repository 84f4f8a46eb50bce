"""Checkpoints that are whole, and going on from them: what a kill left half is never taken for whole, nor deleted."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.stages import cpu_seconds, move_aside

MARKER = "COMPLETE"
WRITING = "WRITING"  # ours, being written; left by a kill
_NAME = re.compile(r"checkpoint-(\d+)")


class MarkComplete(TrainerCallback):
    """Leaves a marker in each checkpoint folder after its last file, so that half of one is never taken for whole.

    Trainer deletes what `save_total_limit` leaves no room for before `on_save`, when the new checkpoint has no marker
    yet: a kill in between would leave none that is whole. So the limit is taken from it and kept here, after marking.

    Each process writes a part of its own (its generator's state, with sharding its optimiser's); the marker waits for
    all of them. It lists every file with its size, so that a checkpoint which lost one later is not gone on from, and
    holds the CPU time that the checkpoint took, so that a run which goes on from it counts it too.

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
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark(folder, self.spent_before + cpu_seconds())
            if self.limit:
                remove_oldest(Path(args.output_dir), self.limit)


class WholeCheckpoints:
    """Mixin for trainers: a checkpoint is announced before its first file, and training that has ended trains no more.

    Mends: Trainer takes whatever lies in `checkpoint-N` for its own when it writes there; and going on from the
    checkpoint of the last step, it trains one step more. Overrides `_save_checkpoint` and `_run_epoch`. It can go when
    Trainer writes checkpoints aside and renames them, and ends at once where `global_step` has reached `max_steps`.
    """

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"  # type: ignore[attr-defined]
        state = PartialState()
        if state.is_main_process:
            if folder.exists() and not (folder / WRITING).exists():
                print(f"{folder}: not of this run's making, moved aside to {move_aside(folder).name}", file=sys.stderr)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / WRITING).touch()
        state.wait_for_everyone()
        super()._save_checkpoint(model, trial)  # type: ignore[misc]

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # type: ignore[attr-defined]
            self.control.should_training_stop = True  # type: ignore[attr-defined]
            return
        super()._run_epoch(*args, **kwargs)  # type: ignore[misc]


def mark(folder: Path, spent: float) -> None:
    """Sync a checkpoint's files to disk, then mark it as complete.

    Args:
        spent: CPU seconds that led to it.

    Raises:
        StageError: The folder is gone: something else is at work in it.
    """
    if not folder.is_dir():
        raise StageError(f"{folder}: gone while it was being written; is something else at work in that folder?")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MARKER, WRITING))
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)  # a power cut must not leave the marker and lose what it vouches for
        finally:
            os.close(handle)
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    with atomic_write(folder / MARKER) as out:
        json.dump({"cpu_seconds": round(spent, 1), "files": sizes}, out, indent=1)
    (folder / WRITING).unlink(missing_ok=True)


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return a marker's content; None where it is missing or cannot be read. Older ones hold only the seconds."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8") or "0")
    except (OSError, ValueError):
        return None
    if isinstance(marker, (int, float)) and not isinstance(marker, bool):
        return {"cpu_seconds": float(marker), "files": {}}
    return marker if isinstance(marker, dict) and isinstance(marker.get("files"), dict) else None


def lost_files(folder: Path) -> list[str]:
    """Return the files of a marked checkpoint that are gone or of another size."""
    marker = read_marker(folder)
    if marker is None:
        return [MARKER]
    lost = []
    for name, size in marker["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            lost.append(name)
    return lost


def is_whole(folder: Path) -> bool:
    """Return whether training can resume from a folder: marked and with all its files, or made by another trainer.

    One without a marker counts if it lies outside a run of this recipe and holds a trainer's state and weights.
    """
    if (folder / MARKER).exists():
        return not lost_files(folder)
    if (folder / WRITING).exists() or not (folder / "trainer_state.json").is_file():
        return False
    return any(folder.glob("*.safetensors")) or any(folder.glob("global_step*"))


def step_of(folder: Path) -> int:
    """Return N of a folder called checkpoint-N; -1 for another name."""
    match = _NAME.fullmatch(folder.name)
    return int(match.group(1)) if match else -1


def at_step(output_dir: Path, *, after: int = -1) -> list[Path]:
    """Return the checkpoint folders after a step, whole or not, oldest first."""
    folders = [path for path in output_dir.glob("checkpoint-*") if path.is_dir() and step_of(path) > after]
    return sorted(folders, key=step_of)


def complete(output_dir: Path) -> list[Path]:
    """Return the folders of whole checkpoints, oldest first."""
    return [path for path in at_step(output_dir) if (path / MARKER).exists() and not lost_files(path)]


def report_half_written(output_dir: Path) -> None:
    """Say which checkpoints are skipped when training resumes: half-written ones, and marked ones that lost a file."""
    for folder in at_step(output_dir):
        if not (folder / MARKER).exists():
            print(f"{folder}: half-written, not gone on from", file=sys.stderr)
        elif lost := lost_files(folder):
            print(f"{folder}: {lost[0]} is missing or damaged, not gone on from", file=sys.stderr)


def remove_oldest(output_dir: Path, limit: int) -> None:
    """Delete whole checkpoints but the newest `limit`, as `save_total_limit` asks; the marker goes first."""
    for folder in complete(output_dir)[:-limit]:
        (folder / MARKER).unlink()
        shutil.rmtree(folder)


def last_complete(output_dir: Path) -> str | None:
    """Return the path of the newest whole checkpoint, or None."""
    folders = complete(output_dir)
    return str(folders[-1]) if folders else None


def spent_on(checkpoint: str | None) -> float:
    """Return the CPU seconds that went into a checkpoint, over all processes that led to it; 0 where unknown."""
    marker = read_marker(Path(checkpoint)) if checkpoint else None
    return float(marker["cpu_seconds"]) if marker else 0.0
