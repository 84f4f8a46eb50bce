"""Records to the frames that a model is shown: decoded or read from shards, sized, and kept while they are wanted.

TRL's sampler repeats each prompt `num_generations` times in a batch and fetches the same generation batch again for
every optimiser step on it, so each distinct clip is decoded once and the last few are kept (`cache_clips`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.Image import Image, Resampling

from data_prep.identity import stamp_of
from data_prep.records import Record, resolve_video
from data_prep.seconds import frame_times
from data_prep.video.clips import clip_frames
from data_prep.video.frame_store import FrameStore, clip_key
from data_prep.video.looks import Fault, fault_of, look
from data_prep.video.rates import FRAME_BUDGET, Policy, rate_of
from data_prep.video.sampling import VideoError, probe, probe_whole
from data_prep.video.sizes import fit_frame
from recipe.inputs.pair_pictures import pairs_of
from recipe.inputs.video_units import FRAMES, PAIRS, grid_starts

CacheKey = tuple[Any, ...]


@dataclass
class ClipFrames:
    """Gives the frames of records' clips, and keeps the last few clips.

    Clips are known by what the file is (resolved path, size, time of change), never by a video's name. Threads may
    share one; of two that want the same new clip at once one decodes it and the other waits. A copy, such as a
    DataLoader worker's, starts with an empty cache.

    Attributes:
        video_root: folder that the records' `video` paths are relative to.
        grid, max_pixels: frame size limits, pixels (see `fit_frame`).
        rate: frames a second, or "dynamic" (`data_prep.video.rates`); a record's own `rate` comes first.
        frame_budget: most frames of a clip under "dynamic".
        training: whether "dynamic" may look at the true event, as only supervised rows may.
        store: shards that the frames are read from; None: they are decoded from the videos.
        cache_clips: how many decoded clips are kept.
        units: what one picture shows: a frame, or with "pairs" two, the first above the second.
        decoded: how many clips were decoded or read so far.
    """

    video_root: Path
    grid: int
    max_pixels: int
    rate: Policy = 1.0
    frame_budget: int = FRAME_BUDGET
    training: bool = True
    store: FrameStore | None = None
    cache_clips: int = 64
    units: str = FRAMES
    decoded: int = 0
    _cache: OrderedDict[CacheKey, list[Image]] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _begun: dict[CacheKey, threading.Event] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # Locks can be neither copied nor pickled, and the pictures are too many to send to a worker.
        return {name: value for name, value in vars(self).items() if name not in ("_cache", "_lock", "_begun")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _cache=OrderedDict(), _lock=threading.Lock(), _begun={})

    def rate_for(self, record: Record) -> float:
        """Return the frames a second that a record with `seconds` is shown at."""
        return rate_of(record, self.rate, budget=self.frame_budget, training=self.training)

    def starts(self, record: Record) -> list[float]:
        """Return when the interval of each picture of a record with `seconds` begins, seconds on the clip's clock."""
        return grid_starts(record["seconds"], self.rate_for(record), self.units)

    def frame_size(self, record: Record) -> tuple[int, int]:
        """Return (width, height) in pixels of the frames that the model gets.

        They follow from the record, or from the video where a caption or question states no picture size.
        """
        if record["width"] is None or record["height"] is None:
            info = probe(resolve_video(self.video_root, record["video"]))
            return fit_frame(info.width, info.height, grid=self.grid, max_pixels=self.max_pixels)
        return fit_frame(record["width"], record["height"], grid=self.grid, max_pixels=self.max_pixels)

    def with_clip(self, record: Record) -> Record:
        """Return the record with clip and seconds; a caption or question about the whole file states none."""
        if record["seconds"] is not None and record["clip"] is not None:
            return record
        if self.store is not None and (known := self.store.whole_file(record["video"])):
            return record | {"seconds": known[0], "clip": [0.0, known[1]]}
        info = probe_whole(resolve_video(self.video_root, record["video"]))
        return record | {"seconds": info.seconds, "clip": [0.0, float(info.duration_s)]}

    def path_of(self, record: Record) -> Path:
        """Return the file or folder that the record's video is."""
        return resolve_video(self.video_root, record["video"])

    def fault(self, record: Record) -> tuple[Fault, str] | None:
        """Return why a record's video, or with shards its clip, is of no use, and what was found; None where it is."""
        if self.store is None:
            path = self.path_of(record)
            if not path.exists():
                return Fault.MISSING, f"{record['video']}: not below {self.video_root}"
            return fault_of(look(path), record)
        rate = "this frame_rate" if record["seconds"] is None else f"frame_rate {self.rate_for(record):g}"
        missing = Fault.MISSING, f"{record['video']}: no frames at {rate} in {self.store.folder}"
        if record["seconds"] is None or record["clip"] is None:
            if self.store.whole_file(record["video"]) is None:
                return missing
            record = self.with_clip(record)
        start, end = record["clip"]
        return None if clip_key(record["video"], start, end, self.rate_for(record)) in self.store else missing

    def frames(self, record: Record, *, video: Path | None = None) -> list[Image]:
        """Return the pictures of a record with `clip` and `seconds`, in order: its frames, or pairs of them.

        Args:
            video: the file that the record is about; None: the one that it names below `video_root`.

        Raises:
            VideoError: There is no such file, or nothing in it can be read.
        """
        start, end = record["clip"]
        rate = self.rate_for(record)
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
        while True:
            with self._lock:
                if (known := self._cache.get(key)) is not None:
                    self._cache.move_to_end(key)
                    return known
                other = self._begun.get(key)
                if other is None:
                    mine = self._begun[key] = threading.Event()
                    break
            other.wait()  # and look again: the other thread may have failed, or nothing is kept
        # Outside the lock: decoding is what takes the time, and threads with other clips need not wait for it.
        try:
            if self.store is None:
                root = None if video else self.video_root
                times = frame_times(record["seconds"], rate)
                frames = clip_frames(path, record, times, self.frame_size(record), root=root)
            else:
                frames = self._stored(record, stored)
            if self.units == PAIRS:
                frames = pairs_of(frames, rate)
            with self._lock:
                self.decoded += 1
                self._cache[key] = frames
                while len(self._cache) > self.cache_clips:
                    self._cache.popitem(last=False)
        finally:
            with self._lock:
                del self._begun[key]
            mine.set()
        return frames

    def _stored(self, record: Record, key: str) -> list[Image]:
        """Return frames from the shards, resized where they were made for another grid or limit."""
        assert self.store is not None
        frames = self.store.frames(key)
        # Without a size of its own the record's video would have to be opened: its shape is the stored pictures'.
        size = (
            fit_frame(*frames[0].size, grid=self.grid, max_pixels=self.max_pixels)
            if record["width"] is None or record["height"] is None
            else self.frame_size(record)
        )
        return [frame if frame.size == size else frame.resize(size, Resampling.BOX) for frame in frames]
