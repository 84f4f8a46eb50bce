"""What a teacher wrote: from its text to a trace and the interval of its placeholder.

The placeholder is only looked at to see whether the teacher meant the same event: span, boxes and label of the
training text come from the annotations, so one that is cut off or of another shape costs nothing.
"""

from __future__ import annotations

import math
import re
from typing import Any

from stvg_rewards.locate import after_reasoning, last_object

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$", re.MULTILINE)
_HEADING = re.compile(
    r"^[\s#*_>-]*(?:(?:reasoning|decision) )?(?:trace|reasoning|placeholder(?: answer)?|(?:final |structured"
    r" )?answer|output|response|json)[\s*_]*(?::[\s*_]*|\n|$)",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?:^|\n|(?<=[.!?]))[\s#*_>-]*(?:(?:the |a )?(?:structured |final )?(?:placeholder(?: answer)?|answer|json"
    r"|output))[\s*_]*:?[\s*_]*$",
    re.IGNORECASE,
)
_TRACE_KEYS = ("trace", "reasoning", "reasoning_trace", "thought", "rationale")


def read_reply(content: str) -> tuple[str, tuple[float, float] | None]:
    """Return (trace, interval of the placeholder or None) of a teacher's text. Never raises.

    >>> read_reply('First when: near second 3.\\n```json\\n{"target": "dog", "interval": [3, 8]}\\n```')
    ('First when: near second 3.', (3.0, 8.0))
    """
    located = last_object(content)
    value = located.value if located else None
    if isinstance(value, dict):
        for key in _TRACE_KEYS:
            if isinstance(value.get(key), str) and value[key].strip():
                return _tidy(value[key]), _interval(value)
    begin = after_reasoning(content)
    text = content[begin : located.start if located else len(content)]
    if located and located.start <= begin:
        text = content[begin:]
    trace = _tidy(text)
    if not trace and begin:  # all of it stands inside the reasoning tags
        trace = _tidy(re.sub(r"</?\w+>", " ", content[:begin]))
    return trace, _interval(value)


def _tidy(text: str) -> str:
    """Return the text as one paragraph, without fences, headings and what announces the placeholder."""
    text = _FENCE.sub("", text).replace("```", " ").strip()
    text = _HEADING.sub("", text, count=1)
    text = _TAIL.sub("", text.rstrip())
    text = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    return " ".join(text.split()).strip("*_ ")


def _interval(value: Any) -> tuple[float, float] | None:
    for key in ("interval", "event_interval", "span", "window"):
        interval = value.get(key) if isinstance(value, dict) else None
        if isinstance(interval, list) and len(interval) == 2 and all(type(end) in (int, float) for end in interval):
            low, high = float(interval[0]), float(interval[1])
            if math.isfinite(low) and math.isfinite(high):
                return low, high
    return None
