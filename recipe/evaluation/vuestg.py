"""The protocol `vuestg`: sets of seconds that have boxes, as VUE-STG's published table counts them.

The rules, by name, are those of the benchmark's own evaluation:

- `nearest_second`, `swapped_edges`, `first_box`: how a file of tubes is read (data_prep/sources/vuestg_tubes.py).
- `boxed_seconds`: a second counts where it has a box with an area; seconds between two of them do not.
- `no_end`: predicted seconds past the video's end count against the answer.
- `missing_is_empty`: a query without an answer has the empty one: it scores 0 in tIoU, vIoU and both recalls.
- `defined_only`: a precision is averaged over the queries with a predicted box, and v_IoU_Int over those whose seconds
  meet; the other means are over all queries.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.records import Record, RecordError
from data_prep.sources.vuestg_tubes import Tubes, read_tubes
from recipe.evaluation.submission import Submission
from stvg_rewards import Scores, box_iou

Array = np.ndarray
Table = dict[str, dict[str, dict[str, float]]]
COLUMNS = ("t_Precision", "t_Recall", "t_IoU", "v_Precision", "v_Recall", "v_IoU", "v_IoU_Int")
# Lower ends of the benchmark's groups and what it calls them; what lies above the last it leaves out.
SIZES = ((0.0, "<10%"), (0.1, "10%-30%"), (0.3, ">30%"))
VIDEO_SECONDS = ((0.0, "<1min"), (60.0, "1-10min"), (600.0, "10-30min"), (1800.0, ""))
TRUE_SECONDS = ((0.0, "<3s"), (3.0, "3-10s"), (10.0, "10-60s"), (60.0, ""))


class Overlap(NamedTuple):
    """What one answer and one truth share.

    Attributes:
        predicted, true, shared: how many seconds have a box.
        total_iou: sum of the box IoUs over the shared seconds.
    """

    predicted: int
    true: int
    shared: int
    total_iou: float

    def scores(self) -> Scores:
        """Return tIoU, mvIoU and vIoU over the sets of seconds; all 0 where they do not meet."""
        union = self.predicted + self.true - self.shared
        if not self.shared:
            return Scores(0.0, 0.0, 0.0)
        return Scores(self.shared / union, self.total_iou / self.shared, self.total_iou / union)


def overlap(predicted: Mapping[int, Sequence[float]], true: Mapping[int, Sequence[float]]) -> Overlap:
    """Return what an answer and the truth share.

    Args:
        predicted, true: second -> box (x_min, y_min, x_max, y_max) with an area, in one unit.

    >>> overlap({1: (0, 0, 2, 2), 9: (0, 0, 2, 2)}, {1: (0, 0, 2, 2), 2: (0, 0, 2, 2)}).scores()
    Scores(tIoU=0.3333333333333333, mvIoU=1.0, vIoU=0.3333333333333333)
    """
    shared = predicted.keys() & true.keys()
    total = sum(box_iou(predicted[second], true[second]) for second in sorted(shared))
    return Overlap(len(predicted), len(true), len(shared), total)


def read_tube_submission(path: Path, records: Sequence[Record]) -> Submission:
    """Read predictions in VUE-STG's form, `query_id,time_ms,x0,y0,x1,y1` a line, as tracks of the records' ids.

    Args:
        records: their ids end in the query's, as the converter writes them.

    Raises:
        RecordError: The file cannot be read, lacks a column, or holds no line that can be read, or boxes in pixels.
    """
    names = {record["id"].rpartition("/")[2]: record["id"] for record in records}
    tubes = read_tubes(path)
    _check_units(path, tubes)
    tracks = {
        names.get(query, query): [{"second": second, "box": list(box)} for second, box in boxes.items()]
        for query, boxes in tubes.boxes.items()
    }
    broken = [line for lines in tubes.broken.values() for line in lines]
    return Submission(dict(tracks), broken=broken)


def _check_units(path: Path, tubes: Tubes) -> None:
    """Refuse predictions without a readable line or with boxes in pixels; say where times look like seconds."""
    boxes = [(second, box) for of_query in tubes.boxes.values() for second, box in of_query.items()]
    if not boxes and tubes.broken:
        raise RecordError(f"{path}: none of its lines can be read, expected query_id,time_ms,x0,y0,x1,y1 with numbers")
    outside = sum(min(box) == 1 for _, box in boxes)  # edges are cut to the picture as they are read
    if outside > len(boxes) / 2:
        raise RecordError(
            f"{path}: {outside} of {len(boxes)} boxes lie beyond 1, expected shares of the picture, 0 to 1"
        )
    if boxes and max(second for second, _ in boxes) == 0:
        print(f"{path}: no time_ms reaches 500, so all is about second 0: are these seconds?", file=sys.stderr)


def published_table(records: Sequence[Record], runs: Sequence[Sequence[Overlap]]) -> Table:
    """Return the means that the benchmark publishes: group -> category -> n and `COLUMNS`, over all queries and runs.

    Args:
        records: those of the overlaps, in their order.
        runs: the overlaps of each repeat.
    """
    values = np.concatenate([np.array([_columns(one) for one in run]).reshape(-1, len(COLUMNS)) for run in runs])
    groups = {
        "object size": [_bin(_mean_area(record), SIZES) for record in records],
        "video duration": [_bin(record["clip"][1] - record["clip"][0], VIDEO_SECONDS) for record in records],
        "gt duration": [_bin(len(record["track"]), TRUE_SECONDS) for record in records],
    }
    table = {"overall": {"overall": _means(values, len(runs))}}
    for group, names in groups.items():
        every = np.array(names * len(runs))
        order = dict.fromkeys(name for _, name in (*SIZES, *VIDEO_SECONDS, *TRUE_SECONDS) if name in names and name)
        table[group] = {name: _means(values[every == name], len(runs)) for name in order}
    return table


def _columns(one: Overlap) -> list[float]:
    """Return the numbers of one query; NaN where one is not defined."""
    union = one.predicted + one.true - one.shared
    pairs = (
        (one.shared, one.predicted),
        (one.shared, one.true),
        (one.shared, union),
        (one.total_iou, one.predicted),
        (one.total_iou, one.true),
        (one.total_iou, union),
        (one.total_iou, one.shared),
    )
    return [part / whole if whole else np.nan for part, whole in pairs]


def _means(values: Array, repeats: int) -> dict[str, float]:
    """Return n and the mean of each column over the rows that define it; a column without any is left out."""
    means: dict[str, float] = {"n": len(values) // repeats}
    for name, column in zip(COLUMNS, values.T, strict=True):
        defined = column[~np.isnan(column)]
        if len(defined):
            means[name] = float(defined.mean())
    return means


def _bin(value: float, lows: Sequence[tuple[float, str]]) -> str:
    """Return the name of the last bin that begins at or below a value.

    >>> [_bin(value, TRUE_SECONDS) for value in (2, 3, 10, 60)]
    ['<3s', '3-10s', '10-60s', '']
    """
    return [name for low, name in lows if low <= value][-1]


def _mean_area(record: Record) -> float:
    """Return the mean area of the true boxes, as a share of the picture."""
    boxes = [state["box"] for state in record["track"]]
    return sum((right - left) * (bottom - top) for left, top, right, bottom in boxes) / len(boxes)
