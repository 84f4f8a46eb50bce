"""Track JSONL -> the rows that TRL's trainers take: interleaved timestamps and frames, completion, reward columns.

The stored dataset holds records as text; frames are decoded when a batch is fetched. TRL's sampler repeats each prompt
`num_generations` times in a batch and fetches the same generation batch again for every optimiser step on it, so the
builder decodes each distinct clip once and keeps the last few (`cache_clips`).
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from datasets import Dataset
from PIL.Image import Image, Resampling

from data_prep.identity import stamp_of
from data_prep.records import read_records, resolve_video
from data_prep.seconds import frame_times
from data_prep.video.clips import clip_frames
from data_prep.video.frame_store import FrameStore, clip_key
from data_prep.video.rates import FRAME_BUDGET, Policy, rate_of
from data_prep.video.sampling import VideoError, probe, probe_whole
from data_prep.video.sizes import fit_frame
from recipe.inputs.families import Family
from recipe.inputs.prompts import plain_text, question, user_message
from stvg_rewards import Track, format_answer, format_tracks

logger = logging.getLogger(__name__)


CacheKey = tuple[Any, ...]


@dataclass
class RowBuilder:
    """Turns a batch of stored records into rows; the transform of the datasets made here.

    Decoded clips are known by what the file is (resolved path, size, time of change), never by a video's name, and
    threads may share one builder.

    Attributes:
        video_root: folder that the records' `video` paths are relative to.
        prompts: templates by name, from `load_prompts`.
        grid, max_pixels: frame size limits, pixels (see `fit_frame`).
        rate: frames a second, or "dynamic" (`data_prep.video.rates`); a record's own `rate` comes first.
        frame_budget: most frames of a clip under "dynamic".
        store: shards that the frames are read from; None: they are decoded from the videos.
        completions: whether rows carry the true completion (CPT, SFT) or only the prompt (GRPO).
        cache_clips: how many decoded clips are kept.
        control_tokens: the tokenizer's tokens that no query may hold (see `plain_text`).
        context: tokens that the model's positions reach, or None where that is not known.
    """

    video_root: Path
    prompts: dict[str, Template]
    family: Family
    grid: int
    max_pixels: int
    rate: Policy = 1.0
    frame_budget: int = FRAME_BUDGET
    store: FrameStore | None = None
    completions: bool = True
    cache_clips: int = 64
    control_tokens: tuple[str, ...] = ()
    context: int | None = None
    clips_decoded: int = 0
    clock: Any = None  # a PhaseClock that the time of decoding goes to, where one is wanted
    _cache: OrderedDict[CacheKey, list[Image]] = field(default_factory=OrderedDict, repr=False)

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        with self.clock.phase("decode") if self.clock else nullcontext():
            rows = [self.row(json.loads(text)) for text in batch["record"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def frame_size(self, record: dict[str, Any]) -> tuple[int, int]:
        """(width, height) of the frames that the model gets.

        Read from the record, or from the video where a caption or question states no picture size.
        """
        if record["width"] is None or record["height"] is None:
            info = probe(resolve_video(self.video_root, record["video"]))
            return fit_frame(info.width, info.height, grid=self.grid, max_pixels=self.max_pixels)
        return fit_frame(record["width"], record["height"], grid=self.grid, max_pixels=self.max_pixels)

    def row(self, record: dict[str, Any], *, video: Path | None = None) -> dict[str, Any]:
        """Return one record as a trainer row.

        Args:
            video: the file that the record is about; None: the one that it names below `video_root`.
        """
        record = self.with_clip(record)
        rate = rate_of(record, self.rate, budget=self.frame_budget, training=self.completions)
        times = frame_times(record["seconds"], rate)
        starts = [index / rate for index in range(len(times))]
        frames = self.frames(record, times, rate, video=video)
        scale = self.family.box_scale(frames[0].size)
        row: dict[str, Any] = {
            "id": record["id"],
            "kind": record["kind"],
            "images": frames,
            "prompt": [user_message(starts, question(record, self.prompts, self.control_tokens))],
        }
        if self.completions:
            text = completion_text(record, self.family, scale, self.control_tokens)
            row["completion"] = [{"role": "assistant", "content": text}]
        span = record.get("span")
        row |= {
            "track": record.get("track"),
            "tracks": record.get("tracks"),
            "span": span,
            "intervals": [[span[0], span[1] + 1]] if span else None,  # as times: the last second ends with the next
            "seconds": record["seconds"],
            "duration": float(record["seconds"]),
            "box_scale": list(scale),
        }
        return row

    def with_clip(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with clip and seconds; a caption or question about the whole file states none."""
        if record["seconds"] is not None and record["clip"] is not None:
            return record
        if self.store is not None and (known := self.store.whole_file(record["video"])):
            return record | {"seconds": known[0], "clip": [0.0, known[1]]}
        info = probe_whole(resolve_video(self.video_root, record["video"]))
        return record | {"seconds": info.seconds, "clip": [0.0, float(info.duration_s)]}

    def has_frames(self, record: dict[str, Any]) -> bool:
        """Whether the record's video is there, or, with shards, its clip in them."""
        if self.store is None:
            return resolve_video(self.video_root, record["video"]).exists()
        if record["seconds"] is None or record["clip"] is None:
            if self.store.whole_file(record["video"]) is None:
                return False
            record = self.with_clip(record)
        rate = rate_of(record, self.rate, budget=self.frame_budget, training=self.completions)
        start, end = record["clip"]
        return clip_key(record["video"], start, end, rate) in self.store

    def frames(
        self, record: dict[str, Any], times: list[float], rate: float, *, video: Path | None = None
    ) -> list[Image]:
        """Return the record's frames in order, decoded (or read from the store) unless among the last `cache_clips`.

        Raises:
            VideoError: There is no such file, or nothing in it can be read.
        """
        start, end = record["clip"]
        size = (self.grid, self.max_pixels, record["width"], record["height"])  # what `frame_size` decides by
        stored = clip_key(record["video"], start, end, rate)
        path = video or resolve_video(self.video_root, record["video"])
        if self.store is None:
            try:
                key: CacheKey = (stamp_of(path), start, end, rate, size)
            except OSError as error:
                raise VideoError(path, f"cannot be opened ({error.strerror})") from None
        else:
            key = (stored, size)
        # No lock, which could not be copied to a worker: each of these steps is whole, and a clip that another thread
        # has just put out is decoded once more.
        if (known := self._cache.get(key)) is not None:
            with suppress(KeyError):
                self._cache.move_to_end(key)
            return known
        if self.store is None:
            root = None if video else self.video_root
            frames = clip_frames(path, record, times, self.frame_size(record), root=root)
        else:
            frames = self._stored(record, stored)
        self.clips_decoded += 1
        self._cache[key] = frames
        while len(self._cache) > self.cache_clips:
            with suppress(KeyError):
                self._cache.popitem(last=False)
        return frames

    def _stored(self, record: dict[str, Any], key: str) -> list[Image]:
        """Frames from the shards, resized where they were made for another grid or limit."""
        assert self.store is not None
        frames = self.store.frames(key)
        # Without a size of its own the record's video would have to be opened: its shape is the stored pictures'.
        size = (
            fit_frame(*frames[0].size, grid=self.grid, max_pixels=self.max_pixels)
            if record["width"] is None or record["height"] is None
            else self.frame_size(record)
        )
        return [frame if frame.size == size else frame.resize(size, Resampling.BOX) for frame in frames]


