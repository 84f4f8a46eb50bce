"""Checks of the machine: is what a stage needs there, and do memory and disk suffice by a rough estimate?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recipe.checks.findings import Finding, refuse, warn

GIB = 2**30


def data_is_there(tracks: list[str], video_root: str, validation_tracks: str | None = None) -> list[Finding]:
    """Are the track files there, and the folder of the videos or of the shards of frames?"""
    if not tracks:
        return [refuse("data", "tracks is empty: name the track files to train on (docs/data.md)")]
    missing = [name for name in (*tracks, validation_tracks) if name and not Path(name).is_file()]
    findings = []
    if missing:
        findings.append(
            refuse(
                "data",
                f"no such track file: {', '.join(missing)}; make data RECIPE=... makes those of the "
                "full-size recipes, data_prep/README.md says how others are made",
            )
        )
    if not Path(video_root).is_dir():
        findings.append(refuse("videos", f"no such folder of videos or frames: {video_root}"))
    return findings


def gpu_is_there(use_cpu: bool, gpus: int) -> list[Finding]:
    """Is there the GPU that the settings ask for?"""
    if use_cpu or gpus:
        return []
    return [refuse("GPU", "none found, and the settings are for one; on a CPU the tiny recipe runs (make grpo)")]


def weights_are_there(name: str | None, problem: str | None) -> list[Finding]:
    """Can the checkpoint be loaded?

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
    """Is vLLM in this environment where rollouts need it?"""
    if not use_vllm or installed:
        return []
    return [
        refuse(
            "vLLM",
            "use_vllm is on and it is not installed in this environment: make install-vllm (VLLM_PACKAGE=vllm "
            "on a GPU), then make grpo VLLM=1; or use_vllm: false",
        )
    ]


@dataclass(frozen=True)
class Load:
    """What memory and disk depend on.

    Attributes:
        parameters, trainable: numbers of weights.
        bytes_each: of a weight in the checkpoint's dtype.
        processes: GPUs that share the work.
        sharding: "none", "zero2", "zero3" or "fsdp".
        tokens: of the longest sample, prompt and answer.
        scored: of those whose logits are made at a time.
        batch: samples at a time on a GPU.
        hidden, layers, vocabulary: sizes of the language model.
        checkpointing: whether activations inside layers are made again in the backward pass.
        vllm_share: share of a GPU's memory that a colocated vLLM takes.
    """

    parameters: int
    trainable: int
    bytes_each: int
    processes: int
    sharding: str
    tokens: int
    scored: int
    batch: int
    hidden: int
    layers: int
    vocabulary: int
    checkpointing: bool = True
    vllm_share: float = 0.0


def memory_parts(load: Load) -> dict[str, float]:
    """GiB on one GPU by part; a rough estimate that leaves out fragmentation and the vision tower's activations.

    Adam has two moments a weight. DeepSpeed keeps them and a copy of the weights in float32 (12 bytes), FSDP2 the
    weights it trains too; else they have the weights' own dtype. A layer's activations are about 16 values a
    token and unit of width while it is at work; with checkpointing one a layer stays.
    """
    each, share = load.bytes_each, load.processes
    weights, gradients = float(each * load.parameters), float(each * load.trainable)
    states = 2.0 * each * load.trainable
    if load.sharding in ("zero2", "zero3"):
        states = 12 * load.trainable / share
        gradients = gradients / share
        weights = weights / share if load.sharding == "zero3" else weights
    elif load.sharding == "fsdp":
        extra = load.parameters - load.trainable
        weights, gradients, states = (
            (4 * load.trainable + each * extra) / share,
            gradients / share,
            8 * load.trainable / share,
        )
    width = load.batch * load.tokens * load.hidden * each
    kept = width * load.layers * (1 if load.checkpointing else 16) + 16 * width
    logits = 2 * 4 * load.batch * load.scored * load.vocabulary
    parts = {"weights": weights, "gradients": gradients, "optimiser": states, "activations": kept, "logits": logits}
    return {name: value / GIB for name, value in parts.items()}


def memory_suffices(load: Load, gpu_gib: float | None) -> list[Finding]:
    """Does a step fit on the GPU? By the estimate; refused where it is over, a warning where it is close.

    Args:
        gpu_gib: memory of one GPU, GiB; None where there is none.
    """
    if gpu_gib is None:
        return []
    parts = memory_parts(load)
    need = sum(parts.values()) + load.vllm_share * gpu_gib
    if need <= 0.9 * gpu_gib:
        return []
    listed = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    listed += f", vLLM {load.vllm_share * gpu_gib:.1f}" if load.vllm_share else ""
    text = (
        f"about {need:.0f} GiB a GPU ({listed}) of {gpu_gib:.0f}: share more (zero3.yaml, more GPUs), "
        "lower per_device_train_batch_size or max_frame_pixels, or use LoRA"
    )
    return [refuse("memory", text) if need > gpu_gib else warn("memory", text)]


def updates_are_kept(bytes_each: int, sharding: str, use_peft: bool) -> list[Finding]:
    """Do small updates reach the weights? Added to a 16-bit weight, one of 1e-6 of its size is rounded away.

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
    """GiB that a stage writes at most: its checkpoints, one more while the oldest is not yet gone, and the model."""
    model = load.bytes_each * load.parameters
    saved = load.bytes_each * load.trainable
    states = 0 if only_model else (12 if load.sharding.startswith("zero") else 8) * load.trainable
    return ((checkpoints + 1) * (saved + states) + model) / GIB


def disk_suffices(need_gib: float, free_gib: float, folder: str) -> list[Finding]:
    """Is there room for what the stage writes?"""
    if need_gib <= 0.8 * free_gib:
        return []
    text = (
        f"about {need_gib:.2f} GiB for checkpoints and model, {free_gib:.2f} free at {folder}: choose another "
        "output_dir, lower save_total_limit, or save_only_model: true (which cannot be gone on from)"
    )
    return [refuse("disk", text) if need_gib > free_gib else warn("disk", text)]
