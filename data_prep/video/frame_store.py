"""Shards of frames, read back: what `python -m data_prep frames` wrote."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from PIL import Image
from pyarrow.lib import ArrowException

from data_prep.stages import StageError
from data_prep.video.stills import open_still

PATTERN = "clips-*.parquet"
# A row, a clip: its columns and their types in the words of `datasets`.
SCHEMA = {
    "key": "string",
    "video": "string",
    "start_s": "float64",
    "end_s": "float64",
    "seconds": "int64",
    "rate": "float64",
    "whole_file": "bool",  # the record states no clip: start_s to end_s is the file
    "error": "string",  # why there are no frames
    "num_frames": "int64",
    "frames": "images",
}


def read_columns(shard: Path, names: list[str]) -> list[dict[str, Any]]:
    """Return the rows of a shard with only these columns.

    Raises:
        StageError: no shard of frames.
    """
    try:
        rows: list[dict[str, Any]] = parquet.read_table(shard, columns=names).to_pylist()
    except (ArrowException, OSError) as error:
        raise StageError(f"{shard}: no shard of frames ({' '.join(str(error).split())[:100]}); remove it") from None
    if rows and len(rows[0]) != len(names):
        raise StageError(f"{shard}: columns {', '.join(rows[0])}, expected {', '.join(names)}; remove it")
    return rows


def clip_key(video: str, start_s: float, end_s: float, rate: float) -> str:
    """Return the name of a clip's frames in the shards.

    >>> clip_key("a/b.mp4", 0, 6.0, 1)
    '["a/b.mp4", 0.0, 6.0, 1.0]'
    """
    return json.dumps([video, float(start_s), float(end_s), float(rate)])


class FrameStore:
    """Frames by clip, without decoding any video.

    Each clip is a row group of its shard, so that one is read without the others.

    Args:
        folder: the shards' folder.

    Raises:
        StageError: no shards in it.
    """

    def __init__(self, folder: Path) -> None:
        shards = sorted(folder.glob(PATTERN))
        if not shards:
            raise StageError(f"{folder}: no shards of frames; `python -m data_prep frames` writes them")
        self._place: dict[str, tuple[Path, int]] = {}
        self._whole: dict[str, tuple[int, float]] = {}
        for shard in shards:
            for number, row in enumerate(read_columns(shard, [name for name in SCHEMA if name != "frames"])):
                if row["error"] is None:
                    self._place[row["key"]] = (shard, number)
                    if row["whole_file"]:
                        self._whole[row["video"]] = (row["seconds"], row["end_s"])
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return key in self._place

    def __len__(self) -> int:
        return len(self._place)

    def whole_file(self, video: str) -> tuple[int, float] | None:
        """Return (K, duration in seconds) of a video that is used in full, whose file may be gone; None if unknown."""
        return self._whole.get(video)

    def frames(self, key: str) -> list[Image.Image]:
        """Return the clip's RGB pictures in order.

        Raises:
            StageError: the shards do not hold that clip at that rate.
        """
        if key not in self._place:
            raise StageError(f"{self.folder}: no frames of {key} in the shards; make them from the same track files")
        shard, row = self._place[key]
        with parquet.ParquetFile(shard) as file:
            items = file.read_row_group(row, columns=["frames"])["frames"][0].as_py()
        return [open_still(io.BytesIO(item["bytes"])).convert("RGB") for item in items]
