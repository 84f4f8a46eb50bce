"""What a conversion read, wrote and dropped, and why: nothing is dropped silently."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.convert.reasons import Reason
from data_prep.files import atomic_write
from data_prep.records import RecordError
from data_prep.seconds import most_seconds

EXAMPLES = 5


@dataclass
class Audit:
    """Counts of one conversion; read = written + dropped, always.

    Attributes:
        strict: the first drop is an error.
        counts: how many of each unit were read: records, captions, clips, sequences, ...
        expected: how many of each unit the data set is known to have, where all of it was to be read.
        ignored: what is no record by the data set's own rules, such as rows that it flags, and how often.
        notes: what the user should know of records that were written, and how often; `noted` has an example of each,
            `seen` what was counted once for many records.
        questions: lines of sentences without truth, which are no records.
        most_seconds: the longest clip that is taken.
    """

    source: str
    strict: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[str, str | None]] = field(default_factory=set)
    questions: list[bytes] = field(default_factory=list)
    written: int = 0
    dropped: dict[Reason, int] = field(default_factory=dict)
    examples: dict[Reason, list[str]] = field(default_factory=dict)
    most_seconds: int = field(default_factory=most_seconds)

    @property
    def read(self) -> int:
        """Records read so far."""
        return self.written + sum(self.dropped.values())

    def count(self, unit: str, number: int = 1) -> None:
        """Count `number` more of a unit."""
        self.counts[unit] = self.counts.get(unit, 0) + number

    def ignore(self, what: str, number: int) -> None:
        """Leave out what is no record."""
        if number:
            self.ignored[what] = self.ignored.get(what, 0) + number

    def note(self, what: str, example: str, number: int = 1, *, once: str | None = None) -> None:
        """Count what the user should know of records that are written all the same.

        Args:
            example: where it was seen first is shown.
            once: what it is about, such as a folder that many records share; counted once.
        """
        if number and (what, once) not in self.seen:
            if once is not None:
                self.seen.add((what, once))
            self.notes[what] = self.notes.get(what, 0) + number
            self.noted.setdefault(what, example)

    def expect(self, counts: dict[str, int] | None) -> None:
        """Add what one split of the data set is known to hold."""
        for unit, number in (counts or {}).items():
            self.expected[unit] = self.expected.get(unit, 0) + number

    def drop(self, record_id: str, reason: Reason, detail: str) -> None:
        """Count one record that is left out.

        Raises:
            RecordError: under --strict; names record, reason and detail.
        """
        if self.strict:
            raise RecordError(f"record {record_id}: {reason}: {detail}")
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(f"{record_id}: {detail}")

    def to_json(self) -> dict[str, Any]:
        """Return the report's content."""
        report: dict[str, Any] = {
            "source": self.source,
            "read": self.read,
            "written": self.written,
            "dropped": {str(reason): count for reason, count in sorted(self.dropped.items())},
            "examples": {str(reason): list(shown) for reason, shown in sorted(self.examples.items())},
        }
        if self.counts:
            report["found"] = dict(self.counts)
        if self.expected:
            report |= {"expected": dict(self.expected), "difference": self.difference()}
        if self.ignored:
            report["ignored"] = dict(self.ignored)
        if self.questions:
            report["questions"] = len(self.questions)
        if self.notes:
            report["notes"] = dict(self.notes)
            report["noted"] = dict(self.noted)
        return report

    def difference(self) -> dict[str, int]:
        """Return the counted number less the expected one, by unit."""
        return {unit: self.counts.get(unit, 0) - number for unit, number in self.expected.items()}

    def table(self) -> str:
        """Return the report as text for the terminal."""
        lines = [f"{self.source}: {self.read} records read, {self.written} written"]
        for unit, number in self.expected.items():
            count = self.counts.get(unit, 0)
            lines.append(f"  {count:>8} {unit}, expected {number}, difference {count - number:+d}")
        for what, number in self.ignored.items():
            lines.append(f"  {number:>8} {what}: no records")
        if self.questions:
            count = len(self.questions)
            lines.append(f"  {count:>8} sentences without truth, in <out>.questions.jsonl for recipe.ground --tracks")
        for what, number in self.notes.items():
            lines.append(f"  {number:>8} {what}, such as {self.noted[what]}")
        for reason, count in sorted(self.dropped.items(), key=lambda item: -item[1]):
            lines.append(f"  {count:>8} {reason:<14} such as {self.examples[reason][0]}")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        with atomic_write(path) as out:
            json.dump(self.to_json(), out, indent=1, ensure_ascii=False)
