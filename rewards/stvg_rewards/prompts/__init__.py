"""What a model is asked, in words that `parse_answer` reads the answer of: text files, and the messages made of them.

A template is a text file with `$query` where the sentence goes. A folder of templates holds `ground.txt`, which asks
for one target's event, and `track.txt`, which asks to follow whatever is described. All wordings here are our own: the
default asks for one target, `paper-contract` keeps the contract of the paper's appendix A.1 point by point, `short` is
as brief as A.2, `events` asks for several events too and says what to answer where there is none, and `tiny` is for a
model of a few words.

Fields of a template; all but the first may be left out:

- `$query`: the sentence.
- `$shown`: what stands above the question: frames with their times, frames, or a video.
- `$unit`: the unit of boxes in words, such as "in thousandths of ...": the model family's, or a served system's.
- `$corners`: the order of a box's numbers, such as "[x_min, y_min, x_max, y_max]".
- `$box_102_310_298_644`: an example's box, given in thousandths, written in that order and unit.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from .box_format import CORNERS, BoxFormat

PROMPTS = Path(__file__).parent

NAMES = ("ground", "track")
FIELDS = ("query", "shown", "unit", "corners")
_EXAMPLE_BOX = re.compile(r"box_(\d+)_(\d+)_(\d+)_(\d+)")

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
            if example := _EXAMPLE_BOX.fullmatch(name):
                left, top, right, bottom = map(int, example.groups())
                found[name] = self.boxes.example((left, top, right, bottom), self.frame_size)
        return found


def prompt(
    query: str,
    *,
    task: str = "ground",
    words: str | Path | None = None,
    shown: Shown | None = None,
    control_tokens: Iterable[str] = (),
) -> str:
    """Return the text that asks for a sentence's target, to stand below the frames (`user_message`).

    Braces, dollars and the like in the query stay as they are: only fields of the template are replaced.

    Args:
        query: the sentence.
        task: "ground" (one target and its event) or "track" (whatever the sentence describes).
        words: another folder of templates: a name such as "events", or a path. None: the default words.
        shown: boxes and pictures that the words must fit; None: frames with their times, boxes in thousandths.
        control_tokens: what the tokenizer takes out of text as tokens of its own; in the query they are broken up.

    Raises:
        FileNotFoundError: there is no such template.
        ValueError: a template has no `$query` or an unknown field; a task that is neither.

    >>> print(prompt("the dog barks", words="short"))
    Give the tracking result of this target in the video, second by second: the dog barks
    >>> pixels = Shown(BoxFormat(unit="pixels"), frame_size=(448, 336))  # as Qwen2.5-VL writes boxes
    >>> "in pixels of the frames shown, which are 448 wide and 336 high" in prompt("the dog barks", shown=pixels)
    True
    """
    if task not in NAMES:
        raise ValueError(f"task is {task!r}, expected one of {', '.join(NAMES)}")
    return fill_template(load_templates(words)[task], query, shown, control_tokens)


def fill_template(
    template: Template, query: str, shown: Shown | None = None, control_tokens: Iterable[str] = ()
) -> str:
    """Return a template's text with all fields replaced; arguments as those of `prompt`."""
    return template.safe_substitute((shown or Shown()).fields(template), query=plain_text(query, control_tokens))


def user_message(starts_s: Iterable[float], text: str, media: str = "timed") -> dict[str, Any]:
    """Build one user turn: each frame's timestamp and image placeholder in order, then the question.

    Interleaved because a plain string prompt would put all images first, and the model could not tell the seconds.

    Args:
        starts_s: where the interval begins that each frame stands for, seconds.
        text: the question, such as `prompt` returns.
        media: a key of `SHOWN`; "frames" leaves out the timestamps, "video" has one placeholder for the whole clip.

    >>> user_message([0, 1], "Where is the dog?")["content"][2:]
    [{'type': 'text', 'text': '1s'}, {'type': 'image'}, {'type': 'text', 'text': 'Where is the dog?'}]
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


def timestamp(start_s: float) -> str:
    """Return the text before a frame: the start of the interval that the frame stands for, on the answer's clock.

    >>> timestamp(3.0), timestamp(3.5)
    ('3s', '3.5s')
    """
    return f"{start_s:g}s"


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


def load_templates(folder: str | Path | None = None) -> dict[str, Template]:
    """Read `ground.txt` and `track.txt` from a folder (default: our one-target wording, beside this file).

    A relative path that does not exist below the working directory is looked up beside this file (`events`). The path
    of one text file asks for all kinds with that template.

    Raises:
        FileNotFoundError: a template is missing; the message names the file.
        ValueError: a template has no `$query`, an unknown field, or is no text.
    """
    path = PROMPTS if folder is None else Path(folder)
    if not path.exists():
        path = PROMPTS / path
    if path.is_file() or (path.suffix == ".txt" and not path.is_dir()):
        return dict.fromkeys(NAMES, _read(path))
    return {name: _read(path / f"{name}.txt") for name in NAMES}


def fields_of(text: str) -> set[str]:
    """Return the names of the fields in a template's text.

    >>> sorted(fields_of("$query in ${unit}, for $$5 and $5"))
    ['query', 'unit']
    """
    found = (match["named"] or match["braced"] for match in Template.pattern.finditer(text))
    return {name for name in found if name}


def _read(file: Path) -> Template:
    if not file.is_file():
        raise FileNotFoundError(
            f"prompt template {file}: no such file; a prompt folder holds ground.txt and track.txt, each with $query"
        )
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"prompt template {file}: no UTF-8 text ({error.reason} at byte {error.start})") from None
    names = fields_of(text)
    if "query" not in names:
        raise ValueError(f"prompt template {file}: has no $query, so the sentence would never reach the model")
    unknown = sorted(name for name in names if name not in FIELDS and not _EXAMPLE_BOX.fullmatch(name))
    if unknown:
        from difflib import get_close_matches  # whoever imports the rewards does without it

        near = get_close_matches(unknown[0], FIELDS, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"the fields are ${', $'.join(FIELDS)}; a plain dollar is $$"
        raise ValueError(f"prompt template {file}: has the unknown field ${unknown[0]}; {known}")
    return Template(text)
