"""Exact frames of a video file at given times.

`sample_frames` gives the picture that a player shows at each time: real time stamps, so variable rates, start offsets
and B-frames are right; rotation applied; non-square pixels squared. It decodes only what the wanted frames need and
falls back to decoding everything where the packets do not allow a plan or the file is damaged.
"""

import logging
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
from PIL import Image

from data_prep.seconds import length_problem, seconds_until
from data_prep.video.decoding import decode_all, decode_ranges
from data_prep.video.packets import OpenVideo, VideoError, check_pixels, open_video
from data_prep.video.pictures import displayed_picture, displayed_size

__all__ = ["VideoError", "VideoInfo", "probe", "probe_whole", "sample_frames"]

_LOG = logging.getLogger(__name__)
_FLOAT_NOISE_S = Fraction(1, 10**6)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, by its packets and its first frame; headers are not believed.

    Attributes:
        width: displayed pixels, after rotation and with square pixels.
        height: displayed pixels.
        fps: frames a second, averaged over the duration where the rate varies.
        num_frames: displayed frames by their packets; a damaged file may decode to fewer.
        first_frame_s: time stamp of the first displayed frame in the file, where the clip's clock is 0.
        last_frame_s: when the last frame appears, on the clip's clock.
        duration_s: when the last frame ends, on the clip's clock.
        seconds: K, floor(last_frame_s) + 1.
        codec: FFmpeg's name of the format, for example h264.
    """

    width: int
    height: int
    fps: Fraction
    num_frames: int
    first_frame_s: Fraction
    last_frame_s: Fraction
    duration_s: Fraction
    seconds: int
    codec: str


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Read size, rate and times of a video; decodes one frame.

    Raises:
        VideoError: if the file is no video or nothing in it decodes.

    Example:
        >>> info = probe("a.mp4")  # doctest: +SKIP
        >>> info.width, info.height, float(info.fps), info.seconds  # doctest: +SKIP
        (640, 360, 29.97002997002997, 19)
    """
    with open_video(path) as video:
        index = video.index
        first = next(decode_all(video), None)
        if first is None:
            raise VideoError(path, "no frame of it decodes")
        width, height = displayed_size(first, video.pixel_aspect)
        check_pixels(path, width, height)
        codec = video.codec.codec.canonical_name
    times = index.frame_ticks(index.shown)
    last = (times[-1] - times[0]) * index.time_base
    rate = index.rate or (Fraction(len(times) - 1) / last if last else Fraction(1))
    stays = index.last_duration * index.time_base if index.complete and index.last_duration > 0 else 1 / rate
    return VideoInfo(
        width=width,
        height=height,
        fps=rate,
        num_frames=len(index.shown),
        first_frame_s=times[0] * index.time_base,
        last_frame_s=last,
        duration_s=last + stays,
        seconds=seconds_until(last),
        codec=codec,
    )


def probe_whole(path: str | os.PathLike[str]) -> VideoInfo:
    """Read what `probe` reads of a video that is taken in full.

    Raises:
        VideoError: It is no video, or its last time stamp makes it longer than a clip may be (two frames of a small
            file can be years apart).
    """
    info = probe(path)
    if problem := length_problem(info.seconds):
        raise VideoError(path, problem)
    return info


def sample_frames(
    path: str | os.PathLike[str],
    times_s: Sequence[float],
    *,
    clip_start_s: float = 0.0,
    clip_end_s: float | None = None,
    size: tuple[int, int] | None = None,
) -> list[Image.Image]:
    """Return the frame on screen at each of the times.

    Args:
        path: the video file.
        times_s: seconds on the clip's clock, in any order, repeats allowed. A time past the last frame means the
            last frame.
        clip_start_s: where the clip begins, in seconds after the file's first displayed frame.
        clip_end_s: where the clip ends (exclusive), in the same seconds; None is the end of the file.
        size: (width, height) of the pictures, displayed; None keeps the displayed size.

    Returns:
        RGB pictures, one for each time in the order of `times_s`.

    Raises:
        VideoError: if the file is no video or nothing in it decodes.
        ValueError: for a time, clip or size that cannot be.

    Example:
        >>> frames = sample_frames("a.mp4", [0.5, 1.5, 2.5], size=(224, 224))  # doctest: +SKIP
        >>> [frame.size for frame in frames]  # doctest: +SKIP
        [(224, 224), (224, 224), (224, 224)]
    """
    clip = _Clip.checked(times_s, clip_start_s, clip_end_s)
    if size is not None and not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"size {size!r}, expected (width, height), whole numbers above 0")
    if not clip.times:
        return []
    with open_video(path) as video:
        plan = _planned(video, clip, size) if video.index.complete else None
        numbers, pictures = plan or _sequential(video, clip, size)
    used: set[int] = set()
    result = []
    for number in numbers:
        # Each picture belongs to the caller alone, who may draw on it.
        result.append(pictures[number].copy() if number in used else pictures[number])
        used.add(number)
    return result


