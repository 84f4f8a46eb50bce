"""Supervised fine-tuning (section 3.5, eq. 3): reasoning in words, then the true answer, next-token loss on both.

python -m recipe.sft --config recipe/configs/tiny/sft.yaml
"""

from __future__ import annotations

from functools import partial

from recipe.cli import run
from recipe.training import supervised

parse = partial(supervised.parse, section="sft")

if __name__ == "__main__":
    run(parse, partial(supervised.main, "sft"))
