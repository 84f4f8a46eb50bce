"""Find the top-level JSON objects of a model's text, behind its reasoning."""

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

# A brace opens an object only before a key, a closing brace or the text's end: "{x" in a sentence is no JSON.
_START = re.compile(r'\{(?=[ \t\n\r]*(?:["}]|\Z))')
_raw_decode = json.JSONDecoder().raw_decode


# What may stand between objects that are written side by side, line by line or in lists.
_GAP = re.compile(r"(?:[\s,;`\[\]]|json)*")


class LocatedObject(NamedTuple):
    """An object at text[start:end], read in one of two ways; the other is None."""

    start: int
    end: int
    value: dict[str, Any] | None  # by json: it is valid and closed. Of duplicate keys the last one stands
    scanned: ScannedObject | None
    beside: bool = False  # nothing but separators stands between it and the object before
    new_list: bool = False  # those separators hold a bracket

    @property
    def empty(self) -> bool:
        """Whether the object holds no pair at all."""
        return not (self.value if self.scanned is None else self.scanned.pairs)

    @property
    def closed(self) -> bool:
        """Whether the object's closing brace is there."""
        return self.scanned is None or self.scanned.closed

    @property
    def intact(self) -> bool:
        """Whether the object is valid JSON and closed."""
        return self.scanned is None or self.scanned.intact


def locate_objects(text: str) -> list[LocatedObject]:
    """Return the top-level JSON objects behind the last closing reasoning tag, in order, closed or not.

    Answer tags, box tags and code fences need no stripping: outside an object nothing but an opening brace counts,
    and inside one they are what breaks it. Of empty objects that follow each other only the last is kept. Time is
    linear in the text.

    >>> [located.value for located in locate_objects('<think>{"5": []}</think> Not {x}, but {"7": []} {"8": []}')]
    [{'7': []}, {'8': []}]
    """
    located: list[LocatedObject] = []
    try_json = True
    end = after_reasoning(text)
    match = _START.search(text, end)
    while match:
        start = match.start()
        beside, new_list = bool(located), False
        if located and end < start:
            beside = _GAP.fullmatch(text, end, start) is not None
            new_list = text.find("[", end, start) >= 0 or text.find("]", end, start) >= 0
        value, scanned = None, None
        if try_json:
            try:
                value, end = _raw_decode(text, start)
            except (ValueError, RecursionError):
                # From here on by the scanner only: each error of json's counts lines from the text's beginning, so
                # that many of them would take quadratic time.
                try_json = False
        if value is None:
            scanned = scan_object(text, start)
            end = scanned.end
        if located and located[-1].empty and not (value if scanned is None else scanned.pairs):
            last = located.pop()
            beside, new_list = beside and last.beside, new_list or last.new_list
        located.append(LocatedObject(start, end, value, scanned, beside, new_list))
        match = _START.search(text, end)
    return located


def last_object(text: str) -> LocatedObject | None:
    """Return the last top-level JSON object behind the last closing reasoning tag; None if there is none.

    >>> located = last_object('<think>{"5": []}</think> Not {x}, but <answer>{"7": []}</answer>')
    >>> located.value
    {'7': []}
    """
    located = locate_objects(text)
    return located[-1] if located else None


def opens_list(text: str, start: int) -> bool:
    """Return whether a bracket stands right before an object."""
    index = start - 1
    while index >= 0 and text[index] in " \t\n\r":
        index -= 1
    return index >= 0 and text[index] == "["


def after_reasoning(text: str) -> int:
    """Return the index behind the last closing reasoning tag; 0 if there is none.

    >>> after_reasoning("<think>Left?</think>{}")
    20
    """
    slash = text.rfind("/")  # every tag's second character; one pass from the right, however many tags there are
    while slash > 0:
        if text.startswith(REASONING_ENDS, slash - 1):
            return slash - 1 + next(len(tag) for tag in REASONING_ENDS if text.startswith(tag, slash - 1))
        slash = text.rfind("/", 0, slash)
    return 0
