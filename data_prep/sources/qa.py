"""Questions of your own: JSONL of video, question, answer and, where there are any, options.

    python -m data_prep qa --annotations questions.jsonl --out qa.jsonl

A line: {"id": "1", "video": "a.mp4", "question": "what colour is it?", "options": ["red", "blue"], "answer": "red"}
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Text, add_arguments, convert
from data_prep.reasons import Reason

__all__ = ["add_arguments", "run"]
NAME = "qa"
LONGEST = 1 << 20  # bytes of a line


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a line."""
    with args.annotations.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST):
            number += 1
            if line.strip():
                yield item_of(line, number, args.split or args.annotations.stem)


def item_of(line: bytes, number: int, split: str) -> Item:
    """One question."""
    place = f"{NAME}/{split}/{number}"
    try:
        record: Any = json.loads(line)
        place = f"{NAME}/{split}/{record.get('id', number)}"
        query, answer, options = str(record["question"]), str(record["answer"]), record.get("options") or []
        if not isinstance(options, list) or len(options) > len(ascii_uppercase):
            raise TypeError("options: expected a list of at most 26 texts")
        lettered = [f"({letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
        if options and answer in options:
            answer = lettered[options.index(answer)]
        video = str(record["video"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Dropped(place, Reason.MALFORMED, f"line {number}: {type(error).__name__} {error}"[:200])
    return Text(place, split, "qa", video, "\n".join([query, *lettered]) if query.strip() else "", answer)
