"""Draw figure 3: the Video-MME-v2 head-to-head, training frame rates and rewards.

What was not measured is named in its panel.

    RUN=runs/glm-4.1v-9b python -m recipe.studies.figure3 --config recipe/configs/studies/figure3.yaml

Measured bars and lines beside the published numbers, which are marked as such. Reads answers to the benchmark
(recipe.evaluation.videomme scores them) and the results of recipe.studies.frame_rates and recipe.studies.rewards; it
runs neither.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.files import atomic_write
from data_prep.stages import StageError
from recipe.cli import OneLineParser, read_settings, run
from recipe.drawing import plots
from recipe.drawing.plots import COLOURS, GREY
from recipe.evaluation.videomme import score_file

KEYS = {"out", "questions", "answers", "reading", "published", "fps_study", "reward_study"}
SCORES = {"non_linear": "non-linear", "plain": "plain"}
RATE_SCORES = ("m_vIoU", "HOTA", "IDF1")


@dataclass
class Panel:
    """The content of one panel, or why it is empty.

    Attributes:
        results: what was measured, by name.
        missing: "name: reason" of what was not.
    """

    results: dict[str, Any]
    missing: list[str]


def read_config(path: Path) -> dict[str, Any]:
    """Return the figure's settings.

    Raises:
        ValueError: A key that is unknown.
    """
    return read_settings(path, KEYS)


def head_to_head(config: dict[str, Any]) -> Panel:
    """Return both scores, in [0, 1], of each system whose answers exist."""
    panel = Panel({}, [])
    reading = config.get("reading", "corrected")
    for name, answers in (config.get("answers") or {}).items():
        try:
            scores = score_file(Path(config.get("questions") or "test.parquet"), Path(answers))
        except StageError as error:
            panel.missing.append(f"{name}: {error}")
            continue
        panel.results[name] = {key: scores[reading][key] for key in SCORES} | {"n": scores["n"]}
    return panel


def study(config: dict[str, Any], key: str, hint: str) -> Panel:
    """Return a study's result, or a panel that names the command that makes it."""
    path = Path(config.get(key) or "")
    try:
        return Panel(json.loads(path.read_text(encoding="utf-8")), [])
    except (OSError, ValueError):
        return Panel({}, [f"{path}: no such result; {hint} makes it"])


def draw_head_to_head(axes: Any, panel: Panel, published: dict[str, Any]) -> None:
    """Draw the measured scores as bars and the published ones as outlines."""
    names = list(dict.fromkeys([*panel.results, *published]))
    for index, name in enumerate(names):
        for offset, (colour, key) in enumerate(zip(COLOURS, SCORES, strict=False)):
            x = index + 0.4 * offset - 0.2
            if name in panel.results:
                axes.bar(x, 100 * panel.results[name][key], 0.36, color=colour)
            if name in published:
                theirs = published[name][offset]
                axes.bar(x, theirs, 0.36, fill=False, edgecolor=colour, linestyle="--", linewidth=1.4)
                axes.annotate(f"{theirs:g}", (x, theirs), ha="center", va="bottom", fontsize=7, color=GREY)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    for colour, key in zip(COLOURS, SCORES, strict=False):
        axes.bar(0, 0, color=colour, label=SCORES[key])  # for the legend, measured or not
    axes.set_ylabel("accuracy, %", color=GREY)
    plots.label(axes, "Video-MME-v2 (dashed: published)")


def draw_rates(axes: Any, panel: Panel) -> None:
    """Draw the scores over the training rate."""
    for colour, key in zip(COLOURS, RATE_SCORES, strict=False):
        axes.plot(
            range(len(panel.results)),
            [result[key] for result in panel.results.values()],
            "o-",
            color=colour,
            label=key,
        )
    axes.set_xticks(range(len(panel.results)), list(panel.results))
    plots.label(axes, "training frame rate", "training frames a second")


def draw_rewards(axes: Any, panel: Panel) -> None:
    """Draw m_vIoU of sampled answers in training: the mean over seeds and their range."""
    for colour, (name, line) in zip(COLOURS, panel.results["curves"]["m_vIoU"].items(), strict=False):
        plots.band(axes, colour, name, line["step"], line["mean"], line["low"], line["high"])
    plots.label(axes, "m_vIoU in training, by reward", "step")


