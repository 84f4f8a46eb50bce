"""A file of answers: a first line that says how they were made, then one JSON object a line; never half-written.

While answers come they are appended to `NAME.part`, each on the disk before the next is asked for; at the end the
whole file takes its place in one step. What an interrupted call left is gone on with and never truncated.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from data_prep.files import atomic_write
from data_prep.locks import Lock
from recipe.inference.about import about_of
from recipe.inference.answer_key import AnswerKey, check_known

Line = dict[str, Any]


def read_lines(path: Path) -> dict[str, Line]:
    """Return id -> line of a file of answers; what was not written whole is left out, no file gives {}."""
    return _read(path)[1]


class AnswersFile:
    """The answers under one key, locked while they are made.

    Use it as a context manager; `known` then holds what earlier calls left.

    Args:
        out: where the file is to lie.
        key: what its answers depend on.

    Raises (on entering):
        StageError: The file, or what an interrupted call left of it, was made under another key.
        InUse: Another process is at work on it.
    """

    def __init__(self, out: Path, key: AnswerKey) -> None:
        self.out, self.key = out, key
        self.partial = out.with_name(out.name + ".part")
        self.known: dict[str, Line] = {}
        self._lock = Lock(out)
        self._stream: IO[str] | None = None
        self._added = False

    def whole(self) -> dict[str, Line]:
        """Return id -> line of the finished file, without taking the lock; {} where there is none.

        Raises:
            StageError: It was made under another key.
        """
        about, lines, _ = _read(self.out)
        if self.out.is_file():
            check_known(self.key, about, self.out)
        return lines

    def __enter__(self) -> AnswersFile:
        self._lock.acquire()
        try:
            self.known = self.whole()
            about, lines, _ = _read(self.partial)
            if lines or about is not None:  # else nothing but a first line that a kill cut short
                check_known(self.key, about, self.partial)
            self.known |= lines
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._lock.release()

    def outdated(self, stamps: Mapping[str, str | None]) -> None:
        """Take back the answers about videos that are no longer what they were; all answers are kept in a copy.

        Args:
            stamps: id -> `video_stamp` of its video now; None where that is not known.
        """
        changed = {
            name
            for name, line in self.known.items()
            if stamps.get(name) and line.get("video_stamp") not in (None, stamps[name])
        }
        if not changed:
            return
        aside = _free(self.out)
        self._write(aside, self.known.values())
        print(
            f"{self.out}: {len(changed)} of {len(self.known)} answers are about videos that have changed, and are "
            f"asked for again; the old ones are kept in {aside.name}",
            file=sys.stderr,
        )
        self.known = {name: line for name, line in self.known.items() if name not in changed}
        self._write(self.partial, self.known.values())
        self.out.unlink(missing_ok=True)

    def add(self, lines: Iterable[Line]) -> None:
        """Append answers, each an object with an `id`, and wait until they are on the disk."""
        stream = self._stream or self._open()
        for line in lines:
            stream.write(_text(line))
            self.known[line["id"]] = line
        stream.flush()
        os.fsync(stream.fileno())
        self._added = True

    def kept(self, count: int) -> str:
        """Say how many of `count` answers an interrupted call leaves, and where."""
        where = self.partial if self.partial.is_file() else self.out
        return f"{len(self.known)} of {count} answers are in {where}, and the same command goes on from them"

    def finish(self, order: Iterable[str]) -> None:
        """Put the whole file in its place, its answers in the order of these ids; those of no such id come last."""
        self._close()
        if self._added or self.partial.exists() or not self.out.exists():
            names = [name for name in dict.fromkeys(order) if name in self.known]
            rest = [name for name in self.known if name not in set(names)]
            self._write(self.out, [self.known[name] for name in [*names, *rest]])
            self.partial.unlink(missing_ok=True)

    def _open(self) -> IO[str]:
        """Open the part file to append; where it lacks an answer or its end was cut, it is written anew aside."""
        about, lines, clean = _read(self.partial)
        if about is None or not clean or not self.known.keys() <= lines.keys():
            self._write(self.partial, self.known.values())
        self._stream = self.partial.open("a", encoding="utf-8", newline="\n")
        return self._stream

    def _write(self, path: Path, lines: Iterable[Line]) -> None:
        with atomic_write(path) as stream:
            stream.write(self.key.first_line())
            stream.writelines(map(_text, lines))

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _read(path: Path) -> tuple[dict[str, Any] | None, dict[str, Line], bool]:
    """Return (what the first line says, id -> line, whether every line was written whole)."""
    about, lines, clean = None, {}, True
    if not path.is_file():
        return None, {}, True
    with path.open(encoding="utf-8", errors="replace", newline="\n") as stream:
        for number, text in enumerate(stream):
            try:
                item = json.loads(text)
                if number == 0 and (header := about_of(item)) is not None:
                    about = header
                else:
                    lines[_name(item)] = item
            except (ValueError, KeyError, TypeError, RecursionError):
                clean = False
                continue
            clean = clean and text.endswith("\n")
    return about, lines, clean


def _text(line: Line) -> str:
    """Return a line with its end, readable in any script; half of a surrogate pair, which UTF-8 lacks, is escaped."""
    text = json.dumps(line, ensure_ascii=False) + "\n"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(line) + "\n"
    return text


def _name(item: Any) -> str:
    name = item["id"]
    if not isinstance(name, str):
        raise TypeError("an id that is no text")
    return name


def _free(path: Path) -> Path:
    """Return `NAME.old-N` with the first N from 1 that is free."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return aside
