"""Command lines whose complaints are one line, with a hint for a typo, and in which an option has one spelling."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
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


def keep_one_spelling(action: argparse.Action, shown: str) -> dict[str, str]:
    """Leave an option the long spelling `shown`, which help and errors print; return its other ones, old -> shown.

    Spellings that differ in dashes and underscores only are no old ones: `respelled` takes them as they are.
    """
    others = [name for name in action.option_strings if name.startswith("--") and name != shown]
    action.option_strings = [name for name in action.option_strings if name not in others]
    if others and action.nargs != 0 and action.choices is None:
        action.metavar = action.metavar or shown[2:].upper()
    return {name: shown for name in others if name.replace("-", "_") != shown.replace("-", "_")}


def respelled(argv: Iterable[str], known: Collection[str], old: Mapping[str, str]) -> list[str]:
    """Return the arguments of a command line with each known option in its one spelling; note old ones on stderr.

    Dashes and underscores are the same. Options that are not known stay as they are, and so does all after a `--`.

    >>> respelled(["--frame-rate=2", "--no-such", "a-b"], ["--frame_rate"], {})
    ['--frame_rate=2', '--no-such', 'a-b']
    """
    argv = list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    return [_one_spelling(word, known, old) if word.startswith("--") else word for word in argv[:end]] + argv[end:]


def _one_spelling(word: str, known: Collection[str], old: Mapping[str, str]) -> str:
    given, equals, value = word.partition("=")
    name = given if given in known else f"--{given[2:].replace('-', '_')}"
    if name in known:
        return f"{name}{equals}{value}"
    if name in old:
        print(f"{given} is now {old[name]}; the old spelling goes with the next release", file=sys.stderr)
        return f"{old[name]}{equals}{value}"
    return word


def unknown_words(argv: Sequence[str], known: Iterable[str], old: Mapping[str, str] | None = None) -> str:
    """Return the complaint about arguments that a parser left over: the first option among them, else the first one.

    What is nearest to an old spelling (old -> new) is told the new one.

    >>> unknown_words(["1", "--learning_rat=2"], ["--learning_rate"])
    "unknown option '--learning_rat'; did you mean '--learning_rate'?"
    """
    options = [word.partition("=")[0] for word in argv if word.startswith("-") and len(word) > 1]
    if not options:
        return f"{argv[0]!r} is not expected here; --help lists what is"
    old = old or {}
    near = difflib.get_close_matches(options[0], [*known, *old], n=1)
    hint = f"; did you mean {old.get(near[0], near[0])!r}?" if near else "; --help lists the known ones"
    return f"unknown option {options[0]!r}{hint}"


class OneLineParser(argparse.ArgumentParser):
    """ArgumentParser whose errors are a ValueError of one line instead of a page of usage; `--help` is as ever.

    Options are not abbreviated: an option that is almost right is a typo, and the message names the right one. Dashes
    and underscores are the same. Where an option is added with several long names, the first is its spelling; the
    others are old ones, which are taken with a note and which help does not show.

    >>> parser = OneLineParser()
    >>> _ = parser.add_argument("--overlay")
    >>> parser.parse_args(["--overla", "x"])
    Traceback (most recent call last):
    ValueError: unknown option '--overla'; did you mean '--overlay'?
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False} | options)
        self._old: dict[str, str] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the namespace of a command line, and the words that are not this parser's."""
        for action in self._actions:
            names = [name for name in action.option_strings if name.startswith("--")]
            if len(names) > 1:
                self._old |= keep_one_spelling(action, names[0])
        known = {name for action in self._actions for name in action.option_strings}
        argv = respelled(sys.argv[1:] if args is None else args, known, self._old)
        return super().parse_known_args(argv, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the namespace of a command line.

        Raises:
            ValueError: A word is unknown, missing or of the wrong kind.
        """
        namespace, others = self.parse_known_args(args, namespace)
        if others:
            parsers = self._parsers_of(namespace)
            known = [name for one in parsers for action in one._actions for name in action.option_strings]
            raise ValueError(
                unknown_words(others, known, {old: new for one in parsers for old, new in one._old.items()})
            )
        return namespace

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)

    def _parsers_of(self, namespace: argparse.Namespace) -> list[OneLineParser]:
        """Return this parser and that of the command that was chosen."""
        commands = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [self, *(action.choices[getattr(namespace, action.dest)] for action in commands)]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), known) or f" (choose from {', '.join(known)})"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")
