"""Reasoning traces for SFT: a teacher writes the words, the annotations write the numbers (section 3.5, appendix A.3).

    python -m data_prep traces --tracks sft.jsonl --out traces                      # template teacher, no network
    python -m data_prep traces --tracks sft.jsonl --out traces --video_root videos \\
        --teacher openai --base_url http://localhost:8000/v1 --model NAME

writes to the folder `--out`: `traces.jsonl` (the records with their `reasoning`, a track file that recipe.sft
takes), `rejected.jsonl`, `report.json` and `review.html`; with a served teacher also `journal.sqlite`, which holds
every answer that was paid for. The same command goes on from it. Neither teacher writes over the other's traces.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.files import atomic_write
from data_prep.leaks.checking import TOLERANCE_S
from data_prep.records import Record, RecordWriter, read_records
from data_prep.stages import Stage
from data_prep.traces.correction import corrected
from data_prep.traces.folder import FILES, check_paths, stage_of, take_folder
from data_prep.traces.judge import problems_of
from data_prep.traces.outcome import ACCEPTED, REJECTED, Outcome
from data_prep.traces.prompts import DEFAULT, is_traced
from data_prep.traces.report import report, table
from data_prep.traces.review import write_review
from data_prep.traces.served import KEY_NAME, from_server
from data_prep.traces.template import Wordings, compose

EXIT_CODES = {"budget": 3, "error ceiling": 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--tracks", type=Path, required=True, help="track file (JSONL), such as mix's SFT sample")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--video_root", type=Path, help="folder of the videos; a served teacher needs it")
    parser.add_argument("--teacher", choices=("template", "openai"), help="template; openai where --base_url is given")
    parser.add_argument("--prompts", type=Path, default=DEFAULT, help="folder of prompt and wording files")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE_S, help="seconds that a stated time may be off")
    # The folder's settings say `limit`, as they did when the option was called so.
    parser.add_argument("--max_records", "--limit", dest="limit", type=int, help="only the first records")
    parser.add_argument("--seed", type=int, default=0, help="draws wordings and the rows of the review page")
    parser.add_argument("--review", type=int, default=24, metavar="N", help="rows of review.html")
    parser.add_argument(
        "--overwrite_output_dir",
        action="store_true",
        help="move what --out holds aside (to OUT.old-N), a journal too, and make it anew",
    )
    served = parser.add_argument_group("served teacher")
    served.add_argument("--base_url", default=os.environ.get("OPENAI_BASE_URL"), help="else OPENAI_BASE_URL")
    served.add_argument("--model", default=os.environ.get("OPENAI_MODEL"), help="else OPENAI_MODEL")
    served.add_argument(
        "--api_key_env", metavar="NAME", default=KEY_NAME, help="environment variable that holds the key"
    )
    # Any user of the machine sees a command's words. The option goes with the next release.
    served.add_argument("--api_key", help=argparse.SUPPRESS)
    served.add_argument("--temperature", type=float, default=0.7)
    served.add_argument("--answer_tokens", type=int, default=1024, help="longest answer")
    served.add_argument("--frame_side", type=int, default=448, help="longer side of a frame, pixels")
    served.add_argument("--max_frames", type=int, default=64, help="most frames of a clip, at even steps")
    served.add_argument("--no_rewrite", action="store_true", help="reject instead of asking for another wording")
    served.add_argument("--concurrency", type=int, default=8, help="requests under way at once")
    served.add_argument("--requests_per_minute", type=float, help="pace; none: as answers come")
    served.add_argument("--attempts", type=int, default=6, help="tries of a request (429, 5xx, timeouts)")
    served.add_argument("--timeout", type=float, default=120.0, help="longest wait for an answer, seconds")
    served.add_argument("--backoff", type=float, default=1.0, help="scale of the pauses between tries, seconds")
    served.add_argument("--max_requests", type=int, help="stop at this many, those of earlier runs included")
    served.add_argument("--max_tokens", type=int, help="stop at this many, those of earlier runs included")
    served.add_argument("--max_errors", type=int, default=20, help="stop when so many requests failed for good")
    served.add_argument(
        "--price", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens, for the cost"
    )


def run(args: argparse.Namespace) -> int:
    """Make traces. Returns 0, 3 where the budget stopped it, 4 where the error ceiling did.

    Raises:
        RecordError, OSError, ValueError: input that is at fault.
        StageError: the folder holds other traces, another process writes there, or the disk is full.
    """
    check(args)
    check_paths(args)
    stage = stage_of(args)
    whole = args.teacher == "template" and (args.out / "traces.jsonl").is_file()
    if whole and not args.overwrite_output_dir and stage.is_complete():
        return 0
    records, skipped = asked_of(args)
    try:
        take_folder(stage, args)
        return make(args, records, skipped, stage)
    finally:
        stage.release()


def asked_of(args: argparse.Namespace) -> tuple[list[Record], int]:
    """Return the records that get a trace, and how many others there are.

    Raises:
        ValueError: there is none, or two have one id.
    """
    records: list[Record] = []
    skipped = 0
    for record in read_records(args.tracks):
        if args.limit is not None and len(records) >= args.limit:
            break
        if is_traced(record):
            records.append(record)
        else:
            skipped += 1
    if not records:
        raise ValueError(f"{args.tracks}: none of its {skipped} records has one track and a span, or surely no target")
    if len({record["id"] for record in records}) < len(records):
        raise ValueError(f"{args.tracks}: two records have one id, so their answers could not be told apart")
    return records, skipped


def make(args: argparse.Namespace, records: list[Record], skipped: int, stage: Stage) -> int:
    """Write the folder's files from a teacher's traces, each whole or not at all; the stage ends last.

    Returns:
        The exit code (see `run`).
    """
    if args.teacher == "template":
        outcomes, stopped = from_template(records, args), None
        about = {"teacher": "template", "seed": args.seed}
        spent: dict[str, Any] = {}
    else:
        outcomes, stopped, about, spent = asyncio.run(from_server(records, args))
    done = [(record, outcome) for record, outcome in zip(records, outcomes, strict=True) if outcome is not None]
    # What was not asked comes last, so that records and outcomes stand side by side.
    ordered = [record for record, _ in done] + [
        r for r, outcome in zip(records, outcomes, strict=True) if outcome is None
    ]
    judged = [outcome for _, outcome in done]
    result = report(ordered, judged, skipped) | {"about": about, "spent": spent, "stopped": stopped}
    write_outputs(args, done, about)
    with atomic_write(args.out / "report.json") as out:
        json.dump(result, out, indent=1, ensure_ascii=False)
    head = about | result["verdicts"] | spent
    write_review(
        args.out / "review.html",
        ordered,
        judged,
        rows=args.review,
        seed=args.seed,
        video_root=args.video_root,
        about=head,
    )
    print(table(result))
    if spent:
        print("spent, all runs: " + ", ".join(f"{value} {name}" for name, value in spent.items()))
    if stopped:
        print(f"stopped by the {stopped[0]}: {stopped[1]}; the same command goes on from the journal", file=sys.stderr)
        return EXIT_CODES[stopped[0]]
    stage.finish({"verdicts": result["verdicts"]}, files=FILES)
    return 0


def check(args: argparse.Namespace) -> None:
    """Complete the choice of teacher, or raise one line about options that do not fit together."""
    if args.teacher is None:
        args.teacher = "openai" if args.base_url else "template"
    for name in ("concurrency", "attempts", "max_frames", "frame_side", "answer_tokens", "max_errors"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} {getattr(args, name)}: expected 1 or more")
    for name in ("timeout", "requests_per_minute"):
        if getattr(args, name) is not None and not 0 < getattr(args, name) < float("inf"):
            raise ValueError(f"--{name} {getattr(args, name)}: expected a number above 0")
    if not 0 <= args.tolerance < float("inf"):
        raise ValueError(f"--tolerance {args.tolerance}: expected seconds, 0 or more")
    if args.teacher == "openai":
        missing = [flag for flag, value in (("--base_url", args.base_url), ("--model", args.model)) if not value]
        if missing:
            raise ValueError(f"--teacher openai needs {' and '.join(missing)} (or OPENAI_BASE_URL, OPENAI_MODEL)")
        if args.video_root is None:
            raise ValueError("--teacher openai needs --video_root: it is shown the frames")


def from_template(records: list[Record], args: argparse.Namespace) -> list[Outcome | None]:
    """Compose traces from the annotations, and judge them like a teacher's."""
    wordings = Wordings.read(args.prompts)
    outcomes: list[Outcome | None] = []
    for record in tqdm(records, desc="traces", unit="record", mininterval=1.0, file=sys.stderr):
        trace = compose(record, wordings, args.seed)
        problems = problems_of(trace, record, None, args.tolerance)
        if part := wordings.lacks(record):
            problems = [("no wording", f"{args.prompts}/template.txt has no part {part}, which this record needs")]
        reason = ": ".join(problems[0]) if problems else ""
        outcomes.append(Outcome(REJECTED if problems else ACCEPTED, trace, reason))
    return outcomes


def write_outputs(args: argparse.Namespace, done: list[tuple[Record, Outcome]], about: dict[str, Any]) -> None:
    """Write `traces.jsonl` and `rejected.jsonl`, each whole or not at all."""
    with RecordWriter(args.out / "traces.jsonl") as writer:
        for record, outcome in done:
            if outcome.kept:
                writer.write(corrected(record, outcome.trace, about | {"verdict": outcome.verdict}))
    with atomic_write(args.out / "rejected.jsonl") as out:
        for record, outcome in done:
            if not outcome.kept:
                line = {
                    "id": record["id"],
                    "verdict": outcome.verdict,
                    "reason": outcome.reason,
                    "trace": outcome.trace,
                }
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
