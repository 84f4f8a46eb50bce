"""Reasoning traces for SFT: a teacher writes the words, the annotations write the numbers (section 3.5, appendix A.3).

    python -m data_prep traces --tracks sft.jsonl --out traces                      # template teacher, no network
    python -m data_prep traces --tracks sft.jsonl --out traces --video-root videos \\
        --teacher openai --base-url http://localhost:8000/v1 --model NAME

writes to the folder `--out`: `traces.jsonl` (the records with their `reasoning`, a track file that recipe.sft
takes), `rejected.jsonl`, `report.json` and `review.html`; with a served teacher also `journal.sqlite`, which holds
every answer that was paid for. The same command goes on from it.
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
from data_prep.leaks import TOLERANCE_S
from data_prep.records import RecordWriter, read_records
from data_prep.stages import Stage, StageError
from data_prep.trace_correction import corrected
from data_prep.trace_judge import problems_of
from data_prep.trace_outcome import ACCEPTED, REJECTED, Outcome
from data_prep.trace_prompts import DEFAULT, Prompts
from data_prep.trace_report import report, table
from data_prep.trace_review import write_review
from data_prep.trace_template import Wordings, compose
from data_prep.validation import GROUNDING_KINDS

EXIT_CODES = {"budget": 3, "error ceiling": 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--tracks", type=Path, required=True, help="track file (JSONL), such as mix's SFT sample")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--video-root", type=Path, help="folder of the videos; a served teacher needs it")
    parser.add_argument("--teacher", choices=("template", "openai"), help="template; openai where --base-url is given")
    parser.add_argument("--prompts", type=Path, default=DEFAULT, help="folder of prompt and wording files")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE_S, help="seconds that a stated time may be off")
    parser.add_argument("--limit", type=int, help="only the first records")
    parser.add_argument("--seed", type=int, default=0, help="draws wordings and the rows of the review page")
    parser.add_argument("--review", type=int, default=24, metavar="N", help="rows of review.html")
    served = parser.add_argument_group("served teacher")
    served.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL"), help="else OPENAI_BASE_URL")
    served.add_argument("--model", default=os.environ.get("OPENAI_MODEL"), help="else OPENAI_MODEL")
    served.add_argument("--api-key", help="else OPENAI_API_KEY, which other users of the machine cannot see")
    served.add_argument("--temperature", type=float, default=0.7)
    served.add_argument("--answer-tokens", type=int, default=1024, help="longest answer")
    served.add_argument("--frame-side", type=int, default=448, help="longer side of a frame, pixels")
    served.add_argument("--max-frames", type=int, default=64, help="most frames of a clip, at even steps")
    served.add_argument("--no-rewrite", action="store_true", help="reject instead of asking for another wording")
    served.add_argument("--concurrency", type=int, default=8, help="requests under way at once")
    served.add_argument("--requests-per-minute", type=float, help="pace; none: as answers come")
    served.add_argument("--attempts", type=int, default=6, help="tries of a request (429, 5xx, timeouts)")
    served.add_argument("--timeout", type=float, default=120.0, help="longest wait for an answer, seconds")
    served.add_argument("--backoff", type=float, default=1.0, help="scale of the pauses between tries, seconds")
    served.add_argument("--max-requests", type=int, help="stop at this many, those of earlier runs included")
    served.add_argument("--max-tokens", type=int, help="stop at this many, those of earlier runs included")
    served.add_argument("--max-errors", type=int, default=20, help="stop when so many requests failed for good")
    served.add_argument(
        "--price", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens, for the cost"
    )


def run(args: argparse.Namespace) -> int:
    """Make traces. Returns 0, 3 where the budget stopped it, 4 where the error ceiling did.

    Raises:
        RecordError, OSError, ValueError, StageError: input that is at fault.
    """
    check(args)
    stage = template_stage(args) if args.teacher == "template" else None
    if stage is not None and (args.out / "traces.jsonl").is_file() and stage.is_complete():
        return 0
    records: list[dict[str, Any]] = []
    skipped = 0
    for record in read_records(args.tracks):
        if args.limit is not None and len(records) >= args.limit:
            break
        if record["kind"] in GROUNDING_KINDS and record["track"]:
            records.append(record)
        else:
            skipped += 1
    if not records:
        raise ValueError(f"{args.tracks}: none of its {skipped} records has one track and a span")
    if len({record["id"] for record in records}) < len(records):
        raise ValueError(f"{args.tracks}: two records have one id, so their answers could not be told apart")
    args.out.mkdir(parents=True, exist_ok=True)
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
    if stage is not None:
        stage.finish({"verdicts": result["verdicts"]})
    return 0


def template_stage(args: argparse.Namespace) -> Stage:
    """What the template teacher's output depends on, so that the same is not made again.

    A served teacher has its journal instead, and nothing in its folder is ever deleted.
    """
    names = ("teacher", "tolerance", "limit", "seed", "review", "video_root")
    wordings = Wordings.read(args.prompts)
    texts = {part: [template.template for template in found] for part, found in wordings.parts.items()}
    settings = {name: getattr(args, name) for name in names}
    settings |= {"wordings": texts, "attributes": sorted(wordings.attributes)}
    return Stage(args.out, "traces", settings, [args.tracks])


def check(args: argparse.Namespace) -> None:
    """Complete the choice of teacher, or raise one line about options that do not fit together."""
    if args.teacher is None:
        args.teacher = "openai" if args.base_url else "template"
    for name in ("concurrency", "attempts", "max_frames", "frame_side", "answer_tokens", "max_errors"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(args, name)}: expected 1 or more")
    for name in ("timeout", "requests_per_minute"):
        if getattr(args, name) is not None and not 0 < getattr(args, name) < float("inf"):
            raise ValueError(f"--{name.replace('_', '-')} {getattr(args, name)}: expected a number above 0")
    if not 0 <= args.tolerance < float("inf"):
        raise ValueError(f"--tolerance {args.tolerance}: expected seconds, 0 or more")
    if args.teacher == "openai":
        missing = [flag for flag, value in (("--base-url", args.base_url), ("--model", args.model)) if not value]
        if missing:
            raise ValueError(f"--teacher openai needs {' and '.join(missing)} (or OPENAI_BASE_URL, OPENAI_MODEL)")
        if args.video_root is None:
            raise ValueError("--teacher openai needs --video-root: it is shown the frames")


def from_template(records: list[dict[str, Any]], args: argparse.Namespace) -> list[Outcome | None]:
    """Traces composed from the annotations, judged like a teacher's."""
    wordings = Wordings.read(args.prompts)
    outcomes: list[Outcome | None] = []
    for record in tqdm(records, desc="traces", unit="record", mininterval=1.0, file=sys.stderr):
        trace = compose(record, wordings, args.seed)
        problems = problems_of(trace, record, None, args.tolerance)
        reason = ": ".join(problems[0]) if problems else ""
        outcomes.append(Outcome(REJECTED if problems else ACCEPTED, trace, reason))
    return outcomes


