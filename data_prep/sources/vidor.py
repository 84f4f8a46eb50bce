"""VidOR's boxes, a file a video."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from data_prep.boxes import FrameBoxes, frame_boxes, grouped, repeated_frame

LARGEST = 512 << 20  # bytes of one file
KEPT = 64  # videos, whose sentences often stand together


class VidOR:
    """Boxes of VidOR's videos; those of the last videos are kept.

    Args:
        root: the data set's root, `annotation/` (with `training/<folder>/<vid>.json` and `validation/...`) or a part
            of it, or one file; None: no boxes at hand.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._files: dict[str, Path] | None = None
        self._read = lru_cache(maxsize=KEPT)(_boxes_of)

    def of(self, vid: str, target: Any) -> tuple[str, FrameBoxes] | str:
        """Return (path of the video, boxes on its frames in pixels) of one target, or what is missing."""
        if self.root is None:
            return "no boxes: give VidOR's annotation folder as --vidor"
        if self._files is None:
            paths = [self.root] if self.root.is_file() else sorted(self.root.rglob("*.json"), reverse=True)
            self._files = {path.stem: path for path in paths}
        path = self._files.get(vid)
        if path is None:
            return f"{vid}.json is not under {self.root}"
        result = self._read(path)
        if isinstance(result, str):
            return result
        video, targets = result
        boxes = targets.get(target) or frame_boxes({})
        twice = repeated_frame(boxes)
        if twice is not None:
            return f"{path}: trajectories[{twice}] has two boxes of target {target!r:.40}, expected one"
        return video, boxes


def _boxes_of(path: Path) -> tuple[str, dict[int, FrameBoxes]] | str:
    """Return (path of the video, target -> boxes) of a file, or what is wrong with the file."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"{path}: {size} bytes, at most {LARGEST} are read"
        annotation = orjson.loads(path.read_bytes())
        trajectories = annotation["trajectories"]
        video = annotation.get("video_path") or f"{path.resolve().parent.name}/{path.stem}.mp4"
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        return f"{path}: no annotation of VidOR ({type(error).__name__} {' '.join(str(error).split())[:120]})"
    frame = 0
    try:
        boxes, frames, owners = [], [], []
        for frame, listed in enumerate(trajectories):
            for entry in listed:
                box = entry["bbox"]
                boxes.append((box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
                owners.append(entry["tid"])
            frames += [frame] * len(listed)
        if not all(type(owner) is int and abs(owner) < 1 << 62 for owner in set(owners)):
            raise TypeError("tid, expected whole numbers")
        corners = np.array(boxes, np.float64).reshape(-1, 4)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return f"{path}: trajectories[{frame}]: {type(error).__name__} {error}, expected a list of {{tid, bbox}}"
    corners[:, 2:] += 1  # right and lower pixels are included
    return str(video), grouped(np.array(frames, np.int64), np.array(owners, np.int64), corners)
