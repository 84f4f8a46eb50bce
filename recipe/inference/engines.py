"""Engines: a process for each GPU that holds the model and answers, and one process that hands out what is asked.

A unit of work, such as a record or a batch of them, carries all that its answer depends on (`recipe.inference.jobs`),
so how many engines there are, and which of them takes a unit, changes no answer. Only the process that starts them
writes answers to files. On a CPU several engines share its cores: that is for tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from data_prep.errors import StageError

PATIENCE_S = 10.0  # that an engine gets to end by itself
LOOK_S = 1.0  # how often is looked whether all engines live: a process that it started may hold its connection open


class EngineEnded(StageError):
    """An engine could not start or go on."""


def visible_gpus() -> int:
    """Return how many GPUs this process may use."""
    import torch  # here, as a process that only hands out units has no use for it

    return torch.cuda.device_count()


def check_engines(asked: str | int) -> None:
    """Refuse what is no number of engines.

    Raises:
        StageError: Neither "auto" nor a number from 1.
    """
    if str(asked) != "auto" and not (str(asked).isdecimal() and int(asked) > 0):
        raise StageError(f"--engines {asked}: expected auto (one for each visible GPU) or a number from 1")


def engines_named(asked: str | int) -> int:
    """Return how many engines are meant: "auto" is one for each visible GPU, and one on a CPU.

    Raises:
        StageError: No number from 1, or more than there are GPUs.
    """
    check_engines(asked)
    gpus = visible_gpus()
    if str(asked) == "auto":
        return max(1, gpus)
    if 0 < gpus < int(asked):
        raise StageError(f"--engines {asked}: each needs a GPU of its own, and there are {gpus}; give at most {gpus}")
    return int(asked)


def environment_of(place: int, count: int, gpus: int) -> dict[str, str]:
    """Return the environment of an engine, which sees one GPU, or on a CPU takes its share of the cores.

    Args:
        place: of the engine among all, from 0.
        count: of the engines.
        gpus: that are visible here.
    """
    own = dict(os.environ)
    own.pop("MASTER_PORT", None)  # each looks for a free one
    own["TQDM_DISABLE"] = "1"  # progress is shown for the whole
    own.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    if gpus:
        visible = own.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
        own["CUDA_VISIBLE_DEVICES"] = visible.split(",")[place].strip()
    else:
        own.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
        own.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    return own


class Engine:
    """One process, the connection to it, and the numbers of the units that it has in hand."""

    def __init__(self, job: Any, place: int, count: int, gpus: int) -> None:
        self.name = f"engine {place + 1} of {count}"
        self.connection, theirs = Pipe()
        self.in_hand: set[int] = set()
        command = [sys.executable, "-m", "recipe.inference.engine_worker", str(theirs.fileno())]
        with theirs:
            # A session of its own: Ctrl-C reaches this process only, which ends all. What it prints is no result.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=environment_of(place, count, gpus),
            )
        self.send(job)

    def send(self, message: Any) -> None:
        """Send a job or a unit."""
        with suppress(BrokenPipeError, ConnectionResetError):  # that it has died is seen when it is listened to
            self.connection.send(message)

    def receive(self) -> tuple[int, Any] | None:
        """Return (number, result) of a unit, or None where there is nothing to read yet.

        Raises:
            EngineEnded: The process has ended, or says that it cannot go on.
        """
        ended = self.process.poll() is not None  # before the connection, which may hold its last words
        with suppress(EOFError, ConnectionResetError):
            if self.connection.poll():
                number, result = self.connection.recv()
                if number is None:
                    raise EngineEnded(f"{self.name}: {result}")
                return number, result
            if not ended:
                return None
        code = self.process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise EngineEnded(f"{self.name} {how}" + ("; is there enough memory?" if code == -signal.SIGKILL else ""))

    def tell_to_end(self) -> None:
        """Ask the process to end, without waiting."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def end(self) -> None:
        """Wait until the process has ended, then end whatever it has started and left."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_S)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()


class Engines:
    """The engines of one job; they start with the first unit and end with the block, however it ends.

    Args:
        job: from `recipe.inference.jobs`; it is pickled.
        count: of engines.
    """

    def __init__(self, job: Any, count: int) -> None:
        self.job, self.count, self.gpus = job, count, visible_gpus()
        self.engines: list[Engine] = []

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for engine in self.engines:
            engine.tell_to_end()
        for engine in self.engines:
            engine.end()
        self.engines = []

    def map(self, units: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Yield (place among the units, result) of each unit as results come.

        Raises:
            EngineEnded: An engine died or cannot work; the others are ended with the block.
        """
        left = deque(enumerate(units))
        while left and len(self.engines) < min(self.count, len(left)):
            self.engines.append(Engine(self.job, len(self.engines), self.count, self.gpus))
        for _ in range(self.job.in_hand):  # one each in turn, so that few units are spread over all
            for engine in self.engines:
                _hand(left, engine)
        waiting: dict[Connection, Engine] = {engine.connection: engine for engine in self.engines}
        while any(engine.in_hand for engine in self.engines):
            wait(list(waiting), LOOK_S)
            for engine in self.engines:
                while (found := engine.receive()) is not None:
                    engine.in_hand.discard(found[0])
                    _hand(left, engine)
                    yield found


def _hand(left: deque[tuple[int, Any]], engine: Engine) -> None:
    if left:
        engine.in_hand.add(left[0][0])
        engine.send(left.popleft())
