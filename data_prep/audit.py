"""What a conversion read, wrote and dropped, and why: nothing is dropped silently."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from data_prep.reasons import Reason
from data_prep.records import RecordError

EXAMPLES = 5


@dataclass
class Audit:
    """Counts of one conversion; read = written + dropped, always.

    Attributes:
        strict: the first drop is an error.
        expected: records that the data set is known to have in this split, or None.
    """

    source: str
    strict: bool = False
    expected: int | None = None
    written: int = 0
    dropped: dict[Reason, int] = field(default_factory=dict)
    examples: dict[Reason, list[str]] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """Records read so far."""
        return self.written + sum(self.dropped.values())

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
        """The report's content."""
        report: dict[str, Any] = {
            "source": self.source,
            "read": self.read,
            "written": self.written,
            "dropped": {str(reason): count for reason, count in sorted(self.dropped.items())},
            "examples": {str(reason): list(shown) for reason, shown in sorted(self.examples.items())},
        }
        if self.expected is not None:
            report |= {"expected": self.expected, "difference": self.read - self.expected}
        return report

    def table(self) -> str:
        """The report for the terminal."""
        lines = [f"{self.source}: {self.read} records read, {self.written} written"]
        if self.expected is not None:
            lines.append(f"  expected {self.expected}, difference {self.read - self.expected:+d}")
        for reason, count in sorted(self.dropped.items(), key=lambda item: -item[1]):
            lines.append(f"  {count:>8} {reason:<14} such as {self.examples[reason][0]}")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        with atomic_write(path) as out:
            json.dump(self.to_json(), out, indent=1, ensure_ascii=False)
