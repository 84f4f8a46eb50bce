"""Model text -> answer, by the rules of the answer contract."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .diagnostics import count_label_switches
from .json_scan import scan_object
from .locate import LocatedObject, last_object
from .plain import read_plain, second_by_key
from .tracks import Answer, Box, Scale, Track

# "3", "3.0", "3s". Fifteen digits are 30 million years: longer ones are no seconds.
_SECOND = re.compile(r"([0-9]{1,15})(?:\.0+)?(?: ?s)?")


class States(NamedTuple):
    """Everything that an answer lists, before one label is chosen."""

    by_label: dict[str, dict[int, Box | None]]  # labels by first appearance; second -> box, None: its box was invalid
    discarded: dict[str, int]  # reason -> number of states
    found: bool  # there was an object that could be read
    intact: bool  # it was valid JSON and closed


def parse_answer(
    text: str, *, seconds: int | None = None, scale: Sequence[float] = (1000, 1000), salvage: bool = True
) -> Answer:
    """Read the answer from a model's text (the contract of the paper's appendix A.1).

    Args:
        text: anything that a model may write. It never raises.
        seconds: K, the number of seconds of the clip: keys from K on are discarded. None: no limit.
        scale: (units of the width, units of the height) in which the text's boxes are written: (1000, 1000), or the
            pixels of the frame. It is never guessed from the numbers.
        salvage: keep the complete entries of truncated or broken JSON; otherwise such a text has no states.

    Raises:
        ValueError: seconds or scale (settings, not model text) make no sense.

    The last top-level JSON object after the reasoning is the answer. The label that is listed in most seconds (ties:
    the first to appear) is the target; the span runs from the first to the last second that lists it.

    >>> answer = parse_answer('<think>It runs.</think>{"2": [{"label": "dog-1", "bbox_2d": [0, 250, 500, 750]}],'
    ...                       ' "3": [{"label": "dog-1", "bbox_2d": [9, 9]}]}', seconds=8)
    >>> answer.track
    Track(label='dog-1', boxes={2: (0.0, 0.25, 0.5, 0.75)})
    >>> answer.span, answer.discarded, answer.salvaged
    ((2, 3), 1, False)
    >>> parse_answer("I cannot see it.").span is None
    True
    """
    width, height = _check_settings(seconds, scale)
    located = last_object(text)
    if located is not None and located.value is not None:
        start, end = located.start, located.end
        if not _may_hold_bools(text, start, end):
            plain = read_plain(located.value, text.count(":", start, end), seconds, (width, height))
            if plain is not None:
                return Answer(*plain, parsed=True, salvaged=False, complete=True, discarded=0)
    states = _read_states(text, located, seconds, (width, height), salvage)
    num_discarded = sum(states.discarded.values())
    track, span = Track("", {}), None
    if states.by_label:
        label = max(states.by_label, key=lambda name: len(states.by_label[name]))
        listed = states.by_label[label]
        span = (min(listed), max(listed))
        track = Track(label, {second: box for second, box in sorted(listed.items()) if box is not None})
    complete = states.intact and not num_discarded
    return Answer(
        track=track,
        span=span,
        parsed=bool(states.by_label) or complete,
        salvaged=states.found and not states.intact and bool(states.by_label),
        complete=complete,
        discarded=num_discarded,
        discarded_by=states.discarded,
        label_switches=count_label_switches(states.by_label),
    )


def read_states(
    text: str, *, seconds: int | None = None, scale: Sequence[float] = (1000, 1000), salvage: bool = True
) -> States:
    """All labels of an answer: what `parse_answer` chooses from, and what multi-object studies use. Same arguments."""
    return _read_states(text, last_object(text), seconds, _check_settings(seconds, scale), salvage)


def parse_tracks(
    text: str, *, seconds: int | None = None, scale: Sequence[float] = (1000, 1000), salvage: bool = True
) -> list[Track]:
    """Every object of a multi-object answer (tracking studies), by first appearance; arguments as `parse_answer`'s.

    A label whose states were all discarded is left out. Scores of one target use `parse_answer`, not this.

    >>> text = '{"0": [{"label": "a", "bbox_2d": [0, 0, 500, 500]}, {"label": "b", "bbox_2d": [500, 0, 1000, 500]}]}'
    >>> [(track.label, track.boxes[0]) for track in parse_tracks(text)]
    [('a', (0.0, 0.0, 0.5, 0.5)), ('b', (0.5, 0.0, 1.0, 0.5))]
    """
    by_label = read_states(text, seconds=seconds, scale=scale, salvage=salvage).by_label
    tracks = [
        Track(label, {second: box for second, box in sorted(states.items()) if box is not None})
        for label, states in by_label.items()
    ]
    return [track for track in tracks if track.boxes]


def _check_settings(seconds: int | None, scale: Sequence[float]) -> Scale:
    if seconds is not None and seconds < 1:
        raise ValueError(f"seconds {seconds!r}: expected the number of seconds of the clip, at least 1, or None")
    if len(scale) != 2 or not (0 < scale[0] < math.inf and 0 < scale[1] < math.inf):
        raise ValueError(f"scale {scale!r}: expected two positive numbers, such as (1000, 1000)")
    return (scale[0], scale[1])


def _may_hold_bools(text: str, start: int, end: int) -> bool:
    # One letter first: that search is ten times faster, and "u" and "f" are seldom there.
    return (text.find("u", start, end) >= 0 and text.find("true", start, end) >= 0) or (
        text.find("f", start, end) >= 0 and text.find("false", start, end) >= 0
    )


def _pairs(text: str, located: LocatedObject) -> tuple[Iterable[tuple[str | None, Any]], bool]:
    """The object's (key, value) pairs in order, duplicates included, and whether it is valid JSON and closed."""
    if located.scanned is not None:
        return located.scanned.pairs, located.scanned.intact
    value = located.value
    assert value is not None
    num_pairs = len(value) + sum(
        len(entry) for entries in value.values() if type(entries) is list for entry in entries if type(entry) is dict
    )
    # With as many colons as pairs, no key came twice (and json dropped none) and no string holds a colon.
    if num_pairs == text.count(":", located.start, located.end):
        return value.items(), True
    return scan_object(text, located.start).pairs, True


