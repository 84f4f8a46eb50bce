"""Columns as pandas, Parquet, numpy and datasets hold them score as the lists that they were made of."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from datasets import Dataset, Features, Sequence, Value

from stvg_rewards import (
    box_reward,
    format_reward,
    generalised_mviou_reward,
    interval_reward,
    mviou_reward,
    scaled_interval_reward,
    scaled_tiou_reward,
    tiou_reward,
    tubes_reward,
    viou_reward,
)

BOX, LEFT = [0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.25, 1.0]
TEXT = '{"2": [{"label": "a", "bbox_2d": [0, 0, 250, 1000]}], "4": [{"label": "a", "bbox_2d": [0, 0, 500, 1000]}]}'
COLUMNS = {
    "track": [
        [{"second": second, "box": BOX} for second in (2, 3, 4)],
        None,
        [{"second": 4, "box": LEFT}],
        [{"second": 1, "box": LEFT}, {"second": 4, "box": BOX}],
        None,
        None,
    ],
    "span": [[2, 4], None, None, None, None, None],
    "seconds": [8, None, 6, None, 6, 6],
    "box_scale": [[1000, 1000], None, [500, 1000], None, None, None],
    "spans": [None, None, None, [[1, 1], [4, 4]], None, [[2, 2], [4, 4]]],
    "no_target": [None, None, None, None, True, None],
    "temporal": [None, None, None, None, None, True],
}
ROWS = len(COLUMNS["track"])
REWARDS = [tiou_reward, mviou_reward, viou_reward, format_reward, generalised_mviou_reward]


def from_parquet(path):
    parquet.write_table(pa.table(COLUMNS), path)
    return pd.read_parquet(path)


def as_arrays(value):
    """The same with an array for each list, down to the boxes."""
    if isinstance(value, list):
        items = [as_arrays(item) for item in value]
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return np.array(value, dtype=np.float32) if all(isinstance(item, (int, float)) for item in value) else array
    return {name: as_arrays(item) for name, item in value.items()} if isinstance(value, dict) else value


def as_dict_of_lists(track):
    return track and {name: [state[name] for state in track] for name in ("second", "box")}


WAYS = {
    "a data frame": lambda path: dict(pd.DataFrame(COLUMNS).items()),
    "a Parquet file in pandas": lambda path: {name: column.tolist() for name, column in from_parquet(path).items()},
    "Series of a Parquet file": lambda path: dict(from_parquet(path).items()),
    "Arrow": lambda path: {name: pa.array(column) for name, column in COLUMNS.items()},
    "arrays": lambda path: {name: [as_arrays(value) for value in column] for name, column in COLUMNS.items()},
    "dicts of lists": lambda path: COLUMNS | {"track": [as_dict_of_lists(track) for track in COLUMNS["track"]]},
    "NA": lambda path: COLUMNS | {"seconds": pd.array(COLUMNS["seconds"], dtype="Int64")},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reward", REWARDS)
def test_other_containers_change_no_score(reward, way, tmp_path):
    columns = WAYS[way](tmp_path / "rows.parquet")
    expected = reward([TEXT] * ROWS, **COLUMNS)
    assert {type(value) for value in expected} == {float, type(None)}
    assert reward([TEXT] * ROWS, **columns) == expected
    assert {type(value) for value in reward([TEXT] * ROWS, **columns)} == {float, type(None)}


def test_what_pandas_makes_of_whole_numbers_is_what_is_tried():
    frame = pd.DataFrame(COLUMNS)
    assert frame["seconds"].tolist()[0] == 8.0
    assert np.isnan(frame["seconds"].tolist()[1])
    assert isinstance(np.asarray(frame["track"])[0], list)


def test_a_data_sets_own_sequence_of_dicts():
    """`datasets` keeps a Sequence of a dict as a dict of lists, in Arrow and in Python."""
    rows = {name: COLUMNS[name][:1] + COLUMNS[name][2:3] for name in ("track", "seconds")}
    features = Features(
        {"track": Sequence({"second": Value("int32"), "box": Sequence(Value("float32"))}), "seconds": Value("int32")}
    )
    data = Dataset.from_dict(rows | {"track": [as_dict_of_lists(track) for track in rows["track"]]}, features)
    assert isinstance(data[0]["track"], dict), "no longer a dict of lists: this test tries nothing"
    expected = tiou_reward([TEXT] * 2, **rows)
    assert tiou_reward([TEXT] * 2, **data[:]) == expected
    assert tiou_reward([TEXT] * 2, **data.with_format("numpy")[:]) == expected
    assert tiou_reward([TEXT] * 2, track=data["track"], seconds=data["seconds"]) == expected


def test_rewards_of_other_tasks_take_arrays_too():
    nothing = float("nan")
    assert box_reward(["[0, 0, 500, 1000]"] * 2, [np.array(BOX), nothing], [np.array([1000, 1000]), None]) == [
        1.0,
        None,
    ]
    intervals = np.array([[0.0, 4.0]])
    assert interval_reward(["0 to 4"] * 2, [intervals, nothing]) == [1.0, None]
    assert scaled_interval_reward(["0 to 4"], [intervals], np.array([20], dtype=np.int64)) == [1.0]
    assert scaled_tiou_reward([TEXT], COLUMNS["track"][:1], seconds=np.array([8.0])) == [1.0]
    tubes = {"label": np.array(["a"], dtype=object), "track": [as_arrays([{"second": 2, "box": LEFT}])]}
    assert tubes_reward(['{"2": [{"label": "a", "bbox_2d": [0, 0, 250, 1000]}]}'] * 2, [tubes, nothing]) == [1.0, None]
