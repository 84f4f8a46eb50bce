"""The W&B run of a stage: which one it goes on with, its name and groups, and offline where it must be."""

from __future__ import annotations

import functools
import hashlib
import inspect
import netrc
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_prep.files import atomic_write
from data_prep.stages import file_digest
from recipe.rewards import Variant
from recipe.variants.names import shortened

FILE = "wandb_run_id"
PROJECT = "stvg"
INIT_TIMEOUT, FINISH_TIMEOUT = 60, 120  # seconds; WANDB_INIT_TIMEOUT and WANDB_FINISH_TIMEOUT win

LONGEST_TAG, LONGEST_GROUP = 64, 128  # characters; W&B refuses the run of longer ones


def keep_run(folder: Path, report_to: Iterable[str]) -> str | None:
    """Tell W&B through its environment variables which run to begin or resume; call this before training.

    The id lies in the stage's folder, which is moved aside when it is overwritten: another run then. A WANDB_RUN_ID
    that is set already wins and is kept, as what the user asked for. Steps that were logged after the checkpoint that
    is gone on from are logged again with the same values.

    Args:
        folder: the stage's; it exists.
        report_to: the trainer's settings.

    Returns:
        The run's id; None if the stage does not log to W&B, and in all processes but the first, which do not either.
    """
    from accelerate import PartialState

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


def begin_run(folder: Path, training_args: Any, *, tracks: Sequence[str], variant: Variant | None = None) -> None:
    """Begin or resume the stage's W&B run, unless it does not log to W&B; call this before the trainer is made.

    Trainer takes a run that it finds. Nothing here ends or holds up training: without a key and a WANDB_MODE the run
    is offline, a server that does not answer makes it offline, and what a server has not taken at the end stays on
    disk.

    Args:
        training_args: the trainer's; `report_to`, `run_name` and `seed` are read.
        tracks: the stage's track files.
        variant: GRPO's rewards.
    """
    run_id = keep_run(folder, training_args.report_to)
    if run_id is None:
        return
    import wandb

    if not {"WANDB_MODE", "WANDB_DISABLED"} & os.environ.keys() and not has_key():
        print("wandb: no key and no WANDB_MODE: this run is offline; `wandb sync` sends it later", file=sys.stderr)
        os.environ["WANDB_MODE"] = "offline"
    if wandb.run is not None and wandb.run.id != run_id:
        end_run()  # another stage's, in the same process
    recipe = folder.resolve().parent.name
    config = describe(recipe, tracks, variant) | {"seed": training_args.seed}
    kind = variant.label if variant else folder.name
    own: dict[str, Any] = {
        "WANDB_NAME": ("name", training_args.run_name or f"{recipe}/{folder.name}"),
        "WANDB_RUN_GROUP": ("group", shortened(f"{recipe}/{kind}", LONGEST_GROUP)),
        "WANDB_PROJECT": ("project", PROJECT),
        "WANDB_TAGS": ("tags", [shortened(tag, LONGEST_TAG) for tag in (recipe, kind, f"seed-{training_args.seed}")]),
    }
    options = {key: value for name, (key, value) in own.items() if name not in os.environ}
    # All of it as arguments: W&B reads its environment once a process.
    options |= {"id": run_id, "resume": os.environ["WANDB_RESUME"], "config": config}
    options["settings"] = wandb.Settings(
        init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_TIMEOUT)),
        finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_TIMEOUT)),
    )
    mode: Any = os.environ.get("WANDB_MODE")
    try:
        run = wandb.init(mode=mode, **options)
    except Exception as error:  # a server that does not answer, a key that it does not take, a full disk
        print(f"wandb: {one_line(error)}; this run is offline, `wandb sync` sends it later", file=sys.stderr)
        os.environ["WANDB_MODE"] = "offline"
        wandb.teardown()  # its process still holds the run's id
        run = wandb.init(mode="offline", **options)
    # What logs beside Trainer's callback: TRL's completions and profiles, and the media.
    wandb.log = run.log = quiet(run.log)  # type: ignore[method-assign]


def quiet(function: Callable[..., Any]) -> Callable[..., None]:
    """Wrap a function so that it prints each error once instead of raising it.

    W&B's own process can die, and training must go on.
    """
    printed: set[str] = set()

    @functools.wraps(function)
    def tried(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            text = one_line(error)
            if text not in printed:
                printed.add(text)
                print(f"wandb: {text}; training goes on; trainer_state.json has the log", file=sys.stderr)

    return tried


def keep_training(trainer: Any) -> None:
    """Make the W&B callback of Trainer print errors instead of ending training."""
    from transformers.integrations import WandbCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, WandbCallback):
            for event in ("on_train_begin", "on_log", "on_save", "on_train_end"):
                setattr(callback, event, quiet(getattr(callback, event)))


def keep_results(results: Mapping[str, Any]) -> None:
    """Put a stage's results into the summary of this process's W&B run, if there is one."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        quiet(wandb.run.summary.update)(dict(results))


def end_run() -> None:
    """End this process's W&B run, if there is one; waits for the server no longer than WANDB_FINISH_TIMEOUT."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return
    quiet(wandb.finish)()


def has_key() -> bool:
    """Return whether W&B would find a key: in the environment, or in the netrc file for its server."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in paths:
        try:
            if netrc.netrc(os.path.expanduser(path)).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def describe(recipe: str, tracks: Sequence[str], variant: Variant | None) -> dict[str, Any]:
    """Return what a run's config says beside the trainer's settings: what runs are grouped and told apart by."""
    config: dict[str, Any] = {"recipe": recipe, "git_commit": git_commit(), "data_hash": data_hash(tracks)}
    if variant:
        config["variant"] = variant.label
        config["reward_code"] = variant.code_digest[:12]
        config["reward_definition"] = [
            {"function": function.__name__, "weight": weight, "text": inspect.getdoc(function) or ""}
            for function, weight in zip(variant.functions, variant.weights, strict=True)
        ]
    return config


def data_hash(tracks: Sequence[str]) -> str:
    """Return one sha256 over the digests of the track files, in order."""
    return hashlib.sha256("\n".join(file_digest(Path(path)) for path in tracks).encode()).hexdigest()


def git_commit() -> str:
    """Return the checkout's commit, with "-dirty" where files differ from it; "unknown" outside a checkout."""
    try:
        answers = [
            subprocess.run(
                ["git", *argv], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20, check=True
            ).stdout.strip()
            for argv in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answers[0] + ("-dirty" if answers[1] else "")


def one_line(error: BaseException) -> str:
    """Return an error's text without line ends."""
    return " ".join(str(error).split()) or type(error).__name__
