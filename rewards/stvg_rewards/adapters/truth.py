"""The truth of one sample as other trainers carry it, and all scores of one text against it."""

import json
from collections.abc import Sequence
from typing import Any

from ..columns import read_scale, read_seconds, read_span, read_track
from ..overlap import score_answer
from ..parsing import parse_answer
from ..tracks import Scale, Span, Track


def read_truth(value: Any) -> tuple[Track, Span | None, int | None, Scale]:
    """Return (track, span, seconds, box_scale) of a sample.

    Args:
        value: a dict, or its JSON text (data frames keep that as it is):
            `{"track": [{"second": 3, "box": [x_min, y_min, x_max, y_max]}], "span": [3, 3], "seconds": 8,
            "box_scale": [1000, 1000]}`, boxes normalised to [0, 1]; all but `track` may be left out.

    Raises:
        ValueError: `value` is something else or has no true track. Wrong annotations are an error, not a score.

    >>> read_truth('{"track": [{"second": 3, "box": [0, 0, 0.5, 1]}], "seconds": 8}')[1:]
    (None, 8, (1000, 1000))
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"ground truth: {value[:80]!r} is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"ground truth: got {type(value).__name__}, expected a dict with 'track', or its JSON text")
    value = {name: _plain(item) for name, item in value.items()}
    track = read_track(value.get("track"), 0)
    if track is None:
        raise ValueError("ground truth: no 'track'; rows of other tasks need a reward of their own")
    span, seconds = read_span(value.get("span"), 0), read_seconds(value.get("seconds"), 0)
    return track, span, seconds, read_scale(value.get("box_scale"), 0)


def _plain(value: Any) -> Any:
    """Convert the arrays that a Parquet file's lists come back as to lists, at any depth."""
    if callable(getattr(value, "tolist", None)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def score_text(text: str, truth: Any, weights: Sequence[float] = (1.0, 1.0)) -> dict[str, float]:
    """Return the scores of one text by name.

    `score` is w_t * tIoU + w_m * mvIoU (equation 4); the others are tIoU, mvIoU, vIoU and parsed (0 or 1).

    Args:
        text: what the model wrote; it may be anything.
        truth: see `read_truth`.
        weights: (w_t, w_m).

    >>> truth = {"track": [{"second": 3, "box": [0.0, 0.0, 0.5, 1.0]}, {"second": 4, "box": [0.0, 0.0, 0.5, 1.0]}]}
    >>> score_text('{"3": [{"label": "dog-1", "bbox_2d": [0, 0, 250, 1000]}]}', truth)
    {'score': 1.0, 'tIoU': 0.5, 'mvIoU': 0.5, 'vIoU': 0.25, 'parsed': 1.0}
    """
    track, span, seconds, scale = read_truth(truth)
    answer = parse_answer(text, seconds=seconds, scale=scale)
    scores = score_answer(answer, track, span)
    assert scores is not None  # read_truth refuses empty tracks
    score = weights[0] * scores.tIoU + weights[1] * scores.mvIoU
    return {"score": score, **scores._asdict(), "parsed": float(answer.parsed)}
