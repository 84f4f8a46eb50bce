"""Check reasoning traces for leaks: one trace a line from standard input, `ok` or `leak: <reason>` a line.

python -m data_prep check-trace --span 3 8 --seconds 20 < traces.txt

Of several events give `--span` several times; of a sentence without a target give `--no_target` instead.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from data_prep.leaks.checking import TOLERANCE_S, verdict_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--span", type=int, nargs=2, action="append", metavar=("FIRST", "LAST"), help="true seconds, of each event"
    )
    when.add_argument("--no_target", action="store_true", help="nothing fits the sentence: no time may be stated")
    parser.add_argument("--seconds", type=int, metavar="K", required=True, help="seconds of the clip")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE_S, help="seconds before and after the span")


def check_options(events: Sequence[tuple[int, int]], seconds: int, tolerance_s: float) -> None:
    """Raise a ValueError of one line where the options cannot be."""
    for first, last in events:
        if not 0 <= first <= last < seconds:
            raise ValueError(f"--span {first} {last} --seconds {seconds}: expected 0 <= FIRST <= LAST < K")
    if not (math.isfinite(tolerance_s) and tolerance_s >= 0):
        raise ValueError(f"--tolerance {tolerance_s}: expected seconds, 0 or more")


def run(args: argparse.Namespace) -> None:
    """Print a verdict for each line as soon as it is read.

    Raises:
        ValueError: a span outside the clip, or a tolerance below 0.
    """
    events = [(first, last) for first, last in args.span or ()]
    check_options(events, args.seconds, args.tolerance)
    for line in sys.stdin.buffer:
        print(verdict_of(line.decode("utf-8", "replace"), events, args.seconds, args.tolerance), flush=True)
