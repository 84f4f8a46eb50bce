"""Each distinct prompt of a rollout is processed once, and its rows share one tensor of pixels.

TRL processes the pictures of all rows, of which `num_generations` are alike, once for generation and once for scoring,
in float32, and keeps a copy for each row: 276 MB and 0.9 s of a core for a minute of video at 448 x 448, 32 times for
16 rows of two prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import BatchFeature
from trl.trainer.utils import pad

from recipe.inference.decode_attention import without_copies
from recipe.inputs.families import is_vision
from recipe.rollouts.shared_prefill import first_rows, prefill_once
from recipe.training.shared_rows import SharedRows

PIXELS, GRID = "pixel_values", "image_grid_thw"
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class SharedPixels:
    """Mixin for GRPOTrainer that processes each distinct prompt of a rollout once and keeps its pixels once.

    Rows are alike where their prompts have the same texts and the very same pictures, which `ClipFrames` gives to the
    rows of a clip. Pixels are kept in the dtype to which the model's forward pass casts them. The ids, the pixels that
    reach the model, loss and gradients are TRL's own. Hugging Face's generate reads each distinct prompt once
    (`recipe.rollouts.shared_prefill`).

    Overrides `_generate`, `_tokenize_prompts`, `_generate_single_turn` and `_generate_and_score_completions`. Prompts
    of environments or with tools, and processors without `image_grid_thw`, are left to TRL. It can go when TRL
    processes distinct prompts and shares their pixels.
    """

    # How many rows the rollout has and what they were processed to, until it is scored.
    _processed: tuple[int, dict[str, Any]] | None = None

    def _generate(self, prompts: list[Any]) -> Any:
        return super()._generate(Prompts(prompts))  # type: ignore[misc]

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        trainer, one = self, super()._tokenize_prompts  # type: ignore[misc]
        self._processed = None
        if trainer.tools or trainer.environment_factories is not None:  # type: ignore[attr-defined]
            return one(prompts)
        seen: dict[Any, tuple[list[int], Any, dict[str, Any]]] = {}
        rows = []
        for prompt in prompts:
            key = identity(prompt)
            if key not in seen:
                ids, images, fields = one([prompt])
                if not images or GRID not in fields:
                    return one(prompts)
                seen[key] = ids[0], images[0], fields | {PIXELS: self._to_keep(fields)}
            rows.append(seen[key])
        fields = joined([fields for _, _, fields in rows])
        self._processed = len(rows), fields
        return [ids for ids, _, _ in rows], [images for _, images, _ in rows], fields

    def _to_keep(self, fields: dict[str, Any]) -> torch.Tensor:
        """Return what the rollout keeps of a prompt's pictures, (patches, values), from its processed fields."""
        trainer: Any = self
        pixels: torch.Tensor = fields[PIXELS]
        return pixels.to(pixel_dtype(trainer.model, trainer.accelerator.mixed_precision))

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        trainer, one = self, super()._generate_single_turn  # type: ignore[misc]
        pixels = multimodal_fields.get(PIXELS)
        if not isinstance(pixels, SharedRows) or trainer.use_vllm:  # type: ignore[attr-defined]
            return one(prompt_ids, images, multimodal_fields, *args, **kwargs)
        distinct: dict[Any, int] = {}
        rows = [
            distinct.setdefault((tuple(ids), id(part)), len(distinct))
            for ids, part in zip(prompt_ids, pixels.parts, strict=True)
        ]
        few = torch.cat([pixels.parts[row] for row in first_rows(rows)])  # generate() takes a tensor
        with without_copies(), prefill_once(generating(trainer), rows, [len(row) for row in images]):
            return one(prompt_ids, images, multimodal_fields | {PIXELS: few}, *args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        trainer: Any = self
        processor = trainer.processing_class
        trainer.processing_class = ProcessedOnce(processor, trainer)
        try:
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        finally:
            trainer.processing_class, self._processed = processor, None
        return output


class Prompts(list[Any]):
    """A rollout's prompts; a deep copy has messages of its own and the same pictures, which nobody changes."""

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [copied(prompt) for prompt in self]


def generating(trainer: Any) -> Any:
    """Return the transformers model whose `generate` makes a trainer's rollouts, without the shells around it."""
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    return model.get_base_model() if isinstance(model, PeftModel) else model


def copied(value: Any) -> Any:
    """Copy the lists and dicts that a prompt is made of, and keep what they hold."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in value.items()}
    return [copied(one) for one in value] if isinstance(value, list) else value


def identity(value: Any) -> Any:
    """Return what prompts are compared by: texts and numbers by value, pictures by which object they are.

    >>> identity([{"type": "text", "text": "0s"}]) == identity([{"type": "text", "text": "0s"}])
    True
    >>> identity([{"type": "image", "image": object()}]) == identity([{"type": "image", "image": object()}])
    False
    """
    if isinstance(value, dict):
        return tuple((name, identity(one)) for name, one in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(identity, value))
    return value if isinstance(value, str | int | float | bool | None) else (type(value), id(value))


def joined(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the fields of rows as the processor joins those of a batch, except that pixels are not copied.

    Args:
        rows: fields of one row each, with tensors of its pictures and lists of one list of its tokens.
    """
    result: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if name == PIXELS:
            result[name] = SharedRows(values)
        elif isinstance(first, torch.Tensor):
            result[name] = torch.cat(values)
        else:
            result[name] = [one for value in values for one in value]
    return result


def pixel_dtype(model: Any, mixed_precision: str) -> torch.dtype:
    """Return the dtype in which the vision tower's first layer computes: its weights', or autocast's.

    Args:
        mixed_precision: accelerate's: "no", "bf16" or "fp16".
    """
    weights: torch.dtype = next(
        (p.dtype for name, p in model.named_parameters() if is_vision(name) and p.is_floating_point()), torch.float32
    )
    return AUTOCAST.get(mixed_precision, weights) if weights == torch.float32 else weights


class ProcessedOnce:
    """The trainer's processor, which answers with what the rollout's rows were processed to for their generation.

    TRL asks for the pixels a second time to score the rollout. Whatever else it asks goes to the processor.
    """

    def __init__(self, processor: Any, trainer: Any) -> None:
        self._processor, self._trainer = processor, trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, *args: Any, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        rows, fields = self._trainer._processed or (0, {})
        if not rows or images is None or text is None or len(text) != rows:
            return self._processor(*args, images=images, text=text, **kwargs)
        features: dict[str, Any] = {}
        for name, value in fields.items():
            if isinstance(value, SharedRows):
                features[name] = value.to(self._trainer.accelerator.device)
            elif isinstance(value, torch.Tensor):
                features[name] = value
            else:  # a field of tokens, on the side on which TRL pads the prompts
                features[name] = pad([torch.tensor(one) for one in value], padding_value=0, padding_side="left")
        return BatchFeature(features)
