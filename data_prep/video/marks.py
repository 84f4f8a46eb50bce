"""What a video is known by once its frames lie elsewhere: never its name only, since a file can be replaced."""

from __future__ import annotations

import os
from pathlib import Path

from data_prep.identity import text_digest


def video_mark(path: Path) -> str:
    """Return "size in bytes|time of change in ns" of a video, or "N files|digest" of a folder of pictures.

    The digest is that of each picture's name, size and time of change. The place does not count, so that a video root
    can be moved.

    Raises:
        OSError: There is nothing, or it cannot be looked at.

    Example:
        >>> size, changed_ns = video_mark(Path(__file__)).split("|")
        >>> int(size) == Path(__file__).stat().st_size
        True
    """
    if not path.is_dir():
        status = path.stat()
        return f"{status.st_size}|{status.st_mtime_ns}"
    with os.scandir(path) as entries:
        files = sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries)
    return f"{len(files)} files|{text_digest(files)[:16]}"
