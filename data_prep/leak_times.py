"""Which moments a reasoning trace states: seconds, clock times, frames, minutes and bare numbers beside words of time.

Patterns read text that `number_words.with_digits` has folded. Each match is taken out of the text, so that a later
pattern does not read it again. Durations ("for three seconds"), moments told from another moment ("two seconds later"),
counts, ages, scores and times of day are no moments of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

CLIP = r"(?:clip|video|footage|sequence|recording|film|shot|scene|segment|movie|timeline|excerpt|take)"
OF_CLIP = rf"(?:of|in|into|through|to) (?:the |this |that |our |its )?(?:whole |entire |full |short |given |sampled )?{CLIP}\b"

_NUM = r"\d{1,6}(?:\.\d+)?"
_HEDGE = (
    r"(?:(?:about|around|roughly|approximately|approx\.?|circa|ca\.|exactly|precisely|just|right|nearly|almost|some"
    r"|maybe|perhaps|only|the|~|\u2248|say)\s*)*"
)
_UNIT = r"(?:seconds?|secs?\b\.?|s)(?![\w'])"
_JOIN = r"(?:-|to|through|thru|until|till|and|or|up to|,|&|/)"
_NOT_MORE = r"(?!\d|:\d|\.\d|-?\s*years?|\s*-?\s*year|%|\s*(?:percent|per cent)|(?:st|nd|rd|th)\b)"
# What may follow a number that stands for a moment without a unit: an end, or a word that cannot be what it counts.
_BARE = (
    r"(?![\d:%/x]|\.\d)(?=\s*(?:[.,;!?)\]\"]|$|-\s|\b(?:and|or|to|until|till|through|the|he|she|it|they|we|his|her|their|when|where"
    r"|while|as|before|after|with|then|but|so|because|which|that|this|there|on|in|a|an|is|was|of the)\b))"
)


@dataclass(frozen=True)
class Stated:
    """A moment or stretch that a text states.

    Attributes:
        words: the text's (folded) words.
        low, high: seconds on the clip's clock, inclusive second indices or points in time.
        rough: a region that the event has to touch, [low, high); else both ends have to lie in the window.
    """

    words: str
    low: float
    high: float
    rough: bool = False


_NOT_OF_THE_CLIP = [
    # ages and decades
    r"\b\d+(?:\s*(?:-|to|or)\s*\d+)?[ -]*years?\b(?:[ -]*olds?\b)?|\b(?:aged?|ages) (?:of )?(?:about )?\d+(?:\s*(?:-|to|and)\s*\d+)?",
    r"\b(?:in )?(?:his|her|their|its|the|early|mid|late)[ -](?:early |mid[ -]?|late )?(?:19|20)?[1-9]0'?s\b(?! mark)|\b(?:19|20)\d0'?s\b",
    # scores, times of day, ratios
    r"\b(?:score|scored|scoreboard|ratio|result|(?:clock|watch|display|sign|timer|screen)(?: [a-z]+){0,3}? (?:says?|shows?|reads?|displays?|showing|reading|saying|at)|tally|odds|leads?|leading|wins?|won|beats?|trails?|lost|bible|train|bus|flight)s?\W+(?:[a-z]+\W+){0,4}?\"?\d+(?:\s*[:-]\s*\d+)+\"?",
    r"\d+\s*[:-]\s*\d+\s*(?:am\b|pm\b|a\.m|p\.m|o'clock|lead|win|victory|loss|draw|formation|score|ahead|down|up\b|aspect|ratio|format)",
    r"\b\d{1,2}\s*(?:am|pm|a\.m\.?|p\.m\.?|o'clock)(?!\w)|\b\d+-\d+-\d+\b|\b24/7\b|\b(?:16:9|4:3|21:9)\b",
    # a number that names something
    r"\b(?:number|(?<!second )(?<!seconds )no\.|numbered|jersey|shirt|bib|lane|gate|bus|route|channel|room|floor|level|platform|table|seat|player|page|size"
    r"|track|row|column|door|chapter|highway|interstate|exit|car|person|man|woman|dog|object|candidate|region|step|point|option)s?\s*(?:number\s*)?[#-]?\s*\d+\b(?!\s*(?:s|seconds?)\b)",
]
_HARMLESS = [re.compile(pattern) for pattern in _NOT_OF_THE_CLIP]
_QUOTED_SIGN = re.compile(
    r'\b(?:says?|reads?|reading|saying|shows?|showing|labell?ed|written|word|words|text|titled)\W*"[^"]{0,60}"'
)

_CLOCK = r"(?:\d{1,2}:)?\d{1,2}:[0-5]\d(?:\.\d+)?"
_CLOCKS = re.compile(rf"(?<![\d:.\w])({_CLOCK})(?:\s*(?:-|to|and|until|through)\s*({_CLOCK}))?(?![\d:])")
_LABELLED = re.compile(
    rf"\b(?:(?:seconds?|secs?\.?)(?:\s+(?:number|index|mark|no\.))?|time\s?-?(?:stamp|code|index|step)s?|at time|frames?(?:\s+(?:number|index|no\.))?)"
    rf"\s*(?:#|=|\u2248|:|of|is|at)?\s*{_HEDGE}({_NUM}){_NOT_MORE}(?:\s*{_UNIT})?"
    rf"((?:\s*(?:,\s*)?{_JOIN}\s*(?:{_HEDGE})(?:seconds?|secs?|frames?)?\s*#?{_NUM}{_NOT_MORE}(?:\s*{_UNIT})?)*)"
    r"(?!\s+(?:people|persons?|men|women|players?|dogs?|cars?|children|kids|balls?|others?)\b)"
)
_ASSIGNED = re.compile(
    rf"(?<![a-z])(?:t_?[01]?|time|(?:start|end|begin|onset|offset|first|last)(?:[_ ]?(?:time|second|sec|s))?)\"?\s*(?:=|\u2248|:|\+|~)\s*{_HEDGE}({_NUM}){_NOT_MORE}"
)
_INTERVAL = re.compile(
    rf"\b(?:interval|window|span|segment|range|period|event)\"?\s*(?:of|from|is|was|covers|runs|spans|at|in|between|(?:should|would|must|could|may|might|can) be|lies|:|=)*\s*{_HEDGE}[\[(]?\s*({_NUM})\s*(?:{_UNIT})?\s*"
    rf"(?:-|to|,|and|through|until)\s*({_NUM}){_NOT_MORE}(?!\s+(?!(?:second|sec)s?\b)[a-z])"
)
_ORDINALS = re.compile(
    rf"\b(\d+)(?:st|nd|rd|th)((?:[\s,]*(?:,|and|or|to|through|-|until|till)\s*(?:the\s*)?\d+(?:st|nd|rd|th))*)\s*-?\s*(?:{_UNIT}|frames?\b)"
)
_ORDINALS_WITH_SECOND = re.compile(
    r"\b(?:in|at|by|until|during|from|the|and|to) second (?:to|and|through|or) (?:the )?(\d+)(?:rd|th) seconds?\b|\bsecond second\b"
)
_MINUTE = re.compile(
    rf"\b(?:in|at|during|by|from|until|around|about)? ?minute (?:number |#)?(\d+)\b(?!\s*(?:and|,|:)? ?\d)"
)
_NTH_MINUTE = re.compile(
    r"\b(?:in|during|within|by|at|until) the (?:very )?(first|second|last|final|\d+(?:st|nd|rd|th)) minute\b(?! of (?:play|stoppage))"
)
_MINUTES = rf"(?:(?P<min>{_NUM}|a|half a)\s*-?\s*(?:minutes?\b|mins?\b|m(?=\s?\d))\s*(?:and\s+|,\s*)?)"
_RANGE = re.compile(
    rf"(?P<word>\bbetween\s+|\bfrom\s+)?{_HEDGE}(?<![\w.:])(?P<a>{_NUM})\s*-?(?:{_UNIT})?\s*(?P<join>-|to|until|till|through|thru|and|or|up to)\s*{_HEDGE}(?P<b>{_NUM})[\s-]*(?P<unit>{_UNIT})"
)
_QUANTITY = re.compile(
    rf"(?<![\w.:/])(?:{_MINUTES}(?:(?P<s1>{_NUM})\s*-?\s*{_UNIT})?|(?P<s2>{_NUM}|a(?= second| sec))(?P<gap>\s*-?\s*)(?P<unit>{_UNIT}))"
)
_FIRST_N = re.compile(
    rf"\b(?P<which>first|opening|initial|starting|last|final|closing|ending) {_HEDGE}(?P<n>{_NUM}|few|couple of|several|handful of)(?:\s*(?:-|to|or)\s*(?P<m>{_NUM}))?[\s-]*(?P<unit>{_UNIT}|minutes?|mins?|frames?)"
)
_VAGUE = re.compile(
    rf"\b(?:a )?(?P<n>few|couple(?: of)?|several|handful of) (?:seconds?|secs?|moments) (?=in(?:to)?\b)"
)
_EVENT_AT = re.compile(
    rf"\b(?:starts?|starting|started|begins?|beginning|began|ends?|ending|ended|stops?|stopped|stopping|finish(?:es|ed|ing)?|happens?|occurs?|occurring"
    rf"|takes place|onset|offset|commences?|concludes?|resumes?|peaks?)\s+(?:(?:at|around|about|near|by|from|is|in)\s+)+{_HEDGE}({_NUM}){_BARE}"
)
_BARE_RANGE = re.compile(
    rf"\b(from|between|during|within|at|in)\s+{_HEDGE}({_NUM})\s*(-|to|and|until|till|through|thru)\s*{_HEDGE}({_NUM}){_BARE}"
)
_AT_BARE = re.compile(rf"\b(?:at|@)\s+(?:around |about |roughly |approximately |t |time )?({_NUM}){_BARE}")
_NO_MOMENT_BEFORE = re.compile(
    r"\b(?:scores?|scored|floors?|levels?|lanes?|points?|prices?|temperature|gr(?:ew|ows?)|rises?|rose|counts?|counting|numbers?|ages?|aged"
    r"|looks?|looking|laughs?|stares?|aims?|smiles?|waves?|shoots?|children|people|group of|size|speed|sits|table|gate|house|ranked|rated|valued)\W+(?:[a-z]+\W+){0,3}$"
)
_DURATION_BEFORE = re.compile(
    r"\b(?:for|lasts?|lasted|lasting|takes?|took|taking|spends?|spent|spending|waits?|waited|waiting|pauses?|paused|holds?|held|every|each|per|under|over"
    r"|than|least|most|within|total of|duration of|length of|period of|span of|pause of|gap of|rest of|worth of|another|additional|extra|whole|entire|full"
    r"|stays?|stands|sits|keeps|all|in)\s+(?:it |them |him |her |still |on |there |up |down |to |a |an |full |another |further |of )*"
    + _HEDGE
    + r"$"
)
_LASTS_BEFORE = re.compile(r"\b(?:lasts?|lasted|lasting|duration(?: is| of|:)?|takes?)\s+(?:for )?" + _HEDGE + r"$")
_POINT_BEFORE = re.compile(
    r"(?:\b(?:at|by|until|till|to|from|since|after|before|past|near|around|about|between|starting|beginning|ending|reaching|approaching|mark|and|or|through)|@|\()\s*"
    + _HEDGE
    + r"$"
)
_NOUN_AFTER = re.compile(
    r"\s*-?\s*(?:pause|gap|clip|video|delay|break|burst|stretch of|interval between|long|of |rest|warning|penalty|shot|film|sequence)\b"
)
_MARK_AFTER = re.compile(r"\s*-?\s*(?:mark|point|timestamp|position|line)s?\b")
_IN_AFTER = re.compile(
    rf"\s*(?:in(?:to)?(?:\s*(?:[,.;:!)]|$)|\s+(?:the |this )?{CLIP}\b|\s+(?:he|she|it|they|we|you|when|as|while|and|where|after|the \w+ (?:is|are|starts|begins|walks|runs))\b)"
    rf"|through (?:the |this )?{CLIP}\b|(?:have |has |had )?(?:elapsed|passed|gone by)\b|onwards?\b|of runtime|:(?!\d)|of (?:the |this )?{CLIP}\b|from (?:the )?(?:start|beginning))"
)
_RELATIVE_AFTER = re.compile(
    r"\s*(?:later|after|before|earlier|ago|apart|prior|previously|sooner|ahead|behind|long|longer|or so (?:later|after|before)|beforehand|afterwards?)\b"
)
_CLIP_STARTS = rf"(?:after|from when|since|once) (?:the|this) {CLIP} (?:starts|begins|opens|has (?:started|begun))\b"
_CLIP_ENDS = rf"(?:before|until) (?:the|this) {CLIP} (?:ends|finishes|stops|is over|runs out|cuts|fades)\b|(?:left|remain(?:s|ing)?|to go)\b"
_FROM_START = re.compile(
    rf"\s*{_CLIP_STARTS}|\s*(?:after|from|past|since|following) (?:the )?(?:very )?(?:start|beginning|opening|first frame)\b(?! of (?!(?:the |this )?{CLIP}))"
)
_FROM_END = re.compile(
    rf"\s*(?:{_CLIP_ENDS})|\s*(?:before|from|prior to|to) (?:the )?(?:very )?(?:end|finish|close|last frame)\b(?! of (?!(?:the |this )?{CLIP}))"
)
_PART_NOUN = re.compile(r"\s*-?\s*(?:window|interval|range|mark|span|segment|portion|part|section)s?\b")


def moments_in(text: str, seconds: int) -> Iterator[Stated]:
    """Moments that a folded text states with numbers.

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
        self.found: list[Stated] = []

    def read(self) -> list[Stated]:
        for pattern in (_QUOTED_SIGN, *_HARMLESS):
            self.text = pattern.sub(_blank, self.text)
        steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]] = [
            (_CLOCKS, self._clocks),
            (_FIRST_N, self._first_n),
            (_VAGUE, self._vague),
            (_MINUTE, self._minute),
            (_NTH_MINUTE, self._nth_minute),
            (_ORDINALS_WITH_SECOND, self._second_and),
            (_ORDINALS, self._ordinals),
            (_INTERVAL, self._interval),
            (_LABELLED, self._labelled),
            (_ASSIGNED, self._assigned),
            (_RANGE, self._range),
            (_QUANTITY, self._quantity),
            (_EVENT_AT, self._point),
            (_BARE_RANGE, self._bare_range),
            (_AT_BARE, self._at),
        ]
        for pattern, step in steps:
            self.text = pattern.sub(lambda match, step=step: _blank(match) if step(match) else match[0], self.text)
        return self.found

    def _add(self, match: re.Match[str], low: float, high: float | None = None, *, rough: bool = False) -> bool:
        self.found.append(Stated(match[0].strip(" ,.(["), low, low if high is None else high, rough))
        return True

    def _before(self, match: re.Match[str], width: int = 60) -> str:
        return match.string[max(0, match.start() - width) : match.start()]

    def _clocks(self, match: re.Match[str]) -> bool:
        times = [_clock(text) for text in match.groups() if text]
        return self._add(match, min(times), max(times))

    def _first_n(self, match: re.Match[str]) -> bool:
        if re.match(rf" of (?!(?:the |this |that )?(?:\w+ )?{CLIP}\b)", match.string[match.end() :]):
            return True  # of the jump: told from the event
        count = float(match["m"] or match["n"]) if match["n"][0].isdigit() else 5.0
        length = count * (60 if match["unit"].startswith("m") else 1)
        if match["which"] in ("first", "opening", "initial", "starting"):
            return self._add(match, 0, length, rough=True)
        return self._add(match, self.seconds - length, self.seconds, rough=True)

    def _vague(self, match: re.Match[str]) -> bool:
        if not _IN_AFTER.match(match.string[match.end() :]):
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
        numbers = [float(text) for text in re.findall(_NUM, match[1] + match[2])]
        return self._add(match, min(numbers), max(numbers))

    def _assigned(self, match: re.Match[str]) -> bool:
        return self._add(match, float(match[1]))

    def _range(self, match: re.Match[str]) -> bool:
        if match["join"] in ("and", "or") and not (match["word"] or "").startswith("between"):
            return False
        after = match.string[match.end() :]
        is_part = bool(_PART_NOUN.match(after))
        if match["unit"] == "second" and not is_part:
            return True  # "a 3-5 second pause"
        if (
            not match["word"]
            and not is_part
            and (_DURATION_BEFORE.search(self._before(match)) or _RELATIVE_AFTER.match(after))
        ):
            return True
        return self._add(match, float(match["a"]), float(match["b"]))

    def _quantity(self, match: re.Match[str]) -> bool:
        minutes = {None: 0.0, "a": 1.0, "half a": 0.5}.get(match["min"])
        minutes = float(match["min"]) if minutes is None else minutes
        rest = match["s1"] or match["s2"] or "0"
        value = 60 * minutes + (1.0 if rest == "a" else float(rest))
        before, after = self._before(match), match.string[match.end() :][:80]
        if _FROM_START.match(after):
            return self._add(match, value)
        if _FROM_END.match(after):
            return self._add(match, self.seconds - value)
        if _MARK_AFTER.match(after):
            return self._add(match, value)
        if _LASTS_BEFORE.search(before) or re.match(r"\s*-?\s*long\b", after):
            return self._duration(match, value)
        if _RELATIVE_AFTER.match(after) or _NOUN_AFTER.match(after):
            return True
        if re.search(r"\bafter (?:only |just |about |around |another )*$", before) and rest == "a":
            return True  # "after a second": told from what was before
        if re.search(r"\bafter another " + _HEDGE + r"$", before):
            return True
        if _IN_AFTER.match(after):
            return self._add(match, value)
        if _DURATION_BEFORE.search(before):
            return True
        if match["gap"] == "-" and match["unit"] == "second":
            return True  # "a 3-second glance"
        glued = match["unit"] in ("s", "sec", "secs") if match["unit"] else bool(match["s1"])
        if rest != "a" and (glued or _POINT_BEFORE.search(before)):
            return self._add(match, value)
        return True

    def _duration(self, match: re.Match[str], value: float) -> bool:
        self.found.append(Lasting(match[0].strip(), value, value))
        return True

    def _point(self, match: re.Match[str]) -> bool:
        return self._add(match, float(match[1]))

    def _bare_range(self, match: re.Match[str]) -> bool:
        joined_by_and = match[3] == "and"
        if joined_by_and != (match[1] == "between") or _NO_MOMENT_BEFORE.search(self._before(match)):
            return True
        return self._add(match, float(match[2]), float(match[4]))

    def _at(self, match: re.Match[str]) -> bool:
        if _NO_MOMENT_BEFORE.search(self._before(match)):
            return True
        return self._add(match, float(match[1]))


@dataclass(frozen=True)
class Lasting(Stated):
    """A length that the event is said to have: `low`, seconds."""


def _blank(match: re.Match[str]) -> str:
    return "\x01" * len(match[0])


def _clock(text: str) -> float:
    value = 0.0
    for part in text.split(":"):
        value = 60 * value + float(part)
    return int(value) if value.is_integer() else value
