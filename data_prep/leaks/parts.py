"""Which parts of the clip a reasoning trace names: its beginning and end, halves, fractions and percent of it.

Patterns read text that `number_words.with_digits` has folded. "At the end of the hallway", "the second half of the
pool" and "the start line" are places; "at the end of the jump" is told from the event; none is a part of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from data_prep.leaks.coordinates import PERCENT, PERCENT_OF_TIME
from data_prep.leaks.time_patterns import CLIP
from data_prep.leaks.times import Stated

_DET = r"(?:the |this |that |our |its |a )?(?:whole |entire |full |short |given |sampled |\d+-?(?:second|sec|s) )?"
_OF_CLIP = rf" of {_DET}{CLIP}(?:'s\b)?(?! (?:line|edge))"
_NOT_A_PLACE = (
    rf"(?! of (?!{_DET}{CLIP}\b))(?! (?:zone|line|lines|table|tables|wall|walls|points?|results?|goals?|users?"
    rf"|caps?|seat|seats|board|gates?|blocks?|buttons?|grid|post|credits? of|product|piece)\b)"
    r"(?!-)(?! (?:nearest|closest|farthest|furthest)\b)"
)
_TO = (
    r"(?P<word>at|by|near|nearer|toward|towards|until|till|before|to|through|after|from|since|close to|around"
    r"|about|approaching|reaching|in|on|during|up to)"
    r" (?:about |around |almost |just |right |exactly )?the (?:very |absolute |extreme )?"
)
_END = re.compile(rf"\b(?!in the end\b){_TO}(?:end|ending|conclusion|close|finish){_NOT_A_PLACE}(?![a-z])")
_START = re.compile(rf"\b{_TO}(?:start|beginning|outset|opening){_NOT_A_PLACE}(?![a-z])")
_CLIP_END = re.compile(
    rf"\b(?:end|ending|conclusion|tail|close|last part|final part|final stretch|last stretch|final section|final"
    rf" portion|last portion){_OF_CLIP}\b"
    rf"|\b{CLIP}'s (?:very )?(?:end|ending|conclusion|close|(?:final|last|closing|ending) (?:few )?(?:seconds?"
    rf"|moments?|frames?|part|stretch))\b"
    rf"|\b(?:when|as|before|until|till|once|after|just as|by the time) (?:the|this) {CLIP} (?:is (?:over|ending"
    rf"|almost over|nearly over|about to end)|ends?|finishes|stops|concludes|closes|fades|cuts out|comes to (?:an"
    rf"|its) end|draws to (?:a|its) close|wraps up|is (?:almost |nearly )(?:finished|done))\b"
    rf"|\b(?:the|this) {CLIP} ends (?:as|when|while|with him|with her)\b"
)
_CLIP_START = re.compile(
    rf"\b(?:start|beginning|opening|outset|first part|opening part|early part|opening stretch|initial"
    rf" part){_OF_CLIP}\b"
    rf"|\b{CLIP}'s (?:very )?(?:start|beginning|(?:first|opening|initial) (?:few )?(?:seconds?|moments?|frames?"
    rf"|part|stretch)|opening)\b"
    rf"|\b(?:when|as|once|just as|the moment|as soon as|right when|after) (?:the|this) {CLIP} (?:starts?|begins?"
    rf"|opens?)\b"
)
_MOMENTS = re.compile(
    r"\b(?:in|at|during|by|within|until|from|over|for|to|through)?\s*the (?:very )?(?P<which>first|opening"
    r"|initial|starting|last|final|closing|ending) (?:few |couple of |several |brief )?"
    rf"(?:seconds?|secs?|instants?|moments?|frames?)\b(?! of (?!{_DET}{CLIP}\b))"
)
_LAST_BUT_ONE = re.compile(
    r"\b(?:second[ -]to[ -](?:the[ -])?last|next[ -]to[ -]last|last[ -]but[ -](?:1|one)|penultimate) (?:second"
    r"|frame)\b"
)
_EARLY = re.compile(
    rf"\b(?P<which>early|earlier|late|later|soon) (?:on )?(?:in|into) (?:the|this) {CLIP}\b|\bvery early on\b"
    rf"|\bearly on\b|\bright away in (?:the|this) {CLIP}\b"
)
_NEARBY = re.compile(r"\b(?:near|nearer|toward|towards|close to|around|about|approaching|before|after)\b")
_PARTS = {  # the clip over this; vague ones cover two fifths of it
    "half": 2, "3rd": 3, "third": 3, "quarter": 4, "4th": 4, "fourth": 4, "5th": 5, "fifth": 5, "10th": 10,
    "tenth": 10, "1/2": 2, "1/3": 3, "1/4": 4, "1/5": 5, "1/10": 10, "2/3": 1.5, "3/4": 4 / 3,
    "part": 2.5, "portion": 2.5, "section": 2.5, "stretch": 2.5,
}  # fmt: skip
_PART_OF_CLIP = re.compile(
    rf"\b(?P<which>first|second|2nd|3rd|third|4th|fourth|last|final|latter|closing|opening|initial|middle|early"
    rf"|earlier|late|later|former)[ -](?P<part>{'|'.join(_PARTS)})"
    rf"{_OF_CLIP}\b|\b{CLIP}'s (?P<its>first|second|third|3rd|last|final|latter|opening|middle)[ -]"
    rf"(?P<piece>{'|'.join(_PARTS)})\b"
)
_BARE_HALF = re.compile(
    rf"\b(?:in|during|throughout|within|over|until|into|only in) the (?P<which>first|second|latter|last|opening"
    rf"|final) half\b(?! of (?!{_DET}{CLIP}\b))(?! (?:court|pike|pipe|time)\b)"
)
_FRACTION = re.compile(
    rf"(?<![\d/])(?P<n>\d)/(?P<d>\d\d?)[ -](?:of )?(?:the )?(?:way )?(?:(?:mark|point)\b|(?:through|into|in)(?:"
    rf" (?:the |this )?{CLIP}\b|(?=\s*(?:[,.;:!]|$)|\s+(?:he|she|it|they|when|as|the)\b))|of (?:the |this )?{CLIP}\b)"
)
_HALFWAY = re.compile(
    rf"\bfrom half-?way on(?:wards?)?\b|\b(?:half[ -]?way|mid-?way|part-?way)\b(?:(?: point| mark)(?:{_OF_CLIP})?"
    rf"|(?: (?:through|into|in))(?: (?:the |this )?(?:whole |entire )?{CLIP}\b|(?=\s*(?:[,.;:!]|$)|\s+(?:he|she"
    rf"|it|they|when|as)\b)))"
)
_MIDDLE = re.compile(
    rf"\b(?:middle|mid-?point|midst|cent(?:er|re) portion){_OF_CLIP}\b|\b(?:at|around|near|about|past|before"
    rf"|after|by|from) the (?:temporal )?mid-?point\b(?! of (?!{_DET}{CLIP}\b))|\bmid-?(?:{CLIP})\b|\b{CLIP}'s"
    rf" (?:middle|mid-?point)\b"
)
_WHOLE = re.compile(
    rf"\b(?:event|action|activity|interval|it|tracking|grounding|moment) (?:\w+ )?(?:lasts|spans|covers|fills"
    rf"|runs|takes up|occupies|continues|happens|occurs|is|takes place)(?: \w+)?"
    rf"(?: for| over| during| throughout| through| across)? (?:the )?(?:whole |entire |full |complete |total |all"
    rf" of the )(?:duration of the |length of the |of the )?{CLIP}\b"
    rf"|\b(?:event|action|activity) (?:\w+ )?(?:happens|occurs|continues|lasts|runs|takes place|goes on)"
    rf" throughout the {CLIP}\b"
    rf"|\bfrom (?:the )?(?:very )?(?:start|beginning) to (?:the )?(?:very )?(?:end|finish)\b{_NOT_A_PLACE}|\bfrom"
    rf" the first (?:second|frame|moment) to the last\b"
)


def parts_in(text: str, seconds: int) -> Iterator[Stated]:
    """Yield the parts of the clip that a folded text names, as stretches in seconds of a clip of K `seconds`.

    >>> [(found.low, found.high) for found in parts_in("at the end he leaves; halfway through, she waves", 20)]
    [(10.0, 10.0), (19.0, 20.0)]
    >>> list(parts_in("the man at the end of the table, in the second half of the pool", 20))
    []
    """
    k = float(seconds)
    end, near = max(1.0, 0.05 * k), max(2.0, 0.25 * k)
    for match in _WHOLE.finditer(text):
        yield Stated(match[0].strip(), 0, k - 1)
    for match in _PART_OF_CLIP.finditer(text):
        which, part = match["which"] or match["its"], match["part"] or match["piece"]
        yield Stated(match[0], *_stretch(which, k, k / _PARTS[part]), rough=True)
    for match in _BARE_HALF.finditer(text):
        yield Stated(match[0], *_stretch(match["which"], k, k / 2), rough=True)
    for match in _FRACTION.finditer(text):
        if int(match["d"]) and not re.search(
            r"\b(?:first|last|final|opening|second|latter)"
            r" $",
            text[max(0, match.start() - 30) : match.start()],
        ):
            share = int(match["n"]) / int(match["d"])
            yield Stated(match[0].strip(), share * k, share * k)
    for match in PERCENT.finditer(text):
        after = PERCENT_OF_TIME.match(text[match.end() : match.end() + 60])
        if after:
            share = min(float(match[1]) / 100, 1.0)
            which = re.search(
                r"\b(first|opening|initial|last|final|closing) (?:about |around |roughly )?$",
                text[max(0, match.start() - 30) : match.start()],
            )
            low, high = _stretch(which[1], k, share * k) if which else (share * k, share * k)
            yield Stated(f"{match[0]}{after[0]}", low, high, rough=which is not None)
    for match in _HALFWAY.finditer(text):
        yield Stated(match[0].strip(), k / 2, k / 2)
    for match in _LAST_BUT_ONE.finditer(text):
        yield Stated(match[0], k - 2, k - 2)
    for match in _MIDDLE.finditer(text):
        around = 0.0 if "point" in match[0] else max(1.0, k / 6)
        yield Stated(match[0].strip(), k / 2 - around, k / 2 + around, rough=around > 0)
    for match in _EARLY.finditer(text):
        low, high = (k / 2, k) if (match["which"] or "").startswith("late") else (0.0, k / 2)
        yield Stated(match[0], low, high, rough=True)
    for match in _MOMENTS.finditer(text):
        length = max(2.0, 0.15 * k) if re.search("(?:seconds|secs|moments?|instants|frames)$", match[0]) else 1.0
        yield Stated(match[0].strip(), *_stretch(match["which"], k, length), rough=True)
    for pattern, side in ((_CLIP_END, "last"), (_CLIP_START, "first"), (_END, "last"), (_START, "first")):
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 24) : match.start()] + match[0]
            if re.search(r"\b(?:seconds?|secs?|s|minutes?) (?:before|from|prior to|to|after|past|into)\b", before):
                continue  # "two seconds before the end": read with its number
            length = near if _NEARBY.search(before) or " part" in match[0] or "portion" in match[0] else end
            yield Stated(match[0], *_stretch(side, k, length), rough=True)


def _stretch(which: str, k: float, length: float) -> tuple[float, float]:
    """Return [low, high) of the first, middle or last `length` seconds."""
    length = min(length, k)
    if which in ("second", "2nd") and length < k / 2:  # the second of three or more parts
        return length, 2 * length
    if which in ("3rd", "third") and length < k / 3:
        return 2 * length, 3 * length
    if which in ("first", "opening", "initial", "starting", "early", "earlier", "former"):
        return 0.0, length
    if which == "middle":
        return k / 2 - length / 2, k / 2 + length / 2
    return k - length, k
