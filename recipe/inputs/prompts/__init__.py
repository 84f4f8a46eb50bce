"""Prompt templates as plain text, and the messages made of them.

A template is a text file with `$query` where the sentence goes; a folder of templates is a setting (`prompts:`), so a
user can swap the wording without touching code. The wording follows appendix A.1's contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

from data_prep.identity import text_digest
from data_prep.records import Record

PROMPTS = Path(__file__).parent

# Which template asks for which kind of record; captions and questions are asked as they stand.
TEMPLATE_OF_KIND = {"declarative": "ground", "interrogative": "ground", "tracking": "track", "scene": "track"}


def load_prompts(folder: str | Path | None = None) -> dict[str, Template]:
    """Read `ground.txt` and `track.txt` from a folder (default: the paper's wording, beside this file).

    A relative folder that does not exist below the working directory is looked up beside this file (`tiny`).

    Raises:
        FileNotFoundError: A template is missing; the message names the file.
        ValueError: A template has no `$query`.
    """
    path = PROMPTS if folder is None else Path(folder)
    if not path.is_dir():
        path = PROMPTS / path
    templates = {}
    for name in ("ground", "track"):
        file = path / f"{name}.txt"
        if not file.is_file():
            raise FileNotFoundError(
                f"prompt template {file}: no such file; a prompt folder holds ground.txt and track.txt"
            )
        text = file.read_text(encoding="utf-8").strip()
        if "$query" not in text:
            raise ValueError(f"prompt template {file}: has no $query, so the sentence would never reach the model")
        templates[name] = Template(text)
    return templates


def prompts_digest(folder: str | Path | None) -> str:
    """Return the digest of the templates' text in a folder of prompts, wherever the folder lies."""
    return text_digest({name: template.template for name, template in load_prompts(folder).items()})


def timestamp(start_s: float) -> str:
    """Return the text before a frame: the start of the interval that the frame stands for, on the answer's clock.

    >>> timestamp(3.0), timestamp(3.5)
    ('3s', '3.5s')
    """
    return f"{start_s:g}s"


def question(record: Record, prompts: dict[str, Template], control_tokens: Iterable[str] = ()) -> str:
    """Return the text part of the prompt for one record.

    Braces, dollars and the like in the query stay as they are: only `$query` of the template is replaced.

    Args:
        control_tokens: what the tokenizer takes out of text as tokens of its own; in the query they are broken up.
    """
    query = plain_text(str(record["query"]), control_tokens)
    template = TEMPLATE_OF_KIND.get(record["kind"])
    if template is None:
        return query
    return prompts[template].safe_substitute(query=query)


def plain_text(text: str, control_tokens: Iterable[str]) -> str:
    """Put a space inside each control token in `text`, so that it is read as ordinary text.

    A query comes from an annotation file or a user; unbroken, "<|image|>" in it would claim a picture that is not
    there, and "<|assistant|>" would end the user's turn.

    >>> plain_text("is <|image|> a cat?", ["<|image|>"])
    'is < |image|> a cat?'
    """
    for token in sorted(control_tokens, key=len, reverse=True):
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def user_message(starts_s: list[float], text: str) -> dict[str, Any]:
    """Build one user turn: each frame's timestamp and image placeholder in order, then the question.

    Interleaved because a plain string prompt would put all images first, and the model could not tell the seconds.
    """
    content: list[dict[str, Any]] = []
    for start_s in starts_s:
        content += [{"type": "text", "text": timestamp(start_s)}, {"type": "image"}]
    content.append({"type": "text", "text": text})
    return {"role": "user", "content": content}
