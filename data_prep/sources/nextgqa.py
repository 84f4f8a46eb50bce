"""NExT-GQA: questions about VidOR videos with options, as question records.

    python -m data_prep nextgqa --annotations nextgqa_val.json --out questions.jsonl

The moments that ground an answer are kept in the added field `moments`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Text, add_arguments, convert
from data_prep.json_stream import read_list
from data_prep.reasons import Reason

__all__ = ["add_arguments", "run"]
NAME = "nextgqa"


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a question."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.glob("*.json")):
        split = args.split or path.stem.split("_")[-1]
        for index, record in enumerate(read_list(path)):
            yield item_of(record, split, index)


def item_of(record: Any, split: str, index: int) -> Item:
    """One question."""
    place = f"{NAME}/{split}/{index}"
    try:
        place = f"{NAME}/{split}/{record['id']}"
        options = [str(option) for option in record["options"]]
        answer, duration = str(record["answer"]), float(record["duration"])
        moments = [[float(start), float(end)] for start, end in record.get("glue", [])]
        full = next((option for option in options if option.startswith(answer)), None)
        query, video = str(record["question"]), str(record["video"])
    except (KeyError, TypeError, ValueError) as error:
        return Dropped(place, Reason.MALFORMED, f"{type(error).__name__} {error}")
    if full is None:
        return Dropped(place, Reason.MALFORMED, f"answer {answer!r:.40} is none of the {len(options)} options")
    if duration <= 0:
        return Dropped(place, Reason.BAD_SPAN, f"duration {duration} s")
    text = "\n".join([query.strip(), *options]) if query.strip() else ""
    return Text(place, split, "qa", video, text, full, (0.0, duration), extra={"moments": moments})
