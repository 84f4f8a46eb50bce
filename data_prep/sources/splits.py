"""Which split a file belongs to, by the folders it lies in or by a list of names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from data_prep.sources.rows import read_text

# train, training, train1, TRAIN_11, val, validation, test
_NAME = re.compile(r"(train|val|test)(?:ing|idation)?(?:_?\d+)?", re.IGNORECASE)


def folder_split(path: Path, root: Path) -> str | None:
    """Return the split (train, val, test) that the nearest folder is named after, up to two folders around `root`.

    `root` may be a part of a data set, such as SportsMOT's train/v_1_c001/gt.

    >>> folder_split(Path("a/TRAIN_3/anno/x.txt"), Path("a")), folder_split(Path("a/b/x.txt"), Path("a"))
    ('train', None)
    """
    deepest = max(len(root.parts) - (2 if root.is_dir() else 4), 0)
    for folder in path.parents:
        if len(folder.parts) < deepest:
            break
        if match := _NAME.fullmatch(folder.name):
            return match.group(1).lower()
    return None


def is_wanted(split: str | None, wanted: str | None) -> bool:
    """Return whether --split asks for something of this split (None: not known)."""
    return wanted is None or split is None or split == wanted


def names_in(paths: Iterable[Path]) -> list[str]:
    """Return the first words of the lines of lists, in order, each once; missing files are passed over."""
    names: dict[str, None] = {}
    for path in paths:
        if path.is_file():
            names |= dict.fromkeys(line.split()[0] for line in read_text(path).splitlines() if line.split())
    return list(names)
