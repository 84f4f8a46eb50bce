"""Give objects their sentences: from an attribute of the file, from a table of labels, or from a wording."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.annotations.keyframes import Keyframes
from data_prep.annotations.marks import Marks
from data_prep.annotations.tables import read_table, seconds_of_cell
from data_prep.convert.reasons import Drop, Reason
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

Event = tuple[float, float]


@dataclass
class Sentence:
    """Hold a sentence about an object, and when what it tells happens.

    Attributes:
        text: the sentence.
        events: [begin, end) each; empty: as long as the object is seen.
        kind: of the record; "": as the sentence ends.
        on_axis: whether the events are positions of the object's keyframes, instead of seconds.
    """

    text: str
    events: list[Event] = field(default_factory=list)
    kind: str = ""
    on_axis: bool = False


class SentenceTable:
    """Know the sentences of a table `label, query`, or `video, track, query, begin, end`.

    Raises:
        BadFile: the file is no such table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used: set[tuple[str, str]] = set()
        self._rows: dict[tuple[str, str], list[Sentence]] = {}
        for line, row in read_table(path):
            names = [row[column] for column in ("track", "label") if row.get(column)]
            if "query" not in row or not {"track", "label", "video"} & set(row):
                shown = quote(", ".join(row), 200)
                raise BadFile(
                    Reason.MALFORMED, f"{path}: columns {shown}; expected label (or track or video) and query"
                )
            if not row["query"] or not (names or row.get("video")):
                raise BadFile(
                    Reason.MALFORMED, f"{path}:{line}: an empty cell, expected what the sentence is of, and it"
                )
            key = (row.get("video", ""), names[0] if names else "")
            sentences = self._rows.setdefault(key, [])
            sentence = next((one for one in sentences if one.text == row["query"]), None)
            if sentence is None:
                sentence = Sentence(row["query"])
                sentences.append(sentence)
            if row.get("begin") and row.get("end"):
                try:
                    sentence.events.append((seconds_of_cell(row["begin"]), seconds_of_cell(row["end"])))
                except ValueError as error:
                    raise BadFile(Reason.MALFORMED, f"{path}:{line}: {error}") from None
        if not self._rows:
            raise BadFile(Reason.MALFORMED, f"{path}: no row in it, expected label and query")

    def of(self, marks: Marks, path: str) -> list[Sentence]:
        """Return the sentences of an object: those of its video and track, track, video and label, label, or video.

        Args:
            path: of its video; the table may call that as the file does, or by its path, with or without folder and
                ending.

        Raises:
            Drop: there is none.
        """
        videos = [marks.video or path, path, path.rsplit("/", 1)[-1]]
        videos += [os.path.splitext(video)[0] for video in videos]
        names = [name for name in (marks.name, marks.name.rsplit("/", 1)[-1], marks.label) if name]
        for name in dict.fromkeys(names):
            for video in (*videos, ""):
                if found := self._rows.get((video, name)):
                    self.used.add((video, name))
                    return [replace(sentence) for sentence in found]
        for video in videos:
            if found := self._rows.get((video, "")):
                self.used.add((video, ""))
                return [replace(sentence) for sentence in found]
        known = ", ".join(sorted({name for _, name in self._rows if name})[:8])
        raise Drop(
            Reason.NO_QUERY,
            f"label {quote(marks.label)} and track {quote(marks.name)} are not in {self.path} ({known})",
        )

    @property
    def unused(self) -> list[str]:
        """What sentences were given for that no object is called, in order."""
        return [" ".join(filter(None, key)) for key in self._rows if key not in self.used]


def of_attribute(marks: Marks, name: str) -> list[Sentence]:
    """Return the sentences that an attribute holds; where it changes, each text's own stretches of keyframes.

    Raises:
        Drop: it is nowhere, or always blank.
    """
    wanted = name.strip().lower()
    texts = [_value(attributes, wanted) for attributes in marks.attributes]
    if not any(texts):
        known = ", ".join(sorted({key for attributes in marks.attributes for key in attributes})[:8])
        raise Drop(Reason.NO_QUERY, f"attribute {quote(name)} is missing or blank; attributes here: {known or 'none'}")
    if len(set(texts)) == 1 or not isinstance(marks.boxes, Keyframes):
        return [Sentence(text) for text in dict.fromkeys(texts) if text]
    return _stretches(texts, marks.boxes.positions.tolist())


def _value(attributes: Mapping[str, str], wanted: str) -> str:
    return next((text.strip() for key, text in attributes.items() if key.strip().lower() == wanted), "")


def _stretches(texts: Sequence[str], positions: Sequence[float]) -> list[Sentence]:
    """Return each text with the stretches of keyframes that have it: [first keyframe, first one with another text).

    >>> [(one.text, one.events) for one in _stretches(["runs", "runs", "", "sits"], [0.0, 4.0, 6.0, 9.0])]
    [('runs', [(0.0, 6.0)]), ('sits', [(9.0, inf)])]
    """
    sentences: dict[str, Sentence] = {}
    begin = 0
    for index in range(1, len(texts) + 1):
        if index < len(texts) and texts[index] == texts[begin]:
            continue
        if texts[begin]:
            end = positions[index] if index < len(texts) else float("inf")
            one = sentences.setdefault(texts[begin], Sentence(texts[begin], on_axis=True))
            one.events.append((positions[begin], end))
        begin = index
    return list(sentences.values())
