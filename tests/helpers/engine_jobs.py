"""Jobs for engines without a model: what they do with a unit is written in it."""

import os
import signal
import time
from dataclasses import dataclass

from data_prep.errors import StageError


@dataclass(frozen=True)
class Job:
    """A unit is (what to do, value); see `answer`. The answerer gives a row's value and the process that answered."""

    together: int = 1
    in_hand: int = 2
    refuses: str = ""

    def load(self):
        if self.refuses:
            raise StageError(self.refuses)
        return "builder", lambda rows: [(row["value"], os.getpid()) for row in rows]

    def answer(self, builder, answerer, unit):
        do, value = unit
        if do == "slow":
            time.sleep(value)
        elif do == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif do == "leave":
            os._exit(value)
        elif do == "fail":
            return 1 / value
        elif do == "child":  # as vLLM has one
            return os.getpid(), os.posix_spawn("/bin/sleep", ["sleep", str(value)], {})
        return answerer([{"value": value}])[0]
