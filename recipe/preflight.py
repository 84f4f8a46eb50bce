"""Before a GPU-hour is spent: has a stage what it needs, and do settings, data and checkpoint fit each other?

    python -m recipe.preflight --config recipe/configs/tiny/grpo.yaml
    python -m recipe.preflight --stage sft --config recipe/configs/full/sft.yaml \\
        --config recipe/configs/models/glm-4.1v-9b.yaml --launch launch/accelerate/zero3.yaml
    python -m recipe.preflight --stage grpo --config recipe/configs/full/grpo.yaml \\
        --config recipe/configs/models/glm-4.1v-9b.yaml --gpu_gib 48    # a card that is not here
    python -m recipe.preflight --stage sft --show_rows

It prints estimates of memory by part and of hours; --tflops says what a GPU does at best.

With --show_rows it prints one row of each kind in the data as the model is taught it, decoded, instead: the prompt and
the labels, of the tiny recipe where no --config is named.

Every stage runs the same checks when it begins. A finding is one line: a refusal stops the stage, a warning does not.
The checks themselves are functions of plain values in `recipe/checks`; this module hands them the values.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import fields, replace
from typing import Any

from trl import GRPOConfig, ModelConfig, SFTConfig

from recipe import grpo
from recipe.checks.capacity import listed
from recipe.checks.checkpoint import checkpoint_of
from recipe.checks.facts import Texts, read_facts
from recipe.checks.hours import TFLOPS, UTILISATION, duration_of
from recipe.checks.labels import folded, rows_taught
from recipe.checks.launches import Launch, launch_of
from recipe.checks.machine import data_is_there, weights_are_there
from recipe.checks.memory import Load, peak_phase, phases
from recipe.checks.stage import card_gib, check, disk_of, report
from recipe.cli import OneLineParser, run
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.config_files import has_sections, read_file
from recipe.inputs.families import family_of, frame_grid
from recipe.inputs.video_units import PAIRS, check_pairs
from recipe.training import supervised

MEASURED = 64  # rows whose tokens the hours are reckoned from
TINY = "recipe/configs/tiny/{}.yaml"


def parse(args: list[str] | None = None) -> tuple[Any, ...]:
    """Read the stage's settings, the launch file and card, whether rows are to be shown, and the stage's name.

    --stage says which stage the settings are of; without it, their keys do.
    """
    own = own_options()
    chosen, argv = own.parse_known_args(args)
    if {"-h", "--help"} & set(argv):
        print(own.format_help())
    if chosen.show_rows and chosen.stage and "--config" not in argv:
        argv = ["--config", TINY.format(chosen.stage), *argv]
    of_only_grpo = {name: where for name, where in _keys(argv).items() if name in _grpo_keys()}
    if chosen.stage in ("cpt", "sft") and of_only_grpo:
        name, where = next(iter(of_only_grpo.items()))
        raise ValueError(
            f"--stage {chosen.stage}, but {where} has {name!r}, a setting of GRPO only: name the settings "
            f"of {chosen.stage}, or --stage grpo"
        )
    of_grpo = chosen.stage == "grpo" or (chosen.stage is None and bool(of_only_grpo))
    settings = grpo.parse(argv) if of_grpo else supervised.parse(argv, section=chosen.stage)
    launch = replace(launch_of(chosen.launch), gpu_gib=chosen.gpu_gib, tflops=chosen.tflops)
    return (*settings, launch, chosen.show_rows, "grpo" if of_grpo else chosen.stage)


def own_options() -> OneLineParser:
    """Return the parser of the options that the check has beside those of the stage."""
    own = OneLineParser(
        add_help=False, usage=argparse.SUPPRESS, description="Options of preflight; those of the stage follow."
    )
    own.add_argument(
        "--show_rows",
        action="store_true",
        help="only print one row of each kind in the data, as the model is taught it",
    )
    own.add_argument(
        "--stage", choices=("cpt", "sft", "grpo"), help="stage that the settings are of; default: what their keys say"
    )
    own.add_argument("--launch", metavar="FILE", help="file of accelerate that the stage would be started with")
    own.add_argument(
        "--gpu_gib", type=above_zero, metavar="GIB", help="memory of the card, for one that is not in this machine"
    )
    own.add_argument(
        "--tflops", type=above_zero, help=f"what a GPU does at best, for the estimate of hours; default: {TFLOPS:g}"
    )
    return own


def above_zero(text: str) -> float:
    """Return a finite number above 0.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")
    return value


