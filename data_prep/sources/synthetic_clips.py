"""Seeded clips of moving shapes, drawn frame by frame: what the synthetic source writes as real video files.

A clip lasts K seconds. Each shape is on screen from one second to another and moves by one of two motions:

- `walk`: straight lines between grid points that it reaches in the middle of every second; it never covers another
  shape at those middles. So a frame taken from the middle of a second shows the position that the second's `middle`
  box states, and nothing about the next second can be extrapolated from the last: every box has to be read from its
  own frame.
- `curve`: a smooth curve with turns within the second, at times that no second knows. Neither the middle frame nor the
  two at the quarter points show the second's `mean` box, so pictures and pairs of frames meet on even ground.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from data_prep.sources.synthetic_paths import MOTIONS, Path, draw_curve, draw_walk

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230), "yellow": (235, 215, 40)}
SHAPES = ("circle", "square", "triangle")
BACKGROUND = 127  # mid-grey is zero after the processor's normalisation: an empty frame carries no signal

# One unit is PIXELS_PER_UNIT pixels of the written video; the picture is UNITS x UNITS.
UNITS = 48
PIXELS_PER_UNIT = 2
SIZES = (12, 18, 24)


@dataclass(frozen=True)
class ClipSettings:
    """What a clip may hold.

    Attributes:
        seconds: lengths to choose from, seconds.
        min_event, max_event: how long a shape is on screen, seconds; at most the clip.
        max_step: how far a shape gets in a second, in x and in y, units.
        rates: frame rates to choose from, frames a second.
        max_edge: how much of its first and of its last second an event may miss, seconds.
        motion: "walk" or "curve".
        turns: points a second that a curve goes through.
        pauses: share of the shapes on screen for three seconds or more that are away for some seconds in between, so
            that their sentence has two events; 0 to 1.
    """

    seconds: tuple[int, ...] = (8,)
    min_objects: int = 1
    max_objects: int = 2
    min_event: int = 2
    max_event: int = 7
    max_step: int = 12
    rates: tuple[int, ...] = (8, 8, 10, 10, 12, 12, 15, 25, 30)
    max_edge: float = 0.3
    motion: str = "walk"
    turns: float = 2.0
    pauses: float = 0.0

    def __post_init__(self) -> None:
        if self.motion not in MOTIONS:
            raise ValueError(f"clip: motion is {self.motion!r}, expected one of {', '.join(MOTIONS)}")
        if not 0 <= self.max_edge < 0.5:
            raise ValueError(f"clip: max_edge is {self.max_edge!r}, expected seconds from 0 to below 0.5")
        if self.turns <= 0:
            raise ValueError(f"clip: turns is {self.turns!r}, expected points a second, above 0")
        if not 0 <= self.pauses <= 1:
            raise ValueError(f"clip: pauses is {self.pauses!r}, expected a share from 0 to 1")


@dataclass
class Shape:
    """One shape: what it looks like and where it is.

    Attributes:
        first_frame, end_frame: on screen in frames [first_frame, end_frame).
        path: where its top-left corner goes.
        away: frames [begin, end) among them in which it is not on screen; empty where it never leaves.
    """

    colour: str
    shape: str
    size: int
    first_frame: int
    end_frame: int
    path: Path = field(repr=False)
    away: tuple[int, int] = (0, 0)

    def is_on_screen(self, frame: int) -> bool:
        """Return whether a frame shows the shape."""
        return self.first_frame <= frame < self.end_frame and not self.away[0] <= frame < self.away[1]

    @property
    def events(self) -> list[tuple[int, int]]:
        """Frames [begin, end) of each time that it is on screen."""
        begin, end = self.away
        if begin == end:
            return [(self.first_frame, self.end_frame)]
        return [(self.first_frame, begin), (end, self.end_frame)]

    def box_at(self, time_s: float) -> list[int]:
        """Return the box at a time as [x, y, width, height] in pixels of the video."""
        x, y = (round(value * PIXELS_PER_UNIT) for value in self.path.corner_at(time_s))
        return [x, y, self.size * PIXELS_PER_UNIT, self.size * PIXELS_PER_UNIT]


@dataclass
class Clip:
    """A drawn clip: `rate` frames a second, `num_frames` frames, shapes in painting order."""

    rate: int
    num_frames: int
    shapes: list[Shape]


def _overlap(a: Shape, b: Shape, times_s: list[float]) -> bool:
    """Return whether two shapes cover each other at any of the times."""
    for time_s in times_s:
        (ax, ay, a_side, _), (bx, by, b_side, _) = a.box_at(time_s), b.box_at(time_s)
        if ax < bx + b_side and bx < ax + a_side and ay < by + b_side and by < ay + a_side:
            return True
    return False


def _looks(a: Shape, b: Shape, rate: int, seconds: int, motion: str) -> list[float]:
    """Return when two shapes must not cover each other, seconds.

    On a walk in the middle of every second, on screen or not; on curves wherever both are on screen.
    """
    if motion == "walk":
        return [k + 0.5 for k in range(seconds)]
    return [frame / rate for frame in range(max(a.first_frame, b.first_frame), min(a.end_frame, b.end_frame))]


def _draw_path(rng: random.Random, size: int, seconds: int, settings: ClipSettings) -> Path:
    top = UNITS - size
    if settings.motion == "walk":
        return draw_walk(rng, top, seconds, settings.max_step)
    return draw_curve(rng, top, seconds, settings.max_step, settings.turns)


def draw_clip(rng: random.Random, settings: ClipSettings) -> Clip:
    """Draw the content of one clip from a seeded generator; colours within a clip are all different."""
    rate = rng.choice(settings.rates)
    seconds = rng.choice(settings.seconds)
    count = rng.randint(settings.min_objects, settings.max_objects)
    shapes: list[Shape] = []
    for colour in rng.sample(sorted(COLOURS), count):
        length = rng.randint(min(settings.min_event, seconds), min(settings.max_event, seconds))
        first = rng.randint(0, seconds - length)
        # The event begins and ends inside its outer seconds, off their middles, so that the middle frame shows it.
        late, early = rng.uniform(0.0, settings.max_edge), rng.uniform(0.0, settings.max_edge)
        first_frame = math.ceil((first + late) * rate)
        end_frame = math.floor((first + length - early) * rate)
        kind, size = rng.choice(SHAPES), rng.choice(SIZES)
        away = (0, 0)
        if settings.pauses and length >= 3 and rng.random() < settings.pauses:
            # Whole seconds, of which the first and the last of the event are none.
            leaves = rng.randint(first + 1, first + length - 2)
            away = (leaves * rate, rng.randint(leaves + 1, first + length - 1) * rate)
        for _ in range(50):
            path = _draw_path(rng, size, seconds, settings)
            shape = Shape(colour, kind, size, first_frame, end_frame, path, away)
            if not any(_overlap(shape, o, _looks(shape, o, rate, seconds, settings.motion)) for o in shapes):
                shapes.append(shape)
                break
    return Clip(rate, rate * seconds, shapes)


@lru_cache(maxsize=64)
def shape_mask(kind: str, size: int) -> np.ndarray:
    """Return the pixels of a shape: bool (size, size); each kind touches all four sides of its square."""
    y, x = np.mgrid[0:size, 0:size] + 0.5
    if kind == "square":
        return np.ones((size, size), bool)
    if kind == "circle":
        return np.asarray((x - size / 2) ** 2 + (y - size / 2) ** 2 <= (size / 2) ** 2)
    return np.asarray(np.abs(x - size / 2) <= y / 2)  # triangle, apex on top


def draw_frame(clip: Clip, frame: int) -> np.ndarray:
    """Draw one frame as an RGB picture: uint8 (height, width, 3)."""
    side = UNITS * PIXELS_PER_UNIT
    picture = np.full((side, side, 3), BACKGROUND, np.uint8)
    for shape in clip.shapes:
        if shape.is_on_screen(frame):
            x, y, width, _ = shape.box_at(frame / clip.rate)
            picture[y : y + width, x : x + width][shape_mask(shape.shape, width)] = COLOURS[shape.colour]
    return picture
