"""The common form of a measurement: a row with ours, the peer and their ratio, printed and kept for `make bench`.

Each bench takes `--quick` (sizes at which all together take minutes) and `--rows FILE`, to which a row is added as
soon as it is measured. `python -m bench` runs them all and writes one table of the rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recipe.evaluation.tables import markdown_table

HEADS = ("bench", "what", "ours", "peer", "ratio", "tokens, ours / peer's", "operations", "peak memory")
BYTES, OPERATIONS = "B", "FLOP"
PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


@dataclass(frozen=True)
class Pair:
    """The same figure of ours and of the peer.

    Attributes:
        ours, peer: in one unit; None: there is no peer.
    """

    ours: float
    peer: float | None = None

    @property
    def ratio(self) -> str:
        """How much less or more than the peer's ours is.

        >>> Pair(2.0, 7.0).ratio, Pair(7.0, 2.0).ratio, Pair(2.0, 2.004).ratio, Pair(2.0).ratio, Pair(0.0, 2.0).ratio
        ('3.5x less', '3.5x more', '1x', '', '')
        """
        if self.peer is None or self.ours <= 0 or self.peer <= 0:
            return ""
        factor = max(self.peer / self.ours, self.ours / self.peer)
        return f"{factor:.3g}x" + (f" {'less' if self.ours < self.peer else 'more'}" if factor >= 1.005 else "")

    def text(self, unit: str) -> str:
        """Return both figures and their ratio.

        >>> Pair(962, 4672).text("")
        '962 / 4,672, 4.86x less'
        """
        if self.peer is None:
            return number(self.ours, unit)
        return f"{number(self.ours, unit)} / {number(self.peer, unit)}" + (f", {self.ratio}" if self.ratio else "")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        bench: name of the module that measured it.
        what: what was measured, with its size; where nothing was, why.
        figure: the main figure; None: nothing was measured.
        unit: of the main figure.
        against: what the peer is.
        tokens, flops, memory: what went through the model, operations, and bytes at the peak, where that applies.
    """

    bench: str
    what: str
    figure: Pair | None = None
    unit: str = ""
    against: str = ""
    tokens: Pair | None = None
    flops: Pair | None = None
    memory: Pair | None = None

    def cells(self) -> list[str]:
        """Return the row's cells, one for each of `HEADS`."""
        ours = peer = ratio = ""
        if self.figure is not None:
            ours, ratio = number(self.figure.ours, self.unit), self.figure.ratio
            peer = "" if self.figure.peer is None else f"{number(self.figure.peer, self.unit)} ({self.against})"
        others = ((self.tokens, ""), (self.flops, OPERATIONS), (self.memory, BYTES))
        cells = [self.bench, self.what, ours, peer, ratio, *(pair.text(unit) if pair else "" for pair, unit in others)]
        return [cell.replace("|", "/").replace("\n", " ") for cell in cells]


def number(value: float, unit: str = "") -> str:
    """Return a figure with three digits that count; bytes and operations with a prefix.

    >>> number(12800), number(0.01234, "s"), number(1.16e9, "B"), number(60.2e9, "FLOP"), number(999.6)
    ('12,800', '0.0123 s', '1.16 GB', '60.2 GFLOP', '1,000')
    """
    if unit in (BYTES, OPERATIONS):
        prefix, scale = next(((p, s) for p, s in PREFIXES if abs(value) >= s), ("", 1.0))
        return f"{value / scale:.3g} {prefix}{unit}"
    digits = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


class Report:
    """Prints a bench's rows as they are measured, and adds them to a file where one is named.

    Args:
        bench: name of the module.
        file: JSON lines, one a row; None: rows are only printed.
    """

    def __init__(self, bench: str, file: Path | None = None) -> None:
        self.bench, self.file = bench, file

    def add(
        self,
        what: str,
        ours: float,
        peer: float | None = None,
        unit: str = "",
        against: str = "",
        *,
        tokens: Pair | None = None,
        flops: Pair | None = None,
        memory: Pair | None = None,
    ) -> None:
        """Print and keep a measurement; see `Row` for the arguments."""
        self._keep(Row(self.bench, what, Pair(ours, peer), unit, against, tokens, flops, memory))

    def leave_out(self, reason: str) -> None:
        """Print and keep that something was not run, and why."""
        self._keep(Row(self.bench, f"not run: {reason}"))

    def _keep(self, row: Row) -> None:
        figures = ", ".join(cell for cell in row.cells()[2:] if cell)
        print(f"{row.what}: {figures}" if figures else row.what, flush=True)
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(row)) + "\n")


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a bench's options, with the two that all have.

    Args:
        description: the module's docstring.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller: all benches together take minutes")
    parser.add_argument("--rows", type=Path, help="add the rows to this file (JSON lines)")
    return parser


def read_rows(file: Path) -> list[Row]:
    """Return the rows that a bench added to a file; none where it is not there."""
    if not file.is_file():
        return []
    return [row_of(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def row_of(fields: dict[str, Any]) -> Row:
    """Return a row from the fields that its line of JSON holds."""
    return Row(**{name: Pair(**value) if isinstance(value, dict) else value for name, value in fields.items()})


def table_of(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown_table(HEADS, [row.cells() for row in rows], text_columns=2)
