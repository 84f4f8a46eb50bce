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
    "events": "events",
    "clip_seconds": "clip, seconds",
    "target_percent": "target, % of the picture",
    "distractors": "distractors",
}


# What is reported apart from the records that have a true track (recipe/evaluation/apart.py).
_APART = {"no_target": "sentences without a target", "temporal": "times without boxes"}

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
    ]
    if result["n"]:
        lines += ["", "| metric | value | 95 % | ceiling |" + (" spread of runs |" if "spread" in result else "")]
        lines.append("|---|---:|---:|---:|" + ("---:|" if "spread" in result else ""))
        for metric in NAMES:
            row = f"| {metric} | {_percent(result[metric])} | {_interval(result, metric)} |"
            row += f" {_percent(result['ceiling'][metric])} |"
            lines.append(row + (f" {_percent(result['spread'][metric])} |" if "spread" in result else ""))
    for kind, title in _APART.items():
        if kind in result:
            lines += ["", *_apart(result[kind], title)]
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


def _apart(part: dict[str, Any], title: str) -> list[str]:
    """Return the table of samples that are reported apart; what there is nothing to count for is left out."""
    names = [name for name, value in part.items() if name not in ("n", "interval95") and value is not None]
    rows = [
        [name.replace("_rate", "s").replace("_", " ") if "_rate" in name else name, _percent(part[name])]
        + [_interval(part, name) if name in part["interval95"] else ""]
        for name in names
    ]
    return [markdown_table([f"{title}, n = {part['n']}", "value", "95 %"], rows)]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(part: dict[str, Any], metric: str) -> str:
    low, high = part["interval95"][metric]
    return f"[{_percent(low)}, {_percent(high)}]"
