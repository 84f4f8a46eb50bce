"""What stands around an answer: the contract knows a reasoning part before it, and nothing else."""

import re

from .locate import REASONING_ENDS, after_reasoning, locate_objects

# What packs an answer and says nothing: answer tags, code fences, and special tokens, which some trainers leave in.
_PACKING = re.compile(r"(?:\s|</?answer>|```(?:json)?|<\|[^|<>\s]{1,40}\|>)*")


def stands_alone(text: str) -> bool:
    """Return whether a text is a reasoning part, if any, and the answer: no word before, between or after them.

    A reasoning part without its opening tag was opened by the prompt.

    >>> stands_alone('<think>It runs.</think><answer>{"2": []}</answer>'), stands_alone('{"2": []} I am sure.')
    (True, False)
    >>> stands_alone('Well: <think>It runs.</think>{"2": []}'), stands_alone('It runs.</think>{"2": []}')
    (False, True)
    """
    objects = locate_objects(text)
    if not objects:
        return False
    begin = after_reasoning(text)
    around = text[begin : objects[-1].start], text[objects[-1].end :]
    return all(_PACKING.fullmatch(part) for part in around) and _is_reasoning(text[:begin])


def _is_reasoning(head: str) -> bool:
    """Return whether a text that ends with a closing reasoning tag is one reasoning part; an empty one counts."""
    if not head:
        return True
    closing = next(tag for tag in REASONING_ENDS if head.endswith(tag))
    inner = head.removesuffix(closing)
    before, opening, _ = inner.partition(closing.replace("/", "", 1))
    return closing not in inner and (not opening or _PACKING.fullmatch(before) is not None)
