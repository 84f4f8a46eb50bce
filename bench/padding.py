"""How much of the batches of an evaluation is padding: records in the file's order against `--group_by_length`.

    STVG_SAMPLES=FOLDER python -m bench.padding

FOLDER holds `samples/vidstg/annotations/val_annotations.json`. A batch is as wide as its longest prompt, so padding is
computed for nothing. Lengths are those of `RowBuilder.length` for GLM-4.1V at 448 x 448 pixels and one frame a second,
a prompt for each sentence; no video is opened and no model is loaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from bench.table import Pair, Report, parser_of
from data_prep.records import Record
from recipe.inference.jobs import Batch
from recipe.inference.predictions import in_file_order, of_similar_length
from recipe.inputs.dataset import RowBuilder, make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts

ANNOTATIONS = "samples/vidstg/annotations/val_annotations.json"
SIZES = (8, 50)


def records_of(annotations: Iterable[dict[str, Any]]) -> list[Record]:
    """Return what a prompt's length depends on, for each sentence of VidSTG's annotations."""
    records = []
    for item in annotations:
        used = item["used_segment"]
        seconds = int((used["end_fid"] - used["begin_fid"] - 1) / item["fps"]) + 1
        known = {"width": item["width"], "height": item["height"], "clip": [0.0, float(seconds)], "seconds": seconds}
        for _ in item["captions"] + item["questions"]:
            records.append(cast(Record, known | {"id": str(len(records)), "video": item["vid"]}))
    return records


def padded(batches: Iterable[Batch], builder: RowBuilder) -> tuple[int, int]:
    """Return (tokens of all prompts, tokens that the batches hold with their padding)."""
    lengths = [[builder.length(record) for record in batch.records] for batch in batches]
    return sum(map(sum, lengths)), sum(max(batch) * len(batch) for batch in lengths)


def main() -> None:
    """Measure the tokens of batches of some sizes in both orders."""
    options = parser_of(__doc__).parse_args()
    report = Report("padding", options.rows)
    path = Path(os.environ.get("STVG_SAMPLES", ".")) / ANNOTATIONS
    if not path.is_file():
        report.leave_out(f"STVG_SAMPLES names no folder with {ANNOTATIONS}")
        return
    builder = make_builder(Path(), load_prompts(None), FAMILIES["glm4v"], 28, 448 * 448, completions=False)
    records = records_of(json.loads(path.read_text(encoding="utf-8")))
    for size in SIZES:
        tokens, usual = padded(in_file_order(records, 0, size), builder)
        _, grouped = padded(of_similar_length(records, builder, 0, size), builder)
        what = f"padding, {len(records)} prompts of {tokens / len(records):.0f} tokens, batches of {size}"
        shares = (100 * (1 - tokens / held) for held in (grouped, usual))
        report.add(what, *shares, "% of the tokens", "the file's order", tokens=Pair(grouped, usual))


if __name__ == "__main__":
    main()
