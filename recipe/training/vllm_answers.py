"""Greedy answers of a model in GRPO through the vLLM of its rollouts, which has the weights of the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accelerate.utils import gather_object
from trl.data_utils import prepare_multimodal_messages

from data_prep.records import Record
from recipe.inference.decoding import sampling_of
from recipe.inputs.dataset import RowBuilder

AT_ONCE = 8  # prompts of a process: TRL makes pixels of all of them, 276 MB a minute of 448 x 448 video

Answer = tuple[str, str, tuple[float, float]]  # id, text, what boxes are divided by


def answers_through_vllm(trainer: Any, builder: RowBuilder, records: Sequence[Record], longest: int) -> list[Answer]:
    """Return (id, greedy answer, box scale) of records; weights are sent first if vLLM has those of another step.

    The processes share the records. Each asks equally often, as vLLM on several GPUs and in server mode needs all of
    them: what is short is filled up with records that are answered elsewhere too.

    Args:
        trainer: an `ImageGRPOTrainer` with `use_vllm`; all processes call this.
        longest: most tokens of an answer.
    """
    accelerator = trainer.accelerator
    mine = share_of(list(records), accelerator.process_index, accelerator.num_processes)
    found: list[Answer] = []
    with decoding_greedily(trainer.vllm_generation, longest):
        for begin in range(0, len(mine), AT_ONCE):
            rows = [builder.row(record) for record in mine[begin : begin + AT_ONCE]]
            messages = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
            ids, images, fields = trainer._tokenize_prompts(messages)
            completions, _ = trainer._generate_single_turn(ids, images, fields, 1)
            texts = trainer.processing_class.batch_decode(completions, skip_special_tokens=True)
            found += [(row["id"], text, tuple(row["box_scale"])) for row, text in zip(rows, texts, strict=True)]
    return list({answer[0]: answer for answer in gather_object(found)}.values())


def share_of(records: list[Record], place: int, count: int) -> list[Record]:
    """Return the records that one of `count` processes answers; each has equally many.

    >>> [share_of(["a", "b", "c", "d", "e"], place, 2) for place in range(2)]
    [['a', 'c', 'e'], ['b', 'd', 'a']]
    """
    each = -(-len(records) // count)
    return [records[(place + count * turn) % len(records)] for turn in range(each)]


@contextmanager
def decoding_greedily(generation: Any, longest: int) -> Iterator[None]:
    """Give TRL's vLLM the settings of a greedy answer while the body runs; of its own only `logit_bias` stays."""
    kept = {"logit_bias": generation.generation_kwargs.get("logit_bias")}
    settings: dict[str, Any] = dict(sampling_of(0.0))
    settings |= {"max_completion_length": longest, "structured_outputs_regex": None}
    settings["generation_kwargs"] = {name: value for name, value in kept.items() if value is not None}
    before = {name: getattr(generation, name) for name in settings}
    vars(generation).update(settings)
    try:
        yield
    finally:
        vars(generation).update(before)
