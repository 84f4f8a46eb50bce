"""What a served model gets: pictures or the video's file, times in text or not, and how boxes are asked for."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipe.inputs.pair_pictures import RATE, split, video_of
from stvg_rewards.prompts.box_format import BoxFormat

MEDIA = ("png", "jpeg", "video_url", "video_file")
JPEG: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}
# What vLLM takes a list of frames by, with its own sampling left out. It opens whatever picture it is sent, and PNG
# loses nothing: the served model sees the very pixels that training and evaluation show.
FRAMES_URL = "data:video/jpeg;base64,"


@dataclass(frozen=True)
class RequestForm:
    """The form of a request.

    Attributes:
        media: "png" or "jpeg": a picture for each frame; "video_url": the video's file as a data URL; "video_file":
            its address (file://), for a server of this machine that may read it. A record whose clip is only a part of
            its file is shown as frames (JPEG). With `video_units: pairs` any of them sends one video, our frames, in
            vLLM's own form for a list of frames: as JPEG for "jpeg", else without loss.
        timestamps: whether the time of each frame stands in the text before it.
        boxes: order and unit that boxes are asked for in; None: the model family's.

    Raises:
        ValueError: Another media, or timestamps that are neither true nor false.
    """

    media: str = "png"
    timestamps: bool = True
    boxes: BoxFormat | None = None

    def __post_init__(self) -> None:
        if self.media not in MEDIA:
            raise ValueError(f"media is {self.media!r}, expected one of {', '.join(MEDIA)}")
        if not isinstance(self.timestamps, bool):
            raise ValueError(f"timestamps is {self.timestamps!r}, expected true or false")

    @property
    def files(self) -> bool:
        """Return whether a video's file is sent where it is a record's clip."""
        return self.media.startswith("video")

    def content(self, row: dict[str, Any]) -> list[Any]:
        """Return the user's turn of a row as the API takes it, in the order of the prompt.

        Args:
            row: from `RowBuilder.row`, with its `images` (frames, or pairs of them, which are sent as one video), or
                with the `file` that is shown instead.
        """
        if is_native(row):
            return [
                {"type": "video_url", "video_url": {"url": self._frames(row["images"])}},
                row["prompt"][0]["content"][-1],
            ]
        images = iter(row["images"])
        return [self._part(part, images, row) for part in row["prompt"][0]["content"]]

    def _part(self, part: dict[str, Any], images: Iterator[Any], row: dict[str, Any]) -> dict[str, Any]:
        if part["type"] == "image":
            return {"type": "image_url", "image_url": {"url": self._picture(next(images))}}
        if part["type"] == "video":
            return {"type": "video_url", "video_url": {"url": self._video(Path(row["file"]))}}
        return part

    def _picture(self, image: Any) -> str:
        out = io.BytesIO()
        if self.media == "png":
            image.save(out, format="PNG")
            return _data_url("image/png", out.getvalue())
        image.save(out, **JPEG)
        return _data_url("image/jpeg", out.getvalue())

    def _frames(self, pairs: Sequence[Any]) -> str:
        """Return the frames of a clip's pair pictures as one video's URL."""
        kind: dict[str, Any] = JPEG if self.media == "jpeg" else {"format": "PNG"}
        return FRAMES_URL + ",".join(_base64(frame, kind) for pair in pairs for frame in split(pair))

    def _video(self, path: Path) -> str:
        if self.media == "video_file":
            return path.resolve().as_uri()
        return _data_url(mimetypes.guess_type(path.name)[0] or "video/mp4", path.read_bytes())


def is_native(row: dict[str, Any]) -> bool:
    """Return whether a row's pictures are pairs of frames, which a model takes as one video."""
    return bool(row["images"]) and RATE in row["images"][0].info


def video_options(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a request says to vLLM of a video of frames: their times, and to take them all as they are.

    Args:
        row: with pair pictures; of other rows nothing is said.
    """
    if not is_native(row):
        return {}
    _, metadata = video_of(row["images"])
    stated = {name: metadata[name] for name in ("fps", "frames_indices", "total_num_frames", "duration")}
    # A request may not turn off resizing, which is for whoever starts the server (docs/inference.md).
    return {"media_io_kwargs": {"video": {"num_frames": -1, "do_sample_frames": False} | stated}}


def _base64(image: Any, kind: dict[str, Any]) -> str:
    out = io.BytesIO()
    image.save(out, **kind)
    return base64.b64encode(out.getvalue()).decode("ascii")


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
