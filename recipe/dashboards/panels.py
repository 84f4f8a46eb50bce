"""One panel of the comparison: a metric against the training step, a line and a band a reward variant."""

from __future__ import annotations

import io

from recipe.dashboards.runs import Run, mean_curve
from recipe.drawing import plots

MOST_POINTS = 400  # of a line; more cannot be told apart at this size


def panel(groups: dict[str, list[Run]], metric: str, title: str) -> bytes | None:
    """Draw the mean over seeds with their range as a transparent PNG; return None where no run logged the metric."""
    curves = {name: mean_curve(runs, metric) for name, runs in groups.items()}
    if not any(len(curve) for curve in curves.values()):
        return None
    out = io.BytesIO()
    with plots.drawn(out, 4.2, 2.8, metric, kind="png", dpi=110) as figure:
        axes = figure.add_subplot()
        for index, (name, curve) in enumerate(curves.items()):
            if not len(curve):
                continue
            # A name with a dollar sign would be read as mathematics, one with an underscore first is left out.
            label = f"reward {name} ({len(groups[name])})".replace("$", r"\$")
            colour, style = plots.COLOURS[index % len(plots.COLOURS)], ("-", "--", "-.", ":")[index % 4]
            shown = curve[:: max(1, len(curve) // MOST_POINTS)]
            plots.band(axes, colour, label, *shown.T, width=1.6, style=style)
        plots.label(axes, title, "train/global_step")
        plots.soften(axes, frame=False)
        plots.legend(axes, 7)
    return out.getvalue()
