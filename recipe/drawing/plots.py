"""How every chart looks: grey text that reads on light and on dark paper, one list of colours, files that repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Literal

if TYPE_CHECKING:  # Matplotlib is slow to import, and most commands draw nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#808080"  # text and axes: readable on white and on black
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
# Of each kind of file, what would differ from one run or version to the next.
UNSAID = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


@contextmanager
def drawn(
    out: IO[bytes], width: float, height: float, salt: str, *, kind: str = "svg", dpi: float | None = None
) -> Iterator[Figure]:
    """Give an empty figure to draw into, and write it to `out` at the end: transparent, and the same bytes each time.

    Args:
        out: takes the file; nothing is written where drawing raises.
        width, height: inches.
        salt: what the names of an SVG's parts are made from; those of two figures on one page must differ.
        kind: "svg" or "png".
        dpi: dots an inch of a PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": salt, "font.size": 9, "text.color": GREY}):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=dpi)
        yield figure
        figure.savefig(out, format=kind, transparent=True, metadata=UNSAID[kind])


def label(axes: Axes, title: str, across: str = "") -> None:
    """Write a chart's title, and what its horizontal axis is."""
    axes.set_title(title, fontsize=10)
    if across:
        axes.set_xlabel(across, color=GREY)


def soften(axes: Axes, *, lines: Literal["both", "y"] = "both", frame: bool = True) -> None:
    """Make ticks grey and draw a faint grid.

    Args:
        lines: "both" or "y": which lines the grid has.
        frame: keep the frame around the chart.
    """
    axes.tick_params(colors=GREY)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6, axis=lines)
    for spine in axes.spines.values():
        spine.set_visible(frame)


def legend(axes: Axes, size: int = 8) -> None:
    """Draw a legend in grey and without a frame; `size` in points."""
    axes.legend(frameon=False, labelcolor=GREY, fontsize=size)


def band(
    axes: Axes,
    colour: str,
    name: str,
    steps: Sequence[float],
    means: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    width: float = 1.5,
    style: str = "-",
) -> None:
    """Draw means as a line and their range as a band of the same colour."""
    axes.plot(steps, means, color=colour, label=name, linewidth=width, linestyle=style)
    axes.fill_between(steps, lows, highs, color=colour, alpha=0.2, linewidth=0)
