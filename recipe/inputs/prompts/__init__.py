"""Prompt templates as plain text, and the messages made of them.

A template is a text file with `$query` where the sentence goes; a folder of templates is a setting (`prompts:`), so a
user can swap the wording without touching code. All wordings here are our own: the default asks for one target,
`paper-contract` keeps the contract of the paper's appendix A.1 point by point, `short` is as brief as A.2, `events`
asks for several events too and says what to answer where there is none (record schema 2). A folder of one's own holds
other words, the paper's if wanted (docs/reproduce.md).

Fields of a template; all but the first may be left out:

- `$query`: the sentence.
- `$shown`: what stands above the question: frames with their times, frames, or a video.
- `$unit`: the unit of boxes in words, such as "in thousandths of ...": the model family's, or a served system's.
- `$corners`: the order of a box's numbers, such as "[x_min, y_min, x_max, y_max]".
- `$box_102_310_298_644`: an example's box, given in thousandths, written in that order and unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from data_prep.command_line import did_you_mean
from data_prep.errors import StageError
from data_prep.identity import text_digest
from data_prep.records import Record
from recipe.inputs.box_format import CORNERS, BoxFormat

PROMPTS = Path(__file__).parent

# Which template asks for which kind of record; captions and questions are asked as they stand.
TEMPLATE_OF_KIND = {"declarative": "ground", "interrogative": "ground", "tracking": "track", "scene": "track"}

NAMES = ("ground", "track")
FIELDS = ("query", "shown", "unit", "corners")
EXAMPLE_BOX = re.compile(r"box_(\d+)_(\d+)_(\d+)_(\d+)")

SHOWN = {
    "timed": "The frames above come from one video; the text before each frame gives its time.",
    "frames": "The frames above come from one video, in order and evenly spaced from its start to its end.",
    "video": "The video stands above.",
}


@dataclass(frozen=True)
class Shown:
    """What a question's words must fit: the boxes that are asked for, and what stands above the question.

    Attributes:
        boxes: order and unit.
        frame_size: (width, height) of the frames, pixels.
        media: a key of `SHOWN`.
    """

    boxes: BoxFormat = BoxFormat()
    frame_size: tuple[int, int] = (1000, 1000)
    media: str = "timed"

    def fields(self, template: Template) -> dict[str, str]:
        """Return the value of each field of a template except the query's."""
        found = {
            "shown": SHOWN[self.media],
            "unit": self.boxes.unit_in_words(self.frame_size),
            "corners": CORNERS[self.boxes.order],
        }
        for name in fields_of(template.template):
            if example := EXAMPLE_BOX.fullmatch(name):
                left, top, right, bottom = map(int, example.groups())
                found[name] = self.boxes.example((left, top, right, bottom), self.frame_size)
        return found


def fields_of(text: str) -> set[str]:
    """Return the names of the fields in a template's text.

    >>> sorted(fields_of("$query in ${unit}, for $$5 and $5"))
    ['query', 'unit']
    """
    found = (match["named"] or match["braced"] for match in Template.pattern.finditer(text))
    return {name for name in found if name}


def load_prompts(folder: str | Path | None = None) -> dict[str, Template]:
    """Read `ground.txt` and `track.txt` from a folder (default: our one-target wording, beside this file).

    A relative path that does not exist below the working directory is looked up beside this file (`tiny`). The path of
    one text file asks for all kinds with that template.

    Raises:
        FileNotFoundError: A template is missing; the message names the file.
        StageError: A template has no `$query`, an unknown field, or is no text.
    """
    path = PROMPTS if folder is None else Path(folder)
    if not path.exists():
        path = PROMPTS / path
    if path.is_file() or (path.suffix == ".txt" and not path.is_dir()):
        return dict.fromkeys(NAMES, _read(path))
    return {name: _read(path / f"{name}.txt") for name in NAMES}


def _read(file: Path) -> Template:
    if not file.is_file():
        raise FileNotFoundError(
            f"prompt template {file}: no such file; a prompt folder holds ground.txt and track.txt, each with $query"
        )
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise StageError(f"prompt template {file}: no UTF-8 text ({error.reason} at byte {error.start})") from None
    names = fields_of(text)
    if "query" not in names:
        raise StageError(f"prompt template {file}: has no $query, so the sentence would never reach the model")
    unknown = sorted(name for name in names if name not in FIELDS and not EXAMPLE_BOX.fullmatch(name))
    if unknown:
        hint = did_you_mean(unknown[0], FIELDS) or f"; the fields are ${', $'.join(FIELDS)}; a plain dollar is $$"
        raise StageError(f"prompt template {file}: has the unknown field ${unknown[0]}{hint}")
    return Template(text)


def prompts_digest(folder: str | Path | None) -> str:
    """Return the digest of the templates' text in a folder of prompts, wherever the folder lies."""
    return text_digest({name: template.template for name, template in load_prompts(folder).items()})


def timestamp(start_s: float) -> str:
    """Return the text before a frame: the start of the interval that the frame stands for, on the answer's clock.

    >>> timestamp(3.0), timestamp(3.5)
    ('3s', '3.5s')
    """
    return f"{start_s:g}s"


def question(
    record: Record, prompts: dict[str, Template], control_tokens: Iterable[str] = (), shown: Shown | None = None
) -> str:
    """Return the text part of the prompt for one record.

    Braces, dollars and the like in the query stay as they are: only fields of the template are replaced.

    Args:
        control_tokens: what the tokenizer takes out of text as tokens of its own; in the query they are broken up.
        shown: boxes and pictures that the words must fit; None: frames with their times, boxes in thousandths.
    """
    query = plain_text(str(record["query"]), control_tokens)
    name = TEMPLATE_OF_KIND.get(record["kind"])
    if name is None:
        return query
    template = prompts[name]
    return template.safe_substitute((shown or Shown()).fields(template), query=query)


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


def user_message(starts_s: list[float], text: str, media: str = "timed") -> dict[str, Any]:
    """Build one user turn: each frame's timestamp and image placeholder in order, then the question.

    Interleaved because a plain string prompt would put all images first, and the model could not tell the seconds.

    Args:
        media: a key of `SHOWN`; "frames" leaves out the timestamps, "video" has one placeholder for the whole clip.
    """
    content: list[dict[str, Any]] = []
    if media == "video":
        content.append({"type": "video"})
    else:
        for start_s in starts_s:
            content += [{"type": "text", "text": timestamp(start_s)}] if media == "timed" else []
            content.append({"type": "image"})
    content.append({"type": "text", "text": text})
    return {"role": "user", "content": content}
