"""Answers of a model for a track file, as JSONL: one `{"id", "answer"}` a line, resumable, never half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from recipe.dataset import RowBuilder, load_mixture
from recipe.generation import generate


def read_answers(path: Path) -> dict[str, str]:
    """id -> raw answer; a line cut short by a kill is left out."""
    answers: dict[str, str] = {}
    if not path.is_file():
        return answers
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                item = json.loads(line)
                answers[item["id"]] = item["answer"]
            except (json.JSONDecodeError, KeyError, TypeError):
                continue
    return answers


def predict(
    model: Any,
    processor: Any,
    tracks: str,
    builder: RowBuilder,
    out: Path,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int = 512,
    batch_size: int = 50,
    limit: int | None = None,
) -> dict[str, str]:
    """Answer every record of a track file; what `out` already holds is not asked again.

    Sampling is seeded by batch, so an interrupted run ends with the same answers.

    Returns:
        id -> raw answer.
    """
    rows = load_mixture([tracks], builder, limit=limit)
    partial = out.with_name(out.name + ".part")
    answers = read_answers(out) if out.exists() else read_answers(partial)
    ids = [json.loads(text)["id"] for text in rows.with_format(None)["record"]]
    if out.exists() and answers.keys() >= set(ids):
        return answers
    out.parent.mkdir(parents=True, exist_ok=True)
    progress = tqdm(total=len(ids), initial=0, desc=out.stem, unit="answer", file=sys.stderr, mininterval=1.0)
    with partial.open("w", encoding="utf-8") as stream:
        for index, begin in enumerate(range(0, len(ids), batch_size)):
            wanted = ids[begin : begin + batch_size]
            if not all(name in answers for name in wanted):
                torch.manual_seed(seed * 1_000_003 + index)
                batch = [rows[position] for position in range(begin, begin + len(wanted))]
                texts = generate(model, processor, batch, temperature=temperature, max_new_tokens=max_new_tokens)
                answers.update(zip(wanted, texts, strict=True))
            for name in wanted:
                stream.write(json.dumps({"id": name, "answer": answers[name]}) + "\n")
            stream.flush()
            progress.update(len(wanted))
    progress.close()
    partial.replace(out)
    return {name: answers[name] for name in ids}
