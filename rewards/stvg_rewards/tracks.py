"""Define what all other modules work with: a track, and an answer that was read from text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Box = tuple[float, float, float, float]
"""(x_min, y_min, x_max, y_max), normalised to [0, 1] of the displayed picture, open on the right and at the bottom."""

Span = tuple[int, int]
"""(first, last) second, both included: it covers last - first + 1 seconds."""

Scale = tuple[float, float]
"""What 1.0 of the width and of the height is called in model text: (1000, 1000), or the pixels of the frame."""


@dataclass(frozen=True)
class Track:
    """One object through time: its name and its box in every second in which it is seen.

    Args:
        label: the name that the object carries in answer text, such as "person-1".
        boxes: second index -> (x_min, y_min, x_max, y_max), normalised to [0, 1]. A second in which the object is
            not seen is absent; it is never a zero box.

    >>> track = Track("person-1", {3: (0.1, 0.2, 0.5, 0.6), 4: (0.2, 0.2, 0.6, 0.6)})
    >>> track.span
    (3, 4)
    >>> len(track)
    2
    """

    label: str
    boxes: Mapping[int, Box]

    @property
    def span(self) -> Span | None:
        """(first, last) second that has a box, both included; None for a track without boxes."""
        seconds = sorted(self.boxes)  # mostly in order already: then faster than min and max
        return (seconds[0], seconds[-1]) if seconds else None

    def __len__(self) -> int:
        """Return the number of seconds that have a box."""
        return len(self.boxes)


@dataclass(frozen=True)
class Answer:
    """What was read from one model text (`parse_answer`).

    A text that cannot be read is an answer too: one with an empty track and no span.

    Args:
        track: the target: the label that is listed in most seconds, with its valid boxes by ascending second.
        span: (first, last) second that lists the target's label, with a valid box or not; None where none does.
        parsed: the text held an answer: at least one state could be read, or the object is complete and rightly
            holds none.
        salvaged: the JSON was truncated or broken, and what was complete in it was kept.
        complete: one whole JSON object was read, none of it discarded or repaired (what `format_reward` pays for).
        discarded: number of discarded states.
        label_switches: how often the labels that a second lists have none in common with those of the one before.
        discarded_by: the same by reason: "key" (no second), "late" (past the clip's end), "shape" (no list of
            label and box), "box" (not four finite numbers, inverted, or empty in the picture), "duplicate"
            (second entry for one second and label), "earlier" (of answers beside this one, which came before).
        repaired: how often the text had a form that is not the contract's but has one meaning (docs/definitions.md),
            by form: "objects" (one object a second), "records" (objects with a field "second"), "list" (the object
            stands in a list), "empty" (an empty object behind the answer), "bracket" (a closing bracket was
            forgotten), "key" (a second in other words), "dict" (no list around the one entry), "label" (a box
            without one), "nested" (a box in a list of its own).
        unboxed: seconds that list the target's label without a valid box.
        scale_sign: "within_one" if all boxes lie within 1 where the scale is larger, "beyond" if one reaches past
            the scale's end on the right or below, else "": signs that the text is written in another scale.
    """

    track: Track
    span: Span | None
    parsed: bool
    salvaged: bool
    complete: bool
    discarded: int
    discarded_by: Mapping[str, int] = field(default_factory=dict)
    label_switches: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)
    unboxed: tuple[int, ...] = ()
    scale_sign: str = ""
