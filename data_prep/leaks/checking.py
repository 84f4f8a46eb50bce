"""The leak check: a reasoning trace states no coordinates, and no time that the true event is not at.

    python -m data_prep check-trace --span 3 8 --seconds 20 < traces.txt

A model that is trained to reason learns what its traces say. Words for what and roughly when are wanted; numbers are
the answer's, and the answer's come from annotations. What a text states is read by patterns (English); what may stand
there is decided here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_prep.leaks.coordinates import coordinates_in
from data_prep.leaks.number_words import with_digits
from data_prep.leaks.parts import parts_in
from data_prep.leaks.times import Lasting, Stated, moments_in

TOLERANCE_S = 1.0
LONGEST = 1 << 15  # characters of a text that are read: some 6,000 words, where a trace has a few hundred
_LONGEST_QUOTE = 60


@dataclass(frozen=True)
class Leak:
    """One thing that a trace must not state: `quote` is the trace's own text, in lower case with numbers as digits."""

    kind: str
    quote: str
    detail: str = ""

    def __str__(self) -> str:
        quote = self.quote if len(self.quote) <= _LONGEST_QUOTE else self.quote[: _LONGEST_QUOTE - 3] + "..."
        return f'{self.kind} "{quote}"{self.detail}'


def leaks_in(trace: str, span: tuple[int, int], seconds: int, tolerance_s: float = TOLERANCE_S) -> Iterator[Leak]:
    """Yield what a trace of one event leaks, coordinates first: see `leaks_of`.

    Args:
        span: [first, last] true seconds, inclusive.

    >>> [str(leak) for leak in leaks_in("A man in red jumps around 0:15.", (3, 8), 20)]
    ['time "0:15" outside seconds 2 to 9']
    >>> list(leaks_in("Two men wait; a 5-year-old jumps from second 3 to 8.", (3, 8), 20))
    []
    """
    return leaks_of(trace, [span], seconds, tolerance_s)


def leaks_of(
    trace: str, events: Sequence[tuple[int, int]], seconds: int, tolerance_s: float = TOLERANCE_S
) -> Iterator[Leak]:
    """Yield what a trace leaks, coordinates first.

    A text of more than `LONGEST` characters is no trace: that is the first leak, and the rest is not read.

    Args:
        trace: any text.
        events: (first, last) true seconds of each event, inclusive; none where the sentence has no target.
        seconds: K of the clip.
        tolerance_s: how far before the span and after it a stated time may lie, seconds.

    A time with a number lies in one of the widened events; a part of the clip ("at the end", "the second half")
    touches one. Without a target no time may be stated.

    >>> [str(leak) for leak in leaks_of("He jumps near second 3, and again at 0:12.", [(3, 4), (8, 9)], 20)]
    ['time "0:12" outside seconds 2 to 5 and 7 to 10']
    >>> [str(leak) for leak in leaks_of("At the end nobody jumps.", [], 20)]
    ['part of the clip "at the end" where there is no event']
    """
    plain = unicodedata.normalize("NFKC", trace[:LONGEST])  # one character can become eighteen
    if (length := max(len(trace), len(plain))) > LONGEST:
        yield Leak("unread", trace[LONGEST:] or plain[LONGEST:], f": {length} characters, at most {LONGEST} are read")
    text = with_digits(plain[:LONGEST])
    for coordinates in coordinates_in(text):
        yield Leak("coordinates", coordinates)
    windows = [(first - tolerance_s, last + 1 + tolerance_s) for first, last in events]  # [first, end), clip's clock
    each = (f"{max(first, 0):g} to {min(end - 1, max(seconds - 1, 0)):g}" for first, end in windows)
    allowed = f" outside seconds {' and '.join(each)}" if windows else " where there is no event"
    longest = max((last - first + 1 for first, last in events), default=0)
    for stated in (*moments_in(text, seconds), *parts_in(text, seconds)):
        if isinstance(stated, Lasting):
            if stated.low > max((end - first for first, end in windows), default=0):
                yield Leak("length", stated.quote, f", the event has {longest} s" if events else allowed)
        elif not any(_allowed(stated, first, end) for first, end in windows):
            yield Leak("part of the clip" if stated.rough else "time", stated.quote, allowed)


def _allowed(stated: Stated, first: float, end: float) -> bool:
    if stated.rough:
        return stated.low < end and stated.high > first
    return first <= stated.low and stated.high < end


def verdict(trace: str, span: tuple[int, int], seconds: int, tolerance_s: float = TOLERANCE_S) -> str:
    """Return `ok`, or `leak: ` and the first reason, for a trace of one event.

    >>> verdict("At the end the dog barks.", (3, 8), 20)
    'leak: part of the clip "at the end" outside seconds 2 to 9'
    """
    return verdict_of(trace, [span], seconds, tolerance_s)


def verdict_of(trace: str, events: Sequence[tuple[int, int]], seconds: int, tolerance_s: float = TOLERANCE_S) -> str:
    """Return `ok`, or `leak: ` and the first reason; arguments as those of `leaks_of`."""
    for leak in leaks_of(trace, events, seconds, tolerance_s):
        return f"leak: {leak}"
    return "ok"
