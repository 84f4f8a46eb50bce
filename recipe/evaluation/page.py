"""metrics.json as a Markdown page: the numbers, what they could be at best, and for which samples they are low."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipe.evaluation.breakdown import NAMES
from recipe.evaluation.tables import markdown_table
from recipe.evaluation.vuestg import COLUMNS

# (key in metrics.json, what it is called, whether it is a share).
_COUNTS = (
    ("parse_failures", "answers that could not be read", True),
    ("salvaged_answers", "truncated answers that were salvaged", True),
    ("discarded_states", "discarded states an answer", False),
)
_GROUP_TITLES = {
    "kind": "sentence",
    "event_seconds": "event, seconds",
    "clip_seconds": "clip, seconds",
    "target_percent": "target, % of the picture",
    "distractors": "distractors",
}


TITLE = "# Evaluation of "


def is_page(path: Path) -> bool:
    """Return whether a file is the page of an evaluation, which may be replaced by that of another."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.readline().startswith(TITLE)
    except OSError:
        return False


def markdown(result: dict[str, Any], *, name: str = "") -> str:
    """Write the page of one evaluation in Markdown; fractions are shown as percent.

    Args:
        result: what metrics.json holds.
        name: what was evaluated.
    """
    runs = f", mean of {result['repeats']} runs" if result["repeats"] > 1 else ""
    lines = [
        f"{TITLE}{name}",
        "",
        f"Protocol `{result['protocol']}`, smoothing {result['smooth']}, n = {result['n']}{runs}. In percent; "
        "brackets: bootstrap 95 % interval over samples; ceiling: the best that one box a second can score here.",
        "",
        "| metric | value | 95 % | ceiling |" + (" spread of runs |" if "spread" in result else ""),
        "|---|---:|---:|---:|" + ("---:|" if "spread" in result else ""),
    ]
    for metric in NAMES:
        row = f"| {metric} | {_percent(result[metric])} | {_interval(result, metric)} |"
        row += f" {_percent(result['ceiling'][metric])} |"
        lines.append(row + (f" {_percent(result['spread'][metric])} |" if "spread" in result else ""))
    lines += ["", "| predictions | |", "|---|---:|"]
    for key, text, share in _COUNTS:
        lines.append(f"| {text} | {_percent(result[key]) + ' %' if share else format(result[key], '.3f')} |")
    for key, count in result.get("input", {}).items():
        if isinstance(count, int):
            lines.append(f"| {key.replace('_', ' ')} | {count} |")
    if "vuestg" in result:
        lines += ["", *_published(result["vuestg"])]
    for kind, groups in result["groups"].items():
        lines += ["", f"| {_GROUP_TITLES.get(kind, kind)} | n | {' | '.join(NAMES)} | m_vIoU 95 % | m_vIoU ceiling |"]
        lines.append("|---|" + "---:|" * (len(NAMES) + 3))
        for group, part in groups.items():
            cells = " | ".join(_percent(part[metric]) for metric in NAMES)
            best = _percent(part["ceiling"]["m_vIoU"])
            lines.append(f"| {group} | {part['n']} | {cells} | {_interval(part, 'm_vIoU')} | {best} |")
    return "\n".join(lines) + "\n"


def _published(table: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return the columns of VUE-STG's table, as fractions, which is how it is published."""
    rows = [
        [group if name == group else f"{group} {name}", str(part["n"])]
        + [f"{part[column]:.3f}" if column in part else "" for column in COLUMNS]
        for group, parts in table.items()
        for name, part in parts.items()
    ]
    return ["VUE-STG's own columns, fractions:", "", markdown_table(["group", "n", *COLUMNS], rows)]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(part: dict[str, Any], metric: str) -> str:
    low, high = part["interval95"][metric]
    return f"[{_percent(low)}, {_percent(high)}]"
