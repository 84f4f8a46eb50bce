"""Write files so that a reader sees the whole file or none of it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a new file beside `path`; when the block ends well, it takes the place of `path` in one step.

    A crash, a full disk, Ctrl-C or kill -9 at any moment leaves what was at `path` before (killing the process
    may also leave a hidden `.NAME.*.part` file, which nothing reads). Missing folders are made.

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
    aside = path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}.part"
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
