"""Which records have a video that does for them, before any work is begun that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from data_prep.errors import StageError
from data_prep.records import Record, read_records
from data_prep.video.looks import Fault, look_at
from recipe.inputs.frames import ClipFrames

MAX_MISSING = 0.05  # share of records that a stage does without
VALIDATED = 96  # records of the validation tracks that the wrong-image check takes
AT_A_TIME = 4096  # records whose videos are looked at together


@dataclass
class Sifted:
    """Records with a usable video, and the others.

    Attributes:
        kept: records in their order.
        lost: reason -> (record's id, what was found) of each record that is left out.
    """

    kept: list[Record] = field(default_factory=list)
    lost: dict[Fault, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def lost_count(self) -> int:
        """The number of records that are left out."""
        return sum(map(len, self.lost.values()))

    @property
    def count(self) -> int:
        """The number of records that were looked at."""
        return len(self.kept) + self.lost_count

    @property
    def lost_ids(self) -> set[str]:
        """The ids of the records that are left out."""
        return {name for listed in self.lost.values() for name, _ in listed}

    @property
    def counts(self) -> dict[str, int]:
        """How many records each reason took."""
        return {str(reason): len(listed) for reason, listed in sorted(self.lost.items())}

    @property
    def text(self) -> str:
        """How many records are left out and why, on one line with examples."""
        parts = []
        for reason, listed in sorted(self.lost.items()):
            examples = list(dict.fromkeys(detail for _, detail in listed))
            parts.append(f"{len(listed)} {reason} ({'; '.join(examples[:3])}{'; ...' if len(examples) > 3 else ''})")
        return f"{self.lost_count} of {self.count} records without a usable video: {', '.join(parts)}"

    def add(self, others: Sifted) -> None:
        """Add what was found of further records."""
        self.kept += others.kept
        for reason, listed in others.lost.items():
            self.lost.setdefault(reason, []).extend(listed)

    def check(self, where: str, max_missing: float) -> None:
        """Raise a StageError where a larger share is lost than may be."""
        if self.lost_count > max_missing * self.count:
            raise StageError(f"{where}: {self.text}; expected at most {max_missing:.0%} (max_missing)")


def sift(records: Iterable[Record], clips: ClipFrames, *, what: str = "videos") -> Sifted:
    """Look at the videos of records, several at a time, each file once.

    Args:
        clips: says where videos, or the shards of their frames, lie.
        what: what the progress bar calls them.
    """
    found, listed = Sifted(), list(records)
    if clips.store is None:
        look_at((path for record in listed if (path := clips.path_of(record)).exists()), what=what)
    for record in listed:
        fault = clips.fault(record)
        if fault is None:
            found.kept.append(record)
        else:
            found.lost.setdefault(fault[0], []).append((record["id"], fault[1]))
    return found


def sift_file(
    path: str, clips: ClipFrames, *, limit: int | None = None, wanted: Callable[[Record], bool] | None = None
) -> Sifted:
    """Look at the videos of a track file's records.

    Args:
        limit: stop once so many usable records are found.
        wanted: says which records are looked at; the others do not count. None: all are.

    Raises:
        RecordError: A record is malformed (names file, line and field).
    """
    found, records = Sifted(), filter(wanted, read_records(path)) if wanted else read_records(path)
    while limit is None or len(found.kept) < limit:
        size = AT_A_TIME if limit is None else min(AT_A_TIME, limit - len(found.kept))
        some = list(islice(records, size))
        if not some:
            break
        found.add(sift(some, clips, what=f"videos of {path}"))
    return found
