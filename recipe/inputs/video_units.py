"""What one grid of a video's tokens shows: a single frame, or two frames as in the family's own video format."""

from __future__ import annotations

import math

from data_prep.errors import StageError
from data_prep.seconds import frame_times
from data_prep.video.rates import parse_policy
from recipe.inputs.families import Family

FRAMES, PAIRS = "frames", "pairs"
UNITS = (FRAMES, PAIRS)
USUAL_RATE = {FRAMES: "1", PAIRS: "2"}  # frames a second that make one grid a second
IN_A_GRID = {FRAMES: 1, PAIRS: 2}


def rate_stated(frame_rate: str | None, units: str) -> str:
    """Return the setting `frame_rate`, or where there is none the rate that makes one grid a second.

    Raises:
        ValueError: `units` are none, or the setting is no rate.

    >>> rate_stated(None, "frames"), rate_stated(None, "pairs"), rate_stated("4", "pairs")
    ('1', '2', '4')
    """
    if units not in UNITS:
        raise ValueError(f"video_units {units!r}, expected {' or '.join(UNITS)}")
    if frame_rate is not None:
        parse_policy(frame_rate)
    return USUAL_RATE[units] if frame_rate is None else frame_rate


def stated_units(units: str) -> dict[str, str]:
    """Return the setting as results and keys of answers state it: what is from before it says nothing of frames.

    >>> stated_units("frames"), stated_units("pairs")
    ({}, {'video_units': 'pairs'})
    """
    return {} if units == FRAMES else {"video_units": units}


def grid_starts(seconds: int, rate: float, units: str) -> list[float]:
    """Return when the interval of each grid of a clip begins, seconds.

    An odd number of frames fills the last pair with its last frame twice.

    Args:
        seconds: K of the clip.
        rate: frames a second.

    >>> grid_starts(3, 1, "frames"), grid_starts(3, 2, "pairs"), grid_starts(3, 1, "pairs")
    ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 2.0])
    """
    each = IN_A_GRID[units]
    count = math.ceil(len(frame_times(seconds, rate)) / each)
    return [index * each / rate for index in range(count)]


def pairs_problem(family: Family) -> str | None:
    """Return why a family cannot take `video_units: pairs`, or None where it can."""
    if family.second:
        return None
    return (
        f"pairs: {family.name} writes no times into a video, only its positions are scaled by seconds, so "
        "no token says which second a grid is; leave it at frames, which have their times as text"
    )


def check_pairs(family: Family) -> None:
    """Refuse `video_units: pairs` for a family whose own video format does not say the seconds.

    Raises:
        StageError: See `pairs_problem`.
    """
    if problem := pairs_problem(family):
        raise StageError(f"video_units {problem}")
