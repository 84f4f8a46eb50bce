"""Finds the answer in a model's text: the last top-level JSON object after the reasoning."""

import json
import re
from typing import Any, NamedTuple

from .json_scan import scan_object

REASONING_ENDS = (
    "</think>",
    "</thinking>",
    "</thought>",
    "</reasoning>",
    "</seed:think>",
    "[/THINK]",
    "\u25c1/think\u25b7",
)
"""Closing tags of a reasoning part, of several model families. What stands before the last one is no answer."""

# A brace opens an object only before a key or a closing brace: "{x" in a sentence is no JSON.
_START = re.compile(r'\{(?=[ \t\n\r]*["}])')
_raw_decode = json.JSONDecoder().raw_decode


class Located(NamedTuple):
    """The answer's object: its (key, value) pairs in order, and whether it is valid JSON and closed."""

    pairs: list[tuple[str | None, Any]]
    intact: bool


def last_object(text: str) -> Located | None:
    """The last top-level JSON object behind the last closing reasoning tag, closed or not; None if there is none.

    Answer tags, box tags and code fences need no stripping: outside an object nothing but an opening brace counts,
    and inside one they are what breaks it. Time is linear in the text.
    """
    found: Located | None = None
    strict = True
    match = _START.search(text, _after_reasoning(text))
    while match:
        start = match.start()
        pairs: list[tuple[str | None, Any]] | None = None
        if strict:
            try:
                value, end = _raw_decode(text, start)
            except (ValueError, RecursionError):
                # From here on by the scanner only: json's errors count lines from the text's beginning, and many of
                # them would take quadratic time.
                strict = False
            else:
                # With as many colons as pairs, no key came twice and no string holds a colon.
                if _num_pairs(value) == text.count(":", start, end):
                    pairs, intact = list(value.items()), True
        if pairs is None:
            pairs, end, intact = scan_object(text, start)
        found = Located(pairs, intact)
        match = _START.search(text, end)
    return found


def _after_reasoning(text: str) -> int:
    return max((index + len(tag) for tag in REASONING_ENDS if (index := text.rfind(tag)) >= 0), default=0)


def _num_pairs(value: dict[str, Any]) -> int:
    return len(value) + sum(
        len(entry) for entries in value.values() if type(entries) is list for entry in entries if type(entry) is dict
    )
