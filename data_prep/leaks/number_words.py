"""Numbers in digits, whatever way a text writes them, so that one set of patterns reads them all."""

from __future__ import annotations

import re
import unicodedata

_ONES = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_VALUES = {"zero": 0, "a": 1} | _ONES | _TEENS | _TENS
# "second" is missing: the unit of time is far more frequent, and other patterns look at its context.
_ORDINALS = {
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30, "fortieth": 40,
    "fiftieth": 50, "sixtieth": 60,
}  # fmt: skip
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}

_U, _T, _X = ("|".join(names) for names in (_ONES, _TEENS, _TENS))
_SMALL = rf"(?:(?:{_X})(?:[ -](?:{_U})\b)?|{_T}|{_U})"
_CARDINAL = re.compile(
    rf"\b(?:(?P<hundreds>a|{_U})[ -]hundred(?:(?: and)? (?P<rest>{_SMALL}))?|(?P<small>{_SMALL}|zero))\b"
    rf"(?P<point> point(?: (?:zero|oh|{_U})\b)+)?"
)
_HALF = re.compile(r"\b(\d+) and (?:a|1) half\b")
_DECIMAL_WORD = re.compile(r"(?<![\d.])(\d+) point (\d+)\b")
_TENS_ORDINAL = re.compile(rf"\b({_X})[ -](first|second|{'|'.join(_ORDINALS)})\b(?=[ -](?:seconds?|frames?)\b)")
_ORDINAL = re.compile(rf"\b(?:({_X})[ -])?({'|'.join(_ORDINALS)})\b")
_FRACTION = re.compile(
    rf"\b(?<!and )(a|{_U}|\d)[ -]({'|'.join(_PARTS)})s?\b"
    r"(?= (?:of|through|into|in|across|along|down|up|from|seconds?)\b|[ -]way\b)"
)
# "the second one", "the second two men": an ordinal before a noun or a pronoun, no time.
_SECOND_ONE = re.compile(
    rf"\b(the|a|his|her|its|their|this|that|every|one) second (one|{_U}|{_T}|\d+)\b"
    r"(?! ?(?:to|through|until|till|-|,|\d|:))(?:(?<=one)|(?! and\b))"
)
_DOZEN = re.compile(rf"\b(?:(a|{_U}) )?dozen\b")
_ISH = re.compile(r"(?<=\d)-?ish\b")
_DECIMAL_COMMA = re.compile(r"(?<![\d,])(\d+),(\d)(?= ?(?:s|secs?|seconds?)\b)")
# Runs that say no more than a shorter one: the patterns that read the text try each place of a run as a beginning, and
# a model that repeats itself would make them quadratic.
_LONG_NUMBER = re.compile(r"(\d{20})\d+")
_SYMBOL_RUN = re.compile(r"([^\w\s])\1{3,}")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2032": "'", "\u2033": '"'})


def with_digits(text: str) -> str:
    """Return a text in lower case, with plain characters, dashes and spaces, and with written-out numbers as digits.

    Ordinals from the third on become "3rd" and fractions before of, through and the like "2/3". Numbers are cut to 20
    digits and runs of one symbol to three.

    >>> with_digits("From Second Twelve until the twenty-first second, two thirds of the way through")
    'from second 12 until the 21st second, 2/3 of the way through'
    >>> with_digits("two and a half seconds, a twenty-second clip, one hundred and five, seven point five")
    '2.5 seconds, a 20-second clip, 105, 7.5'
    >>> with_digits("wait.......... at ~~~~~~3 s")
    'wait... at ~~~3 s'
    """
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES).lower()
    text = _DASHES.sub("-", _INVISIBLE.sub("", text))
    text = " ".join(text.split())
    text = _SECOND_ONE.sub(r"\1 other \2", text)
    text = _DOZEN.sub(lambda match: str(12 * _VALUES[match[1] or "a"]), text.replace("half a dozen", "6"))
    text = _FRACTION.sub(_fraction, text)
    text = _TENS_ORDINAL.sub(_ordinal, text)
    text = _ORDINAL.sub(_ordinal, text)
    text = _CARDINAL.sub(_cardinal, text)
    text = _DECIMAL_WORD.sub(r"\1.\2", text)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    text = _ISH.sub("", _HALF.sub(r"\1.5", text))
    return _LONG_NUMBER.sub(r"\1", _SYMBOL_RUN.sub(r"\1\1\1", text))


def _small(text: str) -> int:
    return sum(_VALUES[word] for word in re.split("[ -]", text))


def _cardinal(match: re.Match[str]) -> str:
    if match["small"]:
        value = _small(match["small"])
    else:
        value = 100 * _VALUES[match["hundreds"]] + (_small(match["rest"]) if match["rest"] else 0)
    digits = ""
    if match["point"]:
        digits = "." + "".join(str({"oh": 0}.get(word, _VALUES.get(word, 0))) for word in match["point"].split()[1:])
    return f"{value}{digits}"


def _ordinal(match: re.Match[str]) -> str:
    tens, word = match[1], match[2]
    unit = {"first": 1, "second": 2}.get(word) or _ORDINALS[word]
    value = (_TENS[tens] if tens else 0) + unit
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"


def _fraction(match: re.Match[str]) -> str:
    count = match[1] if match[1].isdigit() else _VALUES[match[1]]
    return f"{count}/{_PARTS[match[2]]}"
