"""The YAML of a mixture, read and checked."""

from __future__ import annotations

import difflib
import reprlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from data_prep.identity import check_outputs
from data_prep.stages import StageError
from data_prep.validation import KINDS
from data_prep.video.rates import FRAME_BUDGET
from data_prep.yaml_files import read_yaml

BALANCE = ("source", "kind", "span")


@dataclass
class MixInput:
    """One track file.

    Attributes:
        tracks: its path.
        weight: its share of the mixture against the others'; None: 1, or all it has where no input has a weight.
        cap: most records of it.
        kinds: kinds of records that are used; empty: all.
    """

    tracks: str
    weight: float | None = None
    cap: int | None = None
    kinds: list[str] = field(default_factory=list)


@dataclass
class MixRecipe:
    """A mixture.

    Attributes:
        out: track file to write.
        inputs: what it is drawn from; of two records with one video, clip and query the first one stands.
        seed: of the draw.
        total: most records, and as many where the inputs have them; None: as many as weights and caps allow.
        balance: draw the same number of each combination of these: "source", "kind", "span" (bins of the length).
        splits: splits that may be used; empty: all.
        evaluation: track files of evaluation sets: no record of a video in them is used, whatever its source.
        evaluation_videos: text files with a video's path or id a line, likewise.
        most_seconds: longest clip, seconds; None: any.
        higher_rate_share: share of the records that get one of `higher_rates` (frames a second), 0 to 1; for CPT.
        frame_budget: no higher rate where the clip would take more frames.
        video_root: folder that the records' videos lie under; each is looked at, and a record whose video does not do
            is left out. None: no video is looked at, as track files can be mixed where there are none.
        max_missing: largest share of the records looked at that may be left out for their videos, 0 to 1.
    """

    out: str
    inputs: list[MixInput]
    seed: int = 0
    total: int | None = None
    balance: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=lambda: ["train"])
    evaluation: list[str] = field(default_factory=list)
    evaluation_videos: list[str] = field(default_factory=list)
    most_seconds: int | None = None
    higher_rate_share: float = 0.1
    higher_rates: list[float] = field(default_factory=lambda: [2.0, 4.0])
    frame_budget: int = FRAME_BUDGET
    video_root: str | None = None
    max_missing: float = 0.05


def read_recipe(
    path: Path, *, out: Path | None = None, seed: int | None = None, video_root: Path | None = None
) -> MixRecipe:
    """Return the mixture of a YAML file; what the command line gives overrides the file's.

    Raises:
        StageError: the file is at fault; the message names file, key, what was found and what was expected.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise StageError(f"{path}: expected a mapping with `out` and `inputs`")
    given = {"out": out and str(out), "seed": seed, "video_root": video_root and str(video_root)}
    values |= {name: value for name, value in given.items() if value is not None}
    inputs = values.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise StageError(
            f"{path}: inputs {_short(inputs)}, expected a list of {{tracks: FILE, weight:, cap:, kinds:}}"
        )
    values["inputs"] = [_made(MixInput, item, f"{path}: input {number}") for number, item in enumerate(inputs, 1)]
    recipe: MixRecipe = _made(MixRecipe, values, str(path))
    _check(recipe, str(path))
    return recipe


def _short(value: Any) -> str:
    """Return a value shortened for a message: YAML aliases can make a few bytes gigabytes when written out."""
    shortener = reprlib.Repr()
    shortener.maxlevel, shortener.maxlist, shortener.maxstring, shortener.maxother = 2, 8, 120, 120
    return shortener.repr(value)


def _made(kind: Any, values: Any, where: str) -> Any:
    if isinstance(values, str) and kind is MixInput:
        values = {"tracks": values}
    if not isinstance(values, dict):
        raise StageError(f"{where}: got {type(values).__name__}, expected a mapping")
    known = [item.name for item in fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise StageError(f"{where}: unknown key {_short(key)}" + (f"; did you mean {near[0]!r}?" if near else ""))
    missing = [name for name in ("out", "inputs", "tracks") if name in known and name not in values]
    if missing:
        raise StageError(f"{where}: {missing[0]} is missing")
    return kind(**values)


def _check(recipe: MixRecipe, where: str) -> None:
    """Check types and ranges, which YAML does not know."""

    def expect(good: bool, name: str, value: Any, expected: str) -> None:
        if not good:
            raise StageError(f"{where}: {name} {_short(value)}, expected {expected}")

    def is_whole(value: Any, least: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    def is_list(value: Any, kind: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, kind) for item in value)

    expect(isinstance(recipe.out, str) and bool(recipe.out), "out", recipe.out, "a file's path")
    expect(is_whole(recipe.seed, 0), "seed", recipe.seed, "a whole number from 0")
    for name in ("total", "most_seconds"):
        value = getattr(recipe, name)
        expect(value is None or is_whole(value, 1), name, value, "a whole number from 1, or none")
    expect(is_whole(recipe.frame_budget, 1), "frame_budget", recipe.frame_budget, "a whole number from 1")
    for name in ("splits", "evaluation", "evaluation_videos"):
        expect(is_list(getattr(recipe, name), str), name, getattr(recipe, name), "a list of texts")
    expect(
        is_list(recipe.balance, str) and set(recipe.balance) <= set(BALANCE),
        "balance",
        recipe.balance,
        f"some of {', '.join(BALANCE)}",
    )
    root = recipe.video_root
    expect(root is None or (isinstance(root, str) and Path(root).is_dir()), "video_root", root, "a folder, or none")
    share = recipe.max_missing
    expect(isinstance(share, (int, float)) and 0 <= share <= 1, "max_missing", share, "0 to 1")
    share = recipe.higher_rate_share
    expect(isinstance(share, (int, float)) and 0 <= share <= 1, "higher_rate_share", share, "0 to 1")
    rates = recipe.higher_rates
    expect(is_list(rates, (int, float)) and all(0 < r <= 1000 for r in rates), "higher_rates", rates, "rates above 0")
    expect(bool(rates) or not share, "higher_rates", rates, "at least one, or higher_rate_share 0")
    for number, item in enumerate(recipe.inputs, 1):
        expect(isinstance(item.tracks, str), f"input {number} tracks", item.tracks, "a file's path")
        weight = item.weight
        good = weight is None or (isinstance(weight, (int, float)) and (weight == 0 or 1e-9 <= weight <= 1e9))
        expect(good, f"input {number} weight", weight, "0, or 1e-9 to 1e9")
        expect(item.cap is None or is_whole(item.cap, 0), f"input {number} cap", item.cap, "a whole number from 0")
        good = is_list(item.kinds, str) and set(item.kinds) <= set(KINDS)
        expect(good, f"input {number} kinds", item.kinds, f"some of {', '.join(KINDS)}")
        expect(not (weight is not None and recipe.balance), f"input {number} weight", weight, "none beside balance")
    paths = [Path(item.tracks).resolve() for item in recipe.inputs]
    expect(len(set(paths)) == len(paths), "inputs", [item.tracks for item in recipe.inputs], "each track file once")
    outputs: dict[str, Path | None] = {f"{where}: out": Path(recipe.out)}
    outputs[f"{where}: out, manifest"] = Path(f"{recipe.out}.manifest.json")
    check_outputs(outputs, [*paths, *recipe.evaluation, *recipe.evaluation_videos, where])
