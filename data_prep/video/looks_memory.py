"""What was seen of videos, remembered within a process and, for files at rest, between processes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from data_prep.identity import SETTLED_S

VERSION = 1  # raised when a look sees other things, so that older lines are passed over
LARGEST = 64 << 20  # bytes of the file, some 300,000 videos; a larger one is begun anew

Seen = TypeVar("Seen")


class LooksMemory(Generic[Seen]):
    """Values by what a file is known by; threads may share one.

    Good ones are also appended, a line each, to `$XDG_CACHE_HOME/stvg-recipe/looks.jsonl`. A file that cannot be read
    is remembered within the process only: the reason can be a disk that is back tomorrow. So is one that changed just
    now, which may change again within one tick of the clock.

    Args:
        kind: a dataclass whose values are JSON; its field `problem` is None for good values.
    """

    def __init__(self, kind: type[Seen]) -> None:
        self.kind = kind
        self._known: dict[str, Seen] = {}
        self._kept: dict[str, list[Any]] | None = None
        self._lock = threading.Lock()

    def get(self, key: str) -> Seen | None:
        """Return the value under a key (`data_prep.identity.stamp_of`), or None."""
        with self._lock:
            if key not in self._known and (kept := self._from_file().get(key)) is not None:
                self._known[key] = self.kind(*map(_tuples, kept))
            return self._known.get(key)

    def add(self, key: str, seen: Seen) -> None:
        """Remember a value."""
        changed = int(key.rsplit("|", 1)[1]) / 1e9
        with self._lock:
            self._known[key] = seen
            if getattr(seen, "problem", None) is None and time.time() - changed > SETTLED_S:
                self._append(key, seen)

    def _from_file(self) -> dict[str, list[Any]]:
        if self._kept is None:
            self._kept = {}
            try:
                lines = _path().read_bytes().splitlines()
            except OSError:
                lines = []
            for line in lines:
                try:
                    version, key, values = orjson.loads(line)
                except (orjson.JSONDecodeError, ValueError, TypeError):
                    continue  # cut short by a kill or a full disk
                if version == VERSION and isinstance(values, list):
                    self._kept[key] = values
        return self._kept

    def _append(self, key: str, seen: Seen) -> None:
        line = orjson.dumps([VERSION, key, list(vars(seen).values())], option=orjson.OPT_APPEND_NEWLINE)
        try:
            path = _path()
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = path.exists() and path.stat().st_size > LARGEST
            # One write of a line: several processes may append to one file.
            file = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if whole else os.O_APPEND), 0o644)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError:
            pass  # a home that cannot be written: files are looked at again next time


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _path() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "stvg-recipe" / "looks.jsonl"
