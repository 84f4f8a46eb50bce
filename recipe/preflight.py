"""Before a GPU-hour is spent: has a stage what it needs, and do settings, data and checkpoint fit each other?

    python -m recipe.preflight --config recipe/configs/tiny/grpo.yaml
    python -m recipe.preflight --config recipe/configs/glm-4.1v-9b/sft.yaml --launch launch/accelerate/zero3.yaml

Every stage runs the same checks when it begins. A finding is one line: a refusal stops the stage, a warning does not.
The checks themselves are functions of plain values in `recipe/checks_*.py`; this module hands them the values.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from trl import GRPOConfig, ModelConfig, SFTConfig

from data_prep.yaml_files import read_mapping
from recipe import grpo
from recipe.checks.launches import Launch, launch_of
from recipe.checks.machine import memory_parts
from recipe.checks.stage import check, disk_of, report
from recipe.cli import OneLineParser, run
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.training import supervised


def parse(args: list[str] | None = None) -> tuple[Any, ...]:
    """The stage's own settings, and which stage (else by its keys) and launch file they are for."""
    own = OneLineParser(add_help=False)
    own.add_argument("--stage", choices=("cpt", "sft", "grpo"))
    own.add_argument("--launch")
    chosen, words = own.parse_known_args(args)
    of_grpo = chosen.stage == "grpo" if chosen.stage else bool(_keys(words) & _grpo_keys())
    settings = (grpo.parse if of_grpo else supervised.parse)(words)
    return (*settings, launch_of(chosen.launch))


def _keys(words: list[str]) -> set[str]:
    """Names of the settings in YAML files and on the command line."""
    keys = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    for place, word in enumerate(words[:-1]):
        if word == "--config":
            keys |= set(read_mapping(words[place + 1]))
    return keys


def _grpo_keys() -> set[str]:
    """Settings that only GRPO has."""
    mine, others = (GRPOArguments, GRPOConfig), (StageArguments, SFTConfig)
    return {f.name for kind in mine for f in fields(kind)} - {f.name for kind in others for f in fields(kind)}


def main(script_args: StageArguments, training_args: Any, model_args: ModelConfig, launch: Launch) -> None:
    """The command: findings, and the estimates where the checkpoint is at hand."""
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
