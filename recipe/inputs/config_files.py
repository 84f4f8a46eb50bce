"""Settings files: several are merged, an overlay may have a section for each stage, and a file that moved is named.

An overlay whose top-level keys are sections (`all`, `cpt`, `sft`, `grpo`, `eval`) gives each command the settings of
`all` and, over them, those of the command's own section. Any other file holds the settings themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.command_line import did_you_mean
from data_prep.yaml_files import read_mapping
from recipe.inputs.run_folder import CONFIGS, MODELS, stage_files

SECTIONS = ("all", "cpt", "sft", "grpo", "eval")

# Files of recipe/configs that a release printed under another name; the full recipes are found by their pattern.
MOVED = {
    "peft/supervised.yaml": "peft/lora.yaml",
    "peft/grpo.yaml": "peft/lora.yaml",
    "table1.yaml": "studies/table1.yaml",
    "figure3.yaml": "studies/figure3.yaml",
    "figure4.yaml": "studies/figure4.yaml",
    "tiny/study.yaml": "tiny/lift.yaml",
    "tiny/reward-study.yaml": "tiny/rewards.yaml",
    "tiny/fps-study.yaml": "tiny/frame-rates.yaml",
}
STUDIES_OF_EVAL = {"reward-study": "rewards", "fps-study": "frame-rates"}


def read_file(path: str | Path) -> dict[str, Any]:
    """Return what a settings file holds.

    Raises:
        ValueError: The file is no mapping of settings, or has moved; the message names the new files.
    """
    check_there(path)
    return read_mapping(path)


def check_there(path: str | Path) -> None:
    """Refuse a file that has moved; any other that is missing is left to whoever opens it.

    Raises:
        ValueError: The message names the files that hold its settings now.
    """
    if Path(path).exists():
        return
    if files := moved_to(path):
        raise ValueError(f"{path}: no such file; its settings are in {' '.join(f'--config {file}' for file in files)}")
    model = Path(path).parent.name
    if Path(path).name == "traces.yaml" and (CONFIGS / MODELS / f"{model}.yaml").is_file():
        raise ValueError(f"{path}: no such file; the traces of {model} come with its data: make data RECIPE={model}")
    beside = sorted(other.name for other in Path(path).parent.glob("*.yaml"))
    if Path(path).parent.resolve() == (CONFIGS / "cards").resolve():
        raise ValueError(f"{path}: no such file (CARD=24, 48 or 80); there are {', '.join(beside)}")


def moved_to(path: str | Path) -> list[Path]:
    """Return the files that hold the settings of one that has moved; none for any other path.

    >>> [str(file) for file in moved_to("recipe/configs/glm-4.1v-9b/sft.yaml")]
    ['recipe/configs/full/sft.yaml', 'recipe/configs/models/glm-4.1v-9b.yaml']
    """
    match = re.search(r"(?:^|.*/)recipe/configs/(.+)$", str(path))
    if match is None:
        return []
    folder, _, name = match[1].rpartition("/")
    root = Path("recipe/configs")
    if match[1] in MOVED:
        return ([root / "tiny/eval.yaml"] if folder == "tiny" else []) + [root / MOVED[match[1]]]
    model = root / MODELS / f"{folder}.yaml"
    if not folder or not (CONFIGS / MODELS / model.name).is_file():
        return []
    stem = Path(name).stem
    if stem in STUDIES_OF_EVAL:
        return [*stage_files(model, "eval"), root / "studies" / f"{STUDIES_OF_EVAL[stem]}.yaml"]
    files = stage_files(model, stem)
    return files if all((CONFIGS.parent.parent / file).is_file() or file.is_file() for file in files) else []


def has_sections(settings: Mapping[str, Any]) -> bool:
    """Return whether settings are an overlay with sections: a section holds settings, a key of that name does not.

    >>> has_sections({"sft": {"seed": 1}}), has_sections({"sft": "runs/tiny/sft"})
    (True, False)
    """
    return any(isinstance(settings.get(name), dict) for name in SECTIONS)


def of_section(settings: Mapping[str, Any], section: str | None, where: str) -> dict[str, Any]:
    """Return the settings that a command takes from a file: all of a plain one, its part of one with sections.

    Args:
        settings: what the file holds.
        section: the command's section; None for a command that has none.
        where: the file, for messages.

    Raises:
        ValueError: A section is unknown or no mapping, settings stand beside sections, or nothing says which section
            is meant.

    >>> of_section({"all": {"seed": 1, "bf16": True}, "sft": {"seed": 2}, "cpt": {"seed": 3}}, "sft", "a.yaml")
    {'seed': 2, 'bf16': True}
    """
    if not has_sections(settings):
        return dict(settings)
    for name, value in settings.items():
        if name not in SECTIONS and isinstance(value, dict):
            hint = did_you_mean(str(name), SECTIONS) or f"; expected {', '.join(SECTIONS)}"
            raise ValueError(f"{where}: unknown section {name!r}{hint}")
        if name not in SECTIONS:
            raise ValueError(f"{where}: the setting {name!r} stands beside sections; put it into one, such as 'all'")
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"{where}: section {name!r} is {value!r}, expected settings by name")
    if section is None:
        raise ValueError(
            f"{where}: nothing says which of its sections ({', '.join(settings)}) is meant; only commands of a stage "
            "have one, and recipe.preflight takes --stage"
        )
    return {**(settings.get("all") or {}), **(settings.get(section) or {})}


def merge(files: Sequence[str | Path], section: str | None) -> dict[str, Any]:
    """Return the settings of several files for one command: a key of a later file beats that of an earlier one.

    Raises:
        ValueError: See `read_file` and `of_section`.
    """
    settings: dict[str, Any] = {}
    for file in files:
        settings |= of_section(read_file(file), section, str(file))
    return settings
