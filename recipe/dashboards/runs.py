"""Runs as the comparison reads them: the trainer's log, the variant and the seed, and what is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.stages import read_stamp
from recipe.evaluation import learning
from recipe.evaluation.learning import running_mean
from recipe.evaluation.logs import points, read_log
from recipe.inputs.settings import IN_VARIANT, counting
from recipe.variants.names import variant_of_settings

UNKNOWN = "unknown"  # variant and seed of a run without a stamp that can be read
DEFAULT_SEED = 42  # TrainingArguments'; a stamp leaves defaults out
INPUT = "input "  # before an input's name, among the settings
# Settings that are in the variant's name, or the seed.
IN_NAME = IN_VARIANT | {"variant", "seed"}

Curve = tuple[np.ndarray, np.ndarray]


@dataclass
class Run:
    """One run.

    Attributes:
        variant: name of the reward variant, from the settings in the run's stamp.
        columns: metric -> (steps, values), oldest first: arrays, as fifty long logs of dicts would fill the memory.
        entries: log entries that were read.
        problem: what is wrong with it, "" if nothing is.
        completions: files of logged completions.
        shared: settings that count, but variant and seed, and inputs: what runs of one curve have in common.
    """

    folder: Path
    variant: str
    seed: str
    columns: dict[str, Curve]
    entries: int
    problem: str = ""
    completions: list[Path] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)


def read_run(folder: Path) -> Run:
    """Read a run's log and settings; note a problem in the result instead of raising it."""
    stamp = read_stamp(folder) or {}
    settings = stamp.get("settings")
    variant, seed, shared = UNKNOWN, UNKNOWN, {}
    if isinstance(settings, dict):
        variant, seed = variant_of_settings(settings), str(settings.get("seed", DEFAULT_SEED))
        shared = common(stamp, settings)
    problems = [] if stamp else ["its stamp.json cannot be read"]
    if stamp and not stamp.get("complete"):
        problems.append("it has not ended")
    log = read_log(folder)
    if log.problem:
        problems.append(log.problem)
    columns = {
        name: (np.array(list(by_step)), np.array(list(by_step.values())))
        for name, by_step in points(log.entries).items()
    }
    completions = sorted((folder / "completions").glob("*.parquet")) if (folder / "completions").is_dir() else []
    return Run(folder, variant, seed, columns, len(log.entries), "; ".join(problems), completions, shared)


def common(stamp: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a run has in common with the other seeds of its curve: settings that count, and inputs.

    A stamp of version 1 held all settings, those that change nothing too, and its inputs only by name.
    """
    inputs = stamp.get("inputs")
    if isinstance(inputs, dict):
        shared = settings | {f"{INPUT}{name}": str(digest)[:12] for name, digest in inputs.items()}
    else:
        try:
            shared = counting(settings, grpo=True)
        except (TypeError, ValueError):  # whatever wrote it, this recipe did not
            shared = dict(settings)
        shared |= {f"{INPUT}{name}": settings[name] for name in ("model_name_or_path",) if name in settings}
    return {name: value for name, value in shared.items() if name not in IN_NAME}


def last(one: Run, metric: str) -> float | None:
    """Return the mean of the last fifth of a metric's values; None where there are none."""
    if metric not in one.columns:
        return None
    values = one.columns[metric][1]
    return float(values[-max(1, len(values) // 5) :].mean())


def mean_curve(runs: list[Run], metric: str) -> np.ndarray:
    """Return rows (step, mean, lowest, highest) over the runs that logged the metric, at the steps that they share."""
    curves = [one.columns[metric] for one in runs if metric in one.columns]
    if not curves:
        return np.zeros((0, 4))
    shared = curves[0][0]
    for steps, _ in curves[1:]:
        shared = np.intersect1d(shared, steps)
    shared = np.sort(shared)
    values = []
    for steps, scores in curves:
        order = np.argsort(steps)
        values.append(scores[order][np.searchsorted(steps[order], shared)])
    table = np.array(values).reshape(len(curves), len(shared))
    return np.stack([shared, table.mean(axis=0), table.min(axis=0), table.max(axis=0)], axis=1)


def steps_to(
    groups: dict[str, list[Run]], metric: str, score: float | None
) -> tuple[dict[str, float | None], float | None]:
    """Return (variant -> first step at which its running mean over seeds reaches the score, the score).

    Args:
        score: None: the lowest best mean of the variants that do not end below their start, so that all of these
            reach it. Means are of full windows, or of all entries where there are fewer.
    """
    curves = {name: mean_curve(runs, metric) for name, runs in groups.items()}
    return learning.steps_to(
        {name: (curve[:, 0].tolist(), running_mean(curve[:, 1].tolist())) for name, curve in curves.items()}, score
    )
