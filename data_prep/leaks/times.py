"""Which moments a reasoning trace states: seconds, clock times, frames, minutes and bare numbers beside words of time.

Patterns read text that `number_words.with_digits` has folded. Each match is taken out of the text, so that a later
pattern does not read it again. Durations ("for three seconds"), moments told from another moment ("two seconds
later"), counts, ages, scores and times of day are no moments of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from data_prep.leaks import time_patterns as say


@dataclass(frozen=True)
class Stated:
    """A moment or stretch that a text states.

    Attributes:
        quote: the part of the (folded) text that states it.
        low, high: seconds on the clip's clock, inclusive second indices or points in time.
        rough: a region that the event has to touch, [low, high); else both ends have to lie in the window.
    """

    quote: str
    low: float
    high: float
    rough: bool = False


def moments_in(text: str, seconds: int) -> Iterator[Stated]:
    """Yield the moments that a folded text states with numbers.

    Args:
        seconds: K of the clip, for what is counted from its end.

    >>> [(found.low, found.high) for found in moments_in("he jumps from second 3 to second 8, around 0:07", 20)]
    [(7, 7), (3.0, 8.0)]
    >>> list(moments_in("a 5-year-old waits for three seconds beside 2 men", 20))
    []
    """
    reader = _Reader(text, seconds)
    yield from reader.read()


class _Reader:
    """One text, of which what is read is taken out."""

    def __init__(self, text: str, seconds: int) -> None:
        self.text = text
        self.seconds = seconds
        self.moments: list[Stated] = []

    def read(self) -> list[Stated]:
        for pattern in (say.QUOTED_SIGN, *say.HARMLESS):
            self.text = pattern.sub(_blank, self.text)
        steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]] = [
            (say.CLOCKS, self._clocks),
            (say.FIRST_N, self._first_n),
            (say.FIRST_N_BARE, self._first_n_bare),
            (say.VAGUE, self._vague),
            (say.MINUTE, self._minute),
            (say.NTH_MINUTE, self._nth_minute),
            (say.ORDINALS_WITH_SECOND, self._second_and),
            (say.ORDINALS, self._ordinals),
            (say.INTERVAL, self._interval),
            (say.LABELLED, self._labelled),
            (say.ASSIGNED, self._assigned),
            (say.RANGE, self._range),
            (say.QUANTITY, self._quantity),
            (say.EVENT_AT, self._point),
            (say.BARE_RANGE, self._bare_range),
            (say.AT_BARE, self._at),
        ]
        for pattern, step in steps:
            self.text = pattern.sub(partial(_take, step), self.text)
        return self.moments

    def _add(self, match: re.Match[str], low: float, high: float | None = None, *, rough: bool = False) -> bool:
        self.moments.append(Stated(match[0].strip(" ,.(["), low, low if high is None else high, rough))
        return True

    def _before(self, match: re.Match[str], width: int = 60) -> str:
        return match.string[max(0, match.start() - width) : match.start()]

    def _after(self, match: re.Match[str], width: int = 80) -> str:
        return match.string[match.end() : match.end() + width]

    def _clocks(self, match: re.Match[str]) -> bool:
        times = [_clock(text) for text in match.groups() if text]
        return self._add(match, min(times), max(times))

    def _first_n(self, match: re.Match[str]) -> bool:
        if re.match(rf" of (?!(?:the |this |that )?(?:\w+ )?{say.CLIP}\b)", self._after(match)):
            return True  # of the jump: told from the event
        count = float(match["m"] or match["n"]) if match["n"][0].isdigit() else 5.0
        length = count * (60 if match["unit"].startswith("m") else 1)
        if match["which"] in ("first", "opening", "initial", "starting"):
            return self._add(match, 0, length, rough=True)
        return self._add(match, self.seconds - length, self.seconds, rough=True)

    def _first_n_bare(self, match: re.Match[str]) -> bool:
        length = float(match["n"])
        low = 0.0 if match["which"] == "first" else self.seconds - length
        return self._add(match, low, low + length, rough=True)

    def _vague(self, match: re.Match[str]) -> bool:
        if not say.IN_AFTER.match(self._after(match)):
            return False
        low, high = (1, 4) if match["n"].startswith("couple") else (2, 8)
        return self._add(match, low, high, rough=True)

    def _minute(self, match: re.Match[str]) -> bool:
        return self._add(match, 60 * int(match[1]), 60 * int(match[1]) + 60, rough=True)

    def _nth_minute(self, match: re.Match[str]) -> bool:
        if match[1] in ("last", "final"):
            return self._add(match, self.seconds - 60, self.seconds, rough=True)
        number = {"first": 1, "second": 2}.get(match[1]) or int(match[1][:-2])
        return self._add(match, 60 * (number - 1), 60 * number, rough=True)

    def _second_and(self, match: re.Match[str]) -> bool:
        return self._add(match, 1, int(match[1]) - 1 if match[1] else 1)

    def _ordinals(self, match: re.Match[str]) -> bool:
        numbers = [int(text) - 1 for text in re.findall(r"\d+", match[1] + match[2])]
        return self._add(match, min(numbers), max(numbers))

    def _interval(self, match: re.Match[str]) -> bool:
        return self._add(match, float(match[1]), float(match[2]))

    def _labelled(self, match: re.Match[str]) -> bool:
        numbers = [float(text) for text in re.findall(say.NUM, match[1] + match[2])]
        return self._add(match, min(numbers), max(numbers))

    def _assigned(self, match: re.Match[str]) -> bool:
        return self._add(match, float(match[1]))

    def _range(self, match: re.Match[str]) -> bool:
        if match["join"] in ("and", "or") and not (match["word"] or "").startswith("between"):
            return False
        after = self._after(match)
        is_part = bool(say.PART_NOUN.match(after))
        if match["unit"] == "second" and not is_part:
            return True  # "a 3-5 second pause"
        if (
            not match["word"]
            and not is_part
            and (say.DURATION_BEFORE.search(self._before(match)) or say.RELATIVE_AFTER.match(after))
        ):
            return True
        return self._add(match, float(match["a"]), float(match["b"]))

    def _quantity(self, match: re.Match[str]) -> bool:
        minutes = {None: 0.0, "a": 1.0, "half a": 0.5}.get(match["min"])
        minutes = float(match["min"]) if minutes is None else minutes
        rest = match["s1"] or match["s2"] or "0"
        value = 60 * minutes + (1.0 if rest == "a" else float(rest))
        before, after = self._before(match), self._after(match)
        if say.FROM_START.match(after):
            return self._add(match, value)
        if say.FROM_END.match(after):
            return self._add(match, self.seconds - value)
        if say.MARK_AFTER.match(after):
            return self._add(match, value)
        if say.CLIP_LASTS_BEFORE.search(before):
            return True  # the clip's own length
        if say.LASTS_BEFORE.search(before) or re.match(r"\s*-?\s*long\b", after):
            return self._duration(match, value)
        if say.RELATIVE_AFTER.match(after) or say.NOUN_AFTER.match(after):
            return True
        if re.search(r"\bafter (?:only |just |about |around |another )*$", before) and rest == "a":
            return True  # "after a second": told from what was before
        if re.search(r"\bafter another " + say.HEDGE + r"$", before):
            return True
        if say.IN_AFTER.match(after):
            return self._add(match, value)
        if say.DURATION_BEFORE.search(before):
            return True
        if match["gap"] == "-" and match["unit"] == "second":
            return True  # "a 3-second glance"
        glued = match["unit"] in ("s", "sec", "secs") if match["unit"] else bool(match["s1"])
        if rest != "a" and (glued or say.POINT_BEFORE.search(before)):
            return self._add(match, value)
        return True

    def _duration(self, match: re.Match[str], value: float) -> bool:
        self.moments.append(Lasting(match[0].strip(), value, value))
        return True

    def _point(self, match: re.Match[str]) -> bool:
        return self._add(match, float(match[1]))

    def _bare_range(self, match: re.Match[str]) -> bool:
        joined_by_and = match[3] == "and"
        if joined_by_and != (match[1] == "between") or say.NO_MOMENT_BEFORE.search(self._before(match)):
            return True
        return self._add(match, float(match[2]), float(match[4]))

    def _at(self, match: re.Match[str]) -> bool:
        if say.NO_MOMENT_BEFORE.search(self._before(match)):
            return True
        return self._add(match, float(match[1]))


@dataclass(frozen=True)
class Lasting(Stated):
    """A length that the event is said to have: `low`, seconds."""


def _take(step: Callable[[re.Match[str]], bool], match: re.Match[str]) -> str:
    """Return a match's replacement: nothing readable if the step has handled it, else the match itself."""
    return _blank(match) if step(match) else match[0]


def _blank(match: re.Match[str]) -> str:
    return "\x01" * len(match[0])


def _clock(text: str) -> float:
    value = 0.0
    for part in text.split(":"):
        value = 60 * value + float(part)
    return int(value) if value.is_integer() else value
