"""NExT-GQA: questions about VidOR videos with options, to answer or to find the moments of their answer in time.

    python -m data_prep nextgqa --annotations nextgqa_val.json --out questions.jsonl
    python -m data_prep nextgqa --annotations nextgqa_val.json --task temporal --out moments.jsonl

A question to answer keeps the moments that ground its answer in the added field `moments`; train has none.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Moments, Text, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.json_stream import read_list
from data_prep.convert.reasons import Reason

NAME = "nextgqa"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--task", choices=("qa", "temporal"), default="qa", help="what is asked (qa)")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args, has_frames=False)


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each question."""
    root: Path = args.annotations
    for path in [root] if root.is_file() else sorted(root.glob("*.json")):
        split = path.stem.split("_")[-1]
        if root.is_dir() and args.split not in (None, split, path.stem):
            continue
        split = args.split or split
        for index, record in enumerate(read_list(path)):
            yield item_of(record, split, index, args.task)


def item_of(record: Any, split: str, index: int, task: str = "qa") -> Item:
    """Return the item of one question.

    Args:
        task: "qa" to answer it, "temporal" to find when.
    """
    record_id = f"{NAME}/{split}/{index}"
    try:
        record_id = f"{NAME}/{split}/{record['id']}"
        options, answer, duration = record["options"], record["answer"], float(record["duration"])
        query, video, moments = record["question"], record["video"], record.get("glue") or []
        if type(query) is not str or type(video) is not str or type(answer) is not str or type(options) is not list:
            raise TypeError("question, video and answer, expected texts, and options, expected a list")
        spans = []
        for start, end in moments:
            if not 0 <= start <= end < math.inf:
                raise ValueError(f"glue {[start, end]}, expected 0 <= start <= end")
            spans.append([float(start), float(end)])  # an integer may be beyond all floats
        full = [option for option in options if option.startswith(answer)] if answer.strip() else []
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return Dropped(record_id, Reason.MALFORMED, f"record {index}: {type(error).__name__} {error}"[:200])
    if len(full) != 1:
        problem = f"answer {answer!r:.40} begins {len(full)} of {len(options)} options"
        detail = f"record {index}: {problem}, expected one"
        return Dropped(record_id, Reason.MALFORMED, detail)
    if not 0 < duration < math.inf:
        return Dropped(record_id, Reason.BAD_SPAN, f"record {index}: duration {duration} s")
    if task == "temporal":
        if not spans:
            return Dropped(record_id, Reason.NO_TRUTH, f"record {index}: no moment, as in the train split")
        events = [(start, end) for start, end in spans]
        return Moments(record_id, split, "interrogative", video, query, events, duration)
    query = query.strip()
    text = "\n".join([query, *options]) if query else ""
    return Text(record_id, split, "qa", video, text, full[0], (0.0, duration), extra={"moments": spans})
