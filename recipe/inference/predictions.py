"""Answers of a model for a track file: one `{"id", "answer"}` a line, resumable, never half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from data_prep.records import Record, resolve_video
from recipe.inference.answer_key import AnswerKey, video_stamp
from recipe.inference.answers_file import AnswersFile, Line, read_lines
from recipe.inference.generation import generate
from recipe.inputs.dataset import RowBuilder, load_mixture


def read_answers(path: Path) -> dict[str, str]:
    """Return id -> raw answer; a line cut short by a kill is left out."""
    return {name: line["answer"] for name, line in read_lines(path).items() if isinstance(line.get("answer"), str)}


def predict(
    model: Any,
    processor: Any,
    tracks: str,
    builder: RowBuilder,
    out: Path,
    *,
    key: AnswerKey,
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int = 512,
    batch_size: int = 50,
    limit: int | None = None,
) -> dict[str, str]:
    """Answer every record of a track file; what `out` already holds is not asked again.

    Sampling is seeded by batch, and a batch that is not whole is asked for as a whole, so that an interrupted run ends
    with the same answers. A record whose video has changed since is asked again.

    Args:
        key: what the answers depend on; `out` holds no others.

    Returns:
        id -> raw answer.

    Raises:
        StageError: `out` was made under another key.
        InUse: Another process is at work on it.
    """
    rows = load_mixture([tracks], builder, limit=limit)
    records = [json.loads(text) for text in rows.with_format(None)["record"]]
    ids = [record["id"] for record in records]
    stamps = {record["id"]: _stamp(builder, record) for record in records}
    file = AnswersFile(out, key)
    finished = file.whole()
    if all(name in finished and finished[name].get("video_stamp") == stamps[name] for name in ids):
        return {name: finished[name]["answer"] for name in ids}
    progress = tqdm(total=len(ids), initial=0, desc=out.stem, unit="answer", file=sys.stderr, mininterval=1.0)
    with file, progress:
        file.outdated(stamps)
        for index, begin in enumerate(range(0, len(ids), batch_size)):
            wanted = ids[begin : begin + batch_size]
            if not all(name in file.known for name in wanted):
                torch.manual_seed(seed * 1_000_003 + index)
                batch = [rows[position] for position in range(begin, begin + len(wanted))]
                texts = generate(model, processor, batch, temperature=temperature, max_new_tokens=max_new_tokens)
                file.add(_line(name, text, stamps[name]) for name, text in zip(wanted, texts, strict=True))
            progress.update(len(wanted))
        file.finish(ids)
        return {name: file.known[name]["answer"] for name in ids}


def _stamp(builder: RowBuilder, record: Record) -> str | None:
    """Return the stamp of a record's video; None where its frames come from shards."""
    return None if builder.clips.store else video_stamp(resolve_video(builder.clips.video_root, record["video"]))


def _line(name: str, text: str, stamp: str | None) -> Line:
    return {"id": name, "answer": text} | ({"video_stamp": stamp} if stamp else {})
