"""What a stage leaves behind so that it is made once: a stamp of its settings beside its results.

`stamp.json` in the output folder holds a fingerprint of the settings and inputs, and whether the stage ended. The same
settings: nothing is made again, or an interrupted run goes on. Other settings: the folder is emptied and made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write

STAMP = "stamp.json"

# Settings that say where results go or how they are shown, not what they are.
NOT_A_SETTING = {
    "config", "disable_tqdm", "hub_token", "local_rank", "logging_dir", "media_clips", "out", "output_dir",
    "push_to_hub", "report_to", "resume_from_checkpoint", "run_name", "save_total_limit", "trackio_space_id",
}  # fmt: skip


def file_digest(path: Path) -> str:
    """sha256 of a file; of a folder, the fingerprint in its stamp.

    Raises:
        StageError: No such file, or a folder without a finished stage in it.
    """
    if path.is_dir():
        stamp = read_stamp(path)
        if stamp is None:
            # A folder that no stage made (weights from elsewhere): its config tells it from others.
            config = path / "config.json"
            return file_digest(config) if config.is_file() else str(path)
        if not stamp["complete"]:
            raise StageError(f"{path}: that stage was begun and did not end; run it again first")
        return str(stamp["fingerprint"])
    if not path.is_file():
        raise StageError(f"{path}: no such file or folder; an earlier stage makes it (make help lists them)")
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """The stamp of a folder, or None where there is none or it cannot be read."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return stamp if isinstance(stamp, dict) and {"fingerprint", "complete"} <= stamp.keys() else None


def _is_rest(path: Path) -> bool:
    """Whether a file is what a kill leaves of writing a stamp."""
    return path.name.startswith(f".{STAMP}.") and path.name.endswith(".part")


def cpu_seconds() -> float:
    """CPU time of this process and of the children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Stage:
    """One stage's folder.

    Args:
        folder: where its results lie.
        name: "cpt", "sft", ...; for messages.
        settings: everything that changes the result; JSON-like values.
        inputs: files and folders that it reads.
    """

    def __init__(self, folder: Path, name: str, settings: dict[str, Any], inputs: Iterable[Path] = ()) -> None:
        self.folder = folder
        self.name = name
        kept = {key: value for key, value in settings.items() if key not in NOT_A_SETTING}
        self.settings = json.loads(json.dumps(kept, default=str, sort_keys=True))
        digests = [file_digest(Path(path)) for path in inputs]
        text = json.dumps([name, self.settings, digests], sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def is_complete(self, *, quiet: bool = False) -> bool:
        """Whether the folder holds this very stage, ended; says so unless quiet."""
        stamp = read_stamp(self.folder)
        done = stamp is not None and stamp["fingerprint"] == self.fingerprint and stamp["complete"]
        if done and not quiet:
            print(f"{self.name}: {self.folder} is up to date", file=sys.stderr)
        return bool(done)

    def begin(self) -> None:
        """Take the folder: keep what an interrupted run of the same settings left, else empty it.

        Raises:
            StageError: The folder holds files that no stage made.
        """
        stamp = read_stamp(self.folder)
        if stamp is None and self.folder.is_dir() and any(not _is_rest(path) for path in self.folder.iterdir()):
            raise StageError(
                f"{self.folder}: not empty and without {STAMP}, so nothing in it is deleted; "
                "move it away or choose another output folder"
            )
        if stamp is not None and stamp["fingerprint"] != self.fingerprint:
            changed = sorted(
                key for key in self.settings.keys() | stamp.get("settings", {}).keys()
                if self.settings.get(key) != stamp.get("settings", {}).get(key)
            )  # fmt: skip
            print(f"{self.name}: made again, changed: {', '.join(changed) or 'its inputs'}", file=sys.stderr)
            self._empty()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(complete=False, results={})

    def finish(self, results: dict[str, Any], *, spent_before: float = 0.0) -> None:
        """Mark the stage as ended and keep its results in the stamp, with the CPU time that it took.

        Args:
            results: JSON-like values.
            spent_before: CPU seconds of earlier processes whose work this one went on from.
        """
        self._write(complete=True, results=results | {"cpu_seconds": round(spent_before + cpu_seconds(), 1)})

    def _empty(self) -> None:
        """Delete everything but the stamp, which first says that the folder holds no stage's results any more.

        A kill in between leaves a folder that no settings call complete and that the next `begin` empties.
        """
        self._write(complete=False, results={}, fingerprint="")
        for path in self.folder.iterdir():
            if path.name == STAMP:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _write(self, *, complete: bool, results: dict[str, Any], fingerprint: str | None = None) -> None:
        stamp = {
            "stage": self.name,
            "fingerprint": self.fingerprint if fingerprint is None else fingerprint,
            "complete": complete,
            "results": results,
            "settings": self.settings,
        }
        with atomic_write(self.folder / STAMP) as out:
            json.dump(stamp, out, indent=1, sort_keys=True)
