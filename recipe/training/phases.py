"""Where a GRPO step's time goes: decoding, rollout, reward and update, in wall-clock seconds an optimiser step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback

PHASES = ("decode", "rollout", "reward", "update")


class PhaseClock(TrainerCallback):
    """Adds up seconds by phase; also the callback that times the optimiser, which no trainer method holds.

    decode: reading frames of a batch; rollout: generation, with the weights' transfer to vLLM; reward: the reward
    functions; update: scoring log-probabilities, forward, backward and optimiser.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.steps = 0
        self._optimiser_began = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the body's time to a phase; what an inner phase takes counts only there."""
        inner, began = sum(self.seconds.values()), time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began - (sum(self.seconds.values()) - inner)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._optimiser_began = time.perf_counter()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds["update"] += time.perf_counter() - self._optimiser_began

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps += 1

    def take(self) -> dict[str, float]:
        """Return `seconds/<phase>` per optimiser step since the last call; {} where no step has ended since."""
        if not self.steps:
            return {}
        taken = {f"seconds/{name}": self.seconds[name] / self.steps for name in PHASES}
        self.seconds.clear()
        self.steps = 0
        return taken


class PhaseTimes:
    """Mixin for GRPOTrainer: times its phases and logs them with the training log.

    Overrides the methods that are the phases; TRL's own profiling goes only to W&B, on W&B's clock, and not into
    `trainer_state.json`. It can go when TRL logs its phases with its metrics.
    """

    clock: PhaseClock

    def __init__(self, *args: Any, callbacks: list[Any] | None = None, **kwargs: Any) -> None:
        self.clock = PhaseClock()
        super().__init__(*args, callbacks=[self.clock, *(callbacks or [])], **kwargs)  # type: ignore[call-arg]

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        with self.clock.phase("update"):
            return super().training_step(*args, **kwargs)  # type: ignore[misc]

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        with self.clock.phase("rollout"):
            return super()._generate(*args, **kwargs)  # type: ignore[misc]

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        with self.clock.phase("reward"):
            return super()._calculate_rewards(*args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:  # a training log, not an evaluation's and not the summary at the end
            logs = logs | self.clock.take()
        super().log(logs, start_time)  # type: ignore[misc]
