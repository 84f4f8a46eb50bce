"""A stage is made once, goes on when it was interrupted, and never destroys what another run made.

The output folder's `stamp.json` says what it was made of (`data_prep.stamps`). The same settings and inputs: nothing
is made again, or an interrupted run goes on. Others: the stage stops with one line that names the differences and the
ways on. Only `overwrite` makes room, and it moves the old folder aside.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.identity import check_outputs, checkpoint_parts, file_digest, text_digest
from data_prep.locks import LOCK, Lock
from data_prep.stamps import (
    STAMP,
    VERSION,
    Difference,
    fingerprint,
    is_rest,
    plain,
    read_stamp,
    version_1_inputs_changed,
    write_stamp,
)

__all__ = ["STAMP", "Stage", "StageError", "cpu_seconds", "file_digest", "move_aside", "read_stamp"]

# Settings of the data commands that say where results go or how they are shown, not what they are.
PLACES = {"config", "out", "output_dir", "overwrite_output_dir"}


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the children that it has waited for, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def move_aside(path: Path) -> Path:
    """Rename a file or folder to `NAME.old-N`, with the first N from 1 that is free; return the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


def never(differences: Sequence[Difference]) -> bool:
    """Let no difference pass: any other setting or input is another run."""
    return False


class Stage:
    """One stage's folder.

    Args:
        folder: where its results lie.
        name: "cpt", "sft", ...; for messages.
        settings: everything that changes the result; JSON-like values.
        inputs: name -> file, files, or a ready digest of what it reads; a plain list of files is named by position.
        beside: settings that do not change the result, kept in the stamp for people and pages.
        defaults: what a setting was before a stamp could state it; one that is missing and here is no difference.
        was: turns the settings of a version 1 stamp into the form of `settings`.
        version_1_inputs: the files and folders that a version 1 stamp looked at, in its order.
        flag: the option that names the folder, for messages.
        ways: more ways on that a refusal names.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str | Path | Sequence[Path]] | Iterable[Path] = (),
        *,
        beside: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        was: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda settings: settings,
        version_1_inputs: Sequence[Path] | None = None,
        flag: str = "--out",
        ways: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.name = name
        self.settings = plain({key: value for key, value in settings.items() if key not in PLACES})
        self.beside = plain(beside or {})
        self._defaults = plain(defaults or {})
        self._was, self._flag, self._ways = was, flag, tuple(ways)
        named = inputs if isinstance(inputs, Mapping) else {f"file {k}": path for k, path in enumerate(inputs, 1)}
        self._version_1_inputs = [*_files(named)] if version_1_inputs is None else list(version_1_inputs)
        self.inputs = {key: _digest(value) for key, value in named.items()}
        self.fingerprint = fingerprint(name, self.settings, self.inputs)
        self._lock = Lock(folder, folder=True)

    def differences(self) -> list[Difference]:
        """Return in what the folder's stage differs from this one; [] where there is none or it is the same."""
        stamp = read_stamp(self.folder)
        if stamp is None or stamp["fingerprint"] == self.fingerprint:
            return []
        if stamp.get("stage") != self.name:
            return [Difference("stage", stamp.get("stage"), self.name)]
        kept = stamp.get("settings")
        kept = kept if isinstance(kept, dict) else {}
        old = stamp.get("version", 1) < VERSION
        was = self._defaults | plain(self._was(kept) if old else kept)
        now = self._defaults | self.settings
        differences = [
            Difference(key, was.get(key), now.get(key))
            for key in sorted(was.keys() | now.keys())
            if was.get(key) != now.get(key) and key not in PLACES
        ]
        if old:
            changed = version_1_inputs_changed(stamp, self._version_1_inputs)
            return differences + ([Difference("input its inputs")] if changed else [])
        digests = stamp.get("inputs") or {}
        names = sorted(digests.keys() | self.inputs.keys())
        return differences + [
            Difference(f"input {name}") for name in names if not _same_input(digests.get(name), self.inputs.get(name))
        ]

    def is_complete(self, *, quiet: bool = False) -> bool:
        """Return whether the folder holds this very stage, ended and with every file that it vouches for."""
        stamp = read_stamp(self.folder)
        done = bool(stamp and stamp["complete"] and not self.differences() and not self._missing(stamp))
        if done and not quiet:
            print(f"{self.name}: {self.folder} is up to date", file=sys.stderr)
        return done

    def check(
        self, *, overwrite: bool = False, goes_on: Callable[[Sequence[Difference]], bool] = never
    ) -> list[Difference]:
        """Return the differences that `begin` would pass over; refuse what it would refuse, and write nothing.

        Args:
            overwrite: what stands in the way is going to be moved aside.
            goes_on: whether a run may go on from what the folder holds, given in what it differs.

        Raises:
            StageError: The folder holds another run, another stage, or files that no stage made.
        """
        if overwrite:
            return []
        stamp = read_stamp(self.folder)
        if stamp is None:
            if self._others():
                raise StageError(
                    f"{self.folder}: not empty and without a readable {STAMP}, so nothing in it is touched; choose "
                    f"another {self._flag}, or --overwrite_output_dir, which moves it aside"
                )
            return []
        differences = self.differences()
        if not differences and stamp["complete"]:
            changed = [name for name in self._missing(stamp) if (self.folder / name).exists()]
            differences = [Difference(f"input {name} in it") for name in changed]
        if differences and not (stamp.get("stage") == self.name and goes_on(differences)):
            raise StageError(self._refusal(differences))
        return differences

    def begin(
        self, *, overwrite: bool = False, goes_on: Callable[[Sequence[Difference]], bool] = never, note: str = ""
    ) -> None:
        """Take the folder: lock it until this process ends, and keep what an interrupted run left.

        Args:
            overwrite: move another run's folder aside, to `NAME.old-N`, and say so.
            goes_on: see `check`.
            note: what the history says beside the differences.

        Raises:
            StageError: See `check`.
            InUse: Another process is at work in the folder.
        """
        self._lock.acquire()
        try:
            passed = self.check(overwrite=overwrite, goes_on=goes_on)
        except StageError:
            self._lock.release()
            raise
        if overwrite and (self._others() or read_stamp(self.folder) is not None):
            self._lock.release()
            aside = move_aside(self.folder)
            print(f"{self.name}: {self.folder} was moved aside, to {aside}", file=sys.stderr)
            self._lock.acquire()
        stamp = read_stamp(self.folder) or {}
        history = [*stamp.get("history", [])]
        if stamp:
            entry: dict[str, Any] = {"at": _now(), "event": "went on"} | ({"note": note} if note else {})
            changes = [str(difference) for difference in passed] + self._changes_beside(stamp)
            if changes:
                entry["changed"] = changes
                print(f"{self.name}: goes on with other settings: {'; '.join(changes)}", file=sys.stderr)
            history.append(entry)
        else:
            history.append({"at": _now(), "event": "begun"} | ({"note": note} if note else {}))
        self._write(complete=False, results={}, history=history, files={})

    def finish(
        self, results: Mapping[str, Any], *, spent_before: float = 0.0, files: Iterable[str] | None = None
    ) -> None:
        """Mark the stage as ended, with its results and the CPU time that it took, and give the folder back.

        Args:
            results: JSON-like values.
            spent_before: CPU seconds of earlier processes whose work this one went on from.
            files: names of the files in the folder that the stamp vouches for; None: those of a checkpoint.
        """
        names = list(files) if files is not None else list(checkpoint_parts(self.folder))
        sizes = {name: (self.folder / name).stat().st_size for name in names}
        history = (read_stamp(self.folder) or {}).get("history", [])
        whole = dict(results) | {"cpu_seconds": round(spent_before + cpu_seconds(), 1)}
        history = [*history, {"at": _now(), "event": "ended"}]
        self._write(complete=True, results=whole, history=history, files=sizes)
        self._lock.release()

    def release(self) -> None:
        """Give the folder back without marking the stage as ended."""
        self._lock.release()

    def _missing(self, stamp: Mapping[str, Any]) -> list[str]:
        """Return the files that a stamp vouches for and that are gone or of another size."""
        files = stamp.get("files")
        sizes = files if isinstance(files, dict) else {}
        return [name for name, size in sizes.items() if _size(self.folder / name) != size]

    def _others(self) -> bool:
        """Return whether the folder holds anything but what a lock or a half-written stamp leaves."""
        if not self.folder.is_dir():
            return False
        return any(path.name not in (LOCK, STAMP) and not is_rest(path) for path in self.folder.iterdir()) or (
            (self.folder / STAMP).exists() and read_stamp(self.folder) is None
        )

    def _changes_beside(self, stamp: Mapping[str, Any]) -> list[str]:
        """Return the settings that do not change the result and are others now."""
        was = stamp.get("beside")
        if not isinstance(was, dict):
            return []
        names = sorted(was.keys() | self.beside.keys())
        return [
            str(Difference(name, was.get(name), self.beside.get(name)))
            for name in names
            if was.get(name) != self.beside.get(name)
        ]

    def _refusal(self, differences: Sequence[Difference]) -> str:
        listed = "; ".join(str(difference) for difference in differences[:6]) + (
            "; ..." if len(differences) > 6 else ""
        )
        ways = [f"another {self._flag}", "--overwrite_output_dir, which moves that folder aside", *self._ways]
        differing = f"{self.folder}: holds another run, which differs in {listed}; nothing was touched"
        return f"{differing}. Ways on: {', or '.join(ways)}"

    def _write(
        self, *, complete: bool, results: Mapping[str, Any], history: Sequence[Any], files: Mapping[str, int]
    ) -> None:
        write_stamp(
            self.folder,
            {
                "version": VERSION,
                "stage": self.name,
                "fingerprint": self.fingerprint,
                "complete": complete,
                "results": results,
                "settings": self.settings,
                "inputs": self.inputs,
                "beside": self.beside,
                "files": files,
                "history": history,
            },
        )


def check_folder_is_no_input(flag: str, folder: Path, inputs: Iterable[Path | str | None]) -> None:
    """Refuse an output folder that is one of the inputs (see `data_prep.identity.check_outputs`)."""
    check_outputs({flag: folder}, inputs)


def _files(inputs: Mapping[str, str | Path | Sequence[Path]]) -> Iterable[Path]:
    for value in inputs.values():
        if isinstance(value, Path):
            yield value
        elif not isinstance(value, str):
            yield from value


def _digest(value: str | Path | Sequence[Path]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Path):
        return file_digest(value)
    return text_digest(*[file_digest(path) for path in value])


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _same_input(was: Any, now: Any) -> bool:
    """Return whether two digests are one; a model id without a commit is that id at any."""
    if isinstance(was, str) and isinstance(now, str) and was.startswith("id:") and now.startswith("id:"):
        (name, _, commit), (other, _, others) = was.partition("@"), now.partition("@")
        return name == other and (commit == others or not commit or not others)
    return bool(was == now)
