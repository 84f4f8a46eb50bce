"""One panel of the comparison: a metric against the training step, a line and a band a reward variant."""

from __future__ import annotations

import io

from recipe.dashboards.runs import Run, mean_curve
from recipe.drawing.curves import COLOURS, GREY

MOST_POINTS = 400  # of a line; more cannot be told apart at this size


def panel(groups: dict[str, list[Run]], metric: str, title: str) -> bytes | None:
    """PNG of the mean over seeds with their range, transparent; None where no run logged the metric."""
    curves = {name: mean_curve(runs, metric) for name, runs in groups.items()}
    if not any(len(curve) for curve in curves.values()):
        return None
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9, "text.color": GREY}):
        figure = Figure(figsize=(4.2, 2.8), layout="constrained", dpi=110)
        axes = figure.add_subplot()
        for place, (name, curve) in enumerate(curves.items()):
            if not len(curve):
                continue
            steps, means, lows, highs = curve[:: max(1, len(curve) // MOST_POINTS)].T
            colour, seeds = COLOURS[place % len(COLOURS)], len(groups[name])
            # A name with a dollar sign would be read as mathematics, one with an underscore first is left out.
            label = f"reward {name} ({seeds})".replace("$", r"\$")
            axes.plot(
                steps, means, color=colour, label=label, linewidth=1.6, linestyle=("-", "--", "-.", ":")[place % 4]
            )
            axes.fill_between(steps, lows, highs, color=colour, alpha=0.2, linewidth=0)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("train/global_step", color=GREY)
        axes.tick_params(colors=GREY)
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.legend(frameon=False, labelcolor=GREY, fontsize=7)
        out = io.BytesIO()
        figure.savefig(out, format="png", transparent=True, metadata={"Software": None})
    return out.getvalue()
