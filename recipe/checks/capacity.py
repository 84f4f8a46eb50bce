"""What fits a card: whether a stage does, how many seconds of video do, and how long its data would take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recipe.checks.findings import Finding, refuse, warn
from recipe.checks.memory import GIB, Load, peak_phase

CLOSE = 0.9  # share of a card above which it is warned: the driver, NCCL and fragments are in no estimate
LONGEST = 3600  # seconds of video beyond which nothing is looked for


@dataclass(frozen=True)
class Footage:
    """What a second of video is to a model.

    Attributes:
        patches: a second, before they are merged.
        tokens: a second, with the text that says when.
        text: tokens of the rest of the prompt.
    """

    patches: int
    tokens: int
    text: int = 200


def listed(parts: dict[str, float]) -> str:
    """Return parts of an estimate as text, largest first.

    >>> listed({"pixels": 1.0, "weights": 17.25})
    'weights 17.2, pixels 1.0'
    """
    return ", ".join(f"{name} {value:.1f}" for name, value in sorted(parts.items(), key=lambda item: -item[1]))


def memory_suffices(load: Load, gpu_gib: float | None) -> list[Finding]:
    """Check by the estimate that a step fits on the GPU: refuse what is over it, and warn where it is close.

    Args:
        gpu_gib: memory of one GPU, GiB; None where there is none.
    """
    if gpu_gib is None:
        return []
    findings = vllm_holds_the_model(load, gpu_gib)
    phase, parts = peak_phase(load, gpu_gib)
    need = sum(parts.values())
    if need <= CLOSE * gpu_gib:
        return findings
    text = (
        f"about {need:.0f} GiB a GPU of {gpu_gib:.0f} at its highest ({phase}: {listed(parts)}): share more "
        "(zero3.yaml, more GPUs), lower per_device_train_batch_size, steps_per_generation or max_frame_pixels, "
        "or use LoRA"
    )
    if "vLLM" in parts and load.rollout and not load.rollout.sleeps:
        text += "; vllm_enable_sleep_mode: true gives vLLM's share back while the trainer learns"
    return [*findings, refuse("memory", text) if need > gpu_gib else warn("memory", text)]


def vllm_holds_the_model(load: Load, gpu_gib: float) -> list[Finding]:
    """Check that a colocated vLLM's share holds the weights, in 16 bits at least, and one answer's cache."""
    if not load.rollout or not load.rollout.vllm_share:
        return []
    share = load.rollout.vllm_share * gpu_gib
    need = vllm_gib(load, 1)
    if need <= share:
        return []
    return [
        refuse(
            "memory",
            f"vllm_gpu_memory_utilization {load.rollout.vllm_share} of {gpu_gib:.0f} GiB is {share:.1f}, and vLLM "
            f"needs {need:.1f} for the weights and the keys and values of one answer: raise it, or use_vllm: false",
        )
    ]


def vllm_gib(load: Load, rows: int) -> float:
    """Return the GiB that vLLM needs for the weights and the keys and values of `rows` answers at a time."""
    if not load.rollout:
        return 0.0
    tokens = load.rollout.prompt + load.rollout.completion
    return (load.computes * load.parameters + rows * tokens * load.rollout.cache) / GIB


def of_length(load: Load, footage: Footage, seconds: int) -> Load:
    """Return the load of the same stage with clips of so many seconds."""
    prompt = footage.text + footage.tokens * seconds
    rollout = replace(load.rollout, prompt=prompt) if load.rollout else None
    return replace(load, tokens=prompt + load.scored, patches=footage.patches * seconds, rollout=rollout)


def seconds_that_fit(load: Load, gpu_gib: float, footage: Footage) -> int:
    """Return the longest clip, in whole seconds, with which a stage takes at most nine tenths of a card.

    0 where not even one second fits; at most `LONGEST`.
    """

    def fits(seconds: int) -> bool:
        return sum(peak_phase(of_length(load, footage, seconds), gpu_gib)[1].values()) <= CLOSE * gpu_gib

    low, high = 0, LONGEST + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def training_hours(
    parameters: int,
    tokens: float,
    *,
    gpus: int,
    flops: float,
    utilisation: float,
    lora: bool,
    checkpointing: bool = True,
) -> float:
    """Return the hours that training on so many tokens would take: operations over what the cards do.

    A weight and token costs 2 operations forward, 4 backward (2 through weights at rest, with LoRA) and, with
    checkpointing, 2 once more forward.

    Args:
        tokens: of the whole training, those of pictures among them.
        flops: operations a second of one card at best, in bfloat16.
        utilisation: share of them that training reaches.

    Example:
        >>> round(training_hours(10**10, 1e9, gpus=8, flops=312e12, utilisation=0.3, lora=False), 1)
        29.7
    """
    operations = 2 + (2 if lora else 4) + (2 if checkpointing else 0)
    return operations * parameters * tokens / (gpus * flops * utilisation) / 3600
