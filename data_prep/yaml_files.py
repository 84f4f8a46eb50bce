"""Settings files in YAML, read by one loader: plain values only, within limits, every fault with its file and line."""

from __future__ import annotations

import copy
import os
from functools import lru_cache
from typing import Any

import yaml

from data_prep.errors import StageError

MOST_BYTES = 1 << 20
MOST_DEPTH = 32  # mappings and lists inside each other
MOST_ALIASES = 100  # each may stand for a large part of the file, and they multiply


class YamlError(StageError, ValueError):
    """A settings file that cannot be used; one line that opens with the file, and the line where there is one."""


class _Fault(yaml.MarkedYAMLError):  # type: ignore[misc]  # PyYAML has no types
    """What this loader refuses and YAML does not."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader with limits, whose mappings have each key once and only text as keys."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > MOST_ALIASES:
                raise _Fault(problem=f"more than {MOST_ALIASES} aliases", problem_mark=mark)
        if self._depth >= MOST_DEPTH:
            raise _Fault(problem=f"nested deeper than {MOST_DEPTH} levels", problem_mark=mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = key.value[:40] if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                problem = f"key {shown}, expected a name (in quotes, where it looks like a number or yes and no)"
                raise _Fault(problem=problem, problem_mark=key.start_mark)
            if key.value in seen:
                problem = f"key {key.value[:40]!r} for the second time, the first is on line {seen[key.value]}"
                raise _Fault(problem=problem, problem_mark=key.start_mark)
            seen[key.value] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Return what a settings file holds: None for an empty one.

    Raises:
        YamlError: It is too large, no UTF-8, no YAML, nested too deeply, or a key is no text or stands there twice.
        OSError: It cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise YamlError(f"{name}: more than {MOST_BYTES} bytes, expected a file of settings")
    return copy.deepcopy(_parse(name, content))  # a copy, because callers fill in what they were given


@lru_cache(maxsize=64)  # a command looks into each of its files several times: for keys, values and the run's folder
def _parse(name: str, content: bytes) -> Any:
    """Return what the bytes of a settings file hold, see `read_yaml`; `name` is for the messages."""
    loader = None
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        return loader.get_single_data()
    except UnicodeDecodeError as error:
        raise YamlError(f"{name}: byte 0x{content[error.start]:02x} at offset {error.start}, expected UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise YamlError(f"{where}: {_one_line(error.problem or error)}") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise YamlError(f"{name}: no YAML ({_one_line(error)})") from None
    finally:
        if loader is not None:
            loader.dispose()


def read_mapping(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of a file by name; {} for an empty one.

    Raises:
        YamlError: See `read_yaml`; or the file holds something else.
        OSError: It cannot be read.
    """
    found = read_yaml(path)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise YamlError(f"{os.fspath(path)}: holds a {type(found).__name__}, expected a YAML mapping of settings")
    return found


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:200]
