"""Command line: `python -m data_prep <command>`; one command a source, `--help` lists them."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import yaml

from data_prep.annotations import command as boxes
from data_prep.chain import command as build
from data_prep.command_line import OneLineParser
from data_prep.leaks import check_trace
from data_prep.mixing import mix, split
from data_prep.records import RecordError
from data_prep.show import command as show
from data_prep.sources import (
    activitynet,
    charades,
    davis,
    got10k,
    hcstvg,
    lasot,
    mevis,
    mot,
    nextgqa,
    qa,
    qvhighlights,
    refer_youtube_vos,
    revos,
    sav,
    synthetic,
    timelens,
    tnl2k,
    trackingnet,
    vidstg,
    vspw,
    vuestg,
)
from data_prep.stages import StageError
from data_prep.traces import command as traces
from data_prep.video import frames

COMMANDS: dict[str, Any] = {
    "boxes": boxes,
    "synthetic": synthetic,
    "vidstg": vidstg,
    "hcstvg": hcstvg,
    "vuestg": vuestg,
    "mot": mot,
    "trackingnet": trackingnet,
    "got10k": got10k,
    "lasot": lasot,
    "vspw": vspw,
    "sav": sav,
    "davis": davis,
    "tnl2k": tnl2k,
    "refer-youtube-vos": refer_youtube_vos,
    "mevis": mevis,
    "revos": revos,
    "charades": charades,
    "qvhighlights": qvhighlights,
    "timelens": timelens,
    "activitynet": activitynet,
    "nextgqa": nextgqa,
    "qa": qa,
    "build": build,
    "mix": mix,
    "split": split,
    "frames": frames,
    "show": show,
    "traces": traces,
    "check-trace": check_trace,
}


@cache  # a plan reads a command line for each of its steps
def parser() -> OneLineParser:
    """Return the parser of all commands."""
    parser = OneLineParser(prog="python -m data_prep", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns its exit code; 2, with one line on stderr, where the input is at fault."""
    try:
        args = parser().parse_args(arguments)
        return COMMANDS[args.command].run(args) or 0
    except (RecordError, StageError, OSError, ValueError, yaml.YAMLError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from what is there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
