"""`review.html`: random records with frames, trace, answer and verdict, to be read before training on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep.convert.wording import TEMPLATES
from data_prep.drawing.boxes import TRUE, Layer
from data_prep.drawing.page import page_environment, tile_values
from data_prep.events import events_of, in_words
from data_prep.files import atomic_write
from data_prep.records import Record, RecordError
from data_prep.traces.correction import answer_text
from data_prep.traces.frames import frames_of
from data_prep.traces.outcome import Outcome
from data_prep.traces.prompts import distractor_count
from data_prep.video.sampling import VideoError

MOST_FRAMES = 24


def write_review(
    path: Path,
    records: Sequence[Record],
    outcomes: Sequence[Outcome],
    *,
    rows: int,
    seed: int,
    video_root: Path | None,
    about: dict[str, Any],
) -> Path:
    """Write the page: one file, no scripts, no network; texts are shown as text.

    Args:
        rows: how many, drawn by the seed from all that have an outcome.
        video_root: None shows no frames.
        about: what the head of the page says, in order.
    """
    indices = range(min(len(records), len(outcomes)))
    chosen = sorted(random.Random(seed).sample(indices, min(rows, len(indices))))
    page = (
        page_environment(TEMPLATES)
        .get_template("review.html")
        .render(
            about=about,
            total=len(indices),
            items=[_item(records[index], outcomes[index], video_root) for index in chosen],
        )
    )
    with atomic_write(path) as out:
        out.write(page)
    return path


def _item(record: Record, outcome: Outcome, video_root: Path | None) -> dict[str, Any]:
    boxes = {state["second"]: state["box"] for state in record["track"] or ()}
    events = events_of(record)
    layers = [Layer(TRUE, events, boxes)]
    frames, missing = [], ""
    if video_root is not None:
        try:
            for second, picture in frames_of(record, video_root, side=320, most=MOST_FRAMES):
                # Of a long clip not every second is shown; the bar is about the one that is.
                frames.append(tile_values(picture, second, layers, (second, second + 1), side=160))
        except (RecordError, VideoError, OSError) as error:
            missing = str(error)
    return {
        "id": record["id"],
        "query": record["query"],
        "label": record["label"] or "",
        "when": in_words(events) or "at no time",
        "seconds": record["seconds"],
        "distractors": distractor_count(record),
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "trace": outcome.trace,
        "claimed": outcome.claimed,
        "answer": answer_text(record) if outcome.kept else "",
        "tiles": frames,
        "missing": missing,
    }
