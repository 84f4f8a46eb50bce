"""Prompts for tracks that come without a sentence: wordings from text files, chosen by seed and record."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).parents[1] / "templates"


@lru_cache(maxsize=16)
def wordings(kind: str) -> list[Template]:
    """Return the wordings of `templates/<kind>.txt`, one a line.

    Raises:
        ValueError: the file has no line with `$name`.
    """
    lines = [line.strip() for line in (TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8").splitlines()]
    templates = [Template(line) for line in lines if "$name" in line or "${name}" in line]
    if not templates:
        raise ValueError(f"{TEMPLATES / kind}.txt: no line with $name")
    return templates


def prompt(kind: str, name: str, record_id: str, seed: int) -> str:
    """Return one wording about `name`, always the same for the same record and seed.

    >>> prompt("tracking", "dog", "lasot/dog-1", 0) == prompt("tracking", "dog", "lasot/dog-1", 0)
    True
    """
    number = int.from_bytes(hashlib.sha256(f"{seed}/{record_id}".encode()).digest()[:8], "big")
    choices = wordings(kind)
    return choices[number % len(choices)].safe_substitute(name=name)
