"""Fixed validation clips during training: boxes and time bars drawn into the pixels, and a table of the answers.

They lie in the run's folder, `media/step-000050/clip-0.png ...` and `answers.jsonl`, where `make compare` reads them,
and go to W&B too where the run logs there.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from data_prep.drawing.boxes import PREDICTED, TRUE, Layer
from data_prep.drawing.sheet import contact_sheet, write_sheet
from data_prep.events import events_of
from data_prep.files import atomic_write
from data_prep.records import Record
from recipe.evaluation.scores import counted_spans, score_record, true_track
from stvg_rewards import parse_answer
from stvg_rewards.locate import after_reasoning

FOLDER, ANSWERS = "media", "answers.jsonl"
CLIPS, TABLE = "media/clips", "media/answers"  # their names in W&B
COLUMNS = ("id", "query", "reasoning", "answer", "tIoU", "mvIoU", "vIoU")
COLUMNS_OF_FRAMES = 6  # a longer row would be too small to see where two runs stand side by side
MOST_FRAMES = 12  # of a clip's picture


@dataclass(frozen=True)
class Shown:
    """A clip that was answered.

    Attributes:
        frames: what the model saw, in order, evenly spread over the clip.
        scale: what the answer's coordinates are divided by.
    """

    record: Record
    frames: Sequence[Image.Image]
    scale: tuple[float, float]
    text: str


def picture(clip: Shown, *, side: int = 144) -> Image.Image:
    """Draw frames with the true and the predicted box, a sheet of tiles with both time bars below each row.

    At most twelve seconds are drawn, spread evenly.
    """
    record = clip.record
    answer = parse_answer(clip.text, seconds=record["seconds"], scale=clip.scale)
    events = events_of(record)
    layers = [
        Layer(TRUE, events, true_track(record).boxes),
        Layer(PREDICTED, counted_spans(answer, events), answer.track.boxes),
    ]
    count = min(record["seconds"], MOST_FRAMES)
    seconds = [(2 * index + 1) * record["seconds"] // (2 * count) for index in range(count)]
    frames = [frame_of(clip, second) for second in seconds]
    return contact_sheet(frames, layers, seconds=seconds, of=record["seconds"], tile=side, columns=COLUMNS_OF_FRAMES)


def frame_of(clip: Shown, second: int) -> Image.Image:
    """Return the frame nearest to the middle of a second, at any frame rate of the model."""
    count = len(clip.frames)
    return clip.frames[min(int((second + 0.5) * count / clip.record["seconds"]), count - 1)]


def row(clip: Shown) -> dict[str, Any]:
    """Return the clip's row of the table: reasoning, answer and scores; a score is 0 where nothing could be read.

    Of a truth without boxes mvIoU and vIoU are None.
    """
    record = clip.record
    answer = parse_answer(clip.text, seconds=record["seconds"], scale=clip.scale)
    scores = score_record(answer, record)
    cut = after_reasoning(clip.text)
    texts = {"reasoning": clip.text[:cut], "answer": clip.text[cut:]}
    numbers = {name: _shown(getattr(scores, name) if scores else 0.0) for name in ("tIoU", "mvIoU", "vIoU")}
    return {"id": record["id"], "query": record.get("query", "")} | texts | numbers


def _shown(score: float) -> float | None:
    return None if math.isnan(score) else round(score, 4)


def write_media(run_folder: Path, step: int, clips: Sequence[Shown], about: dict[str, Any], *, to_wandb: bool) -> None:
    """Write a step's pictures and answers; what cannot be written is said and never ends training.

    The answers come last: a step without them is one that was not written whole.

    Args:
        about: model and settings of the answers (`recipe.inference.answer_key`), the first line of their file.
    """
    folder = run_folder / FOLDER / f"step-{step:06d}"
    rows = [row(clip) for clip in clips]
    pictures = [picture(clip) for clip in clips]
    try:
        for number, drawn in enumerate(pictures):
            write_sheet(folder / f"clip-{number}.png", drawn)
        with atomic_write(folder / ANSWERS) as out:
            out.writelines(json.dumps(line) + "\n" for line in ({"about": about}, *rows))
    except OSError as error:
        print(f"media: step {step} is not written: {error}", file=sys.stderr)
    if to_wandb:
        log_media(step, rows, pictures)


def _caption(line: dict[str, Any]) -> str:
    """Return the score that a picture is captioned with: vIoU, or tIoU where there are no true boxes."""
    return f"tIoU {line['tIoU']:.2f}" if line["vIoU"] is None else f"vIoU {line['vIoU']:.2f}"


def log_media(step: int, rows: Sequence[dict[str, Any]], pictures: Sequence[Image.Image]) -> None:
    """Log the held-out clips' pictures and table to the W&B run of this process, if there is one."""
    import wandb

    if wandb.run is None:
        return
    try:
        captions = [f"{line['query']} ({_caption(line)})" for line in rows]
        # Not pictures inside the table: those lie outside the run's folder until they are sent.
        data = [[step, *(line[name] for name in COLUMNS)] for line in rows]
        table = wandb.Table(columns=["step", *COLUMNS], data=data)
        images = [wandb.Image(drawn, caption=text) for drawn, text in zip(pictures, captions, strict=True)]
        wandb.log({CLIPS: images, TABLE: table, "train/global_step": step})
    except (OSError, wandb.Error) as error:
        print(f"media: step {step} is not sent to W&B: {error}", file=sys.stderr)
