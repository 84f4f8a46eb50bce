"""Held-out numbers during training: greedy answers to the first validation clips, every so many steps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback
from trl.models.utils import unwrap_model_for_generation

from data_prep.errors import StageError
from data_prep.records import read_records
from recipe.dashboards.media import Shown, write_media
from recipe.evaluation.apart import apart
from recipe.evaluation.scores import Sample, metrics, score_records, scored
from recipe.inference.answer_key import key_in_training
from recipe.inference.generation import generate
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import RowBuilder
from recipe.inputs.media import sift
from recipe.inputs.pair_pictures import frames_shown
from recipe.training.vllm_answers import Answer, answers_through_vllm

logger = logging.getLogger(__name__)

NAMES = {"m_tIoU": "held_out/m_tIoU", "m_vIoU": "held_out/m_vIoU", "vIoU@0.5": "held_out/vIoU@0.5"}


class HeldOut(TrainerCallback):
    """Logs `held_out/m_tIoU`, `held_out/m_vIoU` and `held_out/vIoU@0.5` of the same clips, before training too.

    With `use_vllm` the vLLM of the rollouts answers them, and processes share them. With Hugging Face's generate every
    process answers all clips: under ZeRO-3 it needs them all, and there are few.

    Args:
        trainer: the trainer whose model answers and whose log takes the numbers.
        tracks: track file; its first `clips` records that have a truth are used. One whose video is of no use is not
            answered and counts 0, as in evaluation. Sentences without a target, and times without boxes, are logged
            apart, as `held_out/no_target/score` and `held_out/temporal/m_tIoU`.
        every: optimiser steps.
        longest: most tokens of an answer.
        media_clips: of how many of them pictures and answers are kept (recipe/dashboards/media.py).
        max_seconds: records with longer clips are passed over.
    """

    def __init__(
        self,
        trainer: Any,
        tracks: str,
        builder: RowBuilder,
        processor: Any,
        *,
        every: int,
        clips: int,
        longest: int,
        media_clips: int = 0,
        max_seconds: int | None = None,
    ) -> None:
        self.trainer, self.builder, self.processor = trainer, builder, processor
        self.every, self.longest, self.media_clips = every, longest, media_clips
        self.tracks = tracks
        records = scored(read_records(tracks))
        self.records = [one for one in records if max_seconds is None or one["seconds"] <= max_seconds][:clips]
        found = sift(self.records, builder.clips, what=f"videos of {tracks}")
        if found.lost:
            logger.warning("%s: held out, counted 0: %s", tracks, found.text)
        self.answerable = found.kept
        self.answers: dict[str, str] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self.measure()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.every == 0:
            self.measure()

    def measure(self) -> dict[str, float]:
        """Answer the clips and log the numbers at this very step."""
        trainer = self.trainer
        if getattr(trainer.args, "use_vllm", False):
            answered = answers_through_vllm(trainer, self.builder, self.answerable, self.longest)
        else:
            answered = self._answers_of_the_model()
        scales = {name: scale for name, _, scale in answered}
        self.answers |= {name: text for name, text, _ in answered}
        samples = score_records(self.records, self.answers, lambda record: scales.get(record["id"], (1, 1)))
        found = metrics(samples)
        logged = {NAMES[name]: float(found[name]) for name in NAMES if found[name] is not None}
        logged |= {f"held_out/{part}/{name}": numbers[name] for part, numbers, name in _apart(samples)}
        # Not GRPOTrainer.log, which empties its metrics; and any log takes back that a training log is due.
        due = trainer.control.should_log
        Trainer.log(trainer, dict(logged))
        trainer.control.should_log = due
        if self.media_clips and answered and trainer.accelerator.is_main_process:
            shown = [
                Shown(
                    record,
                    frames_shown(self.builder.row(record)["images"]),
                    scales[record["id"]],
                    self.answers[record["id"]],
                )
                for record in self.answerable[: self.media_clips]
            ]
            folder, step = Path(trainer.args.output_dir), trainer.state.global_step
            named = f"{folder} at step {step}"
            key = key_in_training(named, self.builder, self.tracks, temperature=0.0, max_new_tokens=self.longest)
            write_media(folder, step, shown, key.describe(), to_wandb="wandb" in trainer.args.report_to)
        return logged

    def _answers_of_the_model(self) -> list[Answer]:
        """Return (id, answer, box scale) of the clips, from Hugging Face's generate."""
        trainer, size = self.trainer, self.trainer.args.per_device_train_batch_size
        was_training, answered = trainer.model.training, []
        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            model.eval()
            for begin in range(0, len(self.answerable), size):
                rows = [self.builder.row(record) for record in self.answerable[begin : begin + size]]
                texts = generate(model, self.processor, rows, max_new_tokens=self.longest)
                records = self.answerable[begin : begin + size]
                answered += [
                    (record["id"], text, tuple(row["box_scale"]))
                    for record, row, text in zip(records, rows, texts, strict=True)
                ]
            model.train(was_training)
        return answered


def _apart(samples: list[Sample]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield (part, its numbers, the name of the one to log) of what is reported apart."""
    found = apart([samples])
    for part, name in (("no_target", "score"), ("temporal", "m_tIoU")):
        if part in found:
            yield part, found[part], name


def held_out(trainer: Any, builder: RowBuilder, processor: Any, args: StageArguments, longest: int) -> HeldOut:
    """Return the callback that answers held-out clips during training.

    Args:
        longest: most tokens of an answer.

    Raises:
        StageError: No validation tracks to answer.
    """
    if not args.validation_tracks:
        raise StageError("held_out_every is set and validation_tracks is not: name a track file, or set it to 0")
    return HeldOut(
        trainer,
        args.validation_tracks,
        builder,
        processor,
        every=args.held_out_every,
        clips=args.held_out_clips,
        longest=longest,
        media_clips=args.media_clips,
        max_seconds=args.max_seconds,
    )
