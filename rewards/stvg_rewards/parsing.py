"""Model text -> answer, by the rules of the answer contract."""

import math
from collections.abc import Sequence

from .diagnostics import count_label_switches
from .forms import choose, read_second
from .locate import LocatedObject, locate_objects, opens_list
from .plain import read_plain, read_written
from .states import States, read_box, read_states_of
from .tracks import Answer, Scale, Track

__all__ = ["parse_answer", "parse_tracks", "read_box", "read_second", "read_states"]


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

    The last top-level JSON object after the reasoning is the answer, or the objects of one second each that end with
    it; docs/definitions.md has the table of forms. The label that is listed in most seconds (ties: the first to
    appear) is the target; the span runs from the first to the last second that lists it.

    >>> answer = parse_answer('<think>It runs.</think>{"2": [{"label": "dog-1", "bbox_2d": [0, 250, 500, 750]}],'
    ...                       ' "3": [{"label": "dog-1", "bbox_2d": [9, 9]}]}', seconds=8)
    >>> answer.track
    Track(label='dog-1', boxes={2: (0.0, 0.25, 0.5, 0.75)})
    >>> answer.span, answer.discarded, answer.salvaged
    ((2, 3), 1, False)
    >>> parse_answer("I cannot see it.").span is None
    True
    """
    scale = _check_settings(seconds, scale)
    written = read_written(text, seconds, scale)
    if written is not None:
        span = (written.seconds[0], written.seconds[-1])
        return Answer(written.track(), span, parsed=True, salvaged=False, complete=True, discarded=0)
    objects = locate_objects(text)
    if len(objects) == 1 and (plain := _read_plain(text, objects[0], seconds, scale)) is not None:
        return Answer(*plain, parsed=True, salvaged=False, complete=True, discarded=0)
    return _chosen(read_states_of(choose(text, objects), seconds, scale, salvage))


def _chosen(states: States) -> Answer:
    """Choose one label of what an answer lists."""
    num_discarded = sum(states.discarded.values())
    track, span = Track("", {}), None
    unboxed: tuple[int, ...] = ()
    if states.by_label:
        label = max(states.by_label, key=lambda name: len(states.by_label[name]))
        listed = states.by_label[label]
        span = (min(listed), max(listed))
        track = Track(label, {second: box for second, box in sorted(listed.items()) if box is not None})
        unboxed = tuple(sorted(second for second, box in listed.items() if box is None))
    whole = states.intact and not num_discarded
    return Answer(
        track=track,
        span=span,
        parsed=bool(states.by_label) or whole,
        salvaged=states.found and not states.intact and bool(states.by_label),
        complete=whole and not states.repaired,
        discarded=num_discarded,
        discarded_by=states.discarded,
        label_switches=count_label_switches(states.by_label),
        repaired=states.repaired,
        unboxed=unboxed,
        scale_sign=states.scale_sign,
    )


def _read_plain(
    text: str, located: LocatedObject, seconds: int | None, scale: Scale
) -> tuple[Track, tuple[int, int]] | None:
    start, end = located.start, located.end
    if located.value is None or _may_hold_bools(text, start, end) or opens_list(text, start):
        return None
    return read_plain(located.value, text.count(":", start, end), seconds, scale)


def read_states(
    text: str, *, seconds: int | None = None, scale: Sequence[float] = (1000, 1000), salvage: bool = True
) -> States:
    """Return all labels of an answer: what `parse_answer` chooses from. Arguments as its own."""
    return read_states_of(choose(text, locate_objects(text)), seconds, _check_settings(seconds, scale), salvage)


def parse_tracks(
    text: str, *, seconds: int | None = None, scale: Sequence[float] = (1000, 1000), salvage: bool = True
) -> list[Track]:
    """Return every object of a multi-object answer, by first appearance; arguments as `parse_answer`'s.

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