def figure(panels: dict[str, Panel], published: dict[str, Any], path: Path) -> None:
    """Write all three panels as SVG; an empty panel says that it was not measured."""
    draw: dict[str, Callable[[Any, Panel], None]] = {
        "head_to_head": lambda axes, panel: draw_head_to_head(axes, panel, published),
        "fps_study": draw_rates,
        "reward_study": draw_rewards,
    }
    with atomic_write(path, "wb") as out, plots.drawn(out, 11.4, 3.2, "figure3") as page:
        for axes, (name, panel) in zip(page.subplots(1, len(panels)), panels.items(), strict=True):
            if panel.results or (name == "head_to_head" and published):
                draw[name](axes, panel)
                if axes.get_legend_handles_labels()[0]:
                    plots.legend(axes)
                plots.soften(axes, lines="y")
            else:
                plots.label(axes, name.replace("_", " "))
                axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
                axes.set_axis_off()


def page(panels: dict[str, Panel], config: dict[str, Any]) -> str:
    """Return the numbers as Markdown, followed by what is missing."""
    published = config.get("published") or {}
    lines = [
        "![Figure 3](figure3.svg)",
        "",
        f"Video-MME-v2, reading `{config.get('reading', 'corrected')}`, in percent:",
    ]
    lines += [
        "",
        "| system | non-linear | plain | n | non-linear, published | plain, published |",
        "|---|" + "---:|" * 5,
    ]
    measured = panels["head_to_head"].results
    for name in dict.fromkeys([*measured, *published]):
        ours = (
            [f"{100 * measured[name][key]:.1f}" for key in SCORES] + [str(measured[name]["n"])]
            if name in measured
            else ["–"] * 3
        )
        theirs = [f"{value:g}" for value in published[name]] if name in published else ["", ""]
        lines.append(f"| {name} | {' | '.join([*ours, *theirs])} |")
    if panels["fps_study"].results:
        lines += ["", f"| training rate | {' | '.join(RATE_SCORES)} |", "|---|" + "---:|" * len(RATE_SCORES)]
        for rate, result in panels["fps_study"].results.items():
            lines.append(f"| {rate} | {' | '.join(f'{result[key]:.3f}' for key in RATE_SCORES)} |")
    if panels["reward_study"].results:
        reach = panels["reward_study"].results["steps_to"]["m_vIoU"]
        score = "" if math.isnan(reach["score"]) else f" {reach['score']:.3f}"
        lines += ["", f"| reward | steps to a training m_vIoU of{score} |", "|---|---:|"]
        lines += [f"| {name} | {'–' if step is None else f'{step:g}'} |" for name, step in reach["steps"].items()]
    missing = [f"- {reason}" for panel in panels.values() for reason in panel.missing]
    return "\n".join(lines + (["", "Not measured:", "", *missing] if missing else [])) + "\n"


def main(config: dict[str, Any]) -> dict[str, Panel]:
    """Collect the results, write the figure and its numbers, and print them."""
    panels = {
        "head_to_head": head_to_head(config),
        "fps_study": study(config, "fps_study", "make fps-study"),
        "reward_study": study(config, "reward_study", "make reward-study"),
    }
    out = Path(config["out"])
    figure(panels, config.get("published") or {}, out / "figure3.svg")
    with atomic_write(out / "figure3.json") as stream:
        json.dump({name: panel.results for name, panel in panels.items()}, stream, indent=1)
    text = page(panels, config)
    with atomic_write(out / "figure3.md") as stream:
        stream.write(text)
    print(text)
    return panels


def parse(argv: list[str] | None = None) -> tuple[dict[str, Any]]:
    """Return the settings of --config; an option on the command line beats the file's value."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("recipe/configs/studies/figure3.yaml"))
    for name, text in (
        ("out", "folder of the figure"),
        ("questions", "the benchmark's test.parquet"),
        ("fps_study", "result of recipe.studies.frame_rates"),
        ("reward_study", "result of recipe.studies.rewards"),
    ):
        parser.add_argument(f"--{name}", help=text)
    args = vars(parser.parse_args(argv))
    config = read_config(args.pop("config"))
    config |= {name: value for name, value in args.items() if value is not None}
    config["out"] = config.get("out") or "runs/figure3"
    return (config,)


if __name__ == "__main__":
    run(parse, main)
