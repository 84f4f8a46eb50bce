"""Read files of one JSON value a line, whatever a line's length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

LONGEST = 1 << 20  # bytes of a line


def read_lines(path: Path, longest: int = LONGEST) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number of each line that is not blank, from 1, and the line; None for one of `longest` bytes or more.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(longest):
            number += 1
            if len(line) == longest and not line.endswith(b"\n"):
                while (rest := stream.readline(longest)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
            elif not line.isspace():
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
