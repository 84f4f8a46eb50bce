"""Reads JSON that `json` refuses: truncated, broken, nested deeply, with duplicate keys. One pass, no recursion."""

import json
import re
from typing import Any, NamedTuple

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[{}\[\]:,]|[^ \t\n\r{}\[\]:,"]+', re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CONTROL = re.compile(r"[\x00-\x1f]")
_LITERALS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_STRING_DECODER = json.JSONDecoder(strict=False)
# int() of longer texts may be refused by the interpreter (its limit can be set as low as 640). Such a number is finite
# and lies outside any picture, and that is all that counts.
_MAX_INT_DIGITS = 640
_HUGE = 1e300

INVALID = object()
"""Stands for a value that is no JSON value."""


class ScannedObject(NamedTuple):
    """An object of JSON text, read as far as it goes."""

    pairs: list[tuple[str | None, Any]]  # all of them, in order; key None: there was a value but no key
    end: int  # the index behind it in the text
    intact: bool  # it is valid JSON and closed
    closed: bool = True  # its closing brace is there
    num_repaired: int = 0  # lists that a key inside them ended, for want of a bracket


class _Open:
    """A container that is still open."""

    __slots__ = ("is_object", "items", "key", "want")

    def __init__(self, is_object: bool) -> None:
        self.is_object = is_object
        self.items: list[Any] = []  # of an object: (key, value)
        self.key: str | None = None
        self.want = "first"  # then an object goes key (":" "value" "," "key")*, a list (value "," )*


def scan_object(text: str, start: int) -> ScannedObject:
    """Read the object that begins with the brace at `start`, to its closing brace or the end of the text.

    Inner objects become dicts in which the first of duplicate keys stands. What is closed is kept; so is the list of
    an outermost key that is not closed, with its closed elements. Everything else that is not closed is dropped, or
    is INVALID if the text goes on behind it. A key inside a list can only mean that the list had ended: its bracket
    is inserted and counted. Time is linear in the text; nothing is ever raised.
    """
    root = _Open(True)
    stack = [root]
    num_open = {True: 1, False: 0}
    intact = True
    end = len(text)
    num_repaired = 0
    last_string: str | None = None  # the string that ended a list's elements so far: a key if a colon follows
    for match in _TOKEN.finditer(text, start + 1):
        token = match.group()
        top = stack[-1]
        first_char = token[0]
        candidate, last_string = last_string, None
        if first_char in "{[":
            if top.want not in ("value", "first") or (top.is_object and top.want == "first"):
                intact = False
            inner = _Open(first_char == "{")
            num_open[inner.is_object] += 1
            stack.append(inner)
        elif first_char in "}]":
            closes_object = first_char == "}"
            if not num_open[closes_object]:
                intact = False
                continue
            while stack[-1].is_object is not closes_object:  # a bracket was left out: close what stands open inside
                intact = False
                _close(stack, num_open, kept=len(stack) == 2)
            top = stack[-1]
            if top.want not in ("first", ","):
                intact = False
            if len(stack) == 1:
                end = match.end()
                return ScannedObject(root.items, end, intact, True, num_repaired)
            _close(stack, num_open, kept=True)
        elif first_char == ",":
            if top.want != ",":
                intact = False
            top.want = "key" if top.is_object else "value"
        elif first_char == ":":
            if top.want != ":":
                intact = False
            if top.is_object and top.want == ":":
                top.want = "value"
            elif not top.is_object and candidate is not None:
                top.items.pop()
                while not stack[-1].is_object:  # ends at the latest with the root
                    _close(stack, num_open, kept=True)
                    num_repaired += 1
                stack[-1].key, stack[-1].want = candidate, "value"
        elif first_char == '"':
            if not match.group(1):
                intact = False
                break
            value, valid = _string(token)
            if top.is_object and top.want != "value":
                intact = intact and valid and top.want in ("first", "key")
                top.key, top.want = value, ":"
            else:
                intact = intact and valid and top.want in ("first", "value")
                _put(top, value)
                last_string = value if not top.is_object else None
        elif match.end() == len(text):
            break  # a number without an end
        else:
            value, valid = _atom(token)
            intact = intact and valid and (top.want == "value" or (top.want == "first" and not top.is_object))
            if valid or top.want == "value":
                _put(top, value)
    while len(stack) > 2:
        num_open[stack.pop().is_object] -= 1
    if len(stack) == 2 and not stack[1].is_object:
        _close(stack, num_open, kept=True)
    return ScannedObject(root.items, end, False, False, num_repaired)


def _close(stack: list[_Open], num_open: dict[bool, int], kept: bool) -> None:
    closed = stack.pop()
    num_open[closed.is_object] -= 1
    value: Any = closed.items
    if closed.is_object:
        value = dict(reversed(closed.items))  # so that the first of duplicate keys stands
    _put(stack[-1], value if kept else INVALID)


def _put(top: _Open, value: Any) -> None:
    if top.is_object:
        top.items.append((top.key, value))
        top.key = None
    else:
        top.items.append(value)
    top.want = ","


def _string(token: str) -> tuple[str, bool]:
    if "\\" in token:
        try:
            text = _STRING_DECODER.decode(token)
        except ValueError:
            return token[1:-1], False
    else:
        text = token[1:-1]
    return text, _CONTROL.search(token) is None


def _atom(token: str) -> tuple[Any, bool]:
    if token in _LITERALS:
        return _LITERALS[token], True
    match = _NUMBER.fullmatch(token)
    if match is None:
        return INVALID, False
    if match.group(1) or match.group(2):
        return float(token), True
    if len(token) > _MAX_INT_DIGITS:
        return (-_HUGE if token[0] == "-" else _HUGE), True
    return int(token), True
