"""One question: the upload is checked, each model is asked, and the answer is drawn and written as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from data_prep.drawing.boxes import Layer, Look
from data_prep.drawing.overlay import Overlay, write_overlay
from data_prep.drawing.page import tile_values
from data_prep.drawing.sheet import contact_sheet, tile_size, write_sheet
from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.video.looks import look
from data_prep.video.sampling import VideoInfo, sample_frames
from recipe.inference.backends import Answerer
from recipe.inference.grounding import Grounding, Policy, check_query, check_video, ground
from recipe.inputs.dataset import RowBuilder

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
MOST_TILES = 48
LONGEST_REASONING = 4000  # characters that are shown


@dataclass(frozen=True)
class Limits:
    """What an upload may be: megabytes of its file, minutes of its video."""

    megabytes: int = 200
    minutes: float = 10.0


@dataclass(frozen=True)
class System:
    """A model that is asked, and how its answers look.

    Attributes:
        model: a checkpoint's folder, or a served model's name.
        policy: how a video is cut and an answer finished.
        backend: loads the model at its first call.
    """

    look: Look
    model: str
    policy: Policy
    backend: Callable[[], tuple[RowBuilder, Answerer]]


@dataclass(frozen=True)
class Asker:
    """All that a question needs besides the video and the sentence.

    Attributes:
        systems: in the order of their bars.
        sentence: puts an answer in words.
        native_track: gives the times of a video's frames, and an answer's box of each frame.
    """

    systems: Sequence[System]
    limits: Limits
    sentence: Callable[[Grounding], str]
    native_track: Callable[[Path, Grounding], tuple[list[float], dict[int, Any]]]


@dataclass(frozen=True)
class Found:
    """An answer of all systems.

    Attributes:
        said: one line a system.
        names: of the systems.
        table: (second, [box of each system or None]) of each second with a box.
        reasoning: (system, what stood before its answer) where something did.
        tiles: what the macro `tiles` of parts.html shows.
        overlay: the MP4 with the answers drawn into it.
        files: JSON, CSV and a contact sheet (PNG).
    """

    said: list[str]
    names: list[str]
    table: list[tuple[int, list[Sequence[float] | None]]]
    reasoning: list[tuple[str, str]]
    tiles: list[dict[str, Any]]
    overlay: Path
    files: list[Path]


def check_upload(video: Path, limits: Limits) -> VideoInfo:
    """Return what an uploaded file holds, if it may be asked about.

    Raises:
        StageError, VideoError: It is too large or too long, of another kind, or no video that can be read.
    """
    if video.suffix.lower() not in SUFFIXES:
        raise StageError(f"{video.name}: expected a video file ({', '.join(SUFFIXES)})")
    size = video.stat().st_size
    if size > limits.megabytes * 2**20:
        raise StageError(f"{video.name}: {size / 2**20:.0f} MB, at most {limits.megabytes} MB are taken")
    if problem := look(video).problem:
        raise StageError(problem)
    return check_video(video, Policy(most_seconds=max(1, round(limits.minutes * 60))))


def answer_question(
    asker: Asker,
    video: Path,
    query: str,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Found:
    """Ask every system and write what the page shows into a folder.

    Args:
        progress: called with (system, parts done, parts in all).

    Raises:
        StageError, VideoError: The upload or the sentence cannot be asked about, or a server gave no answer.
    """
    query = check_query(query)
    info = check_upload(video, asker.limits)
    found: list[tuple[Look, Grounding]] = []
    for system in asker.systems:
        said = partial(progress, system.look.name)
        found.append((system.look, ground(video, query, *system.backend(), system.policy, progress=said)))
    seconds = found[0][1].seconds
    layers = [Layer(look, one.events, asker.native_track(video, one)[1], one.label) for look, one in found]
    overlay = write_overlay(video, folder / "answer.mp4", Overlay(query, seconds, layers))
    tiles, sheet = _tiles(video, info, seconds, [Layer(look, one.events, one.boxes) for look, one in found])
    listed = sorted({second for _, one in found for second in one.boxes})
    names = [look.name for look, _ in found]
    return Found(
        said=[(f"{look.name}: " if len(found) > 1 else "") + asker.sentence(one) for look, one in found],
        names=names,
        table=[(second, [one.boxes.get(second) for _, one in found]) for second in listed],
        reasoning=[(look.name, text) for look, one in found if (text := _reasoning(one))],
        overlay=overlay,
        tiles=tiles,
        files=[
            _write_json(folder, video, query, asker.systems, found),
            _write_csv(folder, found),
            write_sheet(folder / "answer.png", sheet),
        ],
    )


def _tiles(
    video: Path, info: VideoInfo, seconds: int, layers: Sequence[Layer]
) -> tuple[list[dict[str, Any]], Image.Image]:
    """Draw the tiles of the page and the contact sheet, from the same frames."""
    count = min(seconds, MOST_TILES)
    shown = [int((index + 0.5) * seconds / count) for index in range(count)]
    frames = sample_frames(video, [k + 0.5 for k in shown], size=tile_size((info.width, info.height)))
    tiles = [
        tile_values(frame, second, layers, (index * seconds / count, (index + 1) * seconds / count))
        for index, (frame, second) in enumerate(zip(frames, shown, strict=True))
    ]
    return tiles, contact_sheet(frames, layers, seconds=shown, of=seconds, columns=6)


def _reasoning(found: Grounding) -> str:
    return "\n".join(text for text in found.reasoning if text)[:LONGEST_REASONING]


def _write_json(
    folder: Path, video: Path, query: str, systems: Sequence[System], found: Sequence[tuple[Look, Grounding]]
) -> Path:
    answers = [
        {"system": look.name, "model": system.model} | one.to_json()
        for system, (look, one) in zip(systems, found, strict=True)
    ]
    with atomic_write(folder / "answer.json") as out:
        json.dump({"video": video.name, "query": query, "answers": answers}, out, indent=1, ensure_ascii=True)
    return folder / "answer.json"


def _write_csv(folder: Path, found: Sequence[tuple[Look, Grounding]]) -> Path:
    with atomic_write(folder / "answer.csv") as out:
        rows = csv.writer(out)
        rows.writerow(["system", "second", "x_min", "y_min", "x_max", "y_max"])
        for look, one in found:
            rows.writerows([look.name, k, *(f"{v:.6f}" for v in box)] for k, box in sorted(one.boxes.items()))
    return folder / "answer.csv"
