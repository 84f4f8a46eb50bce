"""Which recipe settings files are of, and which folder its run is: `$RUN` in YAML files, which name no folder.

A recipe is a folder of `recipe/configs` with a file a stage, such as `tiny`, or an overlay of `recipe/configs/models`
on the files of `recipe/configs/full`. `$RUN` is the environment variable RUN, which make sets, else `runs/<recipe>`,
where the recipe is that of the first `--config` file that belongs to one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.command_line import did_you_mean

CONFIGS = Path(__file__).parents[1] / "configs"
FULL, MODELS = "full", "models"
SHARED = {FULL, "peft", "studies"}  # folders of configs/ whose files belong to no recipe
_NAME = re.compile(r"\$(\{?[A-Za-z_]\w*\}?)")


def recipes() -> list[str]:
    """Return the names of the recipes in `recipe/configs`."""
    folders = [path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name not in {*SHARED, MODELS}]
    return sorted([*folders, *(path.stem for path in (CONFIGS / MODELS).glob("*.yaml"))])


def recipe_of(files: Sequence[str | Path]) -> Path | None:
    """Return the recipe of the first settings file that belongs to one: its folder, or its overlay on the full recipe.

    Files in `recipe/configs` itself and in its folders that several recipes share belong to none.

    >>> recipe_of(["recipe/configs/peft/lora.yaml", "recipe/configs/tiny/grpo.yaml"])
    PosixPath('recipe/configs/tiny')
    >>> recipe_of(["recipe/configs/full/grpo.yaml", "recipe/configs/models/qwen3-vl-8b.yaml"])
    PosixPath('recipe/configs/models/qwen3-vl-8b.yaml')
    """
    root = CONFIGS.resolve()
    for file in files:
        folder = Path(file).parent
        whole = folder.resolve()
        if whole == root / MODELS:
            return Path(file)
        if whole != root and not (whole.parent == root and whole.name in SHARED):
            return folder
    return None


def stage_files(recipe: str | Path, stage: str) -> list[Path]:
    """Return the settings files of a recipe's stage.

    Args:
        recipe: a folder with a file a stage, or an overlay on those of `recipe/configs/full`.
        stage: "cpt", "sft", "grpo" or "eval".

    >>> stage_files("recipe/configs/tiny", "sft")
    [PosixPath('recipe/configs/tiny/sft.yaml')]
    >>> [str(file) for file in stage_files("recipe/configs/models/qwen3-vl-8b.yaml", "sft")]
    ['recipe/configs/full/sft.yaml', 'recipe/configs/models/qwen3-vl-8b.yaml']
    """
    recipe = Path(recipe)
    if recipe.suffix != ".yaml":
        return [recipe / f"{stage}.yaml"]
    return [recipe.parents[1] / FULL / f"{stage}.yaml", recipe]


def run_folder(files: Sequence[str | Path]) -> str | None:
    """Return what `$RUN` stands for beside these settings files, or None where nothing says it."""
    if os.environ.get("RUN"):
        return os.environ["RUN"]
    recipe = recipe_of(files)
    if recipe is None:
        return None
    return f"runs/{recipe.stem if recipe.suffix == '.yaml' else recipe.resolve().name}"


def fill(value: Any, names: Mapping[str, str | None], *, where: str, later: Collection[str] = ()) -> Any:
    """Replace `$NAME` in a string, also inside lists and mappings.

    Args:
        value: what a YAML file states.
        names: what each name stands for; None: nothing says it here.
        where: the file and key, for messages.
        later: names that are left as they are, for whoever knows them.

    Raises:
        ValueError: A name is unknown, or nothing says what it stands for.

    >>> fill(["$RUN/data", 3], {"RUN": "runs/tiny"}, where="sft.yaml: tracks")
    ['runs/tiny/data', 3]
    >>> fill("$RUNN/sft", {"RUN": "runs/tiny"}, where="sft.yaml: output_dir")
    Traceback (most recent call last):
    ValueError: sft.yaml: output_dir: $RUNN is unknown; did you mean '$RUN'?
    """
    if isinstance(value, dict):
        return {key: fill(item, names, where=where, later=later) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, names, where=where, later=later) for item in value]
    if not isinstance(value, str):
        return value

    def known(match: re.Match[str]) -> str:
        name = match[1]
        if name in later:
            return match[0]
        if name not in names:
            listed = [f"${other}" for other in (*names, *later)]
            hint = did_you_mean(match[0], listed) or f"; known: {', '.join(listed)}"
            raise ValueError(f"{where}: {match[0]} is unknown{hint}")
        replacement = names[name]
        if replacement is None:
            raise ValueError(
                f"{where}: nothing says what ${name} is, as the file belongs to no recipe; "
                f"set the environment variable {name}, such as {name}=runs/tiny, or for a file of recipe/configs/full "
                "add --config recipe/configs/models/NAME.yaml"
            )
        return replacement

    return _NAME.sub(known, value)
