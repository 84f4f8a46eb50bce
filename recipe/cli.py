"""How every command of the recipe starts and ends: bad input is one line on stderr and exit code 2, no traceback."""

from __future__ import annotations

import argparse
import errno
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import yaml
from trl import TrlParser

from data_prep.command_line import OneLineParser as OneLineParser
from data_prep.command_line import did_you_mean, keep_one_spelling, respelled, unknown_words
from data_prep.errors import StageError
from data_prep.records import RecordError
from data_prep.video.sampling import VideoError
from recipe.inputs.config_files import merge, of_section, read_file
from recipe.inputs.run_folder import fill, recipe_of, run_folder
from recipe.inputs.secret_settings import refuse_secrets


class Parser(TrlParser):
    """TrlParser whose complaints are one line: the name of the key and the nearest known one, no page of usage.

    `--config` may be given several times: an overlay states what it changes, and nothing is copied. `section` is the
    command's own in overlays that have some (`recipe.inputs.config_files`).

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Settings:
    ...     learning_rate: float = 0.1
    >>> Parser((Settings,)).set_defaults_with_config(learning_rat=1)
    Traceback (most recent call last):
    ValueError: the YAML file: unknown key 'learning_rat'; did you mean 'learning_rate'?

    `$RUN` in a file's values is replaced by the run's folder (see `recipe.inputs.run_folder`); options are not
    abbreviated, and dashes and underscores are the same. A field may state the spelling of its option as `aliases` in
    its metadata: YAML files may say that or the field's name, which is an old option, taken with a note.
    """

    def __init__(self, dataclass_types: Any, section: str | None = None, **options: Any) -> None:
        super().__init__(dataclass_types, **{"allow_abbrev": False} | options)
        self._section = section
        self._files: list[str] = []
        self._old: dict[str, str] = {}
        ignored = {name for kind in self.dataclass_types for name in getattr(kind, "IGNORED", ())}
        for action in self._actions:
            if action.dest in ignored:
                action.help = argparse.SUPPRESS
            # A field's aliases come after its name; the dashed spelling of either is known to `respelled`.
            names = [name for name in action.option_strings if name.startswith("--") and "-" not in name[2:]]
            if names:
                self._old |= keep_one_spelling(action, names[-1])

    def parse_args_and_config(self, args: Iterable[str] | None = None) -> tuple[Any, ...]:
        known = {name for action in self._actions for name in action.option_strings}
        argv = respelled(sys.argv[1:] if args is None else args, known, self._old)
        self._files = []
        while "--config" in argv:
            index = argv.index("--config")
            if index + 1 == len(argv):
                raise ValueError("--config: no file named after it")
            self._files.append(argv[index + 1])
            del argv[index : index + 2]
        self._fill_defaults()
        with merged(self._files, self._section) as config, whatever_the_machine():
            *parsed, others = super().parse_args_and_config([*config, *argv], return_remaining_strings=True)
        if others:
            raise ValueError(unknown_words(others, known, self._old))
        for name, value in ((name, value) for part in parsed for name, value in vars(part).items()):
            if isinstance(value, str) and value.startswith("$RUN"):
                raise ValueError(f"--{name} is missing: name it, or set the environment variable RUN=runs/<recipe>")
        refuse_secrets(parsed)
        return tuple(parsed)

    def set_defaults_with_config(self, **config: Any) -> list[str]:
        known = [action.dest for action in self._actions]
        spelled = {name[2:]: action.dest for action in self._actions for name in action.option_strings}
        config = {key if key in known else spelled.get(key, key): value for key, value in config.items()}
        where = ", ".join(self._files) or "the YAML file"
        source = {key: file for file in self._files for key in of_section(read_file(file), self._section, file)}
        names = {"RUN": run_folder(self._files)}
        # What a run's folder is called after is known when the command line is read (recipe.grpo).
        later = ("VARIANT", "SEED") if "reward" in known else ()
        for key, value in config.items():
            if key not in known:
                hint = did_you_mean(str(key), known) or "; --help lists the known ones"
                raise ValueError(f"{source.get(key, where)}: unknown key {key!r}{hint}")
            config[key] = fill(value, names, where=f"{where}: {key}", later=later)
        return list(super().set_defaults_with_config(**config))

    def _fill_defaults(self) -> None:
        """Fill `$RUN` in the defaults of fields; a study's `configs` is the recipe that it is of."""
        run, recipe = run_folder(self._files), recipe_of(self._files)
        for action in self._actions:
            if action.dest == "configs" and recipe is not None:
                action.default = str(recipe)
            elif run is not None and isinstance(action.default, str) and action.default.startswith("$RUN"):
                action.default = run + action.default[len("$RUN") :]

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def read_settings(path: Path, known: set[str], needed: Iterable[str] = ()) -> dict[str, Any]:
    """Return the settings by name of a YAML file that no stage's parser reads: a table's or a figure's.

    Raises:
        ValueError: No mapping, an unknown `$NAME`, or see `check_keys`.
    """
    settings = read_file(path)
    check_keys(str(path), settings, known, needed)
    names = {"RUN": run_folder([path])}
    return {key: fill(value, names, where=f"{path}: {key}") for key, value in settings.items()}


