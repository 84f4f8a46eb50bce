"""The clips of the next rollout are decoded while this one updates the model.

TRL reads the rows of a rollout when it begins, and a minute of video takes seconds to decode. The order of the rows is
known by then, so a thread of each process can decode ahead into the clips that `ClipFrames` keeps anyway. What a row
holds does not change.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from torch.utils.data import Sampler

from data_prep.records import Record
from recipe.inputs.frames import ClipFrames

logger = logging.getLogger(__name__)


class DecodesAhead:
    """Mixin for GRPOTrainer that decodes the next rollout's clips in a thread, where `clips_ahead` is set.

    It does nothing with workers of the data loader, which read ahead themselves, and nothing for a rollout whose clips
    do not fit beside this one's among the `cache_clips` that are kept: they would push each other out. Overrides
    `train` and `_get_train_sampler`; it can go when TRL reads a rollout's rows before it needs them.
    """

    clips_ahead: ClipFrames | None = None
    _decoder: Decoder | None = None

    def train(self, *args: Any, **kwargs: Any) -> Any:
        trainer: Any = self
        if self.clips_ahead is None or trainer.args.dataloader_num_workers > 0:
            return super().train(*args, **kwargs)  # type: ignore[misc]
        self._decoder = Decoder(self.clips_ahead)
        try:
            return super().train(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._decoder.end()
            self._decoder = None

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        trainer: Any = self
        sampler = super()._get_train_sampler(dataset)  # type: ignore[misc]
        if self._decoder is None:
            return sampler
        records = (trainer.train_dataset if dataset is None else dataset).with_format(None)
        rows = trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
        first = rows * trainer.accelerator.process_index
        decoder = self._decoder

        def announce(now: Sequence[int], following: Sequence[int]) -> None:
            ours = [list(dict.fromkeys(block[first : first + rows])) for block in (now, following)]
            decoder.want(ours[0], ours[1], lambda index: json.loads(records[index]["record"]))

        passes = trainer.num_iterations * trainer.args.steps_per_generation
        block, accumulation = trainer.args.generation_batch_size, trainer.args.gradient_accumulation_steps

        def left() -> float:
            epoch = len(sampler) // block // accumulation
            return rollouts_left(trainer.state.global_step, trainer.state.max_steps, epoch, passes / accumulation)

        return AheadSampler(sampler, block, passes, announce, left)


def rollouts_left(step: int, most: int, epoch: int, each: float) -> float:
    """Return how many rollouts training takes from the beginning of the epoch at work to its last step.

    Args:
        step: the optimiser steps that are done; one in the middle of an epoch where training was resumed there.
        most: the last step.
        epoch, each: steps of an epoch and of a rollout.

    >>> rollouts_left(0, 8, 100, 4), rollouts_left(6, 8, 100, 4), rollouts_left(102, 108, 100, 4)
    (2.0, 2.0, 2.0)
    """
    return (most - step // epoch * epoch) / each


class AheadSampler(Sampler[int]):
    """Gives a sampler's indices unchanged, and announces each rollout's and the next one's before the first of them.

    Args:
        sampler: repeats each rollout's indices `passes` times.
        block: rows of a rollout in all processes.
        announce: called with the indices of a rollout and of the next one.
        left: tells how many rollouts are needed from where the data loader begins.
    """

    def __init__(
        self,
        sampler: Any,
        block: int,
        passes: int,
        announce: Callable[[Sequence[int], Sequence[int]], None],
        left: Callable[[], float],
    ) -> None:
        self.sampler, self.block, self.passes = sampler, block, passes
        self.announce, self.left = announce, left

    def __getattr__(self, name: str) -> Any:
        # accelerate reads the sampler's generator, which processes must have in common, and may set its epoch.
        return getattr(vars(self)["sampler"], name)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        indices, left = iter(self.sampler), self.left()
        now = list(islice(indices, self.block * self.passes))
        while now:
            following = list(islice(indices, self.block * self.passes))
            left -= 1
            if left > 0:
                self.announce(now[: self.block], following[: self.block])
            yield from now
            now = following


class Decoder:
    """A thread that decodes clips into `clips`; the newest request replaces what is left of the one before.

    A clip that cannot be decoded is left to the trainer, which meets the same error where it can be handled.
    """

    def __init__(self, clips: ClipFrames) -> None:
        self.clips = clips
        self._requests: queue.SimpleQueue[tuple[list[int], Callable[[int], Record]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="decode-ahead", daemon=True)
        self._thread.start()

    def want(self, now: list[int], following: list[int], record_of: Callable[[int], Record]) -> None:
        """Ask for the clips of the rows `following`, where they fit among those kept beside the rows `now`."""
        fresh = [index for index in following if index not in now]
        fits = len(now) + len(fresh) <= self.clips.cache_clips
        self._requests.put((fresh if fits else [], record_of))

    def end(self) -> None:
        """Stop after the clip at work, and wait for that."""
        self._requests.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            rows, record_of = request
            for index in rows:
                if not self._requests.empty():
                    break
                try:
                    record = self.clips.with_clip(record_of(index))
                    self.clips.frames(record)
                except Exception as error:  # noqa: BLE001  whatever it is, the trainer's own reading raises it again
                    logger.debug("row %d cannot be decoded ahead: %s", index, error)