def _read_states(text: str, located: LocatedObject | None, seconds: int | None, scale: Scale, salvage: bool) -> States:
    if located is None:
        return States({}, {}, False, False)
    pairs, intact = _pairs(text, located)
    if not (intact or salvage):
        return States({}, {}, True, False)
    by_label: dict[str, dict[int, Box | None]] = {}
    discarded: dict[str, int] = {}

    def discard(reason: str, num: int = 1) -> None:
        discarded[reason] = discarded.get(reason, 0) + num

    for key, entries in pairs:
        num_held = max(1, len(entries)) if type(entries) is list else 1
        second = read_second(key) if key is not None else None
        if second is None:
            discard("key", num_held)
            continue
        if seconds is not None and second >= seconds:
            discard("late", num_held)
            continue
        if type(entries) is not list:
            discard("shape")
            continue
        for entry in entries:
            label = entry.get("label") if type(entry) is dict else None
            if type(label) is not str:
                discard("shape")
                continue
            listed = by_label.setdefault(label, {})
            if second in listed:
                discard("duplicate")
                continue
            listed[second] = box = read_box(entry.get("bbox_2d"), scale)
            if box is None:
                discard("box")
    return States(by_label, discarded, True, intact)


def read_second(key: str) -> int | None:
    """The second that a key names, or None.

    >>> [read_second(key) for key in ("3", "3.0", "3s", "3.5", "-3", "third")]
    [3, 3, 3, None, None, None]
    """
    second = second_by_key().get(key)
    if second is None and (match := _SECOND.fullmatch(key.strip())):
        second = int(match.group(1))
    return second


def read_box(value: Any, scale: Scale) -> Box | None:
    """A box of model text in units of the scale, clipped to the picture and normalised; None if it is invalid.

    >>> read_box([-20, 250, 500, 2000], (1000, 1000))
    (0.0, 0.25, 0.5, 1.0)
    >>> read_box([500, 250, 20, 750], (1000, 1000)) is None
    True
    """
    if type(value) is not list or len(value) != 4:
        return None
    for number in value:
        # Not isinstance: True is an int. A float that is not finite fails one of the two comparisons.
        if type(number) is not int and not (type(number) is float and -math.inf < number < math.inf):
            return None
    width, height = scale
    left, top, right, bottom = value
    if left >= right or top >= bottom or left >= width or top >= height or right <= 0 or bottom <= 0:
        return None
    # Clipped before the division: an integer of 400 digits cannot be divided into a float.
    return (
        left / width if left > 0 else 0.0,
        top / height if top > 0 else 0.0,
        right / width if right < width else 1.0,
        bottom / height if bottom < height else 1.0,
    )
