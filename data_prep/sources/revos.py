"""ReVOS: sentences that need reasoning, about one object, several or none.

    python -m data_prep revos --annotations ReVOS --split train --videos ReVOS --fps FPS --out revos.jsonl

The masks of all splits lie in one file. A sentence whose list of objects is empty has no target. No file states the
rate.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Item, add_arguments, convert
from data_prep.records import RecordError
from data_prep.sources.mevis import items_in

__all__ = ["add_arguments", "run"]
NAME = "revos"
_EXPRESSIONS = re.compile(r"meta_expressions_(train|valid|val|test)_*")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sentence."""
    root: Path = args.annotations
    paths = [root] if root.is_file() else sorted(root.glob("meta_expressions_*.json"))
    splits = {path: match[1] for path in paths if (match := _EXPRESSIONS.fullmatch(path.stem))}
    wanted = {path: split for path, split in splits.items() if args.split in (None, split)}
    if not wanted:
        raise RecordError(
            f"--annotations {root}: no meta_expressions_train_.json of split {args.split or 'any'} in it"
        )
    for path, split in wanted.items():
        yield from items_in(path, NAME, split, audit)
