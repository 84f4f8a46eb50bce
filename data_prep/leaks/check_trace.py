"""Check reasoning traces for leaks: one trace a line from standard input, `ok` or `leak: <reason>` a line.

python -m data_prep check-trace --span 3 8 --seconds 20 < traces.txt
"""

from __future__ import annotations

import argparse
import math
import sys

from data_prep.leaks.checking import TOLERANCE_S, verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--span", type=int, nargs=2, metavar=("FIRST", "LAST"), required=True, help="true seconds")
    parser.add_argument("--seconds", type=int, metavar="K", required=True, help="seconds of the clip")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE_S, help="seconds before and after the span")


def check_options(span: tuple[int, int], seconds: int, tolerance_s: float) -> None:
    """Raise a ValueError of one line where the options cannot be."""
    if not 0 <= span[0] <= span[1] < seconds:
        raise ValueError(f"--span {span[0]} {span[1]} --seconds {seconds}: expected 0 <= FIRST <= LAST < K")
    if not (math.isfinite(tolerance_s) and tolerance_s >= 0):
        raise ValueError(f"--tolerance {tolerance_s}: expected seconds, 0 or more")


def run(args: argparse.Namespace) -> None:
    """Print a verdict for each line as soon as it is read.

    Raises:
        ValueError: a span outside the clip, or a tolerance below 0.
    """
    span = (args.span[0], args.span[1])
    check_options(span, args.seconds, args.tolerance)
    for line in sys.stdin.buffer:
        print(verdict(line.decode("utf-8", "replace"), span, args.seconds, args.tolerance), flush=True)
