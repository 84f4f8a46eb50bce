"""How much memory a step takes on one GPU, by part and by phase: arithmetic on plain values.

`recipe.checks.loads` makes the values from a config and a stage's settings. What is counted follows transformers 5.17
and TRL 1.16; docs/gpu.md says what was compared with measurements and what was only read.
"""

from __future__ import annotations

from dataclasses import dataclass

from recipe.checks.layer_bytes import Layers
from recipe.checks.weights import Weights

GIB = 2**30
TILE = (4096, 32_768)  # positions and vocabulary that TRL's fused head scores at a time

# DeepSpeed's defaults, in weights: what it gathers at most, and one bucket of gradients on their way.
LIVE, BUCKET, SUBGROUP = 10**9, 5 * 10**8, 10**9


@dataclass(frozen=True)
class Rollout:
    """What GRPO keeps beside a training step.

    Attributes:
        rows: completions of one rollout in a process.
        groups: distinct prompts among them, which share pixels.
        prompt, completion: tokens of the longest row.
        cache: bytes of keys and values a token.
        vllm_share: share of the card that a colocated vLLM takes.
        sleeps: whether vLLM gives that share back while the trainer scores and learns.
        generates: whether the trainer itself generates, without vLLM.
    """

    rows: int
    groups: int
    prompt: int
    completion: int
    cache: float
    vllm_share: float = 0.0
    sleeps: bool = False
    generates: bool = True


@dataclass(frozen=True)
class Load:
    """What memory and disk depend on.

    Attributes:
        weights: numbers of weights by part.
        each, rest: bytes of a weight that learns and of one at rest.
        computes: bytes of a value that layers compute with.
        optim: transformers' name of the optimiser.
        processes, sharding: GPUs that share the work, and how: "none", "zero2", "zero3" or "fsdp".
        batch, accumulation: samples at a time on a GPU, and how often before a step of the optimiser.
        tokens, scored: of the longest sample, and those of them that are scored.
        patches, patch_values: of the longest sample's frames, and the numbers in one.
        language, vision: costs of the layers.
        projector: bytes that the projector keeps for a patch.
        hidden, vocabulary: sizes of the language model.
        checkpointing: whether activations inside layers are made again in the backward pass.
        padded: whether attention gets a mask of tokens x tokens.
        triton: whether TRL's fused head runs as on a GPU.
        reference: whether a second copy of the weights answers for the KL term.
        rollout: None outside GRPO.
        prompts: different prompts of a batch at most, each computed once; 0 where each sample has its own.
    """

    weights: Weights
    each: float
    rest: float
    computes: int
    optim: str
    processes: int
    sharding: str
    batch: int
    accumulation: int
    tokens: int
    scored: int
    patches: int
    patch_values: int
    language: Layers
    vision: Layers
    projector: float
    hidden: int
    vocabulary: int
    checkpointing: bool = True
    padded: bool = False
    triton: bool = True
    reference: bool = False
    rollout: Rollout | None = None
    prompts: int = 0

    @property
    def batch_tokens(self) -> int:
        """Tokens that a batch computes: with shared prompts each prompt once, and the answers."""
        if not self.prompts:
            return self.batch * self.tokens
        return self.prompts * (self.tokens - self.scored) + self.batch * self.scored

    @property
    def batch_patches(self) -> int:
        """Patches that a batch computes."""
        return (self.prompts or self.batch) * self.patches

    @property
    def parameters(self) -> int:
        """All weights of the model."""
        return self.weights.total

    @property
    def trainable(self) -> int:
        """Weights that learn."""
        return self.weights.learning


def state_bytes(optim: str, each: float) -> float:
    """Return the bytes of an optimiser's states for a weight of `each` bytes.

    >>> state_bytes("adamw_torch_fused", 2), state_bytes("adamw_bnb_8bit", 2), state_bytes("sgd", 4)
    (4, 2.0, 0.0)
    """
    if "8bit" in optim:
        return 1.0 if "lion" in optim else 2.0
    if "4bit" in optim:
        return 1.0
    if optim.startswith(("sgd", "adafactor")):  # Adafactor keeps a row and a column of a matrix
        return 0.0
    if "lion" in optim or optim in ("adagrad", "rmsprop"):
        return each
    return 2 * each


