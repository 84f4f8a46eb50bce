"""Learning curves from a trainer's own log, as SVG that reads on light and on dark paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from recipe.drawing import plots
from recipe.evaluation.logs import series


def curves(history: Sequence[dict[str, Any]], panels: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
    """Draw one SVG for each group of metrics that the log holds, against the training step.

    Args:
        panels: (title, ((metric in the log, its name in the legend), ...)) a panel.

    Returns:
        SVG elements; none where the log holds none of the metrics.
    """
    panels_drawn = []
    for title, metrics in panels:
        lines = [(label, *series(history, name)) for name, label in metrics]
        lines = [line for line in lines if line[1]]
        if lines:
            panels_drawn.append(_panel(title, lines))
    return panels_drawn


def _panel(title: str, lines: Sequence[tuple[str, list[float], list[float]]]) -> str:
    out = io.BytesIO()
    with plots.drawn(out, 3.6, 2.5, title) as figure:
        axes = figure.add_subplot()
        for colour, (label, steps, values) in zip(plots.COLOURS, lines, strict=False):
            axes.plot(steps, values, color=colour, label=label, linewidth=1.5)
        plots.label(axes, title, "step")
        plots.soften(axes, frame=False)
        if len(lines) > 1:
            plots.legend(axes)
    text = out.getvalue().decode("utf-8")
    return text[text.index("<svg") :]
