"""The answers in a sample log of lmms-eval (`--log_samples`), so that its runs can be scored in both readings.

Its lines have no question text: the id stands in the values of the task's metrics, and the answer in `resps`, or,
where that is the same, only in `filtered_resps` (lmms-eval 0.7).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipe.evaluation.submission import Submission


def is_log(path: Path) -> bool:
    """Return whether the first line that is not blank is one of lmms-eval's."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.strip():
                try:
                    item = json.loads(line)
                except (ValueError, RecursionError):
                    return False
                return isinstance(item, dict) and "doc_id" in item and "filtered_resps" in item
    return False


def read_log(path: Path) -> Submission:
    """Read question_id -> raw answer; count and name lines without an answer and questions that come twice."""
    submission = Submission()
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except (ValueError, RecursionError):
                item = None
            if not isinstance(item, dict):
                submission.broken.append(f"line {number}: no JSON object")
                continue
            name, text = _question_id(item), _text(item)
            if name is None or text is None:
                submission.broken.append(f"line {number}: {'no question_id' if name is None else 'no answer'}")
            elif name in submission.predictions:
                submission.duplicates.append(name)
            else:
                submission.predictions[name] = text
    return submission


def _question_id(item: dict[str, Any]) -> str | None:
    """Return the first question id among the metrics' values."""
    names = (value.get("question_id") for value in item.values() if isinstance(value, dict))
    return next((str(name) for name in names if name is not None), None)


def _text(item: dict[str, Any]) -> str | None:
    """Return the answer before any filter, unwrapped from its lists."""
    value = item.get("resps", item.get("filtered_resps"))
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else None
