"""Several objects at once: predicted and true tubes matched one to one, as tracking studies score them.

Column: `tracks`, a list of {"label": name, "track": [{"second": int, "box": [4 floats in [0, 1]]}, ...]}.
"""

from collections.abc import Sequence
from typing import Any

from .assignment import best_assignment
from .columns import check_column, completion_text, read_scale, read_seconds, read_track
from .data_frames import read_items
from .overlap import viou
from .parsing import parse_tracks
from .tracks import Track


def tubes_score(predicted: Sequence[Track], true: Sequence[Track]) -> float:
    """Return the sum of vIoU over the best one-to-one matching / the larger number of tubes; 0 to 1.

    Names do not matter, only which tube follows which object. A missing and a superfluous tube both lower the score.

    >>> a, b = Track("a", {0: (0.0, 0.0, 0.5, 0.5)}), Track("b", {0: (0.5, 0.5, 1.0, 1.0)})
    >>> tubes_score([Track("x", b.boxes), Track("y", a.boxes)], [a, b])
    1.0
    >>> tubes_score([a], [a, b]), tubes_score([a, a, b], [a, b]), tubes_score([], [a])
    (0.5, 0.6666666666666666, 0.0)
    """
    if not predicted or not true:
        return 0.0
    gains = [[viou(ours, theirs) for theirs in true] for ours in predicted]
    return sum(gains[i][j] for i, j in best_assignment(gains)) / max(len(predicted), len(true))


def tubes_reward(
    completions: Sequence[Any],
    tracks: Sequence[Any],
    seconds: Sequence[Any] | None = None,
    box_scale: Sequence[Any] | None = None,
    *,
    most_tubes: int = 100,
    **kwargs: Any,
) -> list[float | None]:
    """Return the `tubes_score` of each answer to a scene (several labels, appendix A.1); None for other rows.

    Args:
        tracks: the true tubes of each row, as the module's docstring describes them.
        most_tubes: an answer with more labels is scored by its longest ones and divided by all: matching takes cubic
            time, and a model may write any number of labels.

    >>> text = '{"0": [{"label": "p-1", "bbox_2d": [0, 0, 500, 500]}, {"label": "p-2", "bbox_2d": [0, 0, 9, 9]}]}'
    >>> truth = [{"label": "dancer", "track": [{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]}]
    >>> tubes_reward([text, "?", "another task"], [truth, truth, None])
    [0.5, 0.0, None]
    """
    num_rows = len(completions)
    rewards: list[float | None] = []
    columns = zip(
        completions,
        check_column("tracks", tracks, num_rows),
        check_column("seconds", seconds, num_rows),
        check_column("box_scale", box_scale, num_rows),
        strict=True,
    )
    for row, (completion, truth, length, scale) in enumerate(columns):
        tubes = read_items(truth) or []
        true = [track for item in tubes if (track := read_track(_states(item, row), row)) is not None]
        if not true:
            rewards.append(None)
            continue
        text = completion_text(completion)
        predicted = parse_tracks(text, seconds=read_seconds(length, row), scale=read_scale(scale, row))
        kept = sorted(predicted, key=len, reverse=True)[: max(most_tubes, len(true))]
        # The divisor counts every tube, so that the share of the kept ones is what is paid.
        share = max(len(kept), len(true)) / max(len(predicted), len(true))
        rewards.append(tubes_score(kept, true) * share)
    return rewards


def _states(item: Any, row: int) -> Any:
    try:
        return item["track"]
    except (TypeError, KeyError):
        raise ValueError(f"column 'tracks' row {row}: expected a list of {{'label': ..., 'track': [...]}}") from None
