"""Finds the answer in a model's text: the last top-level JSON object after the reasoning."""

import json
import re
from typing import Any, NamedTuple

from .json_scan import ScannedObject, scan_object

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


class LocatedObject(NamedTuple):
    """The answer's object at text[start:end], read in one of two ways; the other is None."""

    start: int
    end: int
    value: dict[str, Any] | None  # by json: it is valid and closed. Of duplicate keys the last one stands
    scanned: ScannedObject | None


def last_object(text: str) -> LocatedObject | None:
    """The last top-level JSON object behind the last closing reasoning tag, closed or not; None if there is none.

    Answer tags, box tags and code fences need no stripping: outside an object nothing but an opening brace counts,
    and inside one they are what breaks it. Time is linear in the text.

    >>> located = last_object('<think>{"5": []}</think> Not {x}, but <answer>{"7": []}</answer>')
    >>> located.value
    {'7': []}
    """
    located = None
    try_json = True
    match = _START.search(text, after_reasoning(text))
    while match:
        start = match.start()
        value, scanned = None, None
        if try_json:
            try:
                value, end = _raw_decode(text, start)
            except (ValueError, RecursionError):
                # From here on by the scanner alone: each error of json's counts lines from the text's beginning, so
                # that many of them would take quadratic time.
                try_json = False
        if value is None:
            scanned = scan_object(text, start)
            end = scanned.end
        located = LocatedObject(start, end, value, scanned)
        match = _START.search(text, end)
    return located


def after_reasoning(text: str) -> int:
    """The index behind the last closing reasoning tag; 0 without one.

    >>> after_reasoning("<think>Left?</think>{}")
    20
    """
    slash = text.rfind("/")  # every tag's second character; one pass from the right, however many tags there are
    while slash > 0:
        if text.startswith(REASONING_ENDS, slash - 1):
            return slash - 1 + next(len(tag) for tag in REASONING_ENDS if text.startswith(tag, slash - 1))
        slash = text.rfind("/", 0, slash)
    return 0
