"""What a family's stock processor would make of a native video, found without a frame: its text and frame size."""

from __future__ import annotations

from typing import Any

import torch
from transformers.image_utils import SizeDict
from transformers.video_utils import VideoMetadata

from recipe.inputs.native_video import NativeVideoProcessor
from recipe.inputs.pair_pictures import PATCH_FRAMES


def spelled(processor: NativeVideoProcessor, grids: int, rate: float) -> str:
    """Return what the family writes for a video's placeholder, with one token a grid in the place of its pixels.

    Args:
        grids: pairs of frames.
        rate: frames a second.
    """
    merge, frames = processor.stock.video_processor.merge_size, grids * PATCH_FRAMES
    described = VideoMetadata(total_num_frames=frames, fps=rate, frames_indices=list(range(frames)))
    one: dict[str, Any] = {"video_grid_thw": torch.tensor([[grids, merge, merge]]), "video_metadata": [described]}
    written: str = processor.stock.replace_video_token(one, 0)
    return written


def size_kept(processor: NativeVideoProcessor, frames: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) that the stock processor's limits for a whole video leave its frames, pixels.

    The rows' frames keep their size; a server, or whoever gives the stock processor a video, gets these.

    Args:
        frames: of the video, even.
        size: (width, height) of each, pixels.
    """
    videos = processor.stock.video_processor
    limits = videos.size if isinstance(videos.size, SizeDict) else SizeDict(**videos.size)
    capped = getattr(videos, "cap_pixels_per_frame", None)  # Qwen's, off where a checkpoint does not state it
    resized = videos.resize(
        torch.empty(1, frames, 3, size[1], size[0], device="meta"),
        size=limits,
        resample=videos.resample,
        factor=videos.patch_size * videos.merge_size * getattr(videos, "patch_expand_factor", 1),
        temporal_factor=videos.temporal_patch_size,
        **({} if capped is None else {"cap_pixels_per_frame": capped}),
    )
    return int(resized.shape[-1]), int(resized.shape[-2])