async def from_server(
    records: list[dict[str, Any]], args: argparse.Namespace
) -> tuple[list[Outcome | None], tuple[str, str] | None, dict[str, Any], dict[str, Any]]:
    """Traces of a served teacher: (outcome by record, None where it was not asked; why it stopped; about; spent)."""
    try:
        import openai

        from data_prep.trace_asker import Asker
        from data_prep.trace_client import Client, Limits, Stopped
        from data_prep.trace_journal import Journal
    except ImportError as error:
        raise StageError(f"--teacher openai needs a library: pip install {error.name}") from None

    frames = f"1 a second, at most {args.max_frames}, longer side {args.frame_side}"
    prompts = Prompts.read(args.prompts, frames)
    journal = Journal(args.out / "journal.sqlite")
    limits = Limits(
        concurrency=args.concurrency,
        per_minute=args.requests_per_minute,
        attempts=args.attempts,
        timeout_s=args.timeout,
        first_wait_s=args.backoff,
        max_requests=args.max_requests,
        max_tokens=args.max_tokens,
        max_errors=args.max_errors,
    )
    key = args.api_key or os.environ.get("OPENAI_API_KEY") or "none"
    outcomes: list[Outcome | None] = [None] * len(records)
    waiting = iter(range(len(records)))
    async with openai.AsyncOpenAI(
        base_url=args.base_url, api_key=key, timeout=args.timeout, max_retries=0
    ) as endpoint:
        options = {"temperature": args.temperature, "max_tokens": args.answer_tokens}
        client = Client(endpoint, args.model, journal, limits, options)
        asker = Asker(
            client, prompts, args.video_root, args.frame_side, args.max_frames, args.tolerance, not args.no_rewrite
        )
        progress = tqdm(total=len(records), desc="traces", unit="record", mininterval=0.5, file=sys.stderr)
        counts = {"accepted": 0, "rejected": 0, "failed": 0}

        async def work() -> None:
            for place in waiting:
                try:
                    outcome = await asker.outcome(records[place])
                except Stopped:
                    return
                outcomes[place] = outcome
                counts["accepted" if outcome.kept else outcome.verdict] += 1
                progress.set_postfix(counts | {"cost": cost_of(journal, args.price)}, refresh=False)
                progress.update()

        try:
            await asyncio.gather(*(work() for _ in range(args.concurrency)))
        finally:
            progress.close()
            journal_numbers = {
                "requests": journal.requests,
                "tokens in": journal.tokens_in,
                "tokens out": journal.tokens_out,
            }
            if args.price:
                journal_numbers["cost"] = cost_of(journal, args.price)  # type: ignore[assignment]
            journal.close()
    about = {"teacher": args.model, "prompts": prompts.version}
    return outcomes, client.stopped, about, journal_numbers


def cost_of(journal: Any, price: list[float] | None) -> str:
    """What was paid: money where prices are known, else tokens."""
    if price is None:
        return f"{journal.tokens} tokens"
    return f"{(journal.tokens_in * price[0] + journal.tokens_out * price[1]) / 1e6:.4f}"


def write_outputs(args: argparse.Namespace, done: list[tuple[dict[str, Any], Outcome]], about: dict[str, Any]) -> None:
    """`traces.jsonl` and `rejected.jsonl`, each whole or not at all."""
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
