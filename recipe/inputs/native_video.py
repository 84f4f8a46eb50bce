"""A video as the model itself takes one, inside trainers that know pictures only: `video_units: pairs`.

A family's own video format puts two frames into one temporal patch (one grid of tokens) and writes the time of each
grid itself. TRL has no video column, so here each two frames are one picture, the first above the second. What makes
ids and pixels of such pictures is the family's own processor, given the native video of the same frames, so both equal
what the stock processor makes of the video. TRL gets them back as pictures, one a grid.

The models need one change, and only in memory: GLM's prompts hold the picture's token in a video too, those of Qwen3
hold the video's, which `accept_native_video` takes for the picture's. The features and the positions are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import BatchFeature, ProcessorMixin

from recipe.inputs.pair_pictures import frames_shown as frames_shown
from recipe.inputs.pair_pictures import pairs_of as pairs_of
from recipe.inputs.pair_pictures import split as split
from recipe.inputs.pair_pictures import stack as stack
from recipe.inputs.pair_pictures import video_of as video_of

MARKERS = (("<|begin_of_video|>", "<|end_of_video|>"), ("<|vision_start|>", "<|vision_end|>"))


class NativeVideoProcessor(ProcessorMixin):
    """A family's stock processor for rows of pair pictures: a native video goes in, pictures come back.

    Each user message's pictures are one video. Everything that is not said here is the stock processor's, and that is
    also what is saved.

    Attributes:
        stock: the family's processor.
    """

    def __init__(self, stock: ProcessorMixin) -> None:
        # Not ProcessorMixin's: the parts stay where they are, in the stock processor.
        self.stock = stock

    def __getattr__(self, name: str) -> Any:
        if name == "stock":  # while a copy is made it has none yet
            raise AttributeError(name)
        return getattr(self.stock, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.stock!r})"

    @property
    def chat_template(self) -> Any:
        """The stock processor's chat template."""
        return self.stock.chat_template

    @chat_template.setter
    def chat_template(self, template: Any) -> None:
        self.stock.chat_template = template

    @property
    def model_input_names(self) -> list[str]:
        """The stock processor's names."""
        return self.stock.model_input_names

    def to_dict(self) -> dict[str, Any]:
        """Return the stock processor's settings."""
        return self.stock.to_dict()

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """Save the stock processor: a checkpoint holds nothing of the pairs."""
        return self.stock.save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

    def __call__(
        self,
        images: Sequence[Any] | None = None,
        text: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Return ids and pixels of texts with one video placeholder each, and of each text's pair pictures.

        Args:
            images: for each text its K pair pictures (none: no video in that text); for one text also a flat list.
            text: as `apply_chat_template` writes it.
            kwargs: as the stock processor takes them.

        Returns:
            As the stock processor gives them for the native video, except that pixels and grids have the pictures'
            names: `pixel_values`, and `image_grid_thw` with one row (1, h, w) a pair. `mm_token_type_ids` is 1 at
            their tokens.

        Raises:
            ValueError: A text has not exactly one placeholder for its pictures.
        """
        texts = [text] if isinstance(text, str) else list(text or ())
        clips = [clip or [] for clip in _clips_of_texts(images, len(texts))]
        token = self.stock.video_token
        for number, (written, clip) in enumerate(zip(texts, clips, strict=True)):
            if written.count(token) != bool(clip):
                raise ValueError(
                    f"text {number} of {len(texts)}: {written.count(token)} of {token} for {len(clip)} pictures, "
                    "expected one video a prompt"
                )
        videos = [video_of(clip) for clip in clips if clip]
        if not videos:
            return self.stock(text=texts, **kwargs)
        made = self.stock(
            text=texts,
            videos=[frames for frames, _ in videos],
            video_metadata=[_without_sampling(metadata) for _, metadata in videos],
            # Frames come as they should be; a limit for the whole video would shrink those of long ones.
            do_sample_frames=False,
            do_resize=False,
            **kwargs,
        )
        grids = made.pop("video_grid_thw")
        made["pixel_values"] = made.pop("pixel_values_videos")
        made["image_grid_thw"] = torch.tensor([[1, h, w] for t, h, w in grids.tolist() for _ in range(t)])
        if "mm_token_type_ids" in made:
            made["mm_token_type_ids"] = _as_pictures(made["mm_token_type_ids"])
        return made

    def apply_chat_template(
        self,
        conversation: Sequence[Any],
        *args: Any,
        tokenize: bool = False,
        return_dict: bool = False,
        return_tensors: str | None = None,
        return_assistant_tokens_mask: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return what the stock processor does, with each message's pictures written as one video.

        Args:
            conversation: messages, or a batch of such lists; `{"type": "image", "image": picture}` is a pair picture.

        Raises:
            NotImplementedError: `return_assistant_tokens_mask` is on.
        """
        if return_assistant_tokens_mask:
            raise NotImplementedError(
                "assistant masks with video_units: pairs; train on prompt and completion instead"
            )
        batched = isinstance(conversation[0], (list, tuple))
        conversations = list(conversation) if batched else [conversation]
        as_videos = [[_with_video(message) for message in messages] for messages in conversations]
        texts = self.stock.apply_chat_template(as_videos, *args, **kwargs)
        if not tokenize:
            return texts if batched else texts[0]
        options = dict(processor_kwargs or {})
        begin = self.stock.tokenizer.bos_token
        if begin is not None and texts[0].startswith(begin):
            options["add_special_tokens"] = False  # the template wrote it, as upstream reasons too
        if return_tensors:
            options["return_tensors"] = return_tensors
        made = self(images=list(map(_pictures_of, conversations)), text=texts, **options)
        return made if return_dict else made["input_ids"]

    def unexpanded(self, ids: Sequence[int]) -> list[int]:
        """Return a prompt's ids with the family's single placeholder for the video: what vLLM takes beside a video.

        Args:
            ids: as this processor makes them, without padding.

        Raises:
            ValueError: A video that begins and does not end, as in a prompt that was cut.
        """
        tokenizer = self.stock.tokenizer
        known = tokenizer.get_vocab()
        start, end = next((known[a], known[b]) for a, b in MARKERS if a in known and b in known)
        inside = {self.stock.video_token_id, self.stock.image_token_id}
        kept: list[int] = []
        depth, began, holds = 0, 0, False
        for index, token in enumerate(ids):
            if token == start:
                if depth == 0:
                    began, holds = index, False
                depth += 1
            elif token == end and depth:
                depth -= 1
                if depth == 0:
                    kept += [start, self.stock.video_token_id, end] if holds else ids[began : index + 1]
                    continue
            if depth == 0:
                kept.append(token)
            holds = holds or token in inside
        if depth:
            raise ValueError(f"a prompt of {len(ids)} tokens whose video has no end ({tokenizer.decode([end])})")
        return kept


def _clips_of_texts(images: Sequence[Any] | None, texts: int) -> Sequence[Any]:
    if not images:
        return [[]] * texts
    if isinstance(images[0], Image.Image):
        return [images]
    return images


def _without_sampling(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "do_sample_frames"}


def _as_pictures(kinds: Any) -> Any:
    """Return the kinds of tokens with 1 (picture) where there was 2 (video)."""
    if isinstance(kinds, torch.Tensor):
        return kinds.clamp(max=1)
    return [[min(kind, 1) for kind in row] for row in kinds]


def _with_video(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose picture parts that follow one another are one video part."""
    content = message.get("content")
    if not isinstance(content, (list, tuple)):
        return dict(message)
    parts: list[Any] = []
    for part in content:
        if part["type"] != "image":
            parts.append(part)
        elif not parts or parts[-1]["type"] != "video":
            parts.append({"type": "video"})
    return {**message, "content": parts}


def _pictures_of(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    parts = [part for message in messages if not isinstance(message["content"], str) for part in message["content"]]
    return [part["image"] for part in parts if part["type"] == "image"]


def accept_native_video(model: Any) -> Any:
    """Let a model take a native video as pictures, one a grid, as `NativeVideoProcessor` gives it; return the model.

    A hook on the base model, where PEFT and other wrappers do not pass by it, takes the placeholders of a video for
    those of pictures. Weights, config and what is saved stay as they are. For GLM there is nothing to take: its own
    format has the picture's token in a video.

    Args:
        model: of a class for conditional generation, without an adapter around it.
    """
    base: nn.Module = model.model
    picture, video = model.config.image_token_id, model.config.video_token_id

    def take_for_pictures(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        ids, kinds = kwargs.get("input_ids"), kwargs.get("mm_token_type_ids")
        if ids is None or kinds is None or kwargs.get("pixel_values") is None:
            return args, kwargs
        # By kind: a video token that was sampled has nothing behind it and stays what it is.
        named = torch.where((ids == video) & (kinds == 1), picture, ids)
        return args, kwargs | {"input_ids": named}

    base.register_forward_pre_hook(take_for_pictures, with_kwargs=True)
    return model
