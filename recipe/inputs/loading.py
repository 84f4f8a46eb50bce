"""Model, processor and row builder of a stage, from its settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from trl import ModelConfig

from data_prep.identity import checkpoint_identity, hub_commit
from data_prep.stages import StageError
from data_prep.stamps import setting_of
from data_prep.video.frame_store import FrameStore
from data_prep.video.rates import parse_policy
from recipe.inputs.arguments import StageArguments
from recipe.inputs.chat_templates import ensure_template
from recipe.inputs.dataset import RowBuilder, make_builder
from recipe.inputs.families import Family, family_of, find_family, frame_grid, is_vision
from recipe.inputs.frames import ClipFrames
from recipe.inputs.native_video import NativeVideoProcessor, accept_native_video
from recipe.inputs.precision import attention_of, packing_of
from recipe.inputs.prompts import load_prompts
from recipe.inputs.video_units import FRAMES, PAIRS, check_pairs

FEW_WEIGHTS = 50_000_000  # of a model that one thread computes as fast as several


def check_checkpoint(name_or_path: str | None) -> str:
    """Return the checkpoint's name or folder after checking that it exists.

    Raises:
        StageError: None was given, or a folder that does not exist or holds no config.json.
    """
    if not name_or_path:
        raise StageError("model_name_or_path is missing: give the folder of a checkpoint or a model id")
    path = Path(name_or_path)
    looks_local = name_or_path.startswith((".", "/", "runs/")) or name_or_path.count("/") > 1
    if looks_local and not (path / "config.json").is_file():
        raise StageError(
            f"{name_or_path}: no config.json there, so no checkpoint; an earlier stage makes it (make help)"
        )
    return name_or_path


def model_identity(name_or_path: str | Path) -> str:
    """Return what a checkpoint is known by: see `checkpoint_identity`.

    The config of a model id is fetched first if the cache has none, as loading does, so that the first run knows the
    commit that later ones find in the cache.

    Raises:
        StageError: The folder holds no config.json.
    """
    if not Path(name_or_path).is_dir() and hub_commit(str(name_or_path)) is None:
        with suppress(OSError, ValueError):  # offline, or no such model: loading says so
            hf_hub_download(str(name_or_path), "config.json")
    return checkpoint_identity(name_or_path)


def without_its_code(load: Callable[..., Any], name: str, **options: Any) -> Any:
    """Return what transformers loads of a checkpoint; no code that lies in the checkpoint is run.

    Without a word about it, transformers asks on the terminal and runs the code if the next line is "y".

    Args:
        load: `from_pretrained` of a class.

    Raises:
        StageError: The checkpoint cannot be loaded without its code.
    """
    try:
        return load(name, trust_remote_code=False, **options)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise StageError(
            f"{name}: needs Python code that lies in the checkpoint (auto_map), which is never run here; expected a "
            "checkpoint of a family that transformers knows"
        ) from None


def load_config(name: str) -> Any:
    """Return a checkpoint's config.

    Raises:
        StageError: See `without_its_code`.
    """
    return without_its_code(AutoConfig.from_pretrained, name)


def load_processor(model_args: ModelConfig, units: str = FRAMES) -> Any:
    """Return the checkpoint's processor, padding on the left: GRPO's own processing passes no padding side.

    Its chat template is the family's from this repository where the checkpoint's own cannot train.

    Args:
        units: `video_units`; for pairs the processor takes rows of pair pictures (`recipe.inputs.native_video`).

    Raises:
        StageError: See `check_checkpoint`, `without_its_code` and, with pairs, `check_pairs`.
    """
    name = check_checkpoint(model_args.model_name_or_path)
    processor = without_its_code(AutoProcessor.from_pretrained, name, padding_side="left")
    family = find_family(load_config(name), processor)
    if family is not None:
        ensure_template(processor, family, name)
    if units == PAIRS:
        check_pairs(family or family_of(load_config(name), processor))
        return NativeVideoProcessor(processor)
    return processor


def template_in_place(name: str) -> Path | None:
    """Return the file of the chat template that takes the place of a checkpoint's own; None: its own stays.

    Raises:
        StageError: See `check_checkpoint` and `without_its_code`.
    """
    processor = without_its_code(AutoProcessor.from_pretrained, check_checkpoint(name))
    family = find_family(load_config(name), processor)
    return family.template_file if family is not None and ensure_template(processor, family, name) else None


def load_model(model_args: ModelConfig, script_args: StageArguments) -> Any:
    """Return the checkpoint's model, only from safetensors; a vision rate of 0 freezes its vision tower.

    With `load_in_4bit` it is packed as it is loaded (see `recipe.inputs.precision`). With `video_units: pairs` it
    takes what `NativeVideoProcessor` gives it.

    Raises:
        StageError: See `check_checkpoint` and `without_its_code`.
    """
    dtype = model_args.dtype if model_args.dtype in ("auto", None) else getattr(torch, model_args.dtype)
    packing = packing_of(model_args)
    packed = {} if packing is None else {"quantization_config": packing}
    model = without_its_code(
        AutoModelForImageTextToText.from_pretrained,
        check_checkpoint(model_args.model_name_or_path),
        dtype=dtype,
        attn_implementation=attention_of(model_args.attn_implementation, model_args.dtype),
        use_safetensors=True,
        **packed,
    )
    limit_threads(model)
    if script_args.vision_learning_rate == 0:
        freeze_vision(model)
    return accept_native_video(model) if script_args.video_units == PAIRS else model


def limit_threads(model: nn.Module) -> None:
    """Compute a small model on one thread, unless OMP_NUM_THREADS says otherwise.

    Its layers are too small to be worth dividing, and threads that wait for each other crawl where other work shares
    the cores. Models on an accelerator, and large ones, keep PyTorch's number.
    """
    if "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in model.parameters()) < FEW_WEIGHTS:
        torch.set_num_threads(1)


def freeze_vision(model: nn.Module) -> None:
    """Stop training the vision tower."""
    for name, parameter in model.named_parameters():
        if is_vision(name):
            parameter.requires_grad_(False)


def load_answering(model_args: ModelConfig, script_args: StageArguments) -> Any:
    """Load the checkpoint's model for answering: on the accelerator where there is one, dropout off."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    return load_model(model_args, script_args).eval().to(device)