def held(load: Load) -> dict[str, float]:
    """Return the bytes that stay: weights, optimiser states, all gradients, and what sharding gathers at a time."""
    learning, share = load.trainable, load.processes
    still = load.rest * (load.parameters - sum(load.weights.trained.values()))
    weights, gradients = still + load.each * learning, load.each * learning
    states, gathered = state_bytes(load.optim, load.each) * learning, 0.0
    if load.sharding in ("zero2", "zero3"):  # a copy of the weights in float32 and the states of that
        states = (4 + state_bytes(load.optim, 4)) * learning / share
        gradients /= share
        gathered = load.each * min(BUCKET, learning)
        if load.sharding == "zero3":
            weights /= share
            gathered += load.rest * min(LIVE, load.parameters)
    elif load.sharding == "fsdp":  # the weights that learn are float32
        weights, gradients = (still + 4 * learning) / share, 4 * learning / share
        states = state_bytes(load.optim, 4) * learning / share
        parts = load.weights.all
        gathered = load.computes * (parts["embeddings"] + parts["head"] + 2 * parts["language"] / load.language.count)
    return {"weights": weights, "gradients": gradients, "optimiser": states, "gathered": gathered}


def head_bytes(load: Load, *, learns: bool) -> float:
    """Return what TRL's fused head takes for a batch: tiles of logits and, in learning, float32 gradients."""
    positions = load.batch * (load.scored if load.triton or load.prompts else load.tokens)
    tile = min(positions, TILE[0])
    size = float(load.computes * tile * TILE[1])
    if not load.triton:  # folded by operations that each make a tile of float32
        size += (7 if learns else 4) * 4 * tile * min(load.vocabulary, TILE[1])
    if learns:
        size += (4 + load.computes) * positions * load.hidden
        if load.weights.trained["head"] or (load.weights.trained["embeddings"] and not load.weights.all["head"]):
            size += 4 * load.vocabulary * load.hidden
    return size


def update_phases(load: Load) -> dict[str, dict[str, float]]:
    """Return bytes by part in each phase of a training step, its weights and pixels left out."""
    tokens, patches = load.batch_tokens, load.batch_patches
    language, vision, mask = load.language, load.vision, _mask(load)
    copies = _key_copies(load)
    share = load.processes if load.sharding != "none" else 1
    gradients = held(load)["gradients"]
    tower = load.each * (load.weights.trained["vision"] + load.weights.trained["projector"]) / share
    begun = gradients if load.accumulation > 1 or load.sharding.startswith("zero") else 0.0
    first = tokens * (3 * language.output + (4 * load.hidden if load.computes < 4 else 0))
    inside = tokens * language.backward if load.checkpointing else tokens * (language.backward - language.kept)
    kept = first + tokens * language.count * (language.output if load.checkpointing else language.kept)
    if not load.checkpointing:
        kept += copies * language.count
    sees = bool(load.weights.trained["vision"])
    seen = patches * (
        6 * vision.output + load.projector + (load.computes * load.patch_values if load.computes < 4 else 0)
    )
    seen += patches * vision.count * (vision.output if load.checkpointing else vision.kept)
    seen = seen if sees else tokens * 0.0
    looks = patches * vision.backward if load.checkpointing else patches * (vision.backward - vision.kept)
    return {
        "vision forward": {
            "gradients": begun,
            "vision activations": seen + patches * max(vision.forward, load.projector),
        },
        "head": {
            "gradients": begun,
            "vision activations": seen,
            "language activations": kept,
            "mask": mask,
            "autocast copies": _copies(load),
            "head": head_bytes(load, learns=True),
        },
        "language backward": {
            "gradients": max(begun, _head_gradient(load) / share),
            "vision activations": seen,
            "language activations": kept + inside + 2 * copies,
            "mask": mask,
        },
        "language backward at its last layer": {
            "gradients": max(begun, gradients - tower),
            "vision activations": seen,
            "language activations": tokens * (language.output + language.backward) + 2 * copies,
            "mask": mask,
        },
        "vision backward": {
            "gradients": max(begun, gradients - tower),
            "vision activations": (seen + looks) if sees else 0.0,
            "language activations": tokens * language.output,
        },
        "optimiser step": {"gradients": gradients, "gathered": _step_copy(load)},
    }


