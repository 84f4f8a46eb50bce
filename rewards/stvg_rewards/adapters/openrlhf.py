"""OpenRLHF's reward function file (checked against OpenRLHF 0.11.2: `--remote_rm_url reward_func.py`).

OpenRLHF wants tensors and this package has no torch, so the file that it loads is two imports and one line; see
docs/trainers.md.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .truth import score_or_zeros

_TAIL = 64  # characters


def reward_func(
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[Any],
    *,
    tensor: Callable[[list[float]], Any] = list,
    w_t: float = 1.0,
    w_m: float = 1.0,
    **kwargs: Any,
) -> dict[str, Any]:
    """Return `rewards` (w_t * tIoU + w_m * mvIoU), `scores` (vIoU, in [0, 1]) and `extra_logs` of a batch.

    Rows of other tasks get zeros: OpenRLHF wants a tensor of one number a row.

    Args:
        queries: prompt and response of each row in one text, special tokens included.
        prompts: the prompts.
        labels: `--label_key` of the rows: see `stvg_rewards.adapters.truth.read_truth`.
        tensor: function that makes a tensor of a list, such as `torch.tensor`.

    >>> truth = '{"track": [{"second": 0, "box": [0, 0, 0.5, 1]}]}'
    >>> response = '{"0": [{"label": "a", "bbox_2d": [0, 0, 250, 1000]}]}'
    >>> reward_func(["Where? " + response + "<|eos|>"], ["Where? "], [truth])["rewards"]
    [1.5]
    """
    texts = [response_of(query, prompt) for query, prompt in zip(queries, prompts, strict=True)]
    rows = [score_or_zeros(text, label, (w_t, w_m)) for text, label in zip(texts, labels, strict=True)]
    logged = {name: tensor([row[name] for row in rows]) for name in ("tIoU", "mvIoU", "vIoU", "parsed")}
    return {"rewards": tensor([row["score"] for row in rows]), "scores": logged["vIoU"], "extra_logs": logged}


def response_of(query: str, prompt: str) -> str:
    """Return the response, which is the part of `query` behind the prompt.

    The end of the prompt is searched for, because image tokens in the middle of it may have been expanded.

    >>> response_of("<image><image> Where is it? There.", "<image> Where is it?")
    ' There.'
    """
    tail = prompt[-_TAIL:]
    if query.startswith(prompt):
        return query[len(prompt) :]
    while tail:
        index = query.find(tail)
        if index >= 0:
            return query[index + len(tail) :]
        tail = tail[len(tail) // 2 + 1 :]
    return query