def completion_text(
    record: dict[str, Any], family: Family, scale: tuple[int, int], control_tokens: Iterable[str] = ()
) -> str:
    """The true completion: reasoning (if the record has one) and answer, in the family's tags.

    Boxes are written by the formatter that the rewards' parser reads. Captions and questions answer in plain text.
    Control tokens in the record's own words are broken up as in the query.
    """
    if record["kind"] in ("caption", "qa"):
        return plain_text(record["answer"], control_tokens)
    if record["kind"] == "scene":
        tracks = [_track(item["label"], item["track"]) for item in record["tracks"]]
        answer = format_tracks(tracks, scale=scale)
    else:
        answer = format_answer(_track(record["label"], record["track"]), scale=scale)
    reasoning = plain_text(record.get("reasoning") or "", control_tokens)
    thought = f"{family.think[0]}{reasoning}{family.think[1]}" if reasoning else ""
    return f"{thought}{family.answer[0]}{answer}{family.answer[1]}"


def _track(label: str, states: list[dict[str, Any]]) -> Track:
    return Track(label=label, boxes={state["second"]: tuple(state["box"]) for state in states})


def load_mixture(tracks: list[str], builder: RowBuilder, *, limit: int | None = None) -> Dataset:
    """Rows of several track files, one after the other, as a `datasets.Dataset` that decodes on access.

    A record whose video (with shards: whose frames) is missing is left out, counted and logged with the first names.

    Args:
        limit: at most this many records of each file.

    Raises:
        RecordError: A record is malformed (names file, line and field).
        FileNotFoundError: A file's records have no video at all.
    """
    kept: list[str] = []
    for path in tracks:
        kept += _records_with_frames(path, builder, limit)
    return Dataset.from_dict({"record": kept}).with_transform(builder)


def _records_with_frames(path: str, builder: RowBuilder, limit: int | None) -> list[str]:
    kept: list[str] = []
    missing: list[str] = []
    where = f"its video below {builder.video_root}"
    if builder.store is not None:
        where = f"its frames at this frame_rate in {builder.store.folder}"
    for record in read_records(path):
        if len(kept) == limit:
            break
        if builder.has_frames(record):
            kept.append(json.dumps(record))
        else:
            missing.append(record["video"])
    if missing:
        names = ", ".join(sorted(set(missing))[:5])
        logger.warning("%s: %d records left out, without %s: %s", path, len(missing), where, names)
    if not kept:
        raise FileNotFoundError(f"{path}: none of its {len(missing)} records has {where}")
    return kept