def phases(load: Load, gpu_gib: float = 80.0) -> dict[str, dict[str, float]]:
    """Return GiB by part in each phase of a stage, on one GPU.

    Args:
        gpu_gib: memory of the card, of which vLLM takes a share.
    """
    stays = held(load)
    base = {name: stays[name] for name in ("weights", "optimiser", "gathered")}
    if load.reference:
        base["reference model"] = base["weights"]
    vllm = load.rollout.vllm_share * gpu_gib * GIB if load.rollout else 0.0
    awake = 0.0 if load.rollout and load.rollout.sleeps else vllm
    # Trainer collects the batches of a step of the optimiser; the loader has one more, which waits beside the GPU.
    batches = load.accumulation if load.triton else load.accumulation + 1
    clip = 4.0 * load.patches * load.patch_values
    if load.rollout:  # kept as the tower takes them (recipe/training/pixels.py)
        clip *= load.computes / 4
        pixels = clip * (load.rollout.groups + _joined(load))
    else:
        pixels = clip * load.batch * batches
    result = {
        name: _sum(base, {"pixels": pixels, "vLLM": awake}, parts) for name, parts in update_phases(load).items()
    }
    if load.rollout:
        for name, parts in rollout_phases(load, load.rollout, clip).items():
            result[name] = _sum(base, {"vLLM": vllm if name == "generation" else awake}, parts)
    return {name: {part: value / GIB for part, value in parts.items() if value} for name, parts in result.items()}


def rollout_phases(load: Load, rollout: Rollout, clip: float) -> dict[str, dict[str, float]]:
    """Return bytes by part while answers are generated, scored and put aside; the old rollout is held meanwhile.

    Args:
        clip: bytes of the pictures of a prompt.
    """
    rows, language, vision = rollout.rows, load.language, load.vision
    pixels = clip * rollout.groups
    generation = {"pixels": pixels}
    if rollout.generates:  # all rows at once
        cache = rows * (rollout.prompt + rollout.completion) * rollout.cache
        prefill = max(
            rows * load.patches * max(vision.forward, load.projector),
            rows * rollout.prompt * (2 * language.output + language.forward) + rows * rollout.prompt * rollout.cache,
        )
        generation = {
            "pixels": 2 * pixels + rows * clip,
            "KV cache and prefill": max(cache, prefill),
            "gathered": load.rest * load.parameters if load.sharding in ("zero3", "fsdp") else 0.0,
        }
    tokens, patches = load.batch_tokens, load.batch_patches
    scoring = max(
        patches * max(vision.forward, load.projector),
        tokens * (2 * language.output + language.forward) + _key_copies(load) + _mask(load),
        3 * tokens * language.output + head_bytes(load, learns=False),
    )
    return {
        "generation": generation,
        "scoring": {"pixels": 2 * pixels + clip * _joined(load), "language activations": scoring},
        "rollout put aside": {"pixels": 2 * pixels},
    }


def _joined(load: Load) -> int:
    """Return the clips that a forward pass copies into one tensor: none where it takes a single one."""
    clips = load.prompts or load.batch
    return clips if clips > 1 else 0


def _mask(load: Load) -> float:
    """Return the bytes of the attention mask, and of its copies as numbers that attention adds."""
    if load.prompts:  # an answer's tokens by the prompt's and its own, the same for all answers and layers
        return float(load.scored * load.tokens * (1 + load.computes))
    copies = 1 if load.checkpointing else load.language.count
    return load.batch * load.tokens**2 * (1 + load.computes * copies) if load.padded else 0.0


def _key_copies(load: Load) -> float:
    """Return the bytes of the keys and values of shared prompts that a layer lays before each answer's own."""
    return 2.0 * load.batch * load.tokens * load.hidden * load.computes if load.prompts else 0.0


def _copies(load: Load) -> float:
    """Return the bytes of the bfloat16 copies of float32 weights that autocast keeps during a forward pass."""
    return load.computes * load.trainable if load.computes < load.each and load.sharding == "none" else 0.0


def _head_gradient(load: Load) -> float:
    return load.each * load.weights.trained["head"]


def _step_copy(load: Load) -> float:
    """Return the bytes of gradients in float32 that DeepSpeed's step makes."""
    return 4.0 * min(SUBGROUP, load.trainable / load.processes) if load.sharding.startswith("zero") else 0.0


def _sum(*parts: dict[str, float]) -> dict[str, float]:
    result: dict[str, float] = {}
    for some in parts:
        for name, value in some.items():
            result[name] = result.get(name, 0.0) + value
    return result


def peak_phase(load: Load, gpu_gib: float = 80.0) -> tuple[str, dict[str, float]]:
    """Return the phase that takes most, and its GiB by part."""
    return max(phases(load, gpu_gib).items(), key=lambda item: sum(item[1].values()))
