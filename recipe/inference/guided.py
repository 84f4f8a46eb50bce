"""The answer format as a regular expression, for servers that can hold a model to one."""

from __future__ import annotations

from recipe.inputs.families import Family

_NUMBER = "(0|[1-9][0-9]{0,3})"  # JSON has no 025
_LABEL = "[A-Za-z][A-Za-z _-]{0,30}-[0-9]{1,3}"


def answer_regex(family: Family, seconds: int) -> str:
    r"""Return the pattern of an answer to a clip of `seconds` seconds: reasoning, then one label's boxes by second.

    Keys are seconds of the clip, each box has four whole numbers; order and size of the numbers are left to the model.

    >>> import re
    >>> from recipe.inputs.families import FAMILIES
    >>> pattern = answer_regex(FAMILIES["glm4v"], 12)
    >>> text = '<think>so</think><answer>{"%d": [{"label": "cat-1", "bbox_2d": [1, 2, 3, 4]}]}</answer>'
    >>> bool(re.fullmatch(pattern, text % 11)), bool(re.fullmatch(pattern, text % 12))
    (True, False)
    >>> bool(re.fullmatch(pattern, text.replace("4]", "025]") % 11))
    False
    """
    keys = "|".join(str(second) for second in range(seconds))
    state = rf'"({keys})": \[\{{"label": "{_LABEL}", "bbox_2d": \[{_NUMBER}, {_NUMBER}, {_NUMBER}, {_NUMBER}\]\}}\]'
    answer = rf"\{{({state}(, {state}){{0,{max(seconds - 1, 0)}}})?\}}"
    thought = family.thought.replace("\n", r"\n").replace("{}", "[^<]{0,2000}")
    return rf"{thought}{family.answer[0]}{answer}{family.answer[1]}"
