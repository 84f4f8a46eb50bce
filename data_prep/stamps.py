"""The stamp that a stage leaves in its folder: what it was made of, whether it ended, and what happened to it.

`stamp.json` holds `stage`, `complete`, `results`, `settings` (those that change the result and differ from their
defaults), `inputs` (name -> digest of content), `beside` (settings that do not change the result, for people and
pages), `files` (name -> size in bytes of what a finished stage vouches for), `fingerprint` (one digest over stage,
settings and inputs) and `history`. Stamps of version 1 held every setting and no digest by input; they are still read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.identity import file_digest, text_digest

STAMP = "stamp.json"
VERSION = 2


@dataclass(frozen=True)
class Difference:
    """One setting or input in which a folder's stage differs from the one that is asked for.

    Attributes:
        name: of the setting, or "input NAME".
        was, now: values; None for an input, whose digests say nothing to a reader.
    """

    name: str
    was: Any = None
    now: Any = None

    def __str__(self) -> str:
        """Say "name was -> now" in short."""
        if self.name.startswith("input "):
            return f"{self.name.removeprefix('input ')} (other content)"
        return f"{self.name} {_short(self.was)} -> {_short(self.now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON would give them back: tuples as lists, paths and enums as text."""
    result: dict[str, Any] = json.loads(json.dumps(dict(values), default=str, sort_keys=True))
    return result


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """Return the stamp of a folder, or None where there is none or it cannot be read."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return stamp if isinstance(stamp, dict) and {"fingerprint", "complete"} <= stamp.keys() else None


def setting_of(folder: Path, name: str, default: Any = None) -> Any:
    """Return a setting of the stage in a folder, whether it changes the result or not; the default if unstated."""
    stamp = read_stamp(folder) or {}
    for part in ("settings", "beside"):
        values = stamp.get(part)
        if isinstance(values, dict) and name in values:
            return values[name]
    return default


def fingerprint(stage: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the digest that tells a stage from any other."""
    return text_digest(VERSION, stage, settings, inputs)


def write_stamp(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Write a stamp in one step."""
    with atomic_write(folder / STAMP) as out:
        json.dump(dict(stamp), out, indent=1, sort_keys=True)


def is_rest(path: Path) -> bool:
    """Return whether a file is what a kill leaves of writing a stamp."""
    return path.name.startswith(f".{STAMP}.") and path.name.endswith(".part")


def version_1_inputs_changed(stamp: Mapping[str, Any], inputs: Sequence[Path]) -> bool:
    """Return whether the inputs of a stage that a version 1 stamp tells of are no longer the same.

    Version 1 mixed the inputs' digests into one fingerprint with all settings, so it is computed again from the
    stamp's own settings and the inputs of today.

    Args:
        inputs: the files and folders that version 1 looked at, in its order.
    """
    digests = [_version_1_digest(path) for path in inputs]
    text = json.dumps([stamp.get("stage"), stamp.get("settings"), digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest() != str(stamp["fingerprint"])


def _version_1_digest(path: Path) -> str:
    if not path.is_dir():
        return file_digest(path)
    stamp = read_stamp(path)
    if stamp is not None:
        return str(stamp["fingerprint"])
    config = path / "config.json"
    return file_digest(config) if config.is_file() else str(path)


def check_ended(folder: Path) -> None:
    """Refuse a folder whose stage was begun and did not end.

    Raises:
        StageError: Names the folder.
    """
    stamp = read_stamp(folder)
    if stamp is not None and not stamp["complete"]:
        raise StageError(f"{folder}: that stage was begun and did not end; run it again first")
