"""The process of one engine: `python -m recipe.inference.engine_worker FD`, which `recipe.inference.engines` starts.

FD is an open connection. Its first message is the job; after that each is (number, unit), and (number, result) goes
back, or (None, message) once, if the process cannot go on. When the other end is closed, by whatever death, the
process ends with all that it has started.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import recipe  # noqa: F401  (before transformers)
from data_prep.errors import StageError
from recipe.inference.gathering import Gathering

PATIENCE_S = 10.0  # that the process has to end by itself

Units = SimpleQueue[tuple[int, Any]]


def receive(connection: Connection, units: Units) -> None:
    """Put units into the queue as they come; end the whole process group when the other end is gone."""
    try:
        while True:
            units.put(connection.recv())
    except (EOFError, OSError):
        os.killpg(0, signal.SIGTERM)
        time.sleep(PATIENCE_S)
        os.killpg(0, signal.SIGKILL)


def answer_units(job: Any, builder: Any, gathering: Gathering, units: Units, send: Any) -> None:
    """Answer units from the queue, one after the other, for ever."""
    while True:
        number, unit = units.get()
        try:
            result = job.answer(builder, gathering, unit)
        except Exception as error:
            send((None, told(error)))
            return
        send((number, result))


def told(error: BaseException) -> str:
    """Return an error as one line; what is no clear line by itself is printed with its traceback too."""
    if isinstance(error, StageError):
        return str(error)
    traceback.print_exception(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def main(descriptor: int) -> None:
    """Load the job's model, then answer units until the process is ended."""
    os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # lets vLLM end its own processes
    connection, units, sending = Connection(descriptor), Units(), threading.Lock()

    def send(message: Any) -> None:
        with sending:
            connection.send(message)

    job = connection.recv()
    threading.Thread(target=receive, args=(connection, units), daemon=True).start()
    try:
        builder, answerer = job.load()
        gathering = Gathering(answerer, job.together)
        for _ in range(job.in_hand):
            threading.Thread(target=answer_units, args=(job, builder, gathering, units, send), daemon=True).start()
        gathering.serve()
    except Exception as error:
        send((None, told(error)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
