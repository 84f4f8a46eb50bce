"""Read everything that make tells the stages of a target before the first begins: a typo costs seconds, not hours.

    python -m recipe.checks.plan --recipe tiny then recipe.sft --config ... then recipe.grpo --config ...

Each `then` is followed by a command as make will run it: `data_prep` or a module of `recipe`, and its words. They are
read by the command's own parser. No data, no checkpoint and no model is looked at: an earlier stage may still have to
make them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data_prep.command_line import did_you_mean
from data_prep.errors import StageError
from recipe.cli import OneLineParser, run
from recipe.inputs.run_folder import recipes

THEN = "then"

# Options that make gives itself, as later steps read what they name; a second one would be obeyed by half of them.
OWNED = {"data_prep": ("--out",), "recipe.tiny": ("--out",), "recipe.evaluate": ("--model", "--out")}


@dataclass(frozen=True)
class Step:
    """One command of a plan.

    Attributes:
        module: "data_prep" or "recipe.NAME".
        arguments: its command line.
        read: what its parser made of them.
    """

    module: str
    arguments: list[str]
    read: Any

    @property
    def name(self) -> str:
        """What messages call it: "sft", or "data_prep synthetic"."""
        return f"{self.module} {self.arguments[0]}" if self.module == "data_prep" else self.module.partition(".")[2]


def parse(words: list[str] | None = None) -> tuple[list[Step]]:
    """Read a plan.

    Raises:
        ValueError: A part of it is wrong; the message names the step, what is wrong and the nearest right word.
    """
    own, *commands = split(list(sys.argv[1:] if words is None else words))
    parser = OneLineParser(prog="python -m recipe.checks.plan", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", help="name of a recipe of recipe/configs")
    parser.add_argument("--launch", help="file of accelerate that the stages are started with")
    args = parser.parse_args(own)
    if args.recipe is not None:
        check_recipe(args.recipe)
    if args.launch:
        from recipe.checks.launches import launch_of

        launch_of(args.launch)
    steps = [read(command) for command in commands]
    check_chain(steps)
    check_studies(steps)
    return (steps,)


def split(words: Iterable[str]) -> list[list[str]]:
    """Return the words before the first `then`, and those of each command after one.

    >>> split(["--recipe", "tiny", "then", "recipe.cpt", "--seed", "1"])
    [['--recipe', 'tiny'], ['recipe.cpt', '--seed', '1']]
    """
    parts: list[list[str]] = [[]]
    for word in words:
        if word == THEN:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def check_recipe(name: str) -> None:
    """Refuse a name that is no recipe.

    Raises:
        ValueError: The message lists the recipes.
    """
    known = recipes()
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise ValueError(f"RECIPE={name}: there is no such recipe in recipe/configs{hint}")


def read(command: list[str]) -> Step:
    """Return a command with its words read by its own parser.

    Raises:
        ValueError: They are wrong; the message begins with the command's name.
    """
    module, *words = command
    step = Step(module, words, None)
    try:
        for option in OWNED.get(module, ()):
            if sum(word.partition("=")[0] == option for word in words) > 1:
                raise ValueError(
                    f"{option} is make's, as other steps read what it names: choose the run's folder with "
                    f"RUN=FOLDER, or run python -m {module} by itself"
                )
        found = read_data_prep(words) if module == "data_prep" else importlib.import_module(module).parse(words)
        check_settings(found)
    except SystemExit:  # of --help, which was printed
        raise ValueError(f"{step.name}: help was asked for, so nothing is run") from None
    except (ValueError, OSError, StageError, yaml.YAMLError) as error:
        raise ValueError(f"{step.name}: {error}") from None
    return Step(module, words, found)


def read_data_prep(words: list[str]) -> tuple[Any]:
    """Return the namespace of a command of data_prep, after the files that it names as settings were read too."""
    from data_prep import __main__ as data_prep
    from data_prep.chain.plan import read_plan
    from data_prep.sources.synthetic_config import read_config
    from data_prep.traces import command as traces
    from data_prep.traces.prompts import Prompts
    from data_prep.traces.template import Wordings

    args = data_prep.parser().parse_args(words)
    if args.command == "synthetic":
        read_config(args.config)
    elif args.command == "build":
        read_plan(args.plan, args.datasets)
    elif args.command == "traces":
        traces.check(args)
        if args.teacher == "template":
            Wordings.read(args.prompts)
        else:
            Prompts.read(args.prompts, "")
    return (args,)


def check_settings(read: tuple[Any, ...]) -> None:
    """Check what a parser leaves to the stage and what needs neither data nor checkpoint: templates and rollouts."""
    from recipe.checks.settings import check_whole_rollouts
    from recipe.inputs.arguments import GRPOArguments, StageArguments
    from recipe.inputs.prompts import load_prompts

    if isinstance(read[0], StageArguments):
        load_prompts(read[0].prompts)
    if isinstance(read[0], GRPOArguments):
        check_whole_rollouts(read[1])


def check_chain(steps: list[Step]) -> None:
    """Refuse a CPT or SFT that writes to another folder than the next step reads.

    Raises:
        ValueError: Two steps do not meet.
    """
    trainings = [step for step in steps if step.module != "data_prep"]
    for step, after in zip(trainings, trainings[1:], strict=False):
        if step.name not in ("cpt", "sft"):
            continue
        written = Path(step.read[1].output_dir)
        sources = [Path(source) for source in starts_of(after, step.name)]
        if sources and written not in sources:
            raise ValueError(
                f"{step.name}: --output_dir {written}, but {after.name} goes on from {sources[0]}: choose the run's "
                f"folder with RUN=FOLDER, give {after.name} that folder too, or run python -m {step.module} by itself"
            )


def starts_of(step: Step, stage: str) -> list[str]:
    """Return the checkpoints that a step may begin from; those of a study are stages in its run's folder.

    A table or figure, which names its checkpoints itself, has none.
    """
    args = step.read[0]
    if step.name in ("sft", "grpo"):
        return [str(step.read[2].model_name_or_path)]
    if step.name == "evaluate":
        return [str(args.model)]
    run = getattr(args, "run", None)
    return [path for path in (getattr(args, "start", None), run and f"{run}/{stage}") if path]


def check_studies(steps: list[Step]) -> None:
    """Refuse a page that would be made from the results of other studies than those before it.

    Raises:
        ValueError: A study writes elsewhere than where the page reads.
    """
    pages = [step for step in steps if step.name == "studies.paper_mini"]
    for page in pages:
        reads = dict.fromkeys(("studies.rewards", "studies.questions"), page.read[0].study_out)
        reads["studies.frame_rates"] = str(Path(page.read[0].fps_study).parent)
        for step in steps:
            if step.name in reads and Path(step.read[0].study_out) != Path(reads[step.name]):
                raise ValueError(
                    f"{step.name}: --study_out {step.read[0].study_out}, but the page is made from "
                    f"{reads[step.name]}: choose the run's folder with RUN=FOLDER"
                )


def main(steps: list[Step]) -> None:
    """Print what will run, and where GRPO writes."""
    if steps:
        names = dict.fromkeys(step.name for step in steps)
        folders = [step.read[1].output_dir for step in steps if step.name == "grpo"]
        print(f"plan: {', '.join(names)}{f'; GRPO in {folders[0]}' if folders else ''}", file=sys.stderr)


if __name__ == "__main__":
    run(parse, main)
