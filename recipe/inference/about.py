"""The first line of a file of answers, which says how they were made."""

from __future__ import annotations

from typing import Any


def about_of(line: Any) -> dict[str, Any] | None:
    """Return what a line of a file of answers says about all of them; None if it is an answer or something else.

    >>> about_of({"about": {"model": "m"}}), about_of({"id": "a", "about": {}, "answer": ""})
    ({'model': 'm'}, None)
    """
    if isinstance(line, dict) and isinstance(line.get("about"), dict) and "id" not in line:
        return dict(line["about"])
    return None
