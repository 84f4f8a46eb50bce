"""Whether a trace may be trained on, and why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data_prep.events import events_of
from data_prep.leaks.checking import leaks_of

MAX_WORDS = 400
MAX_CHARACTERS = 20_000  # 50 a word: what is longer is repetition, and is not read further

# At inference there is no annotation: a trace that speaks of one, or of its own request, teaches nonsense.
_ANNOTATION = re.compile(
    r"\b(?:annotat\w+|ground[- ]truth|metadata|(?:given|provided|stated|labell?ed) (?:span|interval|seconds|event"
    r"|answer|window|label)s?"
    r"|placeholder|the (?:prompt|instruction|request)s?\b)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) sorry|i can(?:not|'t) (?:help|assist|comply|provide|see|view|access|watch)|as an ai\b"
    r"|i(?:'m| am) unable)",
    re.IGNORECASE,
)
_TAGS = re.compile(r"</?(?:think|thinking|answer|reasoning|thought)>|<\|[^|<>]{1,40}\|>", re.IGNORECASE)


def problems_of(
    trace: str, record: Mapping[str, Any], claimed: tuple[float, float] | None, tolerance_s: float
) -> list[tuple[str, str]]:
    """Return the problems of a trace as (reason, detail), worst first; a trace without any may be trained on.

    Args:
        claimed: the interval of the teacher's own placeholder, seconds, where it gave one.

    >>> record = {"span": [3, 8], "seconds": 20}
    >>> problems_of("The annotation is wrong.", record, (12.0, 15.0), 1.0)[0]
    ('argues', "the placeholder's interval 12 to 15 does not meet seconds 3 to 8")
    """
    if len(trace) > MAX_CHARACTERS:
        return [("too long", f"{len(trace)} characters, at most {MAX_CHARACTERS}")]
    events = events_of(record)
    problems: list[tuple[str, str]] = []
    if len(trace.split()) < 3:
        return [("no trace", f"{len(trace.split())} words")]
    if _REFUSAL.search(trace):
        problems.append(("refuses", _REFUSAL.search(trace)[0]))  # type: ignore[index]
    if claimed is not None and not any(
        first - tolerance_s <= claimed[1] and claimed[0] <= last + 1 + tolerance_s for first, last in events
    ):
        when = " nor ".join(f"seconds {first} to {last}" for first, last in events) or "anything: there is no event"
        problems.append(
            ("argues", f"the placeholder's interval {claimed[0]:g} to {claimed[1]:g} does not meet {when}")
        )
    if match := _ANNOTATION.search(trace):
        problems.append(("mentions the annotation", match[0]))
    if match := _TAGS.search(trace):
        problems.append(("tags", match[0]))
    problems += [("leak", str(leak)) for leak in leaks_of(trace, events, record["seconds"], tolerance_s)]
    if len(trace.split()) > MAX_WORDS:
        problems.append(("too long", f"{len(trace.split())} words, at most {MAX_WORDS}"))
    return problems
