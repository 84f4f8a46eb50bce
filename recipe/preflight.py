"""Before a GPU-hour is spent: has a stage what it needs, and do settings, data and checkpoint fit each other?

    python -m recipe.preflight --config recipe/configs/tiny/grpo.yaml
    python -m recipe.preflight --stage sft --config recipe/configs/full/sft.yaml \\
        --config recipe/configs/models/glm-4.1v-9b.yaml --launch launch/accelerate/zero3.yaml

Every stage runs the same checks when it begins. A finding is one line: a refusal stops the stage, a warning does not.
The checks themselves are functions of plain values in `recipe/checks_*.py`; this module hands them the values.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe import grpo
from recipe.checks.launches import Launch, launch_of
from recipe.checks.machine import memory_parts
from recipe.checks.stage import check, disk_of, report
from recipe.cli import OneLineParser, run
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.config_files import has_sections, read_file
from recipe.training import supervised


def parse(args: list[str] | None = None) -> tuple[Any, ...]:
    """Read the stage's settings, the stage's name (else known by its keys) and the launch file to check."""
    own = OneLineParser(add_help=False)
    own.add_argument("--stage", choices=("cpt", "sft", "grpo"))
    own.add_argument("--launch")
    chosen, argv = own.parse_known_args(args)
    of_grpo = chosen.stage == "grpo" if chosen.stage else bool(_keys(argv) & _grpo_keys())
    settings = grpo.parse(argv) if of_grpo else supervised.parse(argv, section=chosen.stage)
    return (*settings, launch_of(chosen.launch))


def _keys(argv: list[str]) -> set[str]:
    """Return the names of the settings in YAML files and on the command line."""
    keys = {word[2:].partition("=")[0].replace("-", "_") for word in argv if word.startswith("--")}
    for index, word in enumerate(argv[:-1]):
        if word == "--config":
            settings = read_file(argv[index + 1])
            keys |= set() if has_sections(settings) else settings.keys()
    return keys


def _grpo_keys() -> set[str]:
    """Return the settings that only GRPO has."""
    mine, others = (GRPOArguments, GRPOConfig), (StageArguments, SFTConfig)
    return {f.name for kind in mine for f in fields(kind)} - {f.name for kind in others for f in fields(kind)}


def main(script_args: StageArguments, training_args: Any, model_args: ModelConfig, launch: Launch) -> None:
    """Run the command: print findings, and estimates where the checkpoint is at hand."""
    findings, load = check(script_args, training_args, model_args, launch)
    if load:
        parts = memory_parts(load)
        listed = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
        print(
            f"{load.parameters:,} weights, {load.trainable:,} learn; longest sample {load.tokens} tokens; a rough "
            f"estimate for {load.processes} process(es), sharding {load.sharding}: {sum(parts.values()):.1f} GiB each "
            f"({listed}), {disk_of(load, training_args):.1f} GiB on disk"
        )
    report(findings)
    print("preflight: nothing refused")


if __name__ == "__main__":
    run(parse, main)
