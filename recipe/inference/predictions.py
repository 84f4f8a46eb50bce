"""Answers of a model for a track file: one `{"id", "answer"}` a line, resumable, never half-written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from data_prep.errors import StageError
from data_prep.records import Record, resolve_video
from recipe.inference.answer_key import AnswerKey, video_stamp
from recipe.inference.answers_file import AnswersFile, Line, read_lines
from recipe.inference.engines import EngineEnded
from recipe.inference.jobs import Batch
from recipe.inputs.dataset import RowBuilder, load_mixture


class Answering(Protocol):
    """What answers batches: `recipe.inference.jobs.engines_of` gives one."""

    def map(self, units: Sequence[Batch], /) -> Iterator[tuple[int, list[str]]]:
        """Yield (place among the batches, texts) of each batch as they come."""


def read_answers(path: Path) -> dict[str, str]:
    """Return id -> raw answer; a line cut short by a kill is left out."""
    return {name: line["answer"] for name, line in read_lines(path).items() if isinstance(line.get("answer"), str)}


def predict(
    answering: Answering,
    tracks: str,
    builder: RowBuilder,
    out: Path,
    *,
    key: AnswerKey,
    seed: int = 0,
    batch_size: int = 50,
    limit: int | None = None,
    by_record: bool = False,
) -> dict[str, str]:
    """Answer every record of a track file; what `out` already holds is not asked again.

    Sampling is seeded by batch, and a batch that is not whole is asked for as a whole, so that an interrupted run ends
    with the same answers. A record whose video has changed since is asked again.

    Args:
        key: what the answers depend on; `out` holds no others.
        seed: of sampling.
        batch_size: records that are asked about together.
        limit: only the first records.
        by_record: seed sampling by record. Then no answer depends on what it shares a batch with: batches hold what
            is not answered yet, in the order of the prompts' lengths, so that little of them is padding. The longest
            come first: what does not fit the memory shows at once, and engines end at nearly the same time.

    Returns:
        id -> raw answer.

    Raises:
        StageError: `out` was made under another key, or an engine died.
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
    with file:
        file.outdated(stamps)
        if by_record:
            waiting = [record for record in records if record["id"] not in file.known]
            batches = of_similar_length(waiting, builder, seed, batch_size)
        else:
            batches = in_file_order(records, seed, batch_size)
        left = [batch for batch in batches if not all(record["id"] in file.known for record in batch.records)]
        count = sum(len(batch.records) for batch in left)
        bar = tqdm(total=len(ids), initial=len(ids) - count, desc=out.stem, unit="answer", mininterval=1.0)
        with bar:
            try:
                for number, texts in answering.map(left):
                    names = [record["id"] for record in left[number].records]
                    file.add(_line(name, text, stamps[name]) for name, text in zip(names, texts, strict=True))
                    bar.update(len(names))
            except EngineEnded as error:
                raise StageError(f"{error}; {file.kept(len(ids))}") from None
        file.finish(ids)
        return {name: file.known[name]["answer"] for name in ids}


def in_file_order(records: Sequence[Record], seed: int, size: int) -> list[Batch]:
    """Return the records in batches, in their order, each with a seed of its own."""
    begins = range(0, len(records), size)
    return [Batch(records[at : at + size], seed * 1_000_003 + index, own=False) for index, at in enumerate(begins)]


def of_similar_length(records: Sequence[Record], builder: RowBuilder, seed: int, size: int) -> list[Batch]:
    """Return the records in batches of similar lengths, the longest first; records have seeds of their own."""
    lengths = {record["id"]: builder.length(record) for record in records}
    ordered = sorted(records, key=lambda record: -lengths[record["id"]])
    return [Batch(ordered[at : at + size], seed, own=True) for at in range(0, len(ordered), size)]


def _stamp(builder: RowBuilder, record: Record) -> str | None:
    """Return the stamp of a record's video; None where its frames come from shards."""
    return None if builder.clips.store else video_stamp(resolve_video(builder.clips.video_root, record["video"]))


def _line(name: str, text: str, stamp: str | None) -> Line:
    return {"id": name, "answer": text} | ({"video_stamp": stamp} if stamp else {})
