"""The template teacher: a trace composed of the annotations themselves, worded by a text file, varied by seed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from data_prep.events import events_of, hull_of, in_words
from data_prep.records import Record
from data_prep.traces.prompts import (
    DEFAULT,
    NONE,
    ONE,
    SEVERAL,
    distractor_count,
    form_of,
    noun_of,
    place_of,
    prompt_file,
)

# To be raised when the same wordings and seed come to compose other traces: those of another version are made anew.
COMPOSER = 1
PARTS = (
    *("asked", "time", "moment", "before", "after", "rivals", "rival", "alone", "place", "still"),
    *("times", "absent"),
)
_CLOTHES = re.compile(
    r"coats?|shirts?|t-shirts?|dress|dresses|trousers|pants|jackets?|clothes|hats?|caps?|suits?|sweaters?|hair|shoes"
    r"|skirts?|hoodies?|uniforms?|vests?|shorts|jeans|helmets?|ties?|scarf|robes?|top|blouse"
)
_FAR = 0.15  # of the picture's side: a target whose centre goes further moves


@dataclass(frozen=True)
class Wordings:
    """Sentences by part, in the order of the file, and the words that describe a target."""

    parts: dict[str, list[Template]]
    attributes: frozenset[str]

    @classmethod
    def read(cls, folder: Path = DEFAULT) -> Wordings:
        """Read `template.txt` of a folder, and `attributes.txt` there or of the default one.

        Raises:
            FileNotFoundError: no template.txt.
            ValueError: a line without a known part.
        """
        parts: dict[str, list[Template]] = {}
        for number, line in enumerate(prompt_file(folder, "template.txt").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            part, colon, wording = line.partition(":")
            if part not in PARTS or not colon or not wording.strip():
                names = ", ".join(PARTS)
                raise ValueError(
                    f"{folder}/template.txt:{number}: {line!r:.60}, expected `part: wording`; parts: {names}"
                )
            parts.setdefault(part, []).append(Template(wording.strip()))
        if not parts:
            raise ValueError(f"{folder}/template.txt: no wording in it")
        try:
            listed = prompt_file(folder, "attributes.txt")
        except FileNotFoundError:
            listed = prompt_file(DEFAULT, "attributes.txt")
        known = {line.strip().lower() for line in listed.splitlines() if line.strip() and not line.startswith("#")}
        return cls(parts, frozenset(known))

    def lacks(self, record: Record) -> str:
        """Return the part that a record of several events, or of none, cannot do without, where it is missing."""
        part = {SEVERAL: "times", NONE: "absent"}.get(form_of(record), "")
        return part if part not in self.parts else ""


def attributes_of(query: str, noun: str, known: frozenset[str]) -> tuple[str, str]:
    """Return (what stands before the noun, what stands after it) of what the query says of its target.

    >>> known = frozenset({"tall", "black", "short"})
    >>> attributes_of("The tall man in black coat walks to a short woman", "man", known)
    ('tall', 'in black coat')
    >>> attributes_of("which red shape moves about?", "circle", frozenset({"red"}))
    ('red', '')
    """
    tokens = re.findall(r"[\w'-]+", query.lower())
    last = noun.lower().split()[-1]
    matches = [index for index, word in enumerate(tokens) if word in (last, last + "s")]
    if not matches and tokens[:1] in (["which"], ["what"]):
        matches = [
            index for index, word in enumerate(tokens[:6]) if word in ("shape", "object", "thing", "one", "person")
        ]
    if not matches:
        return "", ""
    begin = matches[0] - (len(noun.split()) - 1 if tokens[matches[0]].startswith(last) else 0)
    first = begin
    while first > 0 and tokens[first - 1] in known:
        first -= 1
    after = tokens[matches[0] + 1 : matches[0] + 6]
    phrase = ""
    if after and after[0] in ("in", "wearing", "with"):
        rest = [word for word in after[1:] if word not in ("a", "an", "the")]
        if rest and rest[0] in known:
            follows = rest[1:2] if rest[1:2] and _CLOTHES.fullmatch(rest[1]) else []
            phrase = " ".join([after[0], *rest[:1], *follows])
    return " ".join(tokens[first:begin]), phrase


def compose(record: Record, wordings: Wordings, seed: int) -> str:
    """Return the trace of one record, always the same for the same record, wordings and seed.

    Args:
        record: of a grounding kind, with an event and at least one box, or without a target.
    """
    rng = random.Random(f"{seed}/{record['id']}")
    values = _words(record, wordings.attributes)
    wanted = _wanted(record, values)
    sentences = []
    for part, choices in wordings.parts.items():
        chosen = rng.choice(choices)  # drawn for each part, so that one part's presence does not change another's
        if part in wanted:
            sentences.append(chosen.safe_substitute(values))
    return " ".join(sentences)


def _words(record: Record, known: frozenset[str]) -> dict[str, str]:
    noun = noun_of(record)
    before, after = attributes_of(record["query"], noun, known)
    plain = " ".join(filter(None, (before, noun)))
    states, events = record["track"] or [], events_of(record)
    hull = hull_of(events)
    others = [f"the {name}" for name in record.get("others") or [] if isinstance(name, str)]
    return {
        "query": record["query"],
        "noun": noun,
        "attributes": " ".join(filter(None, (before, after))),
        "plain": plain,
        "target": " ".join(filter(None, ("the", plain, after))),
        "first": str(hull[0]) if hull else "",
        "last": str(hull[1]) if hull else "",
        "events": in_words(events),
        "count": str(distractor_count(record) or 0),
        "rivals": " and ".join(filter(None, (", ".join(others[:-1]), *others[-1:]))),
        "from": place_of(states[0]["box"]) if states else "",
        "to": place_of(states[-1]["box"]) if states else "",
    }


def _wanted(record: Record, values: dict[str, str]) -> set[str]:
    """Return which parts a record's trace has; there are more where something could be confused."""
    form = form_of(record)
    if form == NONE:
        return {"asked", "absent"} | ({"rival"} if values["rivals"] else set())
    count = distractor_count(record)
    first, last = hull_of(events_of(record)) or (0, 0)
    wanted = {"asked", "times" if form == SEVERAL else "time" if last > first else "moment"}
    if count and form == ONE:
        # Ambiguous: also the seconds beside the event.
        wanted |= {"before"} if first > 0 else set()
        wanted |= {"after"} if last < record["seconds"] - 1 else set()
    if count:
        wanted.add("rival" if values["rivals"] else "rivals")
    elif count == 0:
        wanted.add("alone")
    if form == SEVERAL:  # of one way through the picture there is nothing to say
        return wanted
    (left, top, right, bottom), (left1, top1, right1, bottom1) = record["track"][0]["box"], record["track"][-1]["box"]
    moved = max(abs(left + right - left1 - right1), abs(top + bottom - top1 - bottom1)) / 2
    wanted.add("place" if moved > _FAR and values["from"] != values["to"] else "still" if moved <= _FAR else "")
    return wanted
