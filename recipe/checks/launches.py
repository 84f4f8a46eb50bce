"""Tell how many processes run a stage and how they share the model: from this process, or from a launch file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from accelerate import PartialState

from data_prep.stages import StageError
from data_prep.yaml_files import read_mapping


@dataclass(frozen=True)
class Launch:
    """How many processes run the stage, and how they share the model ("none", "zero2", "zero3" or "fsdp").

    `gpu_gib` is the memory of one GPU, GiB, where a person names the card; None asks the machine. `tflops` is what it
    does at best, 10^12 operations a second in bfloat16, for the estimate of hours.
    """

    processes: int = 1
    sharding: str = "none"
    gpu_gib: float | None = None
    tflops: float | None = None

    @property
    def zero_stage(self) -> int:
        """DeepSpeed's ZeRO stage; 0 without it."""
        return int(self.sharding[-1]) if self.sharding.startswith("zero") else 0


def this_launch() -> Launch:
    """Return the launch of the running process, from the environment variables that accelerate sets."""
    sharding = "none"
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        sharding = f"zero{os.environ.get('ACCELERATE_DEEPSPEED_ZERO_STAGE', '2')}"
    elif os.environ.get("ACCELERATE_USE_FSDP") == "true":
        sharding = "fsdp"
    return Launch(PartialState().num_processes, sharding)


def launch_of(path: str | None) -> Launch:
    """Return the launch that a settings file of accelerate describes; without a file, a single process."""
    if not path:
        return Launch()
    settings = read_mapping(path)
    if "distributed_type" not in settings:
        raise StageError(f"--launch {path}: no settings of accelerate (no distributed_type in it)")
    kind, stage = settings["distributed_type"], (settings.get("deepspeed_config") or {}).get("zero_stage", 2)
    sharding = {"DEEPSPEED": f"zero{stage}", "FSDP": "fsdp"}.get(kind, "none")
    return Launch(int(settings.get("num_processes", 1)), sharding)
