"""The folder of traces: whose it is, so that one teacher never writes over the other's, and a kill is seen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from data_prep.files import remove_leftovers
from data_prep.identity import check_outputs
from data_prep.stages import Stage, StageError, read_stamp
from data_prep.stamps import VERSION, Difference, write_stamp
from data_prep.traces.template import COMPOSER, Wordings

FILES = ("traces.jsonl", "rejected.jsonl", "report.json", "review.html")
JOURNAL = "journal.sqlite"
OF_THE_PAGE = {"review", "video_root"}  # settings that change review.html and no trace
# Settings of a served teacher that stand in the stamp for people: the journal keeps answers by what was asked.
ASKED_WITH = (
    "model", "tracks", "prompts", "limit", "seed", "tolerance", "no_rewrite", "temperature", "answer_tokens",
    "frame_side", "max_frames",
)  # fmt: skip


def check_paths(args: argparse.Namespace) -> None:
    """Refuse an output that is an input.

    Raises:
        StageError: see `check_outputs`.
    """
    outputs: dict[str, Path | None] = {"--out": args.out}
    outputs |= {f"--out, {name}": args.out / name for name in (*FILES, JOURNAL)}
    check_outputs(outputs, [args.tracks, args.video_root, args.prompts if args.prompts.is_dir() else None])


def stage_of(args: argparse.Namespace) -> Stage:
    """Return the stage of the folder.

    The template teacher's traces depend on wordings, seed and records, so that the same are not made again. A served
    teacher's answers are in the journal, each under what was asked; the folder only is that teacher's.
    """
    if args.teacher != "template":
        beside = {name: getattr(args, name) for name in ASKED_WITH}
        ways = ["moving away a file in it that you changed"]
        return Stage(args.out, "traces", {"teacher": args.teacher}, beside=beside, ways=ways)
    wordings = Wordings.read(args.prompts)
    texts = {part: [template.template for template in templates] for part, templates in wordings.parts.items()}
    settings = {name: getattr(args, name) for name in ("teacher", "tolerance", "limit", "seed", *sorted(OF_THE_PAGE))}
    settings |= {"wordings": texts, "attributes": sorted(wordings.attributes), "composer": COMPOSER}
    served = args.out / JOURNAL
    if served.is_file() and not args.overwrite_output_dir:
        raise StageError(
            f"{args.out}: holds the traces of a served teacher and the answers that it was paid for ({JOURNAL}); "
            "nothing was touched. Ways on: that teacher's options again (with make: TRACES_ARGS), another --out, or "
            "--overwrite_output_dir, which moves that folder aside"
        )
    return Stage(args.out, "traces", settings, [args.tracks], defaults={"composer": 1})


def take_folder(stage: Stage, args: argparse.Namespace) -> None:
    """Lock the folder, note in its stamp that its traces are not whole now, and remove what kills left half written.

    Raises:
        StageError: it holds other traces, or another process is at work there.
    """
    journal = args.out / JOURNAL
    template = args.teacher == "template"

    def goes_on(differences: Sequence[Difference]) -> bool:
        names = {difference.name for difference in differences}
        if template:
            return names <= OF_THE_PAGE
        changed_by_hand = any(name.endswith(" in it") for name in names)
        return journal.is_file() and not changed_by_hand

    if not template and journal.is_file() and read_stamp(args.out) is None:  # of a version that left no stamp there
        history = [{"event": f"{JOURNAL} was there"}]
        write_stamp(
            args.out,
            {"version": VERSION, "stage": stage.name, "fingerprint": stage.fingerprint, "complete": False}
            | {"settings": stage.settings, "inputs": {}, "beside": {}, "files": {}, "results": {}, "history": history},
        )
    stage.begin(overwrite=args.overwrite_output_dir, goes_on=goes_on)
    remove_leftovers(*(args.out / name for name in FILES))
