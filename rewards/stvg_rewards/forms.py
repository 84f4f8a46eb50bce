"""Which objects of a text are the answer: one, or one a second, written side by side, line by line or in a list."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .json_scan import scan_object
from .locate import LocatedObject, opens_list
from .plain import second_by_key

# "3", "3.0", "3s". Fifteen digits are 30 million years: longer ones are no seconds.
_SECOND = re.compile(r"([0-9]{1,15})(?:\.0+)?(?: ?s)?")
# "3 seconds", "second 3", and clock times: "00:03", "1:00:03".
_IN_WORDS = re.compile(r"(?:sec(?:ond)?s?[ _]?)?([0-9]{1,15})(?:\.0+)?(?: ?s(?:ec(?:ond)?s?)?)?", re.IGNORECASE)
_CLOCK = re.compile(r"(?:([0-9]{1,6}):(?=[0-5][0-9]:))?([0-9]{1,9}):([0-5][0-9])(?:\.0+)?")
_CLOSES_LIST = re.compile(r"[ \t\n\r]*,?[ \t\n\r]*\]")
_MAX_SECOND = 10**15


class Reading(NamedTuple):
    """The (key, value) pairs that a text's answer consists of, duplicates included."""

    pairs: Iterable[tuple[str | None, Any]]
    intact: bool  # all of it is valid JSON and closed
    repaired: dict[str, int]  # form that is not the contract's -> how often
    num_earlier: int  # states of answers beside this one, which were left unread


def read_second(key: str) -> int | None:
    """Return the second that a key names, or None.

    >>> [read_second(key) for key in ("3", "3.0", "3s", "3.5", "-3", "third")]
    [3, 3, 3, None, None, None]
    >>> [read_second(key) for key in ("3 seconds", "second 3", "00:03", "1:00:03", "00:75")]
    [3, 3, 3, 3603, None]
    """
    return read_key(key)[0]


def read_key(key: str) -> tuple[int | None, bool]:
    """Return the second that a key names, or None, and whether the key is spelled as the contract has it."""
    second = second_by_key().get(key)
    if second is not None:
        return second, True
    key = key.strip()
    if match := _SECOND.fullmatch(key):
        return int(match.group(1)), True
    if match := _IN_WORDS.fullmatch(key):
        return int(match.group(1)), False
    if match := _CLOCK.fullmatch(key):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return 3600 * hours + 60 * minutes + seconds, False
    return None, False


def choose(text: str, objects: Sequence[LocatedObject]) -> Reading | None:
    """Return what a text's answer consists of; None without any object.

    The last object that holds something is the answer. If it holds one second, those before it that hold one second
    each belong to it, as long as only separators stand between them and no second comes twice. So do objects with a
    field "second" in one list, or line by line. Objects before those, and empty ones behind, are left out.

    Args:
        objects: from `locate_objects`.
    """
    if not objects:
        return None
    last, repaired, cut = len(objects) - 1, dict[str, int](), False
    while last >= 0 and (objects[last].empty or _is_cut_entry(objects[last])):
        if objects[last].closed:
            repaired["empty"] = repaired.get("empty", 0) + 1
        else:
            cut = True
        last -= 1
    if last < 0:
        return Reading((), objects[-1].intact, {}, 0)
    belongs = _Belongs(objects[last])
    first = last
    members = [objects[last]]
    for index in range(last, 0, -1):
        before = objects[index - 1]
        if not (objects[index].beside and (before.empty or belongs(before, objects[index].new_list))):
            break
        if not before.empty:
            first = index - 1
            members.append(before)
    members.reverse()
    pairs: Iterable[tuple[str | None, Any]]
    if belongs.form == "records":
        pairs = [(_key_of(fields), [fields]) for fields in (_fields(text, one) for one in members)]
        repaired["records"] = len(members)
    elif len(members) > 1:
        pairs = [pair for one in members for pair in pairs_of(text, one)]
        repaired["objects"] = len(members)
    else:
        pairs = pairs_of(text, members[0])
    if num_brackets := sum(one.scanned.num_repaired for one in members if one.scanned):
        repaired["bracket"] = num_brackets
    if opens_list(text, members[0].start):
        if not {"records", "objects"} & repaired.keys():
            repaired["list"] = 1
        cut = cut or not _CLOSES_LIST.match(text, objects[-1].end)
    intact = not cut and all(one.intact for one in members)
    return Reading(pairs, intact, repaired, _count_earlier(objects, first, belongs.form))


