"""A record's clip decoded once: the pictures of its film, from which its tiles are taken too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from data_prep.records import RecordError, resolve_video
from data_prep.seconds import seconds_of, seconds_until
from data_prep.show.entries import Entry
from data_prep.show.problems import Kind, Problem
from data_prep.video.clips import clip_frames
from data_prep.video.looks import Fault, fault_of, look
from data_prep.video.sampling import VideoError

MOST_PICTURES = 240  # of a film
RATES = (8, 4, 2)  # pictures a second, the first that keeps within MOST_PICTURES; even, so that one is in each middle
AT_ONCE = 32  # pictures that are held
GREY = "#8c8c8c"  # in place of a picture
KIND_OF = {
    Fault.MISSING: Kind.VIDEO,
    Fault.UNREADABLE: Kind.VIDEO,
    Fault.SHORTER: Kind.SHORTER,
    Fault.OTHER_SIZE: Kind.SIZE,
}


@dataclass(frozen=True)
class Shots:
    """How a record's clip is shown.

    Attributes:
        path: the video; None where there is none to show.
        record: `clip` and `fps` of what is shown.
        seconds: K.
        size: (width, height) of the displayed picture, pixels.
        times: when each picture of the film is, seconds on the clip's clock.
        pace: seconds of the clip in a second of the film: 1, or more of a long clip.
        problem: what is wrong with the video.
    """

    path: Path | None
    record: dict[str, Any]
    seconds: int
    size: tuple[int, int]
    times: tuple[float, ...]
    pace: float
    problem: Problem | None = None

    @property
    def rate(self) -> float:
        """Pictures a second of the film."""
        return len(self.times) * self.pace / self.seconds


def shots_of(entry: Entry, video_root: Path | None) -> Shots | None:
    """Return how a record's clip is shown, after one look at its video; None where not even its length is known.

    A record without a video that can be read is shown on plain grey, as far as its own numbers go.
    """
    path, problem = _video(entry, video_root)
    seconds, clip = entry.seconds, entry.clip
    size = _size(entry)
    fps = entry.record.get("fps")
    fps = float(fps) if isinstance(fps, (int, float)) and 0 < fps < 1e6 else None
    if path is not None:
        seen = look(path)
        size = (seen.width, seen.height)
        if seconds is None or clip is None:  # the whole file
            seconds = seconds_of(seen.frames, fps) if seen.frames and fps else seconds_until(seen.last_s)
            clip = (0.0, float(seconds) if seen.frames else max(seen.last_s + 1.0, 1.0))
    if seconds is None:
        return None if problem is None else Shots(None, {}, 0, (1, 1), (), 1.0, problem)
    if path is not None and seconds > 6 * 3600:
        path = None  # nobody looks through it, and it would take minutes
    times, pace = film_times(seconds)
    return Shots(
        path, {"clip": list(clip or (0.0, seconds)), "fps": fps}, seconds, size or (160, 90), times, pace, problem
    )


def _size(entry: Entry) -> tuple[int, int] | None:
    sides = (entry.record.get("width"), entry.record.get("height"))
    return sides if all(type(side) is int and 1 <= side <= 1 << 16 for side in sides) else None  # type: ignore[return-value]


def _video(entry: Entry, video_root: Path | None) -> tuple[Path | None, Problem | None]:
    """Return the record's video, None where it cannot be shown, and what is wrong with it."""
    if video_root is None:
        return None, None
    try:
        path = resolve_video(video_root, entry.record.get("video"))  # type: ignore[arg-type]
    except RecordError as error:
        return None, Problem(Kind.VIDEO, str(error))
    if not path.exists():
        return None, Problem(Kind.VIDEO, f"no such file under {video_root}: {entry.text('video')}")
    seen = look(path)
    stated = {"video": entry.text("video"), "seconds": entry.seconds, "clip": entry.clip, "fps": None}
    stated |= {name: entry.record.get(name) for name in ("fps",) if type(entry.record.get(name)) in (int, float)}
    stated |= dict(zip(("width", "height"), _size(entry) or (None, None), strict=True))
    wrong = fault_of(seen, stated)
    problem = None if wrong is None else Problem(KIND_OF[wrong[0]], wrong[1])
    return (None if seen.problem else path), problem


def film_times(seconds: int) -> tuple[tuple[float, ...], float]:
    """Return when the pictures of a clip's film are, and how many of its seconds pass in one of the film's.

    >>> film_times(2)[0][:5], len(film_times(100)[0]), film_times(480)[1]
    ((0.0, 0.125, 0.25, 0.375, 0.5), 200, 8.0)
    """
    for rate in RATES:
        if seconds * rate <= MOST_PICTURES:
            return tuple(k + j / rate for k in range(seconds) for j in range(rate)), 1.0
    step = math.ceil(seconds / MOST_PICTURES)
    times = tuple(k + 0.5 for k in range(0, seconds, step))
    return times, seconds * 4 / len(times)


def pictures_of(shots: Shots, size: tuple[int, int], root: Path | None) -> Iterator[tuple[float, Image.Image]]:
    """Yield (time, picture of this size) for each time of the film; plain grey where there is no video.

    Raises:
        VideoError: Decoding fails.
    """
    for begin in range(0, len(shots.times), AT_ONCE):
        times = shots.times[begin : begin + AT_ONCE]
        if shots.path is None:
            yield from ((time, Image.new("RGB", size, GREY)) for time in times)
            continue
        try:
            pictures = clip_frames(shots.path, shots.record, times, size, root=root)
        except OSError as error:
            raise VideoError(shots.path, f"cannot be read ({error.strerror or error})") from None
        yield from zip(times, pictures, strict=True)
