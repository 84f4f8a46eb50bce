"""The truth of one sample as other trainers carry it, and all scores of one text against it."""

import json
from collections.abc import Sequence
from typing import Any

from ..batch import COLUMNS, score_completions


def read_truth(value: Any) -> dict[str, Any]:
    """Return a sample's truth by the names of the rewards' columns; what it leaves out is None.

    Args:
        value: a dict, or its JSON text (data frames keep that as it is):
            `{"track": [{"second": 3, "box": [x_min, y_min, x_max, y_max]}], "span": [3, 3], "seconds": 8,
            "box_scale": [1000, 1000]}`, boxes normalised to [0, 1]; all but `track` may be left out. Several events
            have `spans` instead of `span`; `"no_target": true`, or `"temporal": true` with `spans`, stand in for
            `track` (`stvg_rewards.rewards` describes them).

    Raises:
        ValueError: `value` is something else or has no truth. Wrong annotations are an error, not a score.

    >>> read_truth('{"track": [{"second": 3, "box": [0, 0, 0.5, 1]}], "seconds": 8, "id": "a"}')["seconds"]
    8
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"ground truth: {value[:80]!r} is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"ground truth: got {type(value).__name__}, expected a dict with 'track', or its JSON text")
    return {name: _plain(value.get(name)) for name in COLUMNS}


def _plain(value: Any) -> Any:
    """Convert the arrays that a Parquet file's lists come back as to lists, at any depth."""
    if callable(getattr(value, "tolist", None)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def score_text(text: str, truth: Any, weights: Sequence[float] = (1.0, 1.0)) -> dict[str, float]:
    """Return the scores of one text by name.

    `score` is w_t * tIoU + w_m * mvIoU (equation 4); the others are tIoU, mvIoU, vIoU and parsed (0 or 1). A temporal
    truth has no boxes: its score is w_t * tIoU, and mvIoU and vIoU are 0, because these trainers want a number.

    Args:
        text: what the model wrote; it may be anything.
        truth: see `read_truth`.
        weights: (w_t, w_m).

    >>> truth = {"track": [{"second": 3, "box": [0.0, 0.0, 0.5, 1.0]}, {"second": 4, "box": [0.0, 0.0, 0.5, 1.0]}]}
    >>> score_text('{"3": [{"label": "dog-1", "bbox_2d": [0, 0, 250, 1000]}]}', truth)
    {'score': 1.0, 'tIoU': 0.5, 'mvIoU': 0.5, 'vIoU': 0.25, 'parsed': 1.0}
    >>> score_text('{}', {"no_target": True})["score"]
    2.0
    """
    columns = {name: [value] for name, value in read_truth(truth).items()}
    (scored,) = score_completions([text], **columns)
    if scored is None:
        raise ValueError(
            "ground truth: no 'track', nor 'no_target' or 'temporal'; rows of other tasks need a reward of their own"
        )
    scores = {"tIoU": scored.scores.tIoU, "mvIoU": 0.0, "vIoU": 0.0} if scored.temporal else scored.scores._asdict()
    score = weights[0] * scores["tIoU"] + weights[1] * scores["mvIoU"]
    return {"score": score, **scores, "parsed": float(scored.parsed)}
