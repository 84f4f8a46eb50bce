"""What the code of rewards says, whatever it looks like: one digest, so that an edited reward is another reward.

Comments, docstrings, blank lines and layout do not count; any other change of a file does.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import stvg_rewards
from data_prep.identity import stamp_of, text_digest
from recipe.variants.imports import imported_files

# Files of the leaf that give no reward: names for import, the version, and what other trainers are told.
_NO_REWARDS = {"__init__.py", "version.py"}
_SHOWN_ONLY = {"ctx", "kind", "type_comment", "type_ignores"}  # fields of a syntax tree that say nothing more


def code_digest(functions: Iterable[Callable[..., Any]]) -> str:
    """Return the digest of what these rewards compute, as 64 hex digits.

    It covers all of `stvg_rewards` but its adapters to other trainers, and the whole file of every function that is
    defined elsewhere, as a function may call its neighbours, with the files of its own folder that it imports.
    Packages that are imported from elsewhere are not looked at.
    """
    parts = {f"stvg_rewards/{path.name}": _of_file(stamp_of(path)) for path in leaf_files()}
    return text_digest(parts, sorted(own_code(function) for function in functions if not of_package(function)))


def own_code(function: Callable[..., Any]) -> str:
    """Return the digest of what a function, or the class of a callable object, is defined by.

    That is its file, and the files of the same folder that the file imports.
    """
    kind = function if hasattr(function, "__qualname__") else type(function)
    module = sys.modules.get(kind.__module__)
    try:
        path = inspect.getsourcefile(module) if module is not None else None
    except TypeError:  # built into Python
        path = None
    if path is None or not Path(path).is_file():
        return text_digest(kind.__module__, kind.__qualname__)
    beside = {str(name): _of_file(stamp_of(path)) for name, path in imported_files(Path(path)).items()}
    return text_digest(_of_file(stamp_of(Path(path))), kind.__qualname__, *([beside] if beside else []))


def of_package(function: Any) -> bool:
    """Return whether a function is one that `stvg_rewards` exports."""
    return getattr(stvg_rewards, getattr(function, "__name__", ""), None) is function


def leaf_files() -> list[Path]:
    """Return the files of `stvg_rewards` that its rewards are made of."""
    folder = Path(stvg_rewards.__file__).parent
    return sorted(path for path in folder.glob("*.py") if path.name not in _NO_REWARDS)


@lru_cache(maxsize=256)
def _of_file(stamp: str) -> str:
    content = Path(stamp.rsplit("|", 2)[0]).read_bytes()
    try:
        return meaning(content.decode("utf-8"))
    except (SyntaxError, ValueError):  # a file that can only be imported where nobody minds that it fails
        return hashlib.sha256(content).hexdigest()


def meaning(source: str) -> str:
    """Return the digest of a Python source without comments, docstrings and layout, as 64 hex digits.

    The same in every version of Python that can read the source, which the text of `ast.unparse` is not.

    Example:
        >>> meaning("def f(x):\\n    'Double.'\\n    return (2 * x)  # twice") == meaning("def f(x): return 2*x")
        True
        >>> meaning("2 * x") == meaning("2 + x")
        False
    """
    return hashlib.sha256(repr(_shape(ast.parse(source))).encode()).hexdigest()


def _shape(part: Any) -> Any:
    if isinstance(part, list):
        return [_shape(item) for item in part]
    if not isinstance(part, ast.AST):
        return repr(part)
    documented = isinstance(part, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    fields = []
    for name, value in ast.iter_fields(part):
        if documented and name == "body" and ast.get_docstring(part, clean=False) is not None:  # type: ignore[arg-type]
            value = value[1:]
        # Later versions of Python add fields, which are empty where a source does not use them.
        if name not in _SHOWN_ONLY and value is not None and value != []:
            fields.append((name, _shape(value)))
    return type(part).__name__, fields
