"""What is slow to make and only read by tests: made once in a whole test run, however many workers pytest-xdist has.

A session fixture of pytest is made once in each worker. A folder that `shared_folder` returns is made by the first
worker that asks for it; the others wait for it. No test may write to it.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def shared_folder(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make(folder)` has filled; `make` gets a path whose parent exists and nothing else.

    Where `make` raises, the half-made folder is removed and the next worker that asks tries again.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has its own folder in that of the run
    root = root / "shared"
    root.mkdir(exist_ok=True)
    folder, done = root / name, root / f".{name}.done"
    with open(root / f".{name}.lock", "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder
