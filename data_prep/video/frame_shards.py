"""One shard of frames: what it holds, and how it is written from videos and from the rows of earlier shards."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from data_prep.records import RecordError, resolve_video
from data_prep.seconds import frame_times
from data_prep.stages import StageError
from data_prep.video.clips import clip_frames
from data_prep.video.frame_store import PATTERN, SCHEMA, read_columns
from data_prep.video.marks import video_mark
from data_prep.video.sampling import VideoError

# In the schema's metadata: JSON list of what each row's video was known by when it was decoded; null: not known. It is
# no column, so that shards from before it stand beside new ones.
MARKS = b"stvg_videos"
# What a killed worker leaves.
LEFT = re.compile(r"\.clips-\d{5}-of-\d{5}\.parquet\.\d+-[0-9a-f]{8}\.part")


@dataclass(frozen=True)
class Place:
    """Where a clip's frames lie already.

    Attributes:
        shard, row: the file, and the row in it.
        mark: what the video was known by (`video_mark`); None in shards from before marks were written.
        clip: the row's `video`, `seconds`, `rate`, `whole_file`, `start_s` and `end_s`.
    """

    shard: Path
    row: int
    mark: str | None
    clip: dict[str, Any]


@dataclass(frozen=True)
class Shelf:
    """All frames of a folder: places by clip key, and the number of rows of each shard that can be read."""

    places: dict[str, Place]
    rows: dict[Path, int]

    @classmethod
    def read(cls, folder: Path) -> Shelf:
        """Look into every shard. A shard that cannot be read, and rows with an error, count as missing."""
        places: dict[str, Place] = {}
        rows: dict[Path, int] = {}
        names = ["key", "error", "video", "seconds", "rate", "whole_file", "start_s", "end_s"]
        for shard in sorted(folder.glob(PATTERN)):
            try:
                found = read_columns(shard, names)
                marks = _marks(shard, len(found))
            except (StageError, pyarrow.ArrowException, OSError):
                continue
            rows[shard] = len(found)
            for number, (row, mark) in enumerate(zip(found, marks, strict=True)):
                if row.pop("error") is None:
                    places[row.pop("key")] = Place(shard, number, mark, row)
        return cls(places, rows)

    @cached_property
    def whole_files(self) -> dict[str, dict[str, Any]]:
        """Rows by video, of those whose frames were made of the whole file: the file itself may be gone."""
        return {place.clip["video"]: place.clip for place in self.places.values() if place.clip["whole_file"]}


def _marks(shard: Path, count: int) -> list[str | None]:
    text = (parquet.read_schema(shard).metadata or {}).get(MARKS)
    marks = json.loads(text) if text else []
    return marks if len(marks) == count else [None] * count


def mark_of(videos: str | Path, video: str) -> str | None:
    """Return what a video under the root is known by now, or None where it is missing."""
    try:
        return video_mark(resolve_video(videos, video))
    except (RecordError, OSError):
        return None


def write_shard(job: dict[str, Any]) -> int:
    """Write a shard's file and return its number of clips; a clip that cannot be decoded is a row with its error.

    Args:
        job: `path`; `videos`, the root; `quality` of the JPEGs; `clips`, each with `kept`: [shard, row] of frames
            that are copied, or None where the video is decoded.
    """
    path, clips = Path(job["path"]), job["clips"]
    sources = {clip["kept"][0] for clip in clips if clip["kept"]}
    # Opened before anything is replaced: another worker may write one of these files anew meanwhile.
    opened = {name: parquet.ParquetFile(name) for name in sources if Path(name).is_file()}
    try:
        rows = [_copy(clip, opened) for clip in clips]
        marks = [
            clip["kept_mark"] if row is not None else mark_of(job["videos"], clip["video"])
            for clip, row in zip(clips, rows, strict=True)
        ]
        _write(path, job, rows, marks, opened)
    finally:
        for file in opened.values():
            file.close()
    return len(clips)


def _write(
    path: Path,
    job: dict[str, Any],
    rows: list[tuple[str, int] | None],
    marks: list[str | None],
    opened: dict[str, parquet.ParquetFile],
) -> None:
    from datasets import Features, Image, List, Value

    features = Features({name: List(Image()) if kind == "images" else Value(kind) for name, kind in SCHEMA.items()})
    schema = features.arrow_schema  # with the note by which `datasets` knows that the bytes are pictures
    schema = schema.with_metadata({**schema.metadata, MARKS: json.dumps(marks).encode()})
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    aside = path.parent / f".{path.name}.{os.getpid()}-{digest}.part"
    try:
        with open(aside, "wb") as file:
            # A row group a clip: no more than one is in memory, and FrameStore reads one without the others.
            with parquet.ParquetWriter(file, schema) as writer:
                for clip, kept in zip(job["clips"], rows, strict=True):
                    if kept is not None:
                        table = opened[kept[0]].read_row_group(kept[1])
                    else:
                        row = clip_row(clip, job["videos"], job["quality"])
                        table = pyarrow.Table.from_pylist([row], schema=schema)
                    writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _copy(clip: dict[str, Any], opened: dict[str, parquet.ParquetFile]) -> tuple[str, int] | None:
    """Return where the clip's row is copied from; None where it is not what it was when it was looked at."""
    if not clip["kept"]:
        return None
    name, row = clip["kept"]
    file = opened.get(name)
    if file is None or row >= file.num_row_groups:
        return None
    found = file.read_row_group(row, columns=["key", "error"]).to_pylist()
    return (name, row) if found == [{"key": clip["key"], "error": None}] else None


def clip_row(clip: dict[str, Any], videos: str, quality: int) -> dict[str, Any]:
    """Return a clip's row, with its frames or with what went wrong."""
    frames, error = [], clip.get("error")
    if error is None:
        try:
            path = resolve_video(videos, clip["video"])
            times = frame_times(clip["seconds"], clip["rate"])
            pictures = clip_frames(path, clip, times, tuple(clip["size"]), root=videos)
            frames = [{"bytes": jpeg(picture, quality), "path": None} for picture in pictures]
        except (VideoError, RecordError, OSError) as problem:
            error = one_line(problem)
    start, end = clip["clip"] or (None, None)
    row = {name: clip.get(name) for name in ("key", "video", "seconds", "rate", "whole_file")}
    return row | {"start_s": start, "end_s": end, "error": error, "num_frames": len(frames), "frames": frames}


def jpeg(picture: Any, quality: int) -> bytes:
    """Return a picture as JPEG bytes; `quality` is 1 to 100."""
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=quality)
    return out.getvalue()


def one_line(error: Exception) -> str:
    """Return an error as one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]
