"""Seeded clips of moving shapes, drawn frame by frame: what the synthetic source writes as real video files.

A clip lasts K seconds. Each shape follows straight lines between grid points that it reaches in the middle of every
second, is on screen from one second to another, and never covers another shape at those middles. So a frame taken from
the middle of a second shows the position that the second's `middle` box states, and nothing about the next second can
be extrapolated from the last: every box has to be read from its own frame.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230), "yellow": (235, 215, 40)}
SHAPES = ("circle", "square", "triangle")
BACKGROUND = 127  # mid-grey is zero after the processor's normalisation: an empty frame carries no signal

# One unit is PIXELS_PER_UNIT pixels of the written video; the picture is UNITS x UNITS.
UNITS = 48
PIXELS_PER_UNIT = 2
GRID = 6
SIZES = (12, 18, 24)


@dataclass(frozen=True)
class ClipSettings:
    """What a clip may hold.

    Attributes:
        seconds: lengths to choose from, seconds.
        min_event, max_event: how long a shape is on screen, seconds; at most the clip.
        max_step: how far a shape gets in a second, in x and in y, units.
        rates: frame rates to choose from, frames a second.
    """

    seconds: tuple[int, ...] = (8,)
    min_objects: int = 1
    max_objects: int = 2
    min_event: int = 2
    max_event: int = 7
    max_step: int = 12
    rates: tuple[int, ...] = (8, 8, 10, 10, 12, 12, 15, 25, 30)


@dataclass
class Shape:
    """One shape: what it looks like and where it is.

    Attributes:
        first_frame, end_frame: on screen in frames [first_frame, end_frame).
        corners: its top-left corner (x, y) in the middle of each second, units.
    """

    colour: str
    shape: str
    size: int
    first_frame: int
    end_frame: int
    corners: list[tuple[int, int]] = field(repr=False)

    def corner_at(self, time_s: float) -> tuple[int, int]:
        """Return the top-left corner in whole units at a time, on straight lines between the middles of seconds."""
        position = min(max(time_s - 0.5, 0.0), len(self.corners) - 1.0)
        k = min(int(position), len(self.corners) - 2) if len(self.corners) > 1 else 0
        (x0, y0), (x1, y1) = self.corners[k], self.corners[min(k + 1, len(self.corners) - 1)]
        share = position - k
        return round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))

    def box_at(self, time_s: float) -> list[int]:
        """Return the box at a time as [x, y, width, height] in pixels of the video."""
        x, y = self.corner_at(time_s)
        return [x * PIXELS_PER_UNIT, y * PIXELS_PER_UNIT, self.size * PIXELS_PER_UNIT, self.size * PIXELS_PER_UNIT]


@dataclass
class Clip:
    """A drawn clip: `rate` frames a second, `num_frames` frames, shapes in painting order."""

    rate: int
    num_frames: int
    shapes: list[Shape]


def _corners(rng: random.Random, size: int, seconds: int, max_step: int) -> list[tuple[int, int]]:
    """Draw a random walk on the grid: one corner a second, at most `max_step` units further in x and in y."""
    top = UNITS - size
    steps = range(-max_step, max_step + 1, GRID)
    x, y = rng.randrange(0, top + 1, GRID), rng.randrange(0, top + 1, GRID)
    corners = [(x, y)]
    for _ in range(seconds - 1):
        x = min(top, max(0, x + rng.choice(steps)))
        y = min(top, max(0, y + rng.choice(steps)))
        corners.append((x, y))
    return corners


def _overlap(a: Shape, b: Shape, seconds: int) -> bool:
    """Return whether two shapes cover each other in the middle of any second."""
    for k in range(seconds):
        (ax, ay), (bx, by) = a.corners[k], b.corners[k]
        if ax < bx + b.size and bx < ax + a.size and ay < by + b.size and by < ay + a.size:
            return True
    return False


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
        late, early = rng.uniform(0.0, 0.3), rng.uniform(0.0, 0.3)
        first_frame = math.ceil((first + late) * rate)
        end_frame = math.floor((first + length - early) * rate)
        kind, size = rng.choice(SHAPES), rng.choice(SIZES)
        for _ in range(50):
            shape = Shape(colour, kind, size, first_frame, end_frame, _corners(rng, size, seconds, settings.max_step))
            if not any(_overlap(shape, other, seconds) for other in shapes):
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
        if shape.first_frame <= frame < shape.end_frame:
            x, y, width, _ = shape.box_at(frame / clip.rate)
            picture[y : y + width, x : x + width][shape_mask(shape.shape, width)] = COLOURS[shape.colour]
    return picture
