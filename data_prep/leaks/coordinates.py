"""Where a reasoning trace states positions as numbers: boxes, pixels, normalised numbers, percent, fractions.

Patterns read text that `number_words.with_digits` has folded, and are linear on it: what may begin anywhere repeats a
stated number of times at most. Coarse words ("upper left", "the left third") are what a
trace is for and no coordinates; nor are counts, ages, sizes with a unit, scores and numbers on shirts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

N = r"-?\d+(?:\.\d+)?"
_TIME_UNIT = r"(?:s|secs?|seconds?|mins?|minutes?|ms|milliseconds?)\b"
_OTHER_UNIT = (
    r"(?:years?|yrs?|months?|weeks?|days?|hours?|m|meters?|metres?|cm|mm|km|kilometers?|kilometres?|miles?|feet"
    r"|foot|ft"
    r"|inch(?:es)?|kg|kilos?|pounds?|lbs?|mph|kph|km/h|kmh|degrees?|times|x|dollars?|euros?|points?|liters?"
    r"|litres?|gb|mp)\b"
)
_NO_UNIT = (
    rf"(?![\d.:]*\d)(?!\s*-?(?:{_TIME_UNIT}|{_OTHER_UNIT}|o'clock|am\b|pm\b|people\b|persons?\b|men\b|women\b|:\d))"
)
_SIDE = r"(?:left|right|top|bottom|upper|lower|horizontal|vertical)"
_HEDGE = r"(?:(?:about|around|roughly|approximately|near|nearly|almost|exactly|just|at|is|of|the|to|from)\s+){0,6}"
_LISTED = (
    r"(?:seconds?|secs?|frames?|timestamps?|times|players?|numbers?|numbered|nos?\.?|jerseys?|shirts?|bibs?"
    r"|lanes?|seats?"
    r"|rooms?|floors?|gates?|routes?|cars?|buses|pages?|persons?|people|men|women|objects?|dogs?|targets?"
    r"|candidates?|steps?|items?|counts?|counting|ages?|aged|years?|digits?|reads?|says?)"
)
_SURE = (
    r"(?:sure|certain|confident|confidence|likely|chance|probability|off|discount|sale|battery|charged?|cotton|match"
    r"|visible|occluded|hidden|covered|full|empty|open|closed|male|female|men|women"
    r"|of (?:the |all |these |those )?(?:people|persons?|crowd|players?|men|women|audience|children|group|team"
    r"|cars|time|body|face))\b"
)
_ACROSS = (
    r"(?:across|down|up|(?:in )?from (?:the |its )?(?:left|right|top|bottom|edge)"
    r"|of (?:the |its )?(?:frame|picture|image|screen|video)?(?:'s)? ?(?:width|height)"
    r"|(?:to|toward|towards) the (?:left|right|top|bottom))"
)

_PATTERNS = [
    # Answer syntax, with numbers or without.
    r'"?\bbbox(?:_2d)?\b"?|<\|?(?:box|point|bbox)|\bbegin_of_box\b|\{\s*"\d+"\s*:|"label"\s*:',
    # (120, 300), [0.1, 0.2, 0.3, 0.4], (30%, 40%)
    rf"[\[(<{{]\s*{N}\s*(?:%|px)?(?:\s*[,;\s]\s*{N}\s*(?:%|px)?)+\s*[\])>}}]",
    # 102, 310, 298, 644
    rf"(?<![\d.:])(?<!\d[,;] ){N}(?:\s*(?:[,;/|]|\s)\s*(?:and\s+)?{N}){{3,}}(?![\d:%])(?!\s*{_TIME_UNIT})",
    # 0.45 and .45
    r"(?<![\d.])0?\.\d+(?!\.?\d)(?!\s*(?:-|to|and|or|,)\s*\d*\.?\d+\s*-?"
    + _TIME_UNIT
    + rf")(?!\s*-?(?:{_TIME_UNIT}|{_OTHER_UNIT}))",
    # pixels, and sizes such as 640x360
    r"\d\s*-?(?:px|pixels?)\b|\bpixels?\s+(?:[a-z]+\s+){0,3}?\d|(?<![\w.])\d{2,}\s*[x\u00d7*]\s*\d{2,}\b",
    # x=120, y_min: 0.3, the x coordinate is 120
    rf"\b[xy](?:[_ -]?(?:min|max|center|centre|[0-2]))?(?:\s*-?\s*(?:coordinates?|coords?|axis|position|values?))?\s*"
    rf"(?:[=:~\u2248,]|\b(?:is|are|of|at|from|near|around|about|equals?|runs from|between)\b"
    rf"|\s)*\s*{N}\b(?!\s*{_TIME_UNIT})",
    rf"(?<!\d){N}\s*(?:units?\s+)?(?:on|along|in)\s+(?:the\s+)?[xy]\b",
    # left edge at 120; top: 300; top at 300
    rf"\b{_SIDE}[ -]?(?:most )?(?:edge|side|border|boundary|corner|extent|limit|bound)s?\s*(?:[=:]|\b(?:at|is"
    rf"|near|around|about|of)\b)\s*{_HEDGE}\d{{2,}}\b{_NO_UNIT}",
    rf"\b{_SIDE}\s*[=:]\s*(?:\d{{2,}}|\d*\.\d)|\b{_SIDE}\s+\d{{2,}},?\s*(?:and )?{_SIDE}\s+\d{{2,}}"
    rf"|\b[wh]\s*[=:]\s*\d|(?:<\d+>\s*){{2,}}|\b(?:top|bottom)\s+at\s+{_HEDGE}\d{{2,}}\b{_NO_UNIT}",
    rf"\b(?:width|height)\s*(?:[=:]|\b(?:of|is)\b)\s*{_HEDGE}\d{{2,}}\b{_NO_UNIT}",
    rf"\b(?:top|bottom|left|right)(?:(?: side)? of (?:the|his|her|its|this) (?:bounding )?(?:box|head|target"
    rf"|object|body|frame)"
    rf" (?:is|lies|sits|stays)(?: at| near| around| about)?|(?: is)? (?:near|around)) {_HEDGE}\d{{2,}}\b{_NO_UNIT}",
    r"\d{2,4}\s*(?:to|-|and)\s*\d{2,4}\s+(?:in|along|on) (?:the |its )?(?:horizontal|vertical|x|y|width|height)\b",
    # 310, 455
    rf"\b(?:is|at|to|towards?|near|around|from|lies|point|location"
    rf"|position)\s+{_HEDGE}\d{{2,4}}\s*,\s*\d{{2,4}}\b(?!\s*,?\s*(?:and|or|,)?\s*\d)"
    rf"{_NO_UNIT}",
    # 450 horizontally, 120 from the left, 50 units
    r"(?<![\w.#:])(?<!number )(?<!no\. )\d{2,}\s*(?:units?\b|(?:units?\s+)?(?:horizontally|vertically|across"
    r"|wide|tall|high|from the (?:left|right|top|bottom)\b|to the (?:left|right)\b))",
    # centred at 430, position 430, coordinates 430
    rf"\b(?:cent(?:er|re)(?:ed|d)?|centroid|located|positioned|position)\s+(?:[a-z]+\s+){{0,2}}?(?:at|is|of|near"
    rf"|around|[=:])\s*{_HEDGE}\d{{2,}}\b{_NO_UNIT}",
    rf"\bposition\s+\d{{2,}}\b{_NO_UNIT}|\b(?:column|row)s?\s+(?:number\s+)?(?:[2-9]\d|\d{{3,}})\b",
    rf"\b(?:coordinates?|coords?|bounding[ -]?box(?:es)?)\W+(?:[a-z_][a-z'_]*\W+){{0,7}}?\d{{2,}}\b{_NO_UNIT}",
    rf"(?<![\w.#]){N}\W+(?:[a-z]+\W+){{0,3}}?(?:coordinates?|coords?)\b",
    # a third of the way across, two thirds down the frame
    rf"\d/\d+\s+(?:of the (?:(?:frame|picture|image|screen) )?)?(?:way )?{_ACROSS}\b",
]
_COORDINATES = [re.compile(pattern) for pattern in _PATTERNS]
_LIST = re.compile(r"\d+(?:[,;/|\s]+(?:and\s+)?\d+){3,}")
_LISTED_BEFORE = re.compile(rf"\b{_LISTED}\b\W*(?:[a-z]+\W+){{0,2}}$")
_TIMES_BEFORE = re.compile(
    r"\b(?:seconds?|secs?|intervals?|windows?|spans?|times?|segment|period|range|between|event)\W*"
    r"(?:(?:is|of|at|covers|from|the|about|around|roughly|runs|in|during)\W*){0,3}$"
)
PERCENT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*-?(?:%|percent\b|per cent\b|pct\b)")
PERCENT_OF_TIME = re.compile(
    r"\s*(?:mark\b|(?:of the way )?(?:in|into|through)\b(?! the (?:frame|picture|image))"
    r"|(?:of|into|through) (?:the |this )?(?:whole |entire |total )?"
    r"(?:clip|video|footage|sequence|recording|film|shot|duration|timeline|movie)(?:'s)?\b(?! ?(?:width|height"
    r"|frame)))"
)
_HARMLESS_PERCENT = re.compile(rf"\s*{_SURE}")
_BATTERY_BEFORE = re.compile(
    r"\b(?:battery|charge|discount|sale|sign|confidence|sure|certainty|volume|speed)\W+(?:[a-z]+\W+){0,3}$"
)


def coordinates_in(text: str) -> list[str]:
    """Return the parts of a folded text that state a position as numbers, in the text's own (folded) words.

    >>> coordinates_in("the man stands at [102, 310, 298, 644]")
    ['[102, 310, 298, 644]']
    >>> coordinates_in("two men, one of them aged 40, at the upper left")
    []
    """
    coordinates: list[str] = []
    for pattern in _COORDINATES:
        # What is read is taken out, so that it is not found again.
        text = "".join(_without(pattern, text, coordinates))
    for match in PERCENT.finditer(text):
        before, after = text[max(0, match.start() - 40) : match.start()], text[match.end() : match.end() + 60]
        if not (PERCENT_OF_TIME.match(after) or _HARMLESS_PERCENT.match(after) or _BATTERY_BEFORE.search(before)):
            coordinates.append(match[0].strip())
    return coordinates


def _without(pattern: re.Pattern[str], text: str, coordinates: list[str]) -> Iterator[str]:
    """Yield the pieces of a text between its coordinates, and append the coordinates to `coordinates`."""
    end = 0
    for match in pattern.finditer(text):
        before = text[max(0, match.start() - 40) : match.start()]
        if re.match(r"[\[(<{]", match[0]) and match[0].count(",") <= 1 and _TIMES_BEFORE.search(before):
            continue  # "the interval [3, 8]": a time
        if _LIST.fullmatch(match[0]) and _LISTED_BEFORE.search(before):
            continue  # "players 4, 7, 10 and 23"
        coordinates.append(match[0].strip())
        yield text[end : match.start()] + "\x01"
        end = match.end()
    yield text[end:]
