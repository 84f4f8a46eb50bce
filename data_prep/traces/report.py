"""What a run of `traces` came to: counts, reasons, cost, and how long traces are against the number of distractors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import mean, median
from typing import Any

from data_prep.records import Record
from data_prep.traces.outcome import FAILED, REJECTED, Outcome
from data_prep.traces.prompts import distractor_count

MOST = 4  # distractors; more are one group


def report(records: Sequence[Record], outcomes: Sequence[Outcome], skipped: int) -> dict[str, Any]:
    """Return the numbers of a run, JSON-like; records beyond the end of `outcomes` count as not asked."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {
        "records": len(records),
        "skipped": skipped,
        "verdicts": dict(sorted(counts.items())),
        "not_asked": len(records) - len(outcomes),
        "reasons": dict(
            Counter(
                outcome.reason.split(":")[0] for outcome in outcomes if outcome.verdict in (REJECTED, FAILED)
            ).most_common()
        ),
        "rewritten_because": dict(
            Counter(
                outcome.reason.split(":")[0] for outcome in outcomes if outcome.kept and outcome.reason
            ).most_common()
        ),
        "words_by_distractors": lengths(records, outcomes),
    }


def lengths(records: Sequence[Record], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Count the words of the kept traces by number of distractors; records of unknown number come last."""
    groups: dict[str, list[int]] = defaultdict(list)
    for record, outcome in zip(records, outcomes, strict=False):
        if outcome.kept:
            count = distractor_count(record)
            name = "unknown" if count is None else str(count) if count < MOST else f"{MOST}+"
            groups[name].append(len(outcome.trace.split()))
    return [
        {
            "distractors": name,
            "traces": len(counts),
            "mean_words": round(mean(counts), 1),
            "median_words": median(counts),
            "most_words": max(counts),
        }
        for name, counts in sorted(groups.items())
    ]


def table(result: dict[str, Any]) -> str:
    """Return the report as a few lines for the terminal."""
    verdicts = ", ".join(f"{count} {name}" for name, count in result["verdicts"].items()) or "nothing asked"
    lines = [f"traces: {result['records']} records: {verdicts}"]
    if result["not_asked"]:
        lines[0] += f", {result['not_asked']} not asked"
    if result["skipped"]:
        lines.append(f"skipped: {result['skipped']} that ask for no track, or state none (temporal ones)")
    for name, counted in (("rejected or failed", result["reasons"]), ("rewritten", result["rewritten_because"])):
        if counted:
            lines.append(f"{name}: " + ", ".join(f"{reason} {count}" for reason, count in counted.items()))
    if result["words_by_distractors"]:
        lines.append("distractors  traces  mean words  median  most")
        lines += [
            f"{row['distractors']:>11}  {row['traces']:>6}  {row['mean_words']:>10}  {row['median_words']:>6} "
            f" {row['most_words']:>4}"
            for row in result["words_by_distractors"]
        ]
    return "\n".join(lines)
