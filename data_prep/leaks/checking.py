"""The leak check: a reasoning trace states no coordinates, and no time that the true event is not at.

    python -m data_prep check-trace --span 3 8 --seconds 20 < traces.txt

A model that is trained to reason learns what its traces say. Words for what and roughly when are wanted; numbers are
the answer's, and the answer's come from annotations. What a text states is read by patterns (English); what may stand
there is decided here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
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
    """Yield what a trace leaks, coordinates first.

    A text of more than `LONGEST` characters is no trace: that is the first leak, and the rest is not read.

    Args:
        trace: any text.
        span: [first, last] true seconds, inclusive.
        seconds: K of the clip.
        tolerance_s: how far before the span and after it a stated time may lie, seconds.

    A time with a number lies in the widened span; a part of the clip ("at the end", "the second half") touches it.

    >>> [str(leak) for leak in leaks_in("A man in red jumps around 0:15.", (3, 8), 20)]
    ['time "0:15" outside seconds 2 to 9']
    >>> list(leaks_in("Two men wait; a 5-year-old jumps from second 3 to 8.", (3, 8), 20))
    []
    """
    plain = unicodedata.normalize("NFKC", trace[:LONGEST])  # one character can become eighteen
    if (length := max(len(trace), len(plain))) > LONGEST:
        yield Leak("unread", trace[LONGEST:] or plain[LONGEST:], f": {length} characters, at most {LONGEST} are read")
    text = with_digits(plain[:LONGEST])
    for coordinates in coordinates_in(text):
        yield Leak("coordinates", coordinates)
    first, end = span[0] - tolerance_s, span[1] + 1 + tolerance_s  # [first, end) on the clip's clock
    allowed = f" outside seconds {max(first, 0):g} to {min(end - 1, max(seconds - 1, 0)):g}"
    for stated in (*moments_in(text, seconds), *parts_in(text, seconds)):
        if isinstance(stated, Lasting):
            if stated.low > end - first:
                yield Leak("length", stated.quote, f", the event has {span[1] - span[0] + 1} s")
        elif not _allowed(stated, first, end):
            yield Leak("part of the clip" if stated.rough else "time", stated.quote, allowed)


def _allowed(stated: Stated, first: float, end: float) -> bool:
    if stated.rough:
        return stated.low < end and stated.high > first
    return first <= stated.low and stated.high < end


def verdict(trace: str, span: tuple[int, int], seconds: int, tolerance_s: float = TOLERANCE_S) -> str:
    """Return `ok`, or `leak: ` and the first reason.

    >>> verdict("At the end the dog barks.", (3, 8), 20)
    'leak: part of the clip "at the end" outside seconds 2 to 9'
    """
    for leak in leaks_in(trace, span, seconds, tolerance_s):
        return f"leak: {leak}"
    return "ok"