def _keys(argv: list[str]) -> dict[str, str]:
    """Return the settings in YAML files and on the command line: name -> the file, or "the command line"."""
    options = [word for word in argv if word.startswith("--")]
    keys = {word[2:].partition("=")[0].replace("-", "_"): "the command line" for word in options}
    for index, word in enumerate(argv[:-1]):
        if word == "--config":
            settings = read_file(argv[index + 1])
            keys |= {} if has_sections(settings) else dict.fromkeys(settings, argv[index + 1])
    return keys


def _grpo_keys() -> set[str]:
    """Return the settings that only GRPO has."""
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


def time_report(
    script_args: StageArguments, training_args: Any, model_args: ModelConfig, load: Load, launch: Launch
) -> str:
    """Return the estimate of the stage's hours as a line; nothing for a CPU whose speed was not given (--tflops)."""
    if training_args.use_cpu and not launch.tflops:
        return ""
    config, processor, _ = _checkpoint(script_args, training_args, model_args)
    facts = read_facts(script_args, frame_grid(config))
    texts = Texts(script_args, family_of(config, processor), frame_grid(config), processor)
    measured = [texts.measure(record, None) for record in facts.sample[:MEASURED]]
    tflops, merge = launch.tflops or TFLOPS, config.vision_config.spatial_merge_size
    grpo = isinstance(script_args, GRPOArguments)
    lasting = duration_of(
        *(load, training_args, measured, facts.count, merge, tflops),
        lora=model_args.use_peft,
        budget=script_args.shared_prefix_tokens if grpo else None,
        frozen_features=grpo and script_args.frozen_features,
    )
    if lasting is None:
        return ""
    rollouts = "; rollouts come on top" if load.rollout else ""
    return f"{lasting} at {UTILISATION:.0%} of {tflops:g} TFLOP/s a GPU (--tflops){rollouts}\n"


def main(
    script_args: StageArguments,
    training_args: Any,
    model_args: ModelConfig,
    launch: Launch,
    shown: bool = False,
    name: str | None = None,
) -> None:
    """Run the command: print findings, and estimates where the checkpoint is at hand; or the rows."""
    if shown:
        show_rows(script_args, training_args, model_args)
        return
    findings, load = check(script_args, training_args, model_args, launch, name)
    if load:
        print(
            f"{load.parameters:,} weights, {load.trainable:,} learn; longest sample {load.tokens} tokens; "
            f"{load.processes} process(es), sharding {load.sharding}; {disk_of(load, training_args):.1f} GiB on disk"
        )
        print(memory_report(load, launch.gpu_gib or card_gib() or 80.0))
        print(time_report(script_args, training_args, model_args, load, launch), end="")
    report(findings)
    print("preflight: nothing refused")


def _checkpoint(script_args: StageArguments, training_args: Any, model_args: ModelConfig) -> tuple[Any, ...]:
    template = getattr(training_args, "chat_template_path", None)
    return checkpoint_of(model_args, template, script_args.video_units)


def show_rows(script_args: StageArguments, training_args: Any, model_args: ModelConfig) -> None:
    """Print one row of each kind in the stage's data as it is taught: prompt and labels, decoded.

    Raises:
        StageError: There is no data, or no checkpoint to take the processor from.
    """
    found = data_is_there(script_args.tracks, script_args.frames or script_args.video_root, None)
    config, processor, problem = _checkpoint(script_args, training_args, model_args)
    report([*found, *weights_are_there(model_args.model_name_or_path, problem)])
    family = family_of(config, processor)
    if script_args.video_units == PAIRS:
        check_pairs(family)
    kinds = read_facts(script_args, frame_grid(config)).kinds
    for row in rows_taught(script_args, training_args, kinds, config, processor):
        print(f"--- {row.kind}: record {row.record}")
        for part, ids in (("prompt", row.prompt), ("labels", row.labels)):
            if ids:
                text = processor.tokenizer.decode(ids)
                for token in (family.image_token, family.video_token):
                    text = folded(text, token)
                print(f"{part} ({len(ids)} tokens):\n{text}")


if __name__ == "__main__":
    run(parse, main)
