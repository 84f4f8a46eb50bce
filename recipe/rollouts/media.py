"""What vLLM gets for a prompt's pictures: them, or with `video_units: pairs` the native video of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipe.inputs.pair_pictures import video_of


def media_of_video(pictures: Sequence[Any]) -> dict[str, Any]:
    """Return the media of a vLLM prompt: the one video of a clip's pair pictures."""
    return {"video": [video_of(pictures)]}


def media_options(*, video: bool) -> dict[str, Any]:
    """Return an engine's options for prompts of pictures, or of one video each.

    No memory is set aside for what is not sent. A processor's pixel limit is for a whole video, above which it shrinks
    all frames: they come in the size that they are scored in, so the engine leaves them as they are.

    >>> media_options(video=False)
    {'limit_mm_per_prompt': {'video': 0}}
    """
    if not video:
        return {"limit_mm_per_prompt": {"video": 0}}
    return {"limit_mm_per_prompt": {"video": 1, "image": 0}, "mm_processor_kwargs": {"do_resize": False}}
