"""Continued pre-training (section 3.4): tracking prompts and general questions, next-token loss on the answer.

python -m recipe.cpt --config recipe/configs/tiny/cpt.yaml
"""

from __future__ import annotations

from functools import partial

from recipe.cli import run
from recipe.training import supervised

parse = partial(supervised.parse, section="cpt")

if __name__ == "__main__":
    run(parse, partial(supervised.main, "cpt"))