@dataclass(frozen=True)
class _Clip:
    """Wanted times and the clip they lie in, exact, in seconds after the file's first displayed frame."""

    times: list[Fraction]
    start: Fraction
    end: Fraction | None

    @classmethod
    def checked(cls, times_s: Sequence[float], start_s: float, end_s: float | None) -> "_Clip":
        for name, value in [("time", t) for t in times_s] + [("clip_start_s", start_s)]:
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} {value!r} s, expected a finite number of at least 0")
        if end_s is not None and not (math.isfinite(end_s) and end_s > start_s):
            raise ValueError(f"clip_end_s {end_s!r}, expected more than clip_start_s {start_s!r}")
        start = Fraction(start_s)
        return cls([start + Fraction(t) for t in times_s], start, None if end_s is None else Fraction(end_s))

    def frame_numbers(self, ticks: Sequence[int], time_base: Fraction) -> list[int]:
        """Return the number (in display order) of the frame on screen at each time, given when frames appear."""
        # Containers round time stamps to ticks, and callers' floats are a little off: half a tick of grace. Coarse
        # ticks are not rounded times (they count frames), so they get float noise only.
        grace = 1 / Fraction(2) if time_base <= Fraction(1, 1000) else _FLOAT_NOISE_S / time_base
        last = len(ticks) - 1
        if self.end is not None:
            last = max(bisect_left(ticks, ticks[0] + self.end / time_base - grace) - 1, 0)
        return [min(max(bisect_right(ticks, ticks[0] + time / time_base + grace) - 1, 0), last) for time in self.times]


_Found = tuple[list[int], dict[int, Image.Image]]


def _planned(video: OpenVideo, clip: _Clip, size: tuple[int, int] | None) -> _Found | None:
    """Return frame numbers and their pictures by a plan; None where only decoding everything tells."""
    index = video.index
    shown = index.frame_ticks(index.shown)
    numbers = clip.frame_numbers(shown, index.time_base)
    number_of = {shown[number]: number for number in numbers}
    wanted = set(number_of)
    ranges = index.plan(wanted)
    if ranges is None:
        return None
    pictures: dict[int, Image.Image] = {}
    try:
        for frame in decode_ranges(video, ranges, wanted):
            if frame.is_corrupt or frame.pts is None:
                return None
            pictures[number_of[frame.pts]] = _picture(video, frame, size)
    except av.FFmpegError:
        return None
    return (numbers, pictures) if len(pictures) == len(wanted) else None


def _sequential(video: OpenVideo, clip: _Clip, size: tuple[int, int] | None) -> _Found:
    """Return frame numbers and their pictures by decoding everything twice, so that memory stays small."""
    stamps = [frame.pts for frame in decode_all(video)]
    if not stamps:
        raise VideoError(video.path, "no frame of it decodes")
    if len(stamps) < len(video.index.shown):
        _warn_damaged(os.fspath(video.path), len(stamps), len(video.index.shown))
    numbers = clip.frame_numbers(video.index.frame_ticks(stamps), video.index.time_base)
    wanted = set(numbers)
    pictures: dict[int, Image.Image] = {}
    last = None
    for number, frame in enumerate(decode_all(video)):
        if number in wanted:
            pictures[number] = _picture(video, frame, size)
        if len(pictures) == len(wanted):
            return numbers, pictures
        last = (number, frame)
    # Decoders of damaged files keep a state that no flush clears, so that fewer frames can come this time: a time past
    # the last frame means the last frame.
    if last is None:
        raise VideoError(video.path, "no frame of it decodes a second time")
    end, frame = last
    _warn_damaged(os.fspath(video.path), end + 1, len(stamps))
    if end not in pictures:
        pictures[end] = _picture(video, frame, size)
    return [min(number, end) for number in numbers], pictures


def _picture(video: OpenVideo, frame: av.VideoFrame, size: tuple[int, int] | None) -> Image.Image:
    if size is None:
        size = displayed_size(frame, video.pixel_aspect)
        check_pixels(video.path, *size)
    return displayed_picture(frame, size)


@lru_cache(maxsize=1024)
def _warn_damaged(path: str, decoded: int, expected: int) -> None:
    _LOG.warning(
        "%s: damaged, %d of %d frames decode; the last one before a gap stands for it", path, decoded, expected
    )
