"""In which order GRPO takes prompts: at random, or with those of one length in the same rollout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl.trainer.utils import RepeatSampler

from recipe.inputs.dataset import GROUPED


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
        size = self.batch_size
        indices = get_length_grouped_indices(self.lengths, size, generator=self.generator)
        rollouts = [indices[begin : begin + size] for begin in range(0, len(indices) - size + 1, size)]
        for number in torch.randperm(len(rollouts), generator=self.generator).tolist():
            for _ in range(self.repeat_count):
                for index in rollouts[number]:
                    yield from [index] * self.mini_repeat_count


class PromptsByLength:
    """Mixin for GRPOTrainer: `train_sampling_strategy: group_by_length` groups the prompts of a rollout.

    Mends: TRL pads the prompts of a process's rollout to the longest, every process waits for the one that holds the
    longest, and GRPO's sampler passes the setting over. Overrides `_get_train_sampler`; it can go when TRL obeys it.
    """

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        trainer: Any = self
        sampler = super()._get_train_sampler(dataset)  # type: ignore[misc]
        if trainer.args.train_sampling_strategy != GROUPED or not trainer.shuffle_dataset:
            return sampler
        rows = trainer.train_dataset if dataset is None else dataset
        return LengthRepeatSampler(
            list(rows[trainer.args.length_column_name]),
            data_source=rows,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            seed=sampler.seed,
        )
