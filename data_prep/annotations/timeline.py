"""A video's own frames: their number, size and times, and where they stand on the even grid of a record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_prep.convert.reasons import Drop, Reason
from data_prep.identity import stamp_of
from data_prep.seconds import exact_fps, first_frame_of_second, length_problem
from data_prep.video.looks import GRACE_S, look
from data_prep.video.numbered import Pictures, pictures_of
from data_prep.video.packets import VideoError, open_video

HALF_A_FRAME = 0.5  # containers round times: as far from the even grid, in frames, may they lie
EARLY_S = 1e-6  # times written with six decimals may lie this far before the frame that they mean


@dataclass(frozen=True)
class Timeline:
    """Hold the frames of one video.

    Attributes:
        size: (width, height) as displayed, pixels.
        fps: frames a second of the record.
        grid: (n,) int64, increasing: the number of each frame in a record of `fps`. Where the rate is even, 0, 1, 2,
            ...; else each frame stands in its own second, so that the seconds are exact.
        times: (n,) float64: when each frame appears, seconds after the first.
        pictures: the files, where the video is a folder of pictures.
    """

    size: tuple[int, int]
    fps: float
    grid: np.ndarray
    times: np.ndarray
    pictures: Pictures | None = None

    @property
    def num_frames(self) -> int:
        """The number of frames on the grid."""
        return int(self.grid[-1]) + 1

    @property
    def end_s(self) -> float:
        """When the last frame ends, seconds."""
        return float(self.times[-1]) + 1 / self.fps

    def places_at(self, times: np.ndarray) -> np.ndarray:
        """Return the place on the grid of each time, in the time's own second: int64 (m,). Late ones have the last.

        At 29.97 frames a second the frame of 1.969 s is on screen at 2.0 s; the time's place is that of the next one,
        the first of second 2.
        """
        seconds = np.floor(times + EARLY_S).astype(np.int64)
        known, index = np.unique(seconds, return_inverse=True)
        starts, ends = (
            np.array([first_frame_of_second(second + more, self.fps) for second in known.tolist()], np.int64)[index]
            for more in (0, 1)
        )
        places = np.floor((times + EARLY_S) * self.fps).astype(np.int64)
        return np.minimum(np.clip(places, starts, np.maximum(ends - 1, starts)), self.num_frames - 1)

    def frames_at(self, times: np.ndarray) -> np.ndarray:
        """Return the index of the frame on screen at each time: int64 (m,). A time past the last means the last."""
        return np.maximum(np.searchsorted(self.times, times + EARLY_S, side="right") - 1, 0)

    def event_of(self, begin_s: float, end_s: float) -> tuple[int, int]:
        """Return the places [first, last + 1) on the grid of the times [begin, end).

        Raises:
            Drop: the times are none, or outside the video.
        """
        if not 0 <= begin_s < end_s:
            raise Drop(Reason.BAD_SPAN, f"event [{begin_s:g}, {end_s:g}) s, expected 0 <= begin < end")
        if begin_s >= self.end_s or end_s > self.end_s + GRACE_S:
            raise Drop(Reason.BAD_SPAN, f"event [{begin_s:g}, {end_s:g}) s, but the video ends at {self.end_s:.2f} s")
        first, last = self.places_at(np.array([begin_s, max(begin_s, end_s - 2 * EARLY_S)])).tolist()
        return first, last + 1


def timeline_of(path: Path, fps: float | None) -> Timeline:
    """Return the frames of a video file or of a folder of numbered pictures.

    Args:
        path: where it lies.
        fps: of a folder of pictures, which does not say it.

    Raises:
        Drop: it cannot be read, or nothing says a folder's rate.
    """
    try:
        stamp = stamp_of(path)
    except (OSError, ValueError) as error:
        raise Drop(Reason.UNREADABLE, VideoError.line(path, f"cannot be opened ({error})")) from None
    return _timeline_of(path, fps, stamp)


@lru_cache(maxsize=16)
def _timeline_of(path: Path, fps: float | None, stamp: str) -> Timeline:
    """Return the frames of a video, read once as long as its size and time of change (`stamp`) stay."""
    seen = look(path)
    if seen.problem is not None:
        raise Drop(Reason.UNREADABLE, seen.problem)
    size = (seen.width, seen.height)
    try:
        if path.is_dir():
            if fps is None:
                raise Drop(Reason.UNKNOWN_FPS, f"{path.name}: a folder of pictures states no frame rate; give --fps")
            pictures = pictures_of(path)
            grid = np.arange(pictures.num_frames)
            return Timeline(size, fps, grid, grid / float(exact_fps(fps)), pictures)
        with open_video(path) as video:
            index = video.index
            ticks = np.array(index.frame_ticks(index.shown), np.int64)
    except VideoError as error:
        raise Drop(Reason.UNREADABLE, str(error)) from None
    times = (ticks - ticks[0]) * float(index.time_base)
    last = float(times[-1])
    rate = float(index.rate) if index.rate else (len(times) - 1) / last if last else 1.0
    even = np.arange(len(times))
    if np.abs(times - even / rate).max() * rate <= HALF_A_FRAME:
        return Timeline(size, rate, even, times)
    return Timeline(size, *_uneven(times), times)


def _uneven(times: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the rate of an even grid, and a place of its own on it, in its very second, for each frame: int64 (n,).

    Args:
        times: when the frames of an uneven rate appear, seconds.

    Returns:
        The most frames that a second holds, and the places, increasing.

    Raises:
        Drop: the video is longer than a clip may be.

    >>> _uneven(np.array([0.0, 0.1, 0.2, 1.0, 2.5]))
    (3.0, array([0, 1, 2, 3, 7]))
    """
    seconds = np.floor(times + EARLY_S).astype(np.int64)
    if problem := length_problem(int(seconds[-1]) + 1):
        raise Drop(Reason.BAD_SPAN, problem)
    rate = int(np.bincount(seconds).max())
    order = np.arange(len(times))
    places = order + np.maximum.accumulate(np.floor((times + EARLY_S) * rate).astype(np.int64) - order)
    last = (seconds + 1) * rate - 1
    return float(rate), order + np.minimum.accumulate((np.minimum(places, last) - order)[::-1])[::-1]
