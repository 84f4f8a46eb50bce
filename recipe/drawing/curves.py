"""Learning curves from a trainer's own log, as SVG that reads on light and on dark paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from recipe.evaluation.logs import series

GREY = "#808080"  # text and axes: readable on white and on black
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def curves(history: Sequence[dict[str, Any]], panels: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
    """One SVG a group of metrics that the log holds, against the training step.

    Args:
        panels: (title, ((metric in the log, its name in the legend), ...)) a panel.

    Returns:
        SVG elements; none where the log holds none of the metrics.
    """
    found = []
    for title, metrics in panels:
        lines = [(label, *series(history, name)) for name, label in metrics]
        lines = [line for line in lines if line[1]]
        if lines:
            found.append(_panel(title, lines))
    return found


def _panel(title: str, lines: Sequence[tuple[str, list[float], list[float]]]) -> str:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": title, "font.size": 9, "text.color": GREY}):
        figure = Figure(figsize=(3.6, 2.5), layout="constrained")
        axes = figure.add_subplot()
        for colour, (label, steps, values) in zip(COLOURS, lines, strict=False):
            axes.plot(steps, values, color=colour, label=label, linewidth=1.5)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", color=GREY)
        axes.tick_params(colors=GREY)
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False, labelcolor=GREY, fontsize=8)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