def check_keys(where: str, settings: Mapping[str, Any], known: set[str], needed: Iterable[str] = ()) -> None:
    """Compare the keys of settings with those that they may and must have.

    Raises:
        ValueError: A key is unknown, or one is missing or empty; the message names it.
    """
    unknown = sorted(settings.keys() - known)
    if unknown:
        hint = did_you_mean(str(unknown[0]), known) or f", expected some of {', '.join(sorted(known))}"
        raise ValueError(f"{where}: unknown key {unknown[0]!r}{hint}")
    for name in needed:
        if not settings.get(name):
            raise ValueError(f"{where}: {name} is missing")


@contextmanager
def merged(files: list[str], section: str | None) -> Iterator[list[str]]:
    """Give the arguments that name one settings file, whose settings are those of several for a command's section."""
    if not files:
        yield []
        return
    settings = merge(files, section)
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "settings.yaml"
        both.write_text(yaml.safe_dump(settings), encoding="utf-8")
        yield ["--config", str(both)]


@contextmanager
def whatever_the_machine() -> Iterator[None]:
    """Let settings for a GPU be read where there is none.

    TrainingArguments refuses `bf16` there with a message about bf16. A recipe can be read and checked on any machine;
    `recipe.preflight` names a missing GPU before a stage begins, with whatever else is missing.
    """
    from transformers import training_args

    upstream = training_args.is_torch_bf16_gpu_available
    training_args.is_torch_bf16_gpu_available = lambda: True
    try:
        yield
    finally:
        training_args.is_torch_bf16_gpu_available = upstream


def run(parse: Callable[[], tuple[Any, ...]], main: Callable[..., Any]) -> NoReturn:
    """Parse, run and exit. A fault of the program itself still shows its traceback."""
    try:
        arguments = parse()
    except (ValueError, OSError, StageError, yaml.YAMLError) as error:
        fail(error)
    try:
        main(*arguments)
    except (RecordError, StageError, VideoError, OSError) as error:
        fail(error)
    except Exception as error:
        if is_disk_full(error):
            fail(OSError(errno.ENOSPC, "No space left on device; free some and run the same command again"))
        if not str(error).startswith("Caught VideoError in DataLoader worker"):
            raise
        fail(error)  # torch could not make a VideoError again and made a RuntimeError
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether a full disk caused an exception: safetensors and torch raise their own kinds, not OSError.

    >>> is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    True
    >>> is_disk_full(RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"))
    True
    """
    # What safetensors says, and torch.save where the file ended early.
    messages = ("No space left on device", "PytorchStreamWriter failed writing", "] . unexpected pos ")
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or any(text in str(error) for text in messages):
            return True
        error = error.__cause__ or error.__context__
    return False


def fail(error: Exception) -> NoReturn:
    """Print one line for the user, and exit with code 2."""
    text = str(error).strip()
    if text.startswith("Caught ") and " in DataLoader worker" in text:
        # What torch says of an error in a worker ends with its traceback's last line, `module.Error: message`.
        text = text.splitlines()[-1].partition(": ")[2]
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(2)
