"""The videos of a mixture's records, looked at before the draw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.records import Record, RecordError, read_records, resolve_video
from data_prep.video.looks import Fault, fault_of, look, look_at

AT_A_TIME = 4096  # records whose videos are looked at together
# Of a record what a look at its video is compared with.
_COMPARED = ("id", "video", "clip", "seconds", "fps", "width", "height")


class VideoCheck:
    """Looks at the videos of records under a root, and keeps count of those that do not do."""

    def __init__(self, root: str, max_missing: float) -> None:
        self.root = Path(root)
        self.max_missing = max_missing
        self.num_seen = self.num_lost = 0
        self.example = ""

    def faults(self, records: Sequence[Mapping[str, Any]], what: str) -> list[Fault | None]:
        """Return why each record's video does not do; None where it does.

        Args:
            records: as `compared` returns them.
            what: what the progress bar calls the videos.
        """
        paths = [self._path_of(record) for record in records]
        look_at((path for path in paths if path is not None and path.exists()), what=what)
        found: list[Fault | None] = []
        for record, path in zip(records, paths, strict=True):
            if path is None or not path.exists():
                fault: tuple[Fault, str] | None = (Fault.MISSING, f"{record['video']} is not under {self.root}")
            else:
                fault = fault_of(look(path), record)
            self.num_seen += 1
            if fault is not None:
                self.num_lost += 1
                self.example = self.example or f"{fault[0]}: {fault[1]}"
            found.append(fault and fault[0])
        return found

    def check(self, where: str) -> None:
        """Raise a StageError where more records are lost than may be."""
        if self.num_lost > self.max_missing * self.num_seen:
            raise StageError(
                f"{where}: {self.num_lost} of {self.num_seen} records without a usable video under {self.root} "
                f"({self.example}); expected at most {self.max_missing:.0%} (max_missing)"
            )

    def _path_of(self, record: Mapping[str, Any]) -> Path | None:
        try:
            return resolve_video(self.root, record["video"])
        except RecordError:
            return None


def compared(record: Record) -> dict[str, Any]:
    """Return what of a record its video is compared with."""
    return {name: record.get(name) for name in _COMPARED}


def sizes_digest(tracks: Iterable[str], root: str | None) -> str | None:
    """Return the sha256 of name and size in bytes of the videos of track files; None without a root.

    A missing video counts as such.
    """
    if root is None:
        return None
    sizes = {}
    for name in sorted({record["video"] for path in tracks for record in read_records(path)}):
        try:
            sizes[name] = resolve_video(root, name).stat().st_size
        except (OSError, RecordError):
            sizes[name] = -1
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()
