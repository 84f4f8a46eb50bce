"""How answers are decoded: every setting stated, and the same in every backend.

Whatever is not stated is taken from the checkpoint's own `generation_config`: a repetition penalty of 1.05 changes
a quarter of greedy answers, and "temperature 1" would be another sampler in each backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recipe.inference.windows import ANSWER_TOKENS, OTHER_TOKENS

# Settings of transformers that a checkpoint may carry and no other backend has: all off.
_OFF: dict[str, Any] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": None,
    "min_length": 0,
    "min_new_tokens": None,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "penalty_alpha": None,
    "renormalize_logits": False,
    "sequence_bias": None,
    "stop_strings": None,
    "top_h": None,
    "typical_p": 1.0,
}


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded.

    Attributes:
        temperature: 0 decodes greedily; else samples from the whole distribution (no top-k, top-p or min-p).
        max_new_tokens: longest answer, tokens; None: room for reasoning and a box in each second of the clip.
        guided: hold the answer to the answer format by structured outputs (vLLM and servers of it).
    """

    temperature: float = 0.0
    max_new_tokens: int | None = None
    guided: bool = False

    def longest(self, row: dict[str, Any]) -> int:
        """Return how many tokens the longest answer to a row may have."""
        return self.max_new_tokens or OTHER_TOKENS + ANSWER_TOKENS * int(row["seconds"])


def sampling_of(temperature: float) -> dict[str, float]:
    """Return the settings in full, by the names that vLLM and its servers have for them.

    >>> sampling_of(1.0)
    {'temperature': 1.0, 'top_p': 1.0, 'top_k': 0, 'min_p': 0.0, 'repetition_penalty': 1.0}
    """
    return {"temperature": temperature, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


def sampling_of_transformers(temperature: float) -> dict[str, Any]:
    """Return the same settings as arguments of transformers' `generate`, with all others of its own off."""
    stated = sampling_of(temperature) | _OFF | {"min_p": None, "do_sample": temperature > 0}
    if not stated["do_sample"]:  # values that it does not warn of beside greedy decoding
        stated |= {"temperature": 1.0, "top_k": None}
    return stated


def sampling_of_request(temperature: float, *, openai_only: bool) -> dict[str, Any]:
    """Return the same settings as parts of a request's body.

    Args:
        openai_only: whether to leave out what OpenAI's own API does not know; some servers refuse it.
    """
    stated = sampling_of(temperature)
    known = {name: stated.pop(name) for name in ("temperature", "top_p")}
    return known if openai_only else known | {"extra_body": stated}
