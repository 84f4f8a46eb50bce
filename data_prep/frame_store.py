"""Shards of frames, read back: what `python -m data_prep frames` wrote."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as parquet
from PIL import Image

from data_prep.stages import StageError

PATTERN = "clips-*.parquet"


def clip_key(video: str, start_s: float, end_s: float, rate: float) -> str:
    """The name of a clip's frames in the shards.

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
        for shard in shards:
            table = parquet.read_table(shard, columns=["key", "error"])
            for row, (key, error) in enumerate(
                zip(*(table[name].to_pylist() for name in ("key", "error")), strict=True)
            ):
                if error is None:
                    self._place[key] = (shard, row)
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return key in self._place

    def __len__(self) -> int:
        return len(self._place)

    def frames(self, key: str) -> list[Image.Image]:
        """The clip's RGB pictures in order.

        Raises:
            StageError: the shards do not hold that clip at that rate.
        """
        if key not in self._place:
            raise StageError(f"{self.folder}: no frames of {key} in the shards; make them from the same track files")
        shard, row = self._place[key]
        with parquet.ParquetFile(shard) as file:
            items = file.read_row_group(row, columns=["frames"])["frames"][0].as_py()
        return [Image.open(io.BytesIO(item["bytes"])).convert("RGB") for item in items]
