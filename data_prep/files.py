"""Write files so that a reader sees the whole file or none of it."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a new file beside `path`; when the block ends well, it takes the place of `path` in one step.

    A crash, a full disk, Ctrl-C or kill -9 at any moment leaves what was at `path` before (killing the process
    may also leave a hidden `.NAME.*.part` file, which nothing reads; see `remove_leftovers`). Missing folders are
    made.

    Args:
        path: the file to write.
        mode: "w" for text (UTF-8, line ends as written) or "wb" for bytes.

    Raises:
        ValueError: for another mode.
        OSError: when the folder cannot be written or the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "sub" / "a.txt") as file:
        ...         _ = file.write("whole")
        ...     (Path(folder) / "sub" / "a.txt").read_text()
        'whole'
    """
    if mode not in ("w", "wb"):
        raise ValueError(f'atomic_write: mode {mode!r}, expected "w" or "wb"')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same folder, because a rename is one step only inside one file system.
    aside = path.parent / f".{_short(path.name)}.{secrets.token_hex(6)}.part"
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": ""}
    try:
        with open(aside, mode.replace("w", "x"), **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_leftovers(*paths: str | os.PathLike[str]) -> None:
    """Delete the hidden files that killed `atomic_write`s of these paths left; nothing else is touched.

    The caller holds the lock of each path, or of its folder: another process may be writing there otherwise.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     left = Path(folder) / ".a.txt.0123456789ab.part"
        ...     _ = left.write_text("half")
        ...     remove_leftovers(Path(folder) / "a.txt")
        ...     left.exists()
        False
    """
    for path in map(Path, paths):
        ours = re.compile(re.escape(f".{_short(path.name)}.") + r"[0-9a-f]{12}\.part")
        if path.parent.is_dir():
            for leftover in [entry for entry in path.parent.iterdir() if ours.fullmatch(entry.name)]:
                leftover.unlink(missing_ok=True)


def _short(name: str) -> str:
    """Return a name that leaves room for what is added to it, and that no other name is shortened to."""
    if len(name) <= 40:
        return name
    return f"{name[:27]}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets folders be synced."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
