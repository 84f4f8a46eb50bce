"""Worker processes whose death ends the work with one line, instead of a wait for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait

from data_prep.errors import StageError


def _begin() -> None:
    """Ignore Ctrl-C, which the terminal sends to all and the parent acts on, and end when the parent is killed.

    A worker of a killed parent would wait for work for ever, and until then write files that a new run writes too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def worker_processes(count: int, method: str | None = None) -> Iterator[ProcessPoolExecutor]:
    """Provide worker processes while the block runs; what has not begun is dropped when the block fails.

    `multiprocessing.Pool` never hears of a worker that the system killed, and waits for its result for ever.

    Args:
        count: how many processes.
        method: "spawn", "fork" or "forkserver"; None: the system's usual one.

    Raises:
        StageError: A worker died.
    """
    context = multiprocessing.get_context(method)
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)
    try:
        yield pool
    except BrokenProcessPool:
        raise StageError(
            "a worker process was killed (out of memory?); what is finished is kept and the same command goes on, "
            "with fewer workers if memory is short"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
