"""The truth of one sample as other trainers carry it, and all scores of one text against it."""

import json
from collections.abc import Sequence
from typing import Any

from ..batch import COLUMNS, score_completions
from ..data_frames import to_python

SCORES = ("score", "tIoU", "mvIoU", "vIoU", "parsed")
"""The names of what `score_text` returns."""

_TRUTHS = ("track", "no_target", "temporal")  # a truth has one of them; the other columns describe it


def read_truth(value: Any) -> dict[str, Any] | None:
    """Return a sample's truth by the names of the rewards' columns; None for a row of another task.

    Args:
        value: a dict, or its JSON text (data frames keep that as it is):
            `{"track": [{"second": 3, "box": [x_min, y_min, x_max, y_max]}], "span": [3, 3], "seconds": 8,
            "box_scale": [1000, 1000]}`, boxes normalised to [0, 1]; all but `track` may be left out. Several events
            have `spans` instead of `span`; `"no_target": true`, or `"temporal": true` with `spans`, stand in for
            `track` (`stvg_rewards.tiou_reward` describes them). Rows of other tasks have nothing, a text or number of
            their own, or a dict in which none of these names has a value.

    Raises:
        ValueError: `value` has some of the names and no truth, or begins as JSON and is none. Wrong annotations are an
            error, not a score.

    >>> read_truth('{"track": [{"second": 3, "box": [0, 0, 0.5, 1]}], "seconds": 8, "id": "a"}')["seconds"]
    8
    >>> read_truth("B") is None, read_truth({"track": None}) is None
    (True, True)
    """
    value = to_python(value)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"ground truth: {value[:80]!r} is no JSON ({error})") from None
    if not isinstance(value, dict):
        return None
    truth = {name: value.get(name) for name in COLUMNS}
    if any(truth[name] for name in _TRUTHS):
        return truth
    if "track" not in value and any(item is not None for item in truth.values()):
        named = ", ".join(name for name, item in truth.items() if item is not None)
        raise ValueError(f"ground truth: {named} without 'track', and neither 'no_target' nor 'temporal' is true")
    return None


def score_text(text: str, truth: Any, weights: Sequence[float] = (1.0, 1.0)) -> dict[str, float] | None:
    """Return the scores of one text by name (`SCORES`); None for a row of another task.

    `score` is w_t * tIoU + w_m * mvIoU (equation 4); the others are tIoU, mvIoU, vIoU and parsed (0 or 1). A temporal
    truth has no boxes: its score is w_t * tIoU, and mvIoU and vIoU are 0, because these trainers want a number.

    Args:
        text: what the model wrote; it may be anything.
        truth: see `read_truth`.
        weights: (w_t, w_m).

    Raises:
        ValueError: the truth is wrong.

    >>> truth = {"track": [{"second": 3, "box": [0.0, 0.0, 0.5, 1.0]}, {"second": 4, "box": [0.0, 0.0, 0.5, 1.0]}]}
    >>> score_text('{"3": [{"label": "dog-1", "bbox_2d": [0, 0, 250, 1000]}]}', truth)
    {'score': 1.0, 'tIoU': 0.5, 'mvIoU': 0.5, 'vIoU': 0.25, 'parsed': 1.0}
    >>> score_text("{}", {"no_target": True})["score"]
    2.0
    >>> score_text("The answer is B.", "B") is None
    True
    """
    columns = read_truth(truth)
    if columns is None:
        return None
    (scored,) = score_completions([text], **{name: [value] for name, value in columns.items()})
    assert scored is not None  # there is a truth
    scores = {"tIoU": scored.scores.tIoU, "mvIoU": 0.0, "vIoU": 0.0} if scored.temporal else scored.scores._asdict()
    score = weights[0] * scores["tIoU"] + weights[1] * scores["mvIoU"]
    return {"score": score, **scores, "parsed": float(scored.parsed)}


def score_or_zeros(text: str, truth: Any, weights: Sequence[float] = (1.0, 1.0)) -> dict[str, float]:
    """Return what `score_text` does, and zeros for a row of another task: for trainers that take nothing but numbers.

    All answers of a group are to one prompt, so equal rewards teach nothing. Where another reward function scores the
    row, zeros leave its part as it is.

    >>> score_or_zeros("The answer is B.", "B")["score"]
    0.0
    """
    return score_text(text, truth, weights) or dict.fromkeys(SCORES, 0.0)
