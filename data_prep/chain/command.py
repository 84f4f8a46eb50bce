"""All track files, mixtures, reasoning traces and frames that the stages read, from the data sets' folders.

    python -m data_prep build recipe/configs/full/data.yaml --teacher openai --base_url URL --model NAME

The YAML says which data set lies where and what is made of it (docs/data.md). What is up to date is skipped, so the
same command goes on after a kill. Each step is a command of `python -m data_prep`, and prints what it counted.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.chain.notes import is_current, keep_note, note_of, note_path, report_of
from data_prep.chain.plan import Conversion, Plan, as_argv, read_argv, read_plan
from data_prep.command_line import did_you_mean
from data_prep.mixing.config import MixRecipe
from data_prep.mixing.mix import current_manifest, write_mixture
from data_prep.records import RecordError, read_records
from data_prep.stages import StageError, read_stamp
from data_prep.traces.prompts import is_traced

TEACHER = (
    "no teacher is named, and SFT reads its traces: --teacher openai --base_url URL --model NAME asks a server, "
    "--teacher template composes them from the annotations"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("plan", type=Path, metavar="FILE", help="YAML of the build, recipe/configs/full/data.yaml")
    parser.add_argument("--datasets", type=Path, help="folder with a folder a data set; default: the YAML's")
    parser.add_argument("--skip_missing", action="store_true", help="go on without the data sets that are not there")
    parser.add_argument("--again", nargs="+", default=[], metavar="NAME", help="convert these anew, or `all`")
    parser.add_argument(
        "--overwrite_output_dir", action="store_true", help="move another teacher's traces aside, to OUT.old-N"
    )
    parser.add_argument("--teacher", choices=("template", "openai"), help="who writes the reasoning traces")
    parser.add_argument("--base_url", default=os.environ.get("OPENAI_BASE_URL"), help="else OPENAI_BASE_URL")
    parser.add_argument("--model", default=os.environ.get("OPENAI_MODEL"), help="else OPENAI_MODEL")


def run(args: argparse.Namespace) -> int:
    """Make what is missing or out of date. Returns 0, or the exit code of traces or frames that stopped.

    Raises:
        StageError: a data set is missing, the YAML is at fault, or no teacher is named; a step's own errors begin with
            its name.
    """
    plan = read_plan(args.plan, args.datasets)
    names = [conversion.name for conversion in plan.conversions]
    for name in args.again:
        if name not in (*names, "all"):
            raise StageError(f"--again {name}: no source of {args.plan}{did_you_mean(name, names)}")
    if missing := plan.missing():
        if not args.skip_missing:
            raise StageError(
                f"missing: {missing}; put each there, or go on without those data sets with --skip_missing "
                "(docs/data.md)"
            )
        print(f"build: left out, as it is missing: {missing}", file=sys.stderr)
    left_out = {conversion.out for conversion in plan.conversions if conversion.missing}
    for conversion in plan.conversions:
        if not conversion.missing:
            convert_one(conversion, again=conversion.name in args.again or "all" in args.again)
    for file, recipe in plan.mixtures:
        mix_one(file, recipe, left_out, plan)
    return traces_step(plan, args) or frames_step(plan)


def convert_one(conversion: Conversion, *, again: bool) -> None:
    """Convert one data set's annotations, unless the track file is what that makes."""
    if not again and is_current(conversion.out, conversion.argv, conversion.reads):
        print(f"{conversion.name}: up to date, {report_of(conversion.out)['written']} records")
        return
    print(f"{conversion.name}: {' '.join(conversion.argv)}", flush=True)
    noted = note_of(conversion.argv, conversion.reads)  # before: what changes meanwhile makes it out of date
    note_path(conversion.out).unlink(missing_ok=True)
    do(conversion.name, conversion.argv)
    keep_note(conversion.out, noted)


def mix_one(file: str, recipe: MixRecipe, left_out: set[Path], plan: Plan) -> None:
    """Draw one mixture, without the inputs of data sets that are left out, and look at the videos that are there."""
    gone = {str(path) for path in left_out}
    recipe = replace(
        recipe,
        inputs=[one for one in recipe.inputs if one.tracks not in gone],
        evaluation=[path for path in recipe.evaluation if path not in gone],
    )
    if not recipe.inputs:
        raise StageError(f"{file}: none of its data sets is there")
    with_videos = {str(conversion.out) for conversion in plan.conversions if conversion.has_videos}
    if recipe.video_root is None and with_videos.issuperset(one.tracks for one in recipe.inputs):
        recipe = replace(recipe, video_root=str(plan.datasets))
    if manifest := current_manifest(recipe):
        print(f"{recipe.out}: up to date, {manifest['written']} records")
        return
    write_mixture(recipe, file)


def traces_step(plan: Plan, args: argparse.Namespace) -> int:
    """Run the step that makes the reasoning traces; return its exit code.

    Raises:
        StageError: there are none of these records yet, and no teacher is named.
    """
    if not plan.traces:
        return 0
    options = {"video_root": plan.datasets} | plan.traces
    names = ("teacher",) if args.teacher == "template" else ("teacher", "base_url", "model")
    given = {name: getattr(args, name) for name in names if getattr(args, name)}
    if not given.keys() & {"teacher", "base_url"} and "teacher" not in options:
        tracks, out = Path(str(options["tracks"])), Path(str(options["out"]))
        if are_traced(tracks, out):
            print(f"traces: {out} is up to date")
            return 0
        raise StageError(f"traces: {TEACHER}")
    given |= {"overwrite_output_dir": args.overwrite_output_dir}
    return do("traces", ["traces", *as_argv(options | given)])


def are_traced(tracks: Path, out: Path) -> bool:
    """Return whether a folder of traces is whole and about all grounding records of a track file."""
    stamp = read_stamp(out)
    if stamp is None or not stamp["complete"]:
        return False
    try:
        asked = {one["id"] for one in read_records(tracks) if is_traced(one)}
        counted = sum(stamp["results"]["verdicts"].values())
        return counted == len(asked) and {one["id"] for one in read_records(out / "traces.jsonl")} <= asked
    except (OSError, RecordError, KeyError, TypeError, AttributeError):
        return False


def frames_step(plan: Plan) -> int:
    """Write each folder of frames; return the exit code."""
    for number, options in enumerate(plan.frames, 1):
        code = do(f"frames {number}", ["frames", *as_argv({"video_root": plan.datasets} | options)])
        if code:
            return code
    return 0


def do(name: str, argv: list[str]) -> int:
    """Run one command of `python -m data_prep`; return its exit code.

    Raises:
        StageError: its input is at fault; the message begins with the step's name.
    """
    from data_prep.__main__ import COMMANDS  # which imports this package

    args: Any = read_argv(name, argv)
    try:
        return COMMANDS[args.command].run(args) or 0
    except (RecordError, StageError, ValueError) as error:
        raise StageError(f"{name}: {error}") from None
