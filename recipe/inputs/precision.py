"""How a checkpoint's weights are loaded: with which attention they are computed, and whether 4 bits pack them."""

from __future__ import annotations

import importlib.util

import torch
from transformers import BitsAndBytesConfig
from trl import ModelConfig, get_quantization_config

AUTO = "auto"  # of attn_implementation: the fastest that is installed
# Modules that stay in 16 bits: few weights, and what a picture or a token is read from.
UNPACKED = [r".*visual", "lm_head"]  # matched from the beginning of a full name


def attention_of(implementation: str | None, dtype: str | None, *, on_gpu: bool | None = None) -> str | None:
    """Return the attention that a model is loaded with; None leaves the choice to transformers.

    `auto` is flash_attention_2 where the package flash-attn is installed, the weights have 16 bits and there is a CUDA
    device, else sdpa.

    Args:
        implementation: `attn_implementation` of the settings.
        dtype: of the weights, as the settings name it.
        on_gpu: whether there is a CUDA device; None: look.

    >>> attention_of("auto", "bfloat16", on_gpu=False), attention_of("eager", "bfloat16"), attention_of(None, None)
    ('sdpa', 'eager', None)
    """
    if implementation != AUTO:
        return implementation
    on_gpu = torch.cuda.is_available() if on_gpu is None else on_gpu
    if on_gpu and dtype in ("bfloat16", "float16") and importlib.util.find_spec("flash_attn") is not None:
        return "flash_attention_2"
    return "sdpa"


def packing_of(model_args: ModelConfig) -> BitsAndBytesConfig | None:
    """Return how a stage packs the frozen weights (QLoRA), or None where it does not.

    The language model's linear layers are packed; the vision tower and the output layer keep the settings' dtype, in
    which the packed ones are computed too.
    """
    packing: BitsAndBytesConfig | None = get_quantization_config(model_args)
    if packing is not None:
        packing.llm_int8_skip_modules = UNPACKED  # the name is of 8 bits, and 4 bits obey it
    return packing
