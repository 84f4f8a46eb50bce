"""ms-swift's outcome rewards (checked against ms-swift 4.6.0): classes to put into its `orms` table.

The data set's rows carry the columns `track`, `span`, `seconds` and `box_scale`, as for TRL, and `spans`, `no_target`
and `temporal` where some rows have them.
"""

from collections.abc import Sequence
from typing import Any

from ..rewards import mviou_reward, tiou_reward, viou_reward


class TIoU:
    """tIoU of each completion; None, which ms-swift skips, for rows without a true track.

    >>> truth = [{"second": 0, "box": [0.0, 0.0, 0.5, 1.0]}]
    >>> TIoU()(['{"0": [{"label": "a", "bbox_2d": [0, 0, 250, 1000]}]}', "a caption"], track=[truth, None])
    [1.0, None]
    """

    _reward = staticmethod(tiou_reward)

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        self.args = args

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float | None]:
        # A data set whose rows all lack a column may come without it: then no row has a true track.
        return self._reward(completions, **{"track": [None] * len(completions)} | columns)


class MVIoU(TIoU):
    """mvIoU of each completion; None for temporal rows, whose truth has no boxes, too.

    >>> truth = [{"second": 0, "box": [0.0, 0.0, 0.5, 1.0]}]
    >>> MVIoU()(['{"0": [{"label": "a", "bbox_2d": [0, 0, 250, 1000]}]}'], track=[truth])
    [0.5]
    """

    _reward = staticmethod(mviou_reward)


class VIoU(TIoU):
    """vIoU of each completion.

    >>> truth = [{"second": k, "box": [0.0, 0.0, 0.5, 1.0]} for k in (0, 1)]
    >>> VIoU()(['{"0": [{"label": "a", "bbox_2d": [0, 0, 250, 1000]}]}'], track=[truth])
    [0.25]
    """

    _reward = staticmethod(viou_reward)
