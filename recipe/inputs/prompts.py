"""Questions of records: which template of `stvg_rewards.prompts` asks for which kind of record.

A folder of templates is a setting (`prompts:`), so a user can swap the wording without touching code: one of those in
the package `stvg_rewards.prompts`, or one's own, with the paper's words if wanted (docs/reproduce.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from string import Template

from data_prep.errors import StageError
from data_prep.identity import text_digest
from data_prep.records import Record
from stvg_rewards.prompts import PROMPTS as PROMPTS
from stvg_rewards.prompts import Shown as Shown
from stvg_rewards.prompts import fill_template, load_templates
from stvg_rewards.prompts import plain_text as plain_text
from stvg_rewards.prompts import timestamp as timestamp
from stvg_rewards.prompts import user_message as user_message

# Which template asks for which kind of record; captions and questions are asked as they stand.
TEMPLATE_OF_KIND = {"declarative": "ground", "interrogative": "ground", "tracking": "track", "scene": "track"}


def load_prompts(folder: str | Path | None = None) -> dict[str, Template]:
    """Read the templates of a folder, or of one text file, as `stvg_rewards.prompts.load_templates` does.

    Raises:
        FileNotFoundError: A template is missing; the message names the file.
        StageError: A template has no `$query`, an unknown field, or is no text.
    """
    try:
        return load_templates(folder)
    except ValueError as error:
        raise StageError(str(error)) from None


def prompts_digest(folder: str | Path | None) -> str:
    """Return the digest of the templates' text in a folder of prompts, wherever the folder lies."""
    return text_digest({name: template.template for name, template in load_prompts(folder).items()})


def question(
    record: Record, prompts: dict[str, Template], control_tokens: Iterable[str] = (), shown: Shown | None = None
) -> str:
    """Return the text part of the prompt for one record.

    Args:
        control_tokens: the tokenizer's tokens that no query may hold (see `plain_text`).
        shown: boxes and pictures that the words must fit; None: frames with their times, boxes in thousandths.
    """
    query = str(record["query"])
    name = TEMPLATE_OF_KIND.get(record["kind"])
    if name is None:
        return plain_text(query, control_tokens)
    return fill_template(prompts[name], query, shown, control_tokens)
