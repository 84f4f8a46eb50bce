"""Hugging Face's generate with each distinct prompt of a rollout read once, whose cache its rows then share out.

TRL gives `generate` the prompt of a group `num_generations` times, and with it the video: the vision tower and the
prefill compute each of them anew, although the rows differ only in what they sample afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from transformers import DynamicCache

# Fields of a prompt that `generate` hands to the model, by the dimension that counts rows.
OF_ROWS = {"attention_mask": 0, "mm_token_type_ids": 0, "token_type_ids": 0, "position_ids": -2}


@contextmanager
def prefill_once(model: Any, rows: Sequence[int], pictures: Sequence[int]) -> Iterator[None]:
    """Let `model.generate` read each distinct prompt once while the body runs.

    The body gives `generate` all rows as ever, but pixels of the distinct prompts only. Positions are computed for
    these, which takes a loop over tokens in Python. Logits of the prompts' last
    tokens and the cache are then repeated for the rows; sampling and what follows are `generate`'s own. It can go
    when `generate` reads equal prompts once.

    Args:
        model: the transformers model whose `generate` runs, without PEFT's or a wrapper's shell.
        rows: for each row the number of its distinct prompt: 0, 0, 1, 1 for two prompts with two answers each.
        pictures: how many entries of `image_grid_thw` each row has.

    Raises:
        ValueError: The prompts are not numbered in the order in which they appear.
    """
    firsts = first_rows(rows)
    prefill = model._prefill
    ends = list(accumulate(pictures))
    grids = [place for row in firsts for place in range(ends[row] - pictures[row], ends[row])]

    def read(input_ids: torch.Tensor, generation_config: Any, model_kwargs: dict[str, Any], **kwargs: Any) -> Any:
        index = torch.tensor(firsts, device=input_ids.device)
        cache = model_kwargs.get("past_key_values")
        if len(input_ids) != len(rows) or not isinstance(cache, DynamicCache):
            raise RuntimeError(
                f"rollout: {len(input_ids)} rows with a {type(cache).__name__} came to the prefill; expected "
                f"{len(rows)} and a DynamicCache. Leave use_cache, cache_implementation and num_return_sequences unset"
            )
        few = dict(model_kwargs)
        for name, dimension in OF_ROWS.items():
            if isinstance(few.get(name), torch.Tensor):
                few[name] = few[name].index_select(dimension, index)
        if few.get("image_grid_thw") is not None:
            few["image_grid_thw"] = few["image_grid_thw"][grids]
        outputs = prefill(input_ids[index], generation_config, few, **kwargs)
        back = torch.tensor(list(rows), device=input_ids.device)
        outputs.past_key_values.reorder_cache(back)
        outputs.logits = outputs.logits[:, -1:].index_select(0, back.to(outputs.logits.device))
        return outputs

    positions = model.model.get_rope_index

    def place(input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if len(input_ids) != len(rows) or args:
            return positions(input_ids, *args, **kwargs)
        index, back = (torch.tensor(one, device=input_ids.device) for one in (firsts, list(rows)))
        few = kwargs | {
            name: value[index]
            for name in ("attention_mask", "mm_token_type_ids")
            if (value := kwargs.get(name)) is not None
        }
        few["image_grid_thw"] = kwargs["image_grid_thw"][grids]
        ids, deltas = positions(input_ids[index], **few)
        return ids[:, back], deltas[back]

    # Attributes of these objects, which hide the methods of their classes.
    model._prefill, model.model.get_rope_index = read, place
    try:
        yield
    finally:
        del model._prefill, model.model.get_rope_index


def first_rows(rows: Sequence[int]) -> list[int]:
    """Return the first row of each distinct prompt.

    >>> first_rows([0, 0, 1, 0, 2])
    [0, 2, 4]

    Raises:
        ValueError: The prompts are not numbered in the order in which they appear.
    """
    firsts: list[int] = []
    for row, number in enumerate(rows):
        if number == len(firsts):
            firsts.append(row)
        elif not 0 <= number < len(firsts):
            raise ValueError(f"row {row} has prompt {number}; expected one seen before, or {len(firsts)} as the next")
    return firsts
