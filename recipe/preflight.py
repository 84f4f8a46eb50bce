"""Before a GPU-hour is spent: has a stage what it needs, and do settings, data and checkpoint fit each other?

    python -m recipe.preflight --config recipe/configs/tiny/grpo.yaml
    python -m recipe.preflight --config recipe/configs/glm-4.1v-9b/sft.yaml --launch launch/accelerate/zero3.yaml
    python -m recipe.preflight --config recipe/configs/glm-4.1v-9b/grpo.yaml --gpu_gib 48    # a card that is not here

Every stage runs the same checks when it begins. A finding is one line: a refusal stops the stage, a warning does not.
The checks themselves are functions of plain values in `recipe/checks`; this module hands them the values.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml
from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe import grpo
from recipe.checks.capacity import listed
from recipe.checks.launches import Launch, launch_of
from recipe.checks.memory import Load, peak_phase, phases
from recipe.checks.stage import card_gib, check, disk_of, report
from recipe.cli import OneLineParser, run
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.training import supervised


def parse(args: list[str] | None = None) -> tuple[Any, ...]:
    """The stage's own settings, and which stage (else by its keys), launch file and card they are for."""
    own = OneLineParser(add_help=False)
    own.add_argument("--stage", choices=("cpt", "sft", "grpo"))
    own.add_argument("--launch")
    own.add_argument("--gpu_gib", type=float)
    chosen, words = own.parse_known_args(args)
    of_grpo = chosen.stage == "grpo" if chosen.stage else bool(_keys(words) & _grpo_keys())
    settings = (grpo.parse if of_grpo else supervised.parse)(words)
    return (*settings, replace(launch_of(chosen.launch), gpu_gib=chosen.gpu_gib))


def _keys(words: list[str]) -> set[str]:
    """Names of the settings in YAML files and on the command line."""
    keys = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    for place, word in enumerate(words[:-1]):
        if word == "--config":
            keys |= set(yaml.safe_load(Path(words[place + 1]).read_text(encoding="utf-8")) or {})
    return keys


def _grpo_keys() -> set[str]:
    """Settings that only GRPO has."""
    mine, others = (GRPOArguments, GRPOConfig), (StageArguments, SFTConfig)
    return {f.name for kind in mine for f in fields(kind)} - {f.name for kind in others for f in fields(kind)}


def memory_report(load: Load, gpu_gib: float) -> str:
    """Return the estimate as lines: the phase that takes most with its parts, and what each phase takes.

    Args:
        gpu_gib: memory of the card, of which a colocated vLLM takes a share.
    """
    phase, parts = peak_phase(load, gpu_gib)
    totals = {name: sum(values.values()) for name, values in phases(load, gpu_gib).items()}
    share = f", vLLM's share of a card of {gpu_gib:.0f} GiB" if "vLLM" in parts else ""
    return (
        f"memory, estimated: {totals[phase]:.1f} GiB a process at its highest, in {phase} ({listed(parts)}{share})\n"
        f"by phase: {listed(totals)}"
    )


def main(script_args: StageArguments, training_args: Any, model_args: ModelConfig, launch: Launch) -> None:
    """The command: findings, and the estimates where the checkpoint is at hand."""
    findings, load = check(script_args, training_args, model_args, launch)
    if load:
        print(
            f"{load.parameters:,} weights, {load.trainable:,} learn; longest sample {load.tokens} tokens; "
            f"{load.processes} process(es), sharding {load.sharding}; {disk_of(load, training_args):.1f} GiB on disk"
        )
        print(memory_report(load, launch.gpu_gib or card_gib() or 80.0))
    report(findings)
    print("preflight: nothing refused")


if __name__ == "__main__":
    run(parse, main)
