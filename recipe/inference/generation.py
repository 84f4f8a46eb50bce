"""Answers from a model through Hugging Face's generate: greedy or sampled, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor
from trl.data_utils import prepare_multimodal_messages

from recipe.inference.decode_attention import without_copies
from recipe.inference.decoding import sampling_of_transformers


@torch.inference_mode()
def generate(
    model: Any,
    processor: Any,
    rows: list[dict[str, Any]],
    *,
    temperature: float = 0.0,
    max_new_tokens: int = 512,
    seeds: Sequence[int] | None = None,
) -> list[str]:
    """Generate one answer for each row, without special tokens.

    Args:
        rows: from `RowBuilder`; `prompt` and `images` are used.
        temperature: 0 decodes greedily; else samples from the whole distribution (no top-k, no top-p).
        max_new_tokens: longest answer, tokens.
        seeds: of each row's own sampling, so that it does not depend on which rows share its batch; None: all rows
            are sampled from torch's one stream.
    """
    inputs = prompt_inputs(processor, rows).to(model.device)
    decoding = sampling_of_transformers(temperature)
    # A sampled image or video token has nothing behind it and breaks the next forward pass.
    decoding["suppress_tokens"] = [model.config.image_token_id, model.config.video_token_id]
    if seeds is not None and temperature > 0:
        decoding = sampling_of_transformers(0.0) | {"suppress_tokens": decoding["suppress_tokens"]}
        decoding["logits_processor"] = [OwnStreams(seeds, temperature, inputs["input_ids"].device)]
    with without_copies():
        # Said here, because a Trainer turns it off in the model's config, and held-out clips are answered in training.
        output = model.generate(**inputs, **decoding, max_new_tokens=max_new_tokens, use_cache=True)
    answers: list[str] = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers


class OwnStreams(LogitsProcessor):
    """Makes greedy decoding sample each row from a stream of its own: the Gumbel-max trick.

    The largest of `log p / T + Gumbel noise` is distributed as a sample at temperature T.

    Args:
        seeds: one a row.
        temperature: above 0.
        device: of the scores.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, device: torch.device) -> None:
        self.temperature = temperature
        self.streams = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.float() / self.temperature
        for row, stream in zip(scores, self.streams, strict=True):
            row -= torch.empty_like(row).exponential_(generator=stream).log()
        return scores


def prompt_inputs(processor: Any, rows: list[dict[str, Any]], **template_kwargs: Any) -> Any:
    """Return the tensors of the rows' prompts, padded on the left: what generation sends."""
    messages = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    return processor.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True, "padding_side": "left"},
        **template_kwargs,
    )


def unexpanded_ids(processor: Any, row: dict[str, Any]) -> list[int]:
    """Return the ids of a row's prompt with one token a picture: what vLLM gets, which expands it itself.

    The tokenizer adds nothing of its own: the chat template writes all that a prompt begins with.
    """
    messages = prepare_multimodal_messages(row["prompt"], images=row["images"])
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids: list[int] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def batches(rows: Any, size: int) -> Iterator[list[dict[str, Any]]]:
    """Split the rows of a dataset into lists of at most `size`."""
    for begin in range(0, len(rows), size):
        yield [rows[index] for index in range(begin, min(begin + size, len(rows)))]
