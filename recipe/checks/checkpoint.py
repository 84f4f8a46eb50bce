"""Find the config and processor of the checkpoint that a stage begins from, or say why they cannot be read."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from huggingface_hub import constants, try_to_load_from_cache
from trl import ModelConfig

from data_prep.stages import StageError
from recipe.inputs.families import find_family
from recipe.inputs.loading import load_config, load_processor
from recipe.inputs.native_video import NativeVideoProcessor
from recipe.inputs.video_units import FRAMES, PAIRS, pairs_problem


def checkpoint_of(
    model_args: ModelConfig, template_path: str | None, units: str = FRAMES
) -> tuple[Any, Any, str | None]:
    """Return (config, processor, None), or (None, None, what is wrong).

    Args:
        template_path: file of the chat template that SFTTrainer would put in the place of the checkpoint's.
        units: `video_units`; a family that has no pairs gives its stock processor (see `pairs_problem`).
    """
    name = model_args.model_name_or_path
    if not name:
        return None, None, "model_name_or_path is missing"
    try:
        if not Path(name).is_dir() and not in_cache(name) and not hub_answers():
            return None, None, "not in the cache, and the hub does not answer"
        processor = load_processor(model_args)
        if template_path:
            processor.chat_template = Path(template_path).read_text(encoding="utf-8")
        config = load_config(name)
        family = find_family(config, processor)
        if units == PAIRS and family is not None and pairs_problem(family) is None:
            processor = NativeVideoProcessor(processor)
        return config, processor, None
    except (OSError, ValueError, StageError) as error:
        return None, None, " ".join(str(error).split())[:200]


def in_cache(name: str) -> bool:
    """Return whether a model id's config was fetched before."""
    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def hub_answers() -> bool:
    """Return whether the hub can be reached, by one short request: its own client would try for half a minute."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
