"""The corrected sequence (section 3.5): the teacher's words, and an answer that is only the annotation's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stvg_rewards import Track, format_answer


def corrected(record: Mapping[str, Any], trace: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with its trace; span, boxes and label stay the annotation's.

    What the teacher's placeholder says of them is ignored.

    Args:
        about: where the trace comes from (teacher, prompt version, verdict); kept beside it as `trace`.
    """
    return {**record, "reasoning": trace, "trace": dict(about)}


def answer_text(record: Mapping[str, Any], scale: tuple[int, int] = (1000, 1000)) -> str:
    """Return the true answer, written by the formatter whose text the rewards' parser reads; {} without a target.

    >>> answer_text({"label": "dog-1", "track": [{"second": 3, "box": [0.0, 0.5, 0.5, 1.0]}]})
    '{"3": [{"label": "dog-1", "bbox_2d": [0, 500, 500, 1000]}]}'
    """
    boxes = {state["second"]: tuple(state["box"]) for state in record["track"] or ()}
    return format_answer(Track(label=record["label"] or "", boxes=boxes), scale=scale)
