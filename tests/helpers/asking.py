"""Run `recipe.ground` with a model of one answer: `python -m tests.helpers.asking WHERE words...`.

WHERE is the number of the answer at which the process kills itself, or `wait`: it says "asking" on its output at the
first answer and goes on when its input ends.
"""

import os
import signal
import sys
from pathlib import Path

from recipe import ground
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from tests.helpers.served_model import ANSWER


def main(where, argv):
    builder = make_builder(Path(), load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
    requests = []

    def answer(rows):
        if where == "wait" and not requests:
            print("asking", flush=True)
            sys.stdin.read()
        elif where == str(len(requests)):
            os.kill(os.getpid(), signal.SIGKILL)
        requests.append(rows)
        return [ANSWER] * len(rows)

    ground.backend_of = lambda args: (builder, answer)
    ground.main(*ground.parse(argv))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
