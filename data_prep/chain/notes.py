"""What a track file was made of, so that the same conversion is not made twice.

Beside a track file lies `<out>.build.json`: its command, and a mark of what that read. To hash a data set would take
as long as to convert it, so a file's mark is its size and time of change, and a folder's that of its direct entries.
What changes deeper down is not seen: `--again NAME` converts anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from data_prep.validation import SCHEMA_VERSION


def note_path(out: Path) -> Path:
    """Return the path of the note beside a track file."""
    return out.with_name(f"{out.name}.build.json")


def report_of(out: Path) -> dict[str, Any]:
    """Return the report that a conversion wrote beside its track file."""
    report: dict[str, Any] = json.loads(out.with_name(f"{out.name}.report.json").read_text(encoding="utf-8"))
    return report


def mark_of(path: Path) -> Any:
    """Return the mark of a file, or of a folder and its direct entries."""
    status = path.stat()
    own = [status.st_size, status.st_mtime_ns]
    if not path.is_dir():
        return own
    inside = [(entry.name, entry.stat()) for entry in sorted(path.iterdir()) if entry.exists()]
    return [[name, found.st_size, found.st_mtime_ns] for name, found in inside]


def note_of(argv: list[str], reads: Iterable[Path]) -> dict[str, Any]:
    """Return the note of a conversion, as JSON gives it back."""
    made_of = {"schema": SCHEMA_VERSION, "argv": argv, "inputs": {str(path): mark_of(path) for path in reads}}
    noted: dict[str, Any] = json.loads(json.dumps(made_of))
    return noted


def is_current(out: Path, argv: list[str], reads: Iterable[Path]) -> bool:
    """Return whether a track file is what this conversion makes, as far as its note can tell."""
    try:
        kept = json.loads(note_path(out).read_text(encoding="utf-8"))
        return out.is_file() and kept.pop("size") == out.stat().st_size and kept == note_of(argv, reads)
    except (OSError, ValueError, AttributeError, KeyError):
        return False


def keep_note(out: Path, noted: dict[str, Any]) -> None:
    """Write the note beside a track file that was just made."""
    with atomic_write(note_path(out)) as file:
        json.dump(noted | {"size": out.stat().st_size}, file, indent=1)
