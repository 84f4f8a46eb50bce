"""A clip's frames, one a second, small and as JPEG: what a teacher and a reviewer look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from data_prep.records import resolve_video
from data_prep.video.sampling import probe, sample_frames


def chosen_seconds(seconds: int, most: int) -> list[int]:
    """Choose at most `most` of a clip's seconds, at even steps.

    >>> chosen_seconds(4, 10), chosen_seconds(100, 4)
    ([0, 1, 2, 3], [12, 37, 62, 87])
    """
    if seconds <= most:
        return list(range(seconds))
    return [int((index + 0.5) * seconds / most) for index in range(most)]


def frames_of(record: Mapping[str, Any], video_root: Path, *, side: int, most: int) -> list[tuple[int, Image.Image]]:
    """Return (second, the frame in its middle) of a record's clip; the longer side has at most `side` pixels.

    Raises:
        RecordError, VideoError, OSError: no such video, or it does not decode.
    """
    shown = chosen_seconds(record["seconds"], most)
    start, end = record["clip"]
    path = resolve_video(video_root, record["video"])
    if not path.is_file():
        raise FileNotFoundError(f"{record['video']}: no such video under {video_root}")
    width, height = record["width"], record["height"]
    if width is None or height is None:  # a record without boxes need not say
        info = probe(path)
        width, height = info.width, info.height
    shrink = min(1.0, side / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    pictures = sample_frames(path, [k + 0.5 for k in shown], clip_start_s=start, clip_end_s=end, size=size)
    return list(zip(shown, pictures, strict=True))


def data_uri(picture: Image.Image, quality: int = 85) -> str:
    """Encode a picture as a data URI that holds a JPEG."""
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
