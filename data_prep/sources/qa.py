"""Questions of your own: JSONL of video, question, answer and, where there are any, options.

    python -m data_prep qa --annotations questions.jsonl --out qa.jsonl

A line: {"id": "1", "video": "a.mp4", "question": "what colour is it?", "options": ["red", "blue"], "answer": "red"}
The answer to a question with options is one of them, or its letter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import orjson

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Text, add_arguments, convert
from data_prep.convert.json_lines import LONGEST, read_lines
from data_prep.convert.reasons import Reason

__all__ = ["add_arguments", "run"]
NAME = "qa"


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args, has_frames=False)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each line."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.glob("*.jsonl")):
        if root.is_dir() and args.split not in (None, path.stem):
            continue
        split = args.split or path.stem
        for number, line in read_lines(path):
            if line is None:
                detail = f"{path}:{number}: a line of {LONGEST} bytes or more"
                yield Dropped(f"{NAME}/{split}/{number}", Reason.MALFORMED, detail)
            else:
                yield item_of(line, number, split, path)


def item_of(line: bytes, number: int, split: str, path: Path) -> Item:
    """Return the item of one question."""
    record_id = f"{NAME}/{split}/{number}"
    try:
        record: Any = orjson.loads(line)
        record_id = f"{NAME}/{split}/{record.get('id', number)}"
        query, video, options = record["question"], record["video"], record.get("options") or []
        answer = record["answer"]
        if type(query) is not str or type(video) is not str:
            raise TypeError(f"question {query!r:.40}, video {video!r:.40}, expected texts")
        if type(answer) not in (str, int, float):
            raise TypeError(f"answer {answer!r:.40}, expected text")
        answer = str(answer)
        if options:
            options, answer = lettered(options, answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Dropped(record_id, Reason.MALFORMED, f"{path}:{number}: {type(error).__name__} {error}"[:300])
    return Text(record_id, split, "qa", video, "\n".join([query, *options]) if query.strip() else "", answer)


def lettered(options: Any, answer: str) -> tuple[list[str], str]:
    """Return the options with their letters, and the one that is the answer (given as its text or letter).

    Raises:
        ValueError: no list of at most 26 texts, or the answer is none of them.

    >>> lettered(["red", "blue"], "blue"), lettered(["(A) red", "(B) blue"], "B")
    ((['(A) red', '(B) blue'], '(B) blue'), (['(A) red', '(B) blue'], '(B) blue'))
    """
    if type(options) is not list or len(options) > len(ascii_uppercase):
        raise ValueError("options: expected a list of at most 26 texts")
    texts = [str(option) for option in options]
    marks = [f"({letter})" for letter in ascii_uppercase[: len(texts)]]
    if all(text.startswith(mark) for text, mark in zip(texts, marks, strict=True)):
        shown = texts
    else:
        shown = [f"{mark} {text}" for mark, text in zip(marks, texts, strict=True)]
    for names in (texts, shown, marks, list(ascii_uppercase[: len(texts)])):
        if answer in names:
            return shown, shown[names.index(answer)]
    raise ValueError(f"answer {answer!r:.40} is none of the {len(texts)} options")
