"""Which folder a recipe's run is: `$RUN` in its YAML files, which name none, so that a copied recipe is another.

`$RUN` is the environment variable RUN, which make sets, else `runs/<recipe>`, where the recipe is the name of the
folder of the first `--config` file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.command_line import did_you_mean

CONFIGS = Path(__file__).parents[1] / "configs"
OVERLAYS = {"peft"}  # folders of configs/ that are laid over a recipe and are none
_NAME = re.compile(r"\$(\{?[A-Za-z_]\w*\}?)")


def recipes() -> list[str]:
    """Return the names of the recipes in `recipe/configs`."""
    return sorted(path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name not in OVERLAYS)


def recipe_folder(files: Sequence[str | Path]) -> Path | None:
    """Return the folder of the first settings file that belongs to a recipe; None where none does.

    Files in `recipe/configs` itself and overlays belong to no recipe.

    >>> recipe_folder(["recipe/configs/peft/grpo.yaml", "recipe/configs/tiny/grpo.yaml"])
    PosixPath('recipe/configs/tiny')
    """
    for file in files:
        folder = Path(file).parent
        whole = folder.resolve()
        if whole != CONFIGS.resolve() and not (whole.parent == CONFIGS.resolve() and whole.name in OVERLAYS):
            return folder
    return None


def run_folder(files: Sequence[str | Path]) -> str | None:
    """Return what `$RUN` stands for beside these settings files, or None where nothing says it."""
    if os.environ.get("RUN"):
        return os.environ["RUN"]
    folder = recipe_folder(files)
    return None if folder is None else f"runs/{folder.resolve().name}"


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
        found = names[name]
        if found is None:
            raise ValueError(
                f"{where}: nothing says what ${name} is, as the file belongs to no recipe; "
                f"set the environment variable {name}, such as {name}=runs/tiny"
            )
        return found

    return _NAME.sub(known, value)
