"""Command lines whose complaints are one line, with the nearest known word for a typo."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" with the nearest known word, or "" where none is near.

    >>> did_you_mean("tinny", ["tiny", "glm-4.1v-9b"])
    "; did you mean 'tiny'?"
    >>> did_you_mean("zzz", ["tiny"])
    ''
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_words(words: Sequence[str], known: Iterable[str]) -> str:
    """Return the complaint about words that a parser left over: the first option among them, else the first word.

    >>> unknown_words(["1", "--learning_rat=2"], ["--learning_rate"])
    "unknown option '--learning_rat'; did you mean '--learning_rate'?"
    """
    options = [word.partition("=")[0] for word in words if word.startswith("-") and len(word) > 1]
    if not options:
        return f"{words[0]!r} is not expected here; --help lists what is"
    return f"unknown option {options[0]!r}{did_you_mean(options[0], known) or '; --help lists the known ones'}"


class OneLineParser(argparse.ArgumentParser):
    """ArgumentParser whose errors are a ValueError of one line instead of a page of usage; `--help` is as ever.

    Options are not abbreviated: an option that is almost right is a typo, and the message names the right one.

    >>> parser = OneLineParser()
    >>> _ = parser.add_argument("--overlay")
    >>> parser.parse_args(["--overla", "x"])
    Traceback (most recent call last):
    ValueError: unknown option '--overla'; did you mean '--overlay'?
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False} | options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the namespace of a command line.

        Raises:
            ValueError: A word is unknown, missing or of the wrong kind.
        """
        found, others = self.parse_known_args(args, namespace)
        if others:
            raise ValueError(unknown_words(others, self._options_of(found)))
        return found

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)

    def _options_of(self, found: argparse.Namespace) -> list[str]:
        """Return the options of this parser and of the command that was chosen."""
        options = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                options += action.choices[getattr(found, action.dest)]._option_string_actions
        return options

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), known) or f" (choose from {', '.join(known)})"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")
