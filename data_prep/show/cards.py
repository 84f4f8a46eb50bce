"""One record drawn: tiles with boxes and bars, a film, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from data_prep.drawing.boxes import Layer
from data_prep.drawing.overlay import Overlay, draw, film_size
from data_prep.drawing.sheet import TILE, contact_sheet, tile_size
from data_prep.show.entries import Entry, layers_of
from data_prep.show.problems import Kind, Problem, frozen_runs, problems_of
from data_prep.show.shots import Shots, pictures_of, shots_of
from data_prep.video.sampling import VideoError

MOST_TILES = 48


@dataclass
class Card:
    """A record with all that is drawn of it.

    Attributes:
        entry: the record.
        layers: what it says.
        shots: how its clip is shown; None where nothing of it can be.
        problems: what is wrong; those of its pictures are there once `moving` has been read to its end.
        tiles: (second, picture, [begin, end) that it stands for), filled by `moving` too.
    """

    entry: Entry
    layers: list[Layer]
    shots: Shots | None
    problems: list[Problem]
    tiles: list[tuple[int, Image.Image, tuple[float, float]]] = field(default_factory=list)

    @classmethod
    def of(cls, entry: Entry, video_root: Path | None) -> Card:
        """Return the card of a record, whose pictures are not decoded yet."""
        shots = shots_of(entry, video_root)
        problems = problems_of(entry)
        if shots is not None and shots.problem is not None:
            problems.append(shots.problem)
        layers = layers_of(entry) if entry.has_event or entry.no_target or entry.record.get("tracks") else []
        return cls(entry, layers, shots if shots and shots.times else None, problems)

    def film_size(self, side: int) -> tuple[int, int]:
        """Return (width, height) of the film whose longer side has at most `side` pixels."""
        return film_size(self.shots.size if self.shots else (side, side), side)

    def moving(self, side: int, root: Path | None) -> Iterator[Image.Image]:
        """Yield the pictures of the film, drawn; keep the tiles, and what is wrong with the pictures, on the way.

        Args:
            side: most pixels of the longer side.
            root: the video root.
        """
        shots = self.shots
        if shots is None:
            return
        wanted = tile_times(shots, self.layers)
        stills: list[tuple[int, Image.Image]] = []
        by_picture = [
            replace(layer, boxes={i: layer.boxes[int(t)] for i, t in enumerate(shots.times) if int(t) in layer.boxes})
            for layer in self.layers
        ]
        overlay = Overlay(self.entry.text("query"), shots.seconds, by_picture)
        small = tile_size(shots.size, TILE)
        number = 0
        try:
            for time, picture in pictures_of(shots, self.film_size(side), root):
                if time % 1 == 0.5:
                    stills.append((int(time), picture.resize((96, 54))))
                if time in wanted:
                    self.tiles.append((int(time), picture.resize(small, Image.Resampling.BICUBIC), wanted[time]))
                yield draw(picture, number, time, overlay)
                number += 1
        except VideoError as error:
            self.problems.append(Problem(Kind.VIDEO, str(error)))
        if shots.path is not None and (runs := frozen_runs(stills)):
            listed = ", ".join(f"{first} to {last}" for first, last in runs[:8])
            self.problems.append(Problem(Kind.FROZEN, f"one picture stands at seconds {listed}"))

    def sheet(self) -> Image.Image | None:
        """Draw the contact sheet from the tiles; None where there are none."""
        if self.shots is None or not self.tiles:
            return None
        seconds = [second for second, _, _ in self.tiles]
        return contact_sheet([tile for _, tile, _ in self.tiles], self.layers, seconds=seconds, of=self.shots.seconds)


def tile_times(shots: Shots, layers: list[Layer]) -> dict[float, tuple[float, float]]:
    """Choose the times of tiles, each in an equal part of the clip, which it stands for: where there is a box, if any.

    Returns:
        time -> the [begin, end) seconds of its part.
    """
    count = min(shots.seconds, MOST_TILES)
    middles = [time for time in shots.times if time % 1 == 0.5]
    chosen: dict[float, tuple[float, float]] = {}
    for index in range(count):
        begin, end = index * shots.seconds / count, (index + 1) * shots.seconds / count
        inside = [time for time in middles if begin <= int(time) < end]
        with_box = [time for time in inside if any(int(time) in layer.boxes for layer in layers)]
        if best := with_box or inside:
            chosen[best[len(best) // 2]] = (begin, end)
    return chosen
