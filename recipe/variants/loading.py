"""Reward functions from anywhere: `my_module.my_reward`, or `path/to/file.py:my_reward`."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from recipe.variants.columns import REWARD_COLUMNS

# What TRL hands a reward by name, beside the columns of the rows.
FROM_TRL = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")
COLUMNS = ("id", "kind", "images", *REWARD_COLUMNS)


def load(word: str) -> Callable[..., Any]:
    """Return the reward function, or the callable object, that a dotted path or "path/to/file.py:name" names.

    A class is instantiated without arguments. A file is loaded once a process, as a module of its own name.

    Raises:
        ValueError: One line: there is no such module, file or function, loading it fails, or TRL could not call it.
    """
    if ".py:" in word:
        source, _, name = word.rpartition(":")
        module = _module_of_file(word, Path(source))
    else:
        source, _, name = word.rpartition(".")
        module = _module(word, source)
    if not hasattr(module, name):
        here = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        listed = f"; it has {', '.join(here[:8])}" if here else ""
        raise ValueError(f"reward {word}: {source} has no {name!r}{listed}")
    return _checked(word, name, getattr(module, name))


def _module(word: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"reward {word}: there is no module {error.name!r} on Python's path (the current folder is on it); "
                "a file anywhere is named as path/to/file.py:function"
            ) from None
        raise ValueError(_failure(word, error)) from error
    except Exception as error:  # it is the user's code, and may fail in any way
        raise ValueError(_failure(word, error)) from error


def _module_of_file(word: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"reward {word}: there is no file {path}")
    path = path.resolve()
    # A name of its own: two files of one name do not meet, and objects of it are pickled by this name.
    name = f"{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.parent))  # for what the file imports from beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is the user's code, and may fail in any way
        del sys.modules[name]
        raise ValueError(_failure(word, error)) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _failure(word: str, error: Exception) -> str:
    return f"reward {word}: loading it failed with {type(error).__name__}: {' '.join(str(error).split())}"


def _checked(word: str, name: str, reward: Any) -> Callable[..., Any]:
    if inspect.isclass(reward):
        try:
            reward = reward()
        except Exception as error:  # as above
            raise ValueError(f"reward {word}: the class cannot be made without arguments: {error}") from error
        name = type(reward).__name__
    if not callable(reward):
        raise ValueError(f"reward {word}: it is of type {type(reward).__name__}, expected a function")
    if isinstance(reward, functools.partial):
        raise ValueError(
            f"reward {word}: a functools.partial is logged under the name of the function in it; "
            "write a function, or a class with __call__"
        )
    if not hasattr(reward, "__name__"):  # an object: known by what it is called there, not only by its class
        reward.__name__ = name
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", called := str(reward.__name__)):
        raise ValueError(f"reward {word}: it is called {called!r}, expected letters, digits and _: write it with def")
    _check_signature(word, reward)
    return reward


def _check_signature(word: str, function: Callable[..., Any]) -> None:
    """Refuse a function that TRL could not call, which would fail after the first rollout."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return  # written in C, and silent about what it takes
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise ValueError(f"reward {word}: it takes no **kwargs, and TRL hands it every column of the rows by name")
    for parameter in parameters:
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if needed and parameter.name not in (*FROM_TRL, *COLUMNS):
            raise ValueError(
                f"reward {word}: it needs {parameter.name!r}, which GRPO's rows do not have; "
                f"they have {', '.join(COLUMNS)}"
            )