def row_builder(script_args: StageArguments, model: Any, processor: Any, *, completions: bool) -> RowBuilder:
    """Return the row builder that fits the model's family and patch grid, and the processor's control tokens."""
    return builder_for(
        script_args,
        family_of(model.config, processor),
        grid=frame_grid(model.config),
        completions=completions,
        control_tokens=control_tokens(processor.tokenizer),
        context=model.config.get_text_config().max_position_embeddings,
    )


def trained_with(model: str | Path, name: str) -> Any:
    """Return a setting of the stage that trained a checkpoint, which is the stage's folder or a step's in it.

    Returns:
        None where that is not known, as of a model id.
    """
    folder = Path(model)
    known = setting_of(folder, name)
    return setting_of(folder.parent, name) if known is None and folder.name.startswith("checkpoint-") else known


def clips_of(script_args: StageArguments, grid: int, *, training: bool) -> ClipFrames:
    """Return what gives a stage's frames, without a model.

    Args:
        grid: pixels that the sides of the model's frames are multiples of.
        training: whether rows carry the true completion.

    Raises:
        StageError: `frames` names a folder without shards.
    """
    return ClipFrames(
        Path(script_args.video_root),
        grid,
        script_args.max_frame_pixels,
        rate=parse_policy(script_args.frame_rate),
        frame_budget=script_args.frame_budget,
        training=training,
        store=FrameStore(Path(script_args.frames)) if script_args.frames else None,
        units=script_args.video_units,
    )


def builder_for(
    script_args: StageArguments,
    family: Family,
    *,
    grid: int,
    completions: bool,
    control_tokens: tuple[str, ...],
    context: int | None,
) -> RowBuilder:
    """Return the row builder of a stage's settings, for a model that is known by what the arguments say of it.

    Args:
        grid: pixels that the sides of the model's frames are multiples of.
        control_tokens, context: see `RowBuilder`.
    """
    return make_builder(
        Path(script_args.video_root),
        load_prompts(script_args.prompts),
        family,
        grid,
        script_args.max_frame_pixels,
        rate=parse_policy(script_args.frame_rate),
        frame_budget=script_args.frame_budget,
        store=FrameStore(Path(script_args.frames)) if script_args.frames else None,
        completions=completions,
        cache_clips=script_args.cache_clips,
        units=script_args.video_units,
        control_tokens=control_tokens,
        context=context,
    )


def control_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Return the tokens that the tokenizer cuts out of any text before it splits words: special ones, tags and the
    like.
    """
    return tuple(sorted(tokenizer.get_added_vocab()))
