"""The teacher's prompts: text files of a folder that a user can copy and swap, and the version that they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from data_prep.convert.wording import TEMPLATES
from data_prep.events import FIELDS_OF_EVENTS, events_of, has_no_target, hull_of, in_words
from data_prep.records import Record
from data_prep.validation import GROUNDING_KINDS

DEFAULT = TEMPLATES / "traces"
# What a record's request depends on; a record in which one of these changed is asked again.
ASKED_OF = ("video", "clip", "query", "label", "span", "seconds", "track", "distractors", "others", "target_type")
# Which texts ask about a record: those for one event, for several, or for a sentence that nothing fits.
ONE, SEVERAL, NONE = "", "-several", "-none"


def is_traced(record: Mapping[str, Any]) -> bool:
    """Return whether a record gets a trace: its sentence has one target, with boxes, or surely none."""
    return record["kind"] in GROUNDING_KINDS and (bool(record["track"]) or has_no_target(record))


def form_of(record: Mapping[str, Any]) -> str:
    """Return which of ONE, SEVERAL and NONE a record is."""
    return NONE if has_no_target(record) else SEVERAL if len(events_of(record)) > 1 else ONE


def prompt_file(folder: Path, name: str) -> str:
    """Return the text of `<folder>/<name>`.

    A relative folder that is not below the working directory is looked up beside this module.

    Raises:
        FileNotFoundError: no such file; the message names it.
    """
    base = folder if folder.is_dir() else TEMPLATES / folder
    path = base / name
    if not path.is_file():
        raise FileNotFoundError(f"--prompts {folder}: no file {name} in it")
    return path.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Prompts:
    """What a teacher is asked.

    Attributes:
        teacher, rewrite: templates of the first and of the second request, for one event.
        version: changes with either text and with what the frames are like.
        others: (first request, second request, version) for several events, and for none.
    """

    teacher: Template
    rewrite: Template
    version: str
    others: Mapping[str, tuple[Template, Template, str]]

    @classmethod
    def read(cls, folder: Path, frames: str) -> Prompts:
        """Read `teacher.txt` and `rewrite.txt`, and those for several events and for none, or the default ones.

        Args:
            frames: says how frames are made, for the version.

        Raises:
            FileNotFoundError: one is missing.
            ValueError: one lacks a word that has to be in it.
        """
        one = _pair(folder, ONE, frames)
        others: dict[str, tuple[Template, Template, str]] = {}
        for form in (SEVERAL, NONE):
            try:
                others[form] = _pair(folder, form, frames)
            except FileNotFoundError:
                others[form] = _pair(DEFAULT, form, frames)
        return cls(*one, others)

    def of(self, record: Record) -> tuple[Template, Template, str]:
        """Return the templates and the version that a record is asked with."""
        return self.others.get(form_of(record)) or (self.teacher, self.rewrite, self.version)

    def first_request(self, record: Record) -> str:
        """Return the text of the first request, which stands below the frames."""
        return self.of(record)[0].safe_substitute(
            query=quoted(record["query"]), metadata=quoted(metadata(record)), **_ends(record)
        )

    def second_request(self, record: Record, trace: str, problems: list[str]) -> str:
        """Return the text of the second request, for a first answer that cannot be used."""
        return self.of(record)[1].safe_substitute(
            query=quoted(record["query"]), trace=quoted(trace), problems=quoted(problems), **_ends(record)
        )


def _pair(folder: Path, form: str, frames: str) -> tuple[Template, Template, str]:
    """Return the templates of the first and of the second request for a form of records, and their version."""
    names = (f"teacher{form}.txt", f"rewrite{form}.txt")
    texts = [prompt_file(folder, name) for name in names]
    for text, name, required in zip(texts, names, (("$query", "$metadata"), ("$trace", "$problems")), strict=True):
        missing = [word for word in required if word not in text]
        if missing:
            raise ValueError(f"--prompts {folder}: {name} has no {' and no '.join(missing)}")
    digest = hashlib.sha256("\0".join([*texts, frames]).encode()).hexdigest()
    return Template(texts[0]), Template(texts[1]), digest[:12]


def _ends(record: Record) -> dict[str, Any]:
    events = events_of(record)
    hull = hull_of(events)
    return {"first": hull[0], "last": hull[1], "events": in_words(events)} if hull else {}


def quoted(value: Any) -> str:
    """Return a value as JSON on one line: a text in it cannot close the quotes, nor begin a new line."""
    return json.dumps(value, ensure_ascii=False)


def metadata(record: Record) -> dict[str, Any]:
    """Return what the teacher learns of the annotation: words, seconds and coarse places, never a coordinate."""
    states, events = record["track"] or [], events_of(record)
    values: dict[str, Any] = {"target": noun_of(record), "seconds": record["seconds"]}
    listed = [{"first": first, "last": last} for first, last in events]
    if not events:
        values |= {"event": "the clip does not show it"}
    else:
        values |= {"event": listed[0]} if len(listed) == 1 else {"events": listed}
        inside = {second for first, last in events for second in range(first, last + 1)}
        values |= {
            "place at first": place_of(states[0]["box"]),
            "place at last": place_of(states[-1]["box"]),
            "hidden in seconds": sorted(inside - {state["second"] for state in states}),
        }
    if (count := distractor_count(record)) is not None:
        values["others of the same kind"] = count
    if isinstance(record.get("others"), list):
        values["others"] = [str(name) for name in record["others"]]
    return values


def noun_of(record: Record) -> str:
    """Return a record's label without its number: "person-1" is a person; a record without a label has an object.

    >>> noun_of({"label": "traffic light-2"})
    'traffic light'
    """
    return str(record["label"] or "").rsplit("-", 1)[0].replace("_", " ").strip() or "object"


def distractor_count(record: Record) -> int | None:
    """Return how many others of the target's kind the record counts or lists; None if it does not say."""
    others = record.get("distractors")
    count = len(others) if isinstance(others, list) else others
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def place_of(box: list[float]) -> str:
    """Return where a box is, in words: thirds of the picture.

    >>> place_of([0.0, 0.0, 0.2, 0.2]), place_of([0.4, 0.4, 0.6, 0.6]), place_of([0.7, 0.4, 0.9, 0.6])
    ('the upper left', 'the centre', 'the right')
    """
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    height = "upper" if down < 1 / 3 else "lower" if down > 2 / 3 else ""
    if not side:
        return {"upper": "the top", "lower": "the bottom"}.get(height, "the centre")
    return f"the {height} {side}" if height else f"the {side}"


def record_key(record: Record) -> str:
    """Return a key for a record and all that its request depends on."""
    # What only schema 2 has is no part of the key of another record, whose answers are kept under it.
    asked = [record.get(field) for field in ASKED_OF]
    asked += [value for field in FIELDS_OF_EVENTS if (value := record.get(field)) is not None]
    fields = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return f"{record['id']}#{hashlib.sha256(fields.encode()).hexdigest()[:12]}"
