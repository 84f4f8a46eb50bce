"""Traces of a served teacher: many records under way at once, each answer in the journal before it is used."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from contextlib import aclosing
from typing import Any

from tqdm import tqdm

from data_prep.records import Record
from data_prep.stages import StageError
from data_prep.traces.folder import JOURNAL
from data_prep.traces.outcome import Outcome
from data_prep.traces.prompts import Prompts

KEY_NAME = "OPENAI_API_KEY"


def key_of(args: argparse.Namespace) -> str:
    """Return the endpoint's key from the environment; "" for an endpoint that asks for none.

    Raises:
        StageError: `--api_key_env` names a variable that holds nothing.
    """
    if args.api_key:
        print(
            "warning: --api_key on the command line can be read by every user of the machine; put the key into the "
            "environment (OPENAI_API_KEY, or the variable that --api_key_env names): the option goes",
            file=sys.stderr,
        )
        return str(args.api_key)
    key = os.environ.get(args.api_key_env, "")
    if not key and args.api_key_env != KEY_NAME:
        raise StageError(f"--api_key_env {args.api_key_env}: no such environment variable, or nothing in it")
    return key


async def from_server(
    records: list[Record], args: argparse.Namespace
) -> tuple[list[Outcome | None], tuple[str, str] | None, dict[str, Any], dict[str, Any]]:
    """Return what a served teacher made: (outcome by record, None where not asked; why it stopped; about; spent).

    Raises:
        StageError: a library is missing, or the journal cannot keep answers; those that it has stay.
    """
    try:
        from data_prep.chat_client import ChatClient, Tries
        from data_prep.traces.asker import Asker
        from data_prep.traces.client import Client, Limits, Stopped
        from data_prep.traces.journal import Journal
    except ImportError as error:
        raise StageError(f"--teacher openai needs a library: pip install {error.name}") from None

    frames = f"1 a second, at most {args.max_frames}, longer side {args.frame_side}"
    prompts = Prompts.read(args.prompts, frames)
    journal = Journal(args.out / JOURNAL)
    tries = Tries(
        attempts=args.attempts,
        timeout_s=args.timeout,
        first_wait_s=args.backoff,
        per_minute=args.requests_per_minute,
    )
    limits = Limits(
        concurrency=args.concurrency,
        max_requests=args.max_requests,
        max_tokens=args.max_tokens,
        max_errors=args.max_errors,
    )
    key = key_of(args)
    outcomes: list[Outcome | None] = [None] * len(records)
    waiting = iter(range(len(records)))
    async with aclosing(ChatClient(args.base_url, key, tries)) as chat:
        options = {"temperature": args.temperature, "max_tokens": args.answer_tokens}
        client = Client(chat, args.model, journal, limits, options)
        asker = Asker(
            client, prompts, args.video_root, args.frame_side, args.max_frames, args.tolerance, not args.no_rewrite
        )
        progress = tqdm(total=len(records), desc="traces", unit="record", mininterval=0.5, file=sys.stderr)
        counts = {"accepted": 0, "rejected": 0, "failed": 0}

        async def work() -> None:
            for index in waiting:
                try:
                    outcome = await asker.outcome(records[index])
                except Stopped:
                    return
                outcomes[index] = outcome
                counts["accepted" if outcome.kept else outcome.verdict] += 1
                progress.set_postfix(counts | {"cost": cost_of(journal, args.price)}, refresh=False)
                progress.update()

        try:
            await asyncio.gather(*(work() for _ in range(args.concurrency)))
        except sqlite3.Error as error:
            raise StageError(f"{args.out / JOURNAL}: {error}; move that file away") from None
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
    if journal.problem:
        raise StageError(journal.problem)
    about = {"teacher": args.model, "prompts": prompts.version}
    return outcomes, client.stopped, about, journal_numbers


def cost_of(journal: Any, price: list[float] | None) -> str:
    """Return what was paid: money where prices are known, else tokens."""
    if price is None:
        return f"{journal.tokens} tokens"
    return f"{(journal.tokens_in * price[0] + journal.tokens_out * price[1]) / 1e6:.4f}"
