"""How a training stage begins: is it made already, may it go on from what its folder holds, from which checkpoint?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from trl import ModelConfig

from data_prep.errors import StageError
from data_prep.identity import checkpoint_identity, file_digest, same_file, text_digest
from data_prep.records import read_records, resolve_video
from data_prep.stages import Stage, move_aside
from data_prep.stamps import Difference, check_ended, read_stamp
from data_prep.video.frame_store import PATTERN
from recipe.checks import stage as checks_stage
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.loading import check_checkpoint, model_identity
from recipe.inputs.prompts import prompts_digest
from recipe.inputs.settings import LENGTHS, beside, counting, flat, processes
from recipe.training.checkpoints import at_step, complete, is_whole, report_half_written, spent_on, step_of

LAST = ("last", "true", "True")  # values of --resume_from_checkpoint that mean the newest checkpoint of the folder
RESUMED = "resumed_from"


@dataclass(frozen=True)
class Start:
    """A stage that has work to do.

    Attributes:
        checkpoint: folder to go on from, or None.
        spent_before: CPU seconds that led to it.
    """

    stage: Stage
    checkpoint: str | None
    spent_before: float


def begin(
    name: str,
    script_args: StageArguments,
    training_args: Any,
    model_args: ModelConfig,
    *,
    preflight: Callable[..., None] = checks_stage.begin,
    extra: Callable[[], dict[str, str]] = dict,
) -> Start | None:
    """Take the stage's folder, on the main process before the others look.

    Args:
        name: "cpt", "sft" or "grpo".
        preflight: the checks that cost something; called where there is work to do, before anything is written.
        extra: digests of further inputs by name, such as that of the reward's code.

    Returns:
        Where to start, or None if the folder holds this very stage already.

    Raises:
        StageError: The folder holds another run; the checkpoint to resume from is no checkpoint; something is refused.
    """
    state = PartialState()
    folder = Path(training_args.output_dir)
    stage: Stage | None = None
    overwrite = script_args.overwrite_output_dir
    wanted = Resume.of(training_args.resume_from_checkpoint, folder)
    with state.main_process_first():
        if state.is_main_process:
            stage = stage_of(name, script_args, training_args, model_args, wanted, extra())
            if not overwrite and stage.is_complete():
                return None
            stage.check(overwrite=overwrite, goes_on=wanted.goes_on)
        elif (stamp := read_stamp(folder)) and stamp["complete"] and not overwrite:
            return None
    preflight(script_args, training_args, model_args, name)
    with state.main_process_first():
        if stage is not None:
            stage.begin(overwrite=overwrite, goes_on=wanted.goes_on, note=wanted.note)
            report_half_written(folder)
            wanted.drop_newer(folder)
    checkpoint = wanted.checkpoint(folder)
    if stage is None:  # of the other processes: only its folder is used
        stage = Stage(folder, name, {})
    return Start(stage, checkpoint, spent_on(checkpoint))


def stage_of(
    name: str,
    script_args: StageArguments,
    training_args: Any,
    model_args: ModelConfig,
    wanted: Resume,
    extra: dict[str, str],
) -> Stage:
    """Return the stage that the settings describe.

    Raises:
        StageError: An input is missing, is a stage that did not end, or is the output folder.
    """
    grpo = isinstance(script_args, GRPOArguments)
    checkpoint = Path(check_checkpoint(model_args.model_name_or_path))
    folder = Path(training_args.output_dir)
    if checkpoint.is_dir():
        if same_file(folder, checkpoint):
            raise StageError(f"output_dir {folder}: that is model_name_or_path, which would be overwritten")
        check_ended(checkpoint)
    settings, number = flat(script_args, training_args, model_args), processes()
    counted = counting(settings, grpo=grpo, processes=number)
    if wanted.foreign is not None:
        counted[RESUMED] = wanted.identity()
    return Stage(
        folder,
        name,
        counted,
        inputs_of(script_args, checkpoint) | extra,
        beside=beside(settings, grpo=grpo, processes=number),
        was=lambda old: counting(old, grpo=grpo, processes=number),
        version_1_inputs=[*map(Path, script_args.tracks), *([checkpoint] if checkpoint.is_dir() else [])],
        flag="--output_dir",
        ways=("--resume_from_checkpoint last, which goes on from its newest checkpoint with the new settings",)
        if complete(folder)
        else (),
    )


def inputs_of(script_args: StageArguments, checkpoint: Path) -> dict[str, str]:
    """Return name -> digest of what a stage reads: annotations, videos or frames, prompts and the checkpoint.

    Raises:
        StageError: A track file or the checkpoint is missing.
    """
    inputs = {"tracks": text_digest(*[file_digest(Path(path)) for path in script_args.tracks])}
    inputs["model"] = model_identity(checkpoint)
    inputs["prompts"] = prompts_digest(script_args.prompts)
    if script_args.frames:
        shards = sorted(Path(script_args.frames).glob(PATTERN))
        inputs["frames"] = text_digest([(path.name, path.stat().st_size) for path in shards])
    else:
        inputs["videos"] = videos_digest(script_args.tracks, Path(script_args.video_root))
    return inputs


def videos_digest(tracks: Sequence[str], root: Path) -> str:
    """Return the digest of name and size in bytes of the videos that the records name; a missing one counts as such.

    Content would take hours to read, and the time of change differs on another disk; another film under an old name
    has another size.
    """
    names = {record["video"] for path in tracks for record in read_records(path)}
    sizes: list[tuple[str, int | None]] = []
    for name in sorted(names):
        try:
            status = resolve_video(root, name).stat()
            sizes.append((name, status.st_size))
        except OSError:
            sizes.append((name, None))
    return text_digest(sizes)


@dataclass(frozen=True)
class Resume:
    """What `--resume_from_checkpoint` asks for.

    Attributes:
        own: a checkpoint of the output folder, to go on from whatever the settings were; None: the newest whole one.
        foreign: a checkpoint of another run, from which a new run starts.
        given: whether anything was asked for.
    """

    own: Path | None = None
    foreign: Path | None = None
    given: bool = False

    @classmethod
    def of(cls, value: str | bool | None, folder: Path) -> Resume:
        """Read the setting: nothing, "last", or a checkpoint's folder.

        Raises:
            StageError: There is no whole checkpoint where the setting says.
        """
        if value is None or str(value) in ("False", "false", ""):
            return cls()
        if str(value) in LAST:
            whole = complete(folder)
            if not whole:
                raise StageError(f"resume_from_checkpoint {value}: no whole checkpoint in {folder} to go on from")
            return cls(own=whole[-1], given=True)
        path = Path(str(value))
        is_own = path.resolve().parent == folder.resolve()
        if not (folder / path.name in complete(folder) if is_own else is_whole(path)):
            raise StageError(
                f"resume_from_checkpoint {path}: no whole checkpoint there; expected a folder checkpoint-N with "
                'trainer_state.json and weights, or "last"'
            )
        if is_own:
            return cls(own=folder / path.resolve().name, given=True)
        return cls(foreign=path, given=True)

    def identity(self) -> str:
        """Return the digest of the foreign checkpoint: its weights and its place in training."""
        assert self.foreign is not None
        return text_digest(checkpoint_identity(self.foreign), file_digest(self.foreign / "trainer_state.json"))[:16]

    @property
    def note(self) -> str:
        """What the stamp's history says."""
        path = self.own or self.foreign
        return f"resume_from_checkpoint {path}" if path else ""

    def goes_on(self, differences: Sequence[Difference]) -> bool:
        """Return whether a run may resume although it differs: as it was asked to, or because it is only longer."""
        if self.own is not None:
            return all(difference.name != "stage" for difference in differences)
        return bool(differences) and all(map(is_longer, differences))

    def checkpoint(self, folder: Path) -> str | None:
        """Return the checkpoint to resume from, or None to start at the first step."""
        if self.own is not None:
            return str(self.own)
        whole = complete(folder)
        if whole:
            return str(whole[-1])
        return None if self.foreign is None else str(self.foreign)

    def drop_newer(self, folder: Path) -> None:
        """Move aside the checkpoints after the one that was asked for: they are of a course that is left."""
        if self.own is None:
            return
        for path in at_step(folder, after=step_of(self.own)):
            print(f"{path}: after {self.own.name}, moved aside to {move_aside(path).name}", file=sys.stderr)


def is_longer(difference: Difference) -> bool:
    """Return whether a difference is that training is to take more steps or epochs than before.

    >>> is_longer(Difference("max_steps", 400, 600)), is_longer(Difference("max_steps", 600, 400))
    (True, False)
    """
    was, now = difference.was, difference.now
    if difference.name not in LENGTHS or not isinstance(now, (int, float)):
        return False
    if was is None and difference.name == "num_train_epochs":
        was = 3  # TrainingArguments' default, which no stamp states
    return isinstance(was, (int, float)) and 0 < was < now
