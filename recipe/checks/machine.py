"""Checks of the machine: is what a stage needs there, and does the disk suffice by a rough estimate?"""

from __future__ import annotations

from pathlib import Path

from recipe.checks.findings import Finding, refuse, warn
from recipe.checks.memory import Load

GIB = 2**30


def data_is_there(tracks: list[str], video_root: str, validation_tracks: str | None = None) -> list[Finding]:
    """Check that the track files exist, and the folder of the videos or of the shards of frames."""
    if not tracks:
        return [refuse("data", "tracks is empty: name the track files to train on (docs/data.md)")]
    missing = [name for name in (*tracks, validation_tracks) if name and not Path(name).is_file()]
    findings = []
    if missing:
        findings.append(
            refuse("data", f"no such track file: {', '.join(missing)}; data_prep/README.md says how to make it")
        )
    if not Path(video_root).is_dir():
        findings.append(refuse("videos", f"no such folder of videos or frames: {video_root}"))
    return findings


def gpu_is_there(use_cpu: bool, gpus: int) -> list[Finding]:
    """Check that the GPU exists that the settings ask for."""
    if use_cpu or gpus:
        return []
    return [refuse("GPU", "none found, and the settings are for one; on a CPU the tiny recipe runs (make grpo)")]


def weights_are_there(name: str | None, problem: str | None) -> list[Finding]:
    """Check that the checkpoint can be loaded.

    Args:
        problem: what loading its config said, None if it went well.
    """
    if problem is None:
        return []
    if not name:
        return [refuse("weights", "model_name_or_path is missing: give the folder of a checkpoint or a model id")]
    if Path(name).is_dir():
        return [refuse("weights", f"{name} cannot be read: {problem}")]
    if name.startswith((".", "/", "runs/")) or name.count("/") > 1:
        return [refuse("weights", f"{name}: no checkpoint there; an earlier stage makes it (make help)")]
    return [
        refuse(
            "weights",
            f"{name} is not in the local cache and cannot be fetched from here: run "
            f"`hf download {name}` where there is a network and set HF_HOME to that cache, "
            "or give a folder as model_name_or_path",
        )
    ]


def vllm_is_there(use_vllm: bool, installed: bool) -> list[Finding]:
    """Check that vLLM is installed where rollouts need it."""
    if not use_vllm or installed:
        return []
    return [
        refuse(
            "vLLM",
            "use_vllm is on and it is not installed in this environment: make install-vllm (VLLM_PACKAGE=vllm "
            "on a GPU), then make grpo VLLM=1; or use_vllm: false",
        )
    ]


def updates_are_kept(bytes_each: float, sharding: str, use_peft: bool) -> list[Finding]:
    """Check that small updates reach the weights: added to a 16-bit weight, one of 1e-6 of its size is rounded away.

    DeepSpeed keeps a float32 copy, FSDP2 float32 weights, PEFT float32 adapters.
    """
    if bytes_each > 2 or sharding != "none" or use_peft:
        return []
    return [
        warn(
            "dtype",
            "all weights learn in 16 bits without a float32 copy, and small updates are rounded away: use "
            "dtype: float32, LoRA, or launch/accelerate/zero2.yaml, zero3.yaml or fsdp2.yaml",
        )
    ]


def disk_gib(load: Load, checkpoints: int, only_model: bool) -> float:
    """Return the GiB that a stage writes at most: model and checkpoints, one more while the oldest is not yet gone."""
    model = max(2.0, load.rest) * load.parameters  # saved whole, even where 4 bits were trained on
    saved = load.each * load.trainable
    states = 0 if only_model else (12 if load.sharding.startswith("zero") else 8) * load.trainable
    return ((checkpoints + 1) * (saved + states) + model) / GIB


def disk_suffices(need_gib: float, free_gib: float, folder: str) -> list[Finding]:
    """Check that the disk has room for what the stage writes."""
    if need_gib <= 0.8 * free_gib:
        return []
    text = (
        f"about {need_gib:.2f} GiB for checkpoints and model, {free_gib:.2f} free at {folder}: choose another "
        "output_dir, lower save_total_limit, or save_only_model: true (which cannot be gone on from)"
    )
    return [refuse("disk", text) if need_gib > free_gib else warn("disk", text)]
