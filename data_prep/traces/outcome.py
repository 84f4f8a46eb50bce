"""What became of a record: its trace, or the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass

ACCEPTED, REWRITTEN, REJECTED, FAILED = "accepted", "rewritten", "rejected", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one record.

    Attributes:
        verdict: accepted; rewritten (accepted after a second request); rejected (with answers that cannot be used);
            failed (no answer: the same command asks again).
        trace: the last trace, of a rejected record too.
        reason: why rejected or failed, or why it was rewritten; "" otherwise.
        claimed: interval of the teacher's placeholder, seconds.
    """

    verdict: str
    trace: str = ""
    reason: str = ""
    claimed: tuple[float, float] | None = None

    @property
    def kept(self) -> bool:
        """Whether the record goes into the training rows."""
        return self.verdict in (ACCEPTED, REWRITTEN)