def pairs_of(text: str, located: LocatedObject) -> Iterable[tuple[str | None, Any]]:
    """Return an object's (key, value) pairs in order, duplicates included."""
    if located.scanned is not None:
        return located.scanned.pairs
    value = located.value
    assert value is not None
    num_pairs = len(value) + sum(
        len(entry) for entries in value.values() if type(entries) is list for entry in entries if type(entry) is dict
    )
    # With as many colons as pairs, no key came twice (and json dropped none) and no string holds a colon.
    if num_pairs == text.count(":", located.start, located.end):
        return value.items()
    return scan_object(text, located.start).pairs


class _Belongs:
    """Decides whether the object before those that are already taken belongs to the same answer."""

    def __init__(self, last: LocatedObject) -> None:
        self.form = _form(last)
        self._seconds = {_only_second(last)}

    def __call__(self, before: LocatedObject, new_list: bool) -> bool:
        if self.form == "whole" or _form(before) != self.form:
            return False
        if self.form == "records":
            return not new_list
        second = _only_second(before)
        if second in self._seconds:
            return False
        self._seconds.add(second)
        return True


def _form(located: LocatedObject) -> str:
    """Return "records" for one state with its second beside it, "second" for one second's key, else "whole"."""
    if _is_record(located):
        return "records"
    return "whole" if _only_second(located) is None else "second"


def _count_earlier(objects: Sequence[LocatedObject], first: int, form: str) -> int:
    """Count the states of the objects before the answer that stand beside it or, if it is no whole one, have its form.

    A whole answer behind other text says nothing about what is before: reasoning whose tags TRL left out looks so.
    """
    num_states, beside = 0, True
    for index in range(first - 1, -1, -1):
        beside = beside and objects[index + 1].beside
        if beside or (form != "whole" and _form(objects[index]) == form):
            num_states += _count_states(objects[index])
    return num_states


def _count_states(located: LocatedObject) -> int:
    if _is_record(located):
        return 1
    return sum(
        max(1, len(value)) if type(value) is list else 1
        for key, value in _given_pairs(located)
        if key is not None and read_second(key) is not None and type(value) in (list, dict)
    )


def _only_second(located: LocatedObject) -> int | None:
    """Return the second of an object that holds one pair, whose key is a second; None for others."""
    if located.scanned is not None:
        pairs = located.scanned.pairs
        key = pairs[0][0] if len(pairs) == 1 else None
    else:
        key = next(iter(located.value)) if located.value is not None and len(located.value) == 1 else None
    return None if key is None else read_second(key)


def _keys(located: LocatedObject) -> set[str | None]:
    return {key for key, _ in _given_pairs(located)}


def _given_pairs(located: LocatedObject) -> Iterable[tuple[str | None, Any]]:
    return located.scanned.pairs if located.scanned is not None else (located.value or {}).items()


def _is_record(located: LocatedObject) -> bool:
    """Return whether an object is one state with its second in it: {"second": 2, "label": ..., "bbox_2d": [...]}."""
    keys = located.value if located.value is not None else _keys(located)
    return "second" in keys and ("label" in keys or "bbox_2d" in keys)


def _is_cut_entry(located: LocatedObject) -> bool:
    """Return whether an object is a record that the text's end cuts: it is not complete, so it is not kept."""
    return not located.closed and _keys(located) <= {"second", "label", "bbox_2d"}


def _fields(text: str, located: LocatedObject) -> dict[str | None, Any]:
    return dict(reversed(list(pairs_of(text, located))))  # so that the first of duplicate keys stands


def _key_of(record: dict[str | None, Any]) -> str:
    """Return a record's second as a key of the contract; "" where its field "second" is no second."""
    value = record["second"]
    if type(value) is str:
        return value
    if type(value) in (int, float) and 0 <= value < _MAX_SECOND and value == int(value):
        return str(int(value))
    return ""
