"""A table in Markdown, as every page and study prints it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table in Markdown, without a line end after it.

    Args:
        heads: a title a column.
        rows: cells, as many a row as there are titles.
        text_columns: how many columns, from the left, hold text; the others hold numbers and are aligned to the right.

    >>> print(markdown_table(["metric", "SFT"], [["vIoU", "0.31"]]))
    | metric | SFT |
    |---|---:|
    | vIoU | 0.31 |
    """
    first, *others = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([first, "|" + "---|" * text_columns + "---:|" * (len(heads) - text_columns), *others])
