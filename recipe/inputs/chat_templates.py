"""The chat template of a checkpoint: the published one where it can train, else the family's from `templates/`.

A template can train if a conversation is the prompt that generation sends, the answer as it stands and an end token.
GLM-4.1V's published one prints an answer that TRL hands it, a list of parts, as a Python list, and no end token; those
of the later GLM line and of Qwen3.5 put reasoning tags and line breaks of their own around it.
"""

from __future__ import annotations

import logging
from typing import Any

from jinja2 import TemplateError

from data_prep.identity import text_digest
from recipe.inputs.families import TEMPLATES, Family

logger = logging.getLogger(__name__)


def templates_digest() -> str:
    """Return the digest of all chat templates that may take the place of a checkpoint's own, 64 hex digits."""
    return text_digest({path.name: path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.jinja"))})


def can_train(processor: Any, family: Family) -> bool:
    """Return whether a processor's chat template writes prompt, answer and end token, with and without reasoning.

    White space after the end token does no harm: nothing generates it.
    """
    if not processor.chat_template:
        return False
    user = {"role": "user", "content": [{"type": "text", "text": "0s"}, {"type": "image"}]}
    answers = (family.written("", '{"0": []}'), family.written("It stands.", '{"0": []}'), "a red ball")
    try:
        prompt = processor.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        for answer in answers:
            message = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
            whole = processor.apply_chat_template([user, message], tokenize=False)
            if whole.rstrip() not in [prompt + answer + token for token in family.end_tokens]:
                return False
    except (TemplateError, TypeError):  # as of text and a list that it joins
        return False
    return True


def ensure_template(processor: Any, family: Family, name: str) -> bool:
    """Give a processor the family's own chat template where its own cannot train; return whether it did.

    It is saved with the processor, so a stage's checkpoint is asked and served as it was trained.

    Args:
        name: of the checkpoint, for the log.
    """
    path = family.template_file
    if path is None or can_train(processor, family):
        return False
    logger.info("%s: its chat template cannot train; %s takes its place", name, path)
    processor.chat_template = path.read_text(encoding="utf-8")
    return True
