"""Values as pandas, Parquet and numpy hold them, made Python's own, without importing any of these.

Arrays become lists, a dict of lists a list of dicts, 8.0 a whole number where one is due, and what stands for
"nothing" in a data frame None.
"""

import math
from typing import Any

# Methods that give Python's own values: numpy's, pandas's and torch's, Arrow's arrays', Arrow's scalars'.
_TO_PYTHON = ("tolist", "to_pylist", "as_py")


def to_python(value: Any) -> Any:
    """Return a value with lists and numbers in place of arrays, at any depth; None for NaN, NA and NaT.

    NaN inside of a list stays.

    >>> from array import array
    >>> to_python({"span": array("l", [2, 3])}), to_python(float("nan"))
    ({'span': [2, 3]}, None)
    """
    value = _without_arrays(value)
    missing = isinstance(value, float) and math.isnan(value)
    return None if missing or type(value).__name__ in ("NAType", "NaTType") else value


def read_items(value: Any) -> Any:
    """Return a list of dicts, whether it is given as one, as an array or as a dict of equally long lists.

    Data sets keep a list of dicts as a dict of lists in some versions and formats. Anything else comes back without
    arrays, for the reader to complain of.

    >>> read_items({"second": [2, 3], "box": [[0, 0, 1, 1], [0, 0, 1, 1]]})[1]
    {'second': 3, 'box': [0, 0, 1, 1]}
    """
    if type(value) is list:
        return value
    value = to_python(value)
    if not isinstance(value, dict) or not all(isinstance(column, list) for column in value.values()):
        return value
    if len(set(map(len, value.values()))) != 1:
        return value
    return [dict(zip(value, item, strict=True)) for item in zip(*value.values(), strict=True)]


def whole(value: Any) -> Any:
    """Return a whole number as an int where pandas wrote it as a float, because other rows have none.

    >>> whole(8.0), whole(8.5), whole(None)
    (8, 8.5, None)
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _without_arrays(value: Any) -> Any:
    for name in _TO_PYTHON:
        if callable(convert := getattr(value, name, None)):
            value = convert()
            break
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item) for item in value]
    return {name: _without_arrays(item) for name, item in value.items()} if isinstance(value, dict) else value
