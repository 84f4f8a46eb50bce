"""Hold what a check found: one line, and whether the stage may still begin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        refused: the stage must not begin; else it is a warning.
        topic: a word for what it is about: "data", "GPU", "clip".
        text: what was found, why it matters and how to mend it.
    """

    refused: bool
    topic: str
    text: str

    def __str__(self) -> str:
        return f"{'refused' if self.refused else 'warning'}: {self.topic}: {self.text}"


def refuse(topic: str, text: str) -> Finding:
    """Return a finding that stops the stage."""
    return Finding(True, topic, text)


def warn(topic: str, text: str) -> Finding:
    """Return a finding that warns and lets the stage begin."""
    return Finding(False, topic, text)
