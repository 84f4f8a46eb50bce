"""Worker processes whose death ends the work with one line, instead of a wait for ever."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from data_prep.errors import StageError


def leave_interrupts_to_the_parent() -> None:
    """Ignore Ctrl-C in a worker: the terminal sends it to all, and the parent drops what has not begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=leave_interrupts_to_the_parent)
    try:
        yield pool
    except BrokenProcessPool:
        raise StageError(
            "a worker process was killed (out of memory?); what is finished is kept and the same command goes on, "
            "with fewer workers if memory is short"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
