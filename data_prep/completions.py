"""Read the body of a chat endpoint's HTTP answer: whether it is an answer at all, its text and its tokens."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Envelope:
    """One HTTP answer, read.

    Attributes:
        content: the model's text; None where the body holds none.
        problem: why there is none.
        tokens_in, tokens_out: what the server says it charged, else 0 and an estimate from the text's length.
        is_completion: whether the body is a chat completion, if one without words; error pages and the like are not.
        estimated: whether tokens_out is an estimate.
    """

    content: str | None
    problem: str
    tokens_in: int
    tokens_out: int
    is_completion: bool = True
    estimated: bool = False


def read_envelope(body: str) -> Envelope:
    """Read the body of a chat completion. Never raises.

    >>> usage = '"usage": {"prompt_tokens": 7, "completion_tokens": 2}'
    >>> found = read_envelope('{"choices": [{"message": {"content": "Hi."}}], ' + usage + "}")
    >>> found.content, found.tokens_in, found.tokens_out
    ('Hi.', 7, 2)
    >>> found = read_envelope("<html>Bad gateway</html>")
    >>> found.problem, found.is_completion
    ('no JSON', False)
    """
    guess = math.ceil(len(body) / 4)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Envelope(None, "no JSON" if body.strip() else "an empty body", 0, guess, False, True)
    usage = value.get("usage") if isinstance(value, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    tokens_in, tokens_out = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
    tokens = (tokens_in or 0, guess if tokens_out is None else tokens_out)
    try:
        message = value["choices"][0]["message"]
        content: Any = message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return Envelope(None, "no choices[0].message", *tokens, is_completion=False, estimated=tokens_out is None)
    if isinstance(content, list):  # some servers send parts
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    if content is not None and not isinstance(content, str):
        problem = f"choices[0].message.content is {json.dumps(content)[:40]}, expected text"
        return Envelope(None, problem, *tokens, is_completion=False, estimated=tokens_out is None)
    if content is None or not content.strip():
        return Envelope(None, "empty content", *tokens, estimated=tokens_out is None)
    # Half of a surrogate pair, which no file can hold, becomes a question mark.
    return Envelope(content.encode("utf-8", "replace").decode("utf-8"), "", *tokens, estimated=tokens_out is None)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None
