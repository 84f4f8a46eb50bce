"""A trainer's log: which of a run's files holds the latest step, its entries, and its numbers by metric."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOG = "trainer_state.json"
LARGEST = 256 * 2**20  # bytes of a log that is read


@dataclass(frozen=True)
class Log:
    """What a run's folder says about its training.

    Attributes:
        entries: log entries with a step, oldest first.
        step: the latest step that the log holds, -1 without any.
        problem: what is wrong with the run's log files, "" if nothing is.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    step: float = -1.0
    problem: str = ""


def read_log(folder: Path) -> Log:
    """Return the log of a run that holds the latest step: the run's own, or a checkpoint's.

    The step is the one in the file. A file's time says nothing about it after a copy, a restore or a clock that was
    set. Of two logs with the same step the run's own counts, as training ends with it. A file that cannot be read is
    named in `problem`; no fault of a log raises.
    """
    paths = [path for path in (folder / LOG, *sorted(folder.glob(f"checkpoint-*/{LOG}"))) if path.is_file()]
    if not paths:
        return Log(problem=f"it has left no {LOG}")
    newest, problems = Log(), []
    for path in paths:
        try:
            log = _read(path)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{path.relative_to(folder)} cannot be read ({type(error).__name__})")
            continue
        if log.step > newest.step:
            newest = log
    return Log(newest.entries, newest.step, "; ".join(problems))


def _read(path: Path) -> Log:
    if path.stat().st_size > LARGEST:
        raise ValueError("larger than 256 MiB")
    state = json.loads(path.read_text(encoding="utf-8"))
    entries = [entry for entry in state["log_history"] if isinstance(entry, dict) and is_number(entry.get("step"))]
    steps = [state.get("global_step"), *(entry["step"] for entry in entries)]
    return Log(entries, max((float(step) for step in steps if is_number(step)), default=0.0))


def is_number(value: Any) -> bool:
    """Return whether a logged value is a number that can be drawn: a whole number may be too large for a float.

    >>> [is_number(value) for value in (1, 0.5, True, "1", float("nan"), 10**400)]
    [True, True, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def points(
    entries: Iterable[Mapping[str, Any]], names: Collection[str] | None = None
) -> dict[str, dict[float, float]]:
    """Return metric -> step -> value; a step that was logged twice counts as it was logged last.

    Args:
        entries: log entries with a step.
        names: metrics to look for; None: all.
    """
    result: dict[str, dict[float, float]] = {}
    for entry in entries:
        step = float(entry["step"])
        for name, value in entry.items():
            if name != "step" and (names is None or name in names) and is_number(value):
                result.setdefault(name, {})[step] = float(value)
    return result


def series(entries: Iterable[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Return (steps, values) of one metric, both empty where it was not logged.

    >>> series([{"step": 1, "loss": 2.0}, {"step": 2}, {"step": 3, "loss": 1.0}], "loss")
    ([1.0, 3.0], [2.0, 1.0])
    """
    by_step = points(entries, (name,)).get(name, {})
    return list(by_step), list(by_step.values())
