"""How every command of the recipe starts and ends: bad input is one line on stderr and exit code 2, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import yaml

from data_prep.records import RecordError
from data_prep.stages import StageError
from data_prep.video import VideoError


def run(parse: Callable[[], tuple[Any, ...]], main: Callable[..., Any]) -> NoReturn:
    """Parse, run and exit. A fault of the program itself still shows its traceback."""
    try:
        arguments = parse()
    except (ValueError, OSError, yaml.YAMLError) as error:
        fail(error)
    try:
        main(*arguments)
    except (RecordError, StageError, VideoError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def fail(error: Exception) -> NoReturn:
    """One line for the user, exit code 2."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2)
