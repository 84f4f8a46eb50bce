"""Which files of its own folder a Python file imports, directly and through one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imported_files(path: Path) -> dict[Path, Path]:
    """Return the files in a file's folder and below that it imports, by their path from that folder, in order.

    A name counts as the folder's where the folder has a file or a package of that name.

    Args:
        path: a Python file; it is read and not run.
    """
    folder = path.resolve().parent
    found: dict[Path, Path] = {}
    to_read = [path.resolve()]
    while to_read:
        for imported in _imports_of(to_read.pop(), folder):
            name = imported.relative_to(folder)
            if imported != path.resolve() and name not in found:
                found[name] = imported
                to_read.append(imported)
    return dict(sorted(found.items()))


def _imports_of(path: Path, folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that one file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(alias.name, _roots(path, folder), folder)
        elif isinstance(node, ast.ImportFrom):
            roots = [path.parents[node.level - 1]] if 0 < node.level <= len(path.parents) else _roots(path, folder)
            for alias in node.names:  # each may be a module or a name in one
                name = ".".join(filter(None, (node.module, alias.name)))
                yield from _files_of(name, roots, folder)


def _roots(path: Path, folder: Path) -> list[Path]:
    """Return the folders in which the first part of a module's name is looked for."""
    root = path.parent
    while (root / "__init__.py").is_file() and root != root.parent:
        root = root.parent
    return list(dict.fromkeys((folder, root)))


def _files_of(name: str, roots: list[Path], folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that importing "a.b.c" runs: a/__init__.py, a/b.py."""
    for root in roots:
        place = root
        for part in name.split("."):
            place = place / part
            for file in (place / "__init__.py", place.with_suffix(".py")):
                if file.is_file() and file.resolve().is_relative_to(folder):
                    yield file.resolve()
