"""Track JSONL -> the rows that TRL's trainers take: interleaved timestamps and frames, completion, reward columns.

The stored dataset holds records as text; frames (`recipe.inputs.frames`) are decoded when a batch is fetched.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from datasets import Dataset

from data_prep.errors import StageError
from data_prep.events import events_of, has_no_target, is_temporal, times_of
from data_prep.records import Record, State
from data_prep.video.frame_store import FrameStore
from data_prep.video.rates import FRAME_BUDGET, Policy
from recipe.inputs.arguments import StageArguments
from recipe.inputs.families import Family
from recipe.inputs.frames import ClipFrames
from recipe.inputs.media import sift_file
from recipe.inputs.prompts import Shown, plain_text, question, user_message
from recipe.inputs.video_units import FRAMES, IN_A_GRID, PAIRS
from stvg_rewards import Track, format_answer, format_tracks
from stvg_rewards.prompts.box_format import BoxFormat

logger = logging.getLogger(__name__)

UNTAUGHT = "temporal records left out: times without boxes are no answer to teach (GRPO takes them)"
GROUPED = "group_by_length"
LENGTH = "length"  # the column that `train_sampling_strategy: group_by_length` reads by default
STATE_TOKENS, FRAME_TEXT_TOKENS, LETTERS = 40, 8, 4  # of a second's box, of a picture's time; letters of a token


@dataclass
class RowBuilder:
    """Turns a batch of stored records into rows; the transform of the datasets made here. Threads may share one.

    Attributes:
        clips: gives the frames.
        prompts: templates by name, from `load_prompts`.
        completions: whether rows carry the true completion (CPT, SFT) or only the prompt (GRPO). Temporal records have
            none, and `load_mixture` leaves them out where others have.
        control_tokens: the tokenizer's tokens that no query may hold (see `plain_text`).
        context: tokens that the model's positions reach, or None where that is not known.
        clock: a PhaseClock that the time of making rows goes to, where one is wanted.
        boxes: how boxes are asked for; None: as the family writes them. Completions are always the family's.
        timestamps: whether the time of each frame stands in the text before it.
        files: whether a model that is asked gets a video's file instead of frames, where the file is the whole clip.
    """

    clips: ClipFrames
    prompts: dict[str, Template]
    family: Family
    completions: bool = True
    control_tokens: tuple[str, ...] = ()
    context: int | None = None
    clock: Any = None
    boxes: BoxFormat | None = None
    timestamps: bool = True
    files: bool = False

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        with self.clock.phase("decode") if self.clock else nullcontext():
            rows = [self.row(json.loads(text)) for text in batch["record"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def frame_size(self, record: Record) -> tuple[int, int]:
        """Return (width, height) in pixels of the frames that the model gets."""
        return self.clips.frame_size(record)

    @property
    def box_format(self) -> BoxFormat:
        """Return order and unit of boxes in prompts and answers."""
        return self.boxes or BoxFormat(unit=self.family.coordinates)

    def shown(self, frame_size: tuple[int, int], *, file: bool = False) -> Shown:
        """Return what the words of a question must fit.

        Args:
            frame_size: (width, height) of the frames, pixels.
            file: whether the model gets the video's file instead of frames.
        """
        media = "video" if file or self.clips.units == PAIRS else "timed" if self.timestamps else "frames"
        return Shown(self.box_format, frame_size, media)

    def length(self, record: Record) -> int:
        """Estimate the tokens of a record's row, prompt and completion, without decoding a frame."""
        record = self.clips.with_clip(record)
        width, height = self.frame_size(record)
        frame = (width // self.clips.grid) * (height // self.clips.grid) + FRAME_TEXT_TOKENS
        tokens = frame * len(self.clips.starts(record))
        if not self.completions:
            return tokens
        tracks = record.get("tracks") or [{"track": record.get("track") or ()}]
        words = (record.get("reasoning") or "") + (record.get("answer") or "")
        return int(tokens + STATE_TOKENS * sum(len(item["track"]) for item in tracks) + len(words) // LETTERS)

    def row(self, record: Record, *, video: Path | None = None, file: Path | None = None) -> dict[str, Any]:
        """Return one record as a trainer row.

        Args:
            video: the file that the record is about; None: the one that it names below the clips' `video_root`.
            file: a file with the record's clip and nothing else, which the model gets instead of frames. The row then
                has no images and names it as `file`.

        Raises:
            VideoError: There is no such file, or nothing in it can be read.
        """
        record = self.clips.with_clip(record)
        frames = [] if file else self.clips.frames(record, video=video)
        pairs = self.clips.units == PAIRS
        if frames:  # whose size says all: of a whole file with shards, the video need not be there
            size = (frames[0].width, frames[0].height // IN_A_GRID[self.clips.units])
        else:
            size = self.frame_size(record)
        shown = self.shown(size, file=file is not None)
        scale = shown.boxes.scale(size)
        text = question(record, self.prompts, self.control_tokens, shown)
        row: dict[str, Any] = {
            "id": record["id"],
            "kind": record["kind"],
            "images": frames,
            "prompt": [user_message(self.clips.starts(record), text, _placeholders(shown.media, frames, pairs))],
        }
        if file:
            row["file"] = str(file)
        if self.completions and not is_temporal(record):
            text = completion_text(record, self.family, scale, self.control_tokens)
            row["completion"] = [{"role": "assistant", "content": text}]
        row |= truth_columns(record, scale)
        return row


def _placeholders(media: str, frames: list[Any], pairs: bool) -> str:
    """Return what of `SHOWN` a message's parts are: a native video of pairs comes as its pictures."""
    return "frames" if pairs and frames else media


def make_builder(
    video_root: Path,
    prompts: dict[str, Template],
    family: Family,
    grid: int,
    max_pixels: int,
    *,
    rate: Policy = 1.0,
    frame_budget: int = FRAME_BUDGET,
    store: FrameStore | None = None,
    completions: bool = True,
    cache_clips: int = 64,
    units: str = FRAMES,
    control_tokens: tuple[str, ...] = (),
    context: int | None = None,
) -> RowBuilder:
    """Return a row builder with the frames that it needs; arguments as in `ClipFrames` and `RowBuilder`.

    Only rows that carry the completion may have a frame rate that follows from the true event.
    """
    clips = ClipFrames(
        video_root,
        grid,
        max_pixels,
        rate=rate,
        frame_budget=frame_budget,
        training=completions,
        store=store,
        cache_clips=cache_clips,
        units=units,
    )
    return RowBuilder(clips, prompts, family, completions, control_tokens, context)


def truth_columns(record: Record, scale: tuple[int, int]) -> dict[str, Any]:
    """Return the columns of a trainer row that rewards read: the truth, the clip's length, and the boxes' unit.

    Args:
        scale: (x, y), what the model's integers are divided by to give [0, 1] of the picture.
    """
    events = [list(event) for event in events_of(record)]
    return {
        "track": record.get("track"),
        "tracks": record.get("tracks"),
        "span": events[0] if len(events) == 1 else None,
        "spans": events if len(events) > 1 else None,
        "no_target": has_no_target(record),
        "temporal": is_temporal(record),
        "intervals": times_of(record) or None,  # a last second ends with the next
        "seconds": record["seconds"],
        "duration": float(record["seconds"]),
        "box_scale": list(scale),
    }


def completion_text(record: Record, family: Family, scale: tuple[int, int], control_tokens: Iterable[str] = ()) -> str:
    """Write the true completion: reasoning (if the record has one) and answer, in the family's tags.

    Boxes are written by the formatter that the rewards' parser reads. Captions and questions answer in plain text, and
    the answer to a sentence without a target is an empty object. Control tokens in the record's own words are broken
    up as in the query.

    Raises:
        ValueError: The record is temporal: nobody knows the boxes of its answer.
    """
    if is_temporal(record):
        raise ValueError(f"record {record['id']}: times without boxes are no answer that could be taught")
    if record["kind"] in ("caption", "qa"):
        return plain_text(record["answer"], control_tokens)
    if record["kind"] == "scene":
        tracks = [_track(item["label"], item["track"]) for item in record["tracks"]]
        answer = format_tracks(tracks, scale=scale)
    elif has_no_target(record):
        answer = format_tracks([], scale=scale)
    else:
        answer = format_answer(_track(record["label"], record["track"]), scale=scale)
    reasoning = plain_text(record.get("reasoning") or "", control_tokens)
    return family.written(reasoning, answer)


def _track(label: str, states: list[State]) -> Track:
    return Track(label=label, boxes={state["second"]: tuple(state["box"]) for state in states})


def load_mixture(
    tracks: list[str],
    builder: RowBuilder,
    *,
    limit: int | None = None,
    max_missing: float = 1.0,
    max_seconds: int | None = None,
    lengths: bool = False,
    targets_only: bool = False,
) -> Dataset:
    """Load rows of several track files, one after the other, as a `datasets.Dataset` that decodes on access.

    A record whose video (with shards: whose frames) is of no use is left out, counted by reason and logged. So is a
    temporal record where rows carry completions, because it has none.

    Args:
        limit: at most this many records of each file.
        targets_only: pass over sentences without a target.
        max_missing: share of a file's records that may be left out for want of a video, 0 to 1.
        max_seconds: records with longer clips are left out too; None: none are.
        lengths: whether the data set gets a column `length`, by which a sampler groups rows (`RowBuilder.length`).

    Raises:
        RecordError: A record is malformed (names file, line and field).
        FileNotFoundError: A file's records have no usable video at all, or only clips that are too long.
        StageError: More than `max_missing` of a file's records have none, or none of them has an answer to teach.
    """
    kept: list[Record] = []
    for path in tracks:
        passed: Counter[str] = Counter()
        found = sift_file(path, builder.clips, limit=limit, wanted=partial(_is_row, builder, targets_only, passed))
        if passed[UNTAUGHT]:
            logger.warning("%s: %d %s", path, passed[UNTAUGHT], UNTAUGHT)
        if passed and not found.count:
            said = ", ".join(f"{count} {reason}" for reason, count in passed.items())
            raise StageError(f"{path}: none of its records is of use here: {said}")
        if found.lost:
            logger.warning("%s: %s", path, found.text)
        if not found.kept:
            raise FileNotFoundError(f"{path}: none of its {found.count} records is left: {found.text}")
        found.check(path, max_missing)
        kept += short_enough(path, found.kept, builder.clips, max_seconds)
    columns: dict[str, list[Any]] = {"record": list(map(json.dumps, kept))}
    if lengths:
        columns[LENGTH] = list(map(builder.length, kept))
    return Dataset.from_dict(columns).with_transform(builder)


def _is_row(builder: RowBuilder, targets_only: bool, passed: Counter[str], record: Record) -> bool:
    """Return whether a record gets a row; one that does not is counted by reason."""
    if builder.completions and is_temporal(record):
        passed[UNTAUGHT] += 1
        return False
    if targets_only and has_no_target(record):
        passed["sentences without a target passed over"] += 1
        return False
    return True


def short_enough(path: str, records: list[Record], clips: ClipFrames, most: int | None) -> list[Record]:
    """Return the records of a file whose clips are not longer than `most` seconds; how many are is logged.

    Raises:
        FileNotFoundError: All are longer.
    """
    if most is None:
        return records
    kept = [record for record in records if clips.with_clip(record)["seconds"] <= most]
    if not kept:
        raise FileNotFoundError(f"{path}: all {len(records)} clips are longer than max_seconds {most}: raise it")
    if len(kept) < len(records):
        logger.warning(
            "%s: %d of %d clips left out, longer than %d s", path, len(records) - len(kept), len(records), most
        )
    return kept


def training_rows(script_args: StageArguments, training_args: Any, builder: RowBuilder) -> Dataset:
    """Return the rows that a stage trains on, with a column of lengths where its sampler groups by them.

    Raises:
        RecordError, FileNotFoundError, StageError: See `load_mixture`.
    """
    return load_mixture(
        script_args.tracks,
        builder,
        limit=script_args.max_records,
        max_missing=script_args.max_missing,
        max_seconds=script_args.max_seconds,
        lengths=str(training_args.train_sampling_strategy) == GROUPED,
    )


def validation_rows(script_args: StageArguments, training_args: Any, builder: RowBuilder) -> Dataset | None:
    """Return the first `held_out_clips` rows of the validation tracks, or None where no loss on them is asked for.

    Raises:
        StageError: `eval_strategy` asks for one and `validation_tracks` is missing.
        RecordError, FileNotFoundError: See `load_mixture`.
    """
    if training_args.eval_strategy == "no":
        return None
    if not script_args.validation_tracks:
        raise StageError("eval_strategy is set and validation_tracks is not: name a track file, or set it to no")
    most = script_args.max_seconds
    return load_mixture([script_args.validation_tracks], builder, limit=script_args.held_out_clips, max_seconds=most)
