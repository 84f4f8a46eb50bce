"""In which order trainers take rows with `train_sampling_strategy: group_by_length`: those of one length together.

transformers' own sampler asks the data set for its column of lengths row by row, through the transform that decodes
videos; it divides rows for one process, draws another order in each, and goes from long to short.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler, SequentialSampler
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl.trainer.utils import RepeatSampler

from recipe.inputs.dataset import GROUPED


def lengths_of(trainer: Any, rows: Any) -> list[int] | None:
    """Return the lengths of a data set's rows without decoding any; None where rows are not grouped by them."""
    if trainer.args.train_sampling_strategy != GROUPED:
        return None
    return list(rows.with_format(None)[trainer.args.length_column_name])


def groups_of(lengths: list[int], size: int, generator: torch.Generator) -> list[list[int]]:
    """Return the indices of rows in groups of similar lengths; groups come in random order, a smaller one last."""
    indices = get_length_grouped_indices(lengths, size, generator=generator)
    groups = [indices[begin : begin + size] for begin in range(0, len(indices), size)]
    whole = len(indices) // size
    return [groups[number] for number in torch.randperm(whole, generator=generator).tolist()] + groups[whole:]


class LengthSampler(Sampler[int]):
    """Gives the rows of an optimiser step similar lengths; the order follows from the seed and the epoch alone.

    Args:
        lengths: of the rows, tokens.
        size: rows of an optimiser step, over all processes.
        seed: of the order.
    """

    def __init__(self, lengths: list[int], size: int, seed: int) -> None:
        self.lengths, self.size, self.seed, self.epoch = lengths, size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order is given next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return (index for group in groups_of(self.lengths, self.size, generator) for index in group)


class LengthRepeatSampler(RepeatSampler):
    """RepeatSampler whose rollouts hold prompts of similar lengths; rollouts come in random order.

    Args:
        lengths: of the prompts, tokens.
        options: RepeatSampler's.
    """

    def __init__(self, lengths: list[int], **options: Any) -> None:
        super().__init__(**options)
        self.lengths = lengths

    def __iter__(self) -> Iterator[int]:
        for group in groups_of(self.lengths, self.batch_size, self.generator):
            if len(group) < self.batch_size:
                continue  # as upstream leaves out what fills no rollout
            for _ in range(self.repeat_count):
                for index in group:
                    yield from [index] * self.mini_repeat_count


class RowsByLength:
    """Mixin for SFTTrainer: `group_by_length` without decoding a video, in one order for all processes.

    Mends: see the module. Overrides `_get_train_sampler` and `_get_eval_sampler`; it can go when transformers reads
    the column without its transform and seeds its sampler.
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        trainer: Any = self
        rows = trainer.train_dataset if train_dataset is None else train_dataset
        lengths = lengths_of(trainer, rows)
        if lengths is None:
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        args = trainer.args
        return LengthSampler(
            lengths, args.train_batch_size * args.gradient_accumulation_steps * args.world_size, args.seed
        )

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """Return a sampler that keeps the order of the rows, which are few: upstream would want their lengths."""
        return SequentialSampler(eval_dataset)


class PromptsByLength:
    """Mixin for GRPOTrainer: `group_by_length` groups the prompts of a rollout.

    Mends: TRL pads the prompts of a process's rollout to the longest, every process waits for the one that holds the
    longest, and GRPO's sampler passes the setting over. Overrides `_get_train_sampler`; it can go when TRL obeys it.
    """

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        trainer: Any = self
        sampler = super()._get_train_sampler(dataset)  # type: ignore[misc]
        rows = trainer.train_dataset if dataset is None else dataset
        lengths = lengths_of(trainer, rows)
        if lengths is None or not trainer.shuffle_dataset:
            return sampler
        return LengthRepeatSampler(
            lengths,
            data_source=rows,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            seed=sampler.seed,
        )
