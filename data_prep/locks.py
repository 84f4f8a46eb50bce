"""One process at a time in a folder or at a file: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import StageError

LOCK = ".lock"


class InUse(StageError):
    """Another process, or another thread of this one, holds the lock."""


class Lock:
    """An exclusive lock on a folder (`<folder>/.lock`) or on an output file (`.<name>.lock` beside it).

    The system gives it back when the process ends, however it ends. Record locks (`lockf`) are used and not `flock`,
    because a child that was forked, such as a worker that decodes frames, would keep a `flock` for its killed parent.
    A thread of the same process does not get a lock that another thread holds.

    Args:
        target: the folder (made if it is missing) or the file that is written.
        folder: whether `target` is a folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock = Lock(Path(folder) / "out.jsonl")
        ...     lock.acquire()
        ...     lock.release()
    """

    _held: set[tuple[int, int]] = set()
    _guard = threading.Lock()

    def __init__(self, target: Path, *, folder: bool = False) -> None:
        self.target = target
        self.path = target / LOCK if folder else target.with_name(f".{target.name}{LOCK}")
        self._handle: int | None = None
        self._key: tuple[int, int] | None = None

    def acquire(self) -> None:
        """Take the lock; do nothing if this object holds it already.

        Raises:
            InUse: Somebody else holds it; the message names the process, its machine and its start.
            OSError: The lock's file cannot be made.
        """
        if self._handle is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._handle is None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with self._guard:
                kept = self._try(handle)
            if not kept:
                os.close(handle)  # another process removed this file as it gave the lock back: take the new file
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(about).encode(), 0)

    def _try(self, handle: int) -> bool:
        """Lock an open file; False if it is no longer the one at the path.

        Closing any handle of a file drops this process's record locks on it, so a file that a thread of this process
        has locked is recognised by its inode before it is closed.
        """
        status = os.fstat(handle)
        key = (status.st_dev, status.st_ino)
        if key in self._held:
            # Left open: closing it would drop the lock that the other thread holds.
            raise InUse(f"{self.target}: another thread of this process is at work there")
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(handle)
            os.close(handle)
            raise InUse(
                f"{self.target}: {holder} is at work there; wait until it has ended, stop it, or choose another output"
            ) from None
        try:
            current = os.stat(self.path)
        except FileNotFoundError:
            return False
        if (current.st_dev, current.st_ino) != key:
            return False
        self._handle, self._key = handle, key
        self._held.add(key)
        return True

    def release(self) -> None:
        """Give the lock back and remove its file; do nothing if it is not held."""
        if self._handle is None:
            return
        with self._guard:
            status = os.fstat(self._handle)
            try:
                current = os.stat(self.path)
                if (current.st_dev, current.st_ino) == (status.st_dev, status.st_ino):
                    self.path.unlink(missing_ok=True)
            except FileNotFoundError:
                pass  # the folder was moved aside
            os.close(self._handle)
            self._held.discard(self._key or (0, 0))
            self._handle = self._key = None


def _holder(handle: int) -> str:
    """Say who wrote a lock file: "process 12 on host (since ...)"."""
    try:
        about = json.loads(os.pread(handle, 4096, 0))
        return f"process {about['pid']} on {about['host']} (since {about['since']})"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"


@contextmanager
def locked(target: Path, *, folder: bool = False) -> Iterator[None]:
    """Hold the lock of a folder or of an output file while the block runs.

    Raises:
        InUse: Somebody else holds it.
    """
    lock = Lock(target, folder=folder)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
