"""One look at a video before any work that needs it: does it open, how large is its picture, how long does it last?

A look reads a file's headers, decodes its first frame and finds its last one, without reading what lies between. What
was seen is remembered by path, size and time of change, so that converters, mixtures, checks, training and evaluation
look at a file once among them.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream
from tqdm import tqdm

from data_prep.identity import stamp_of
from data_prep.video.looks_memory import LooksMemory
from data_prep.video.numbered import picture_size, pictures_of
from data_prep.video.packets import VideoError, check_pixels, demux, open_stream
from data_prep.video.pictures import displayed_size

GRACE_S = 0.5  # sources state nominal rates, and containers round: as far may the last frame lie from the last second
SAME_SHAPE = 0.02  # widths over heights that differ by less are one shape: scaled pictures have whole pixels
MOST_UNDECODED = 64  # packets from which no frame comes, before the first frame
MOST_GAPS = 100  # gaps of a folder that are remembered


class Fault(str, Enum):
    """Why a record's video is of no use, in the words of reports."""

    def __str__(self) -> str:
        return self.value

    MISSING = "missing"  # there is no such file or folder
    UNREADABLE = "unreadable"  # no video, or nothing in it decodes
    SHORTER = "shorter_than_clip"  # it ends, or has a gap, where the record's clip still goes on
    OTHER_SIZE = "other_size"  # its picture has another shape than the record states, so boxes do not fit


@dataclass(frozen=True)
class Look:
    """What was seen of one video.

    Attributes:
        problem: why it cannot be read, one line that opens with the path; None where it can.
        width, height: the displayed picture, pixels; of a folder its first picture.
        coded: (width, height) of the picture as it is stored, turned but not made of square pixels.
        last_s: when the last frame appears, seconds after the first one; 0 of a folder, which has frames only.
        frames: number of frames of a folder, by the numbers of its pictures; 0 of a file.
        gaps: (first, last) frames of a folder that have no picture; the first `MOST_GAPS`.
    """

    problem: str | None = None
    width: int = 0
    height: int = 0
    coded: tuple[int, int] = (0, 0)
    last_s: float = 0.0
    frames: int = 0
    gaps: tuple[tuple[int, int], ...] = ()


_MEMORY = LooksMemory(Look)


def look(path: Path) -> Look:
    """Return what a video file or a folder of pictures is; a second call about an unchanged one looks nowhere."""
    try:
        key = stamp_of(path)
    except (OSError, ValueError) as error:
        return Look(VideoError.line(path, f"cannot be opened ({getattr(error, 'strerror', None) or error})"))
    known = _MEMORY.get(key)
    if known is None:
        try:
            known = _look_at_folder(path) if path.is_dir() else _look_at_file(path)
        except (VideoError, OSError) as error:
            known = Look(str(error))
        _MEMORY.add(key, known)
    return known


def look_at(paths: Iterable[Path], *, what: str = "videos") -> dict[Path, Look]:
    """Look at many videos, several at a time, with a progress bar where it takes more than a few seconds.

    Args:
        what: what the bar calls them.
    """
    distinct = list(dict.fromkeys(paths))
    workers = min(16, 2 * (os.cpu_count() or 1))  # most of a look is waiting for the disk, and FFmpeg frees the lock
    with ThreadPoolExecutor(workers) as pool:
        bar = tqdm(
            pool.map(look, distinct), total=len(distinct), desc=f"look at {what}", unit="video", delay=3.0,
            mininterval=1.0, file=sys.stderr,
        )  # fmt: skip
        return dict(zip(distinct, bar, strict=True))


def fault_of(seen: Look, record: Mapping[str, Any]) -> tuple[Fault, str] | None:
    """Return why a video does not do for a record, with what was found and expected; None where it does.

    Args:
        seen: what was seen of the record's video.
        record: its `clip`, `seconds`, `fps`, `width` and `height` are used, each where it is stated.
    """
    if seen.problem is not None:
        return Fault.UNREADABLE, seen.problem
    if record.get("clip") is not None and record.get("seconds") is not None and (text := _too_short(seen, record)):
        return Fault.SHORTER, text
    width, height = record.get("width"), record.get("height")
    if width and height and not fits(seen, (width, height)):
        text = f"{record.get('video')}: pictures of {seen.width}x{seen.height}, the record states {width}x{height}"
        return Fault.OTHER_SIZE, text
    return None


def fits(seen: Look, size: tuple[int, int]) -> bool:
    """Return whether boxes in shares of a picture of this (width, height) fit the video.

    They do at any scale of the same shape, and where a source states the stored pixels of a picture that is displayed
    wider.

    >>> fits(Look(width=640, height=360, coded=(640, 360)), (1280, 720))
    True
    >>> fits(Look(width=480, height=360, coded=(480, 360)), (1280, 720))
    False
    """
    shape = size[0] / size[1]
    return any(abs(math.log(w / h / shape)) < SAME_SHAPE for w, h in ((seen.width, seen.height), seen.coded) if w * h)


def _too_short(seen: Look, record: Mapping[str, Any]) -> str | None:
    """Say how far a video reaches where that is not into the last second of the record's clip."""
    start, last = record["clip"][0], record["clip"][0] + record["seconds"] - 1
    name = record.get("video")
    if not seen.frames:
        if seen.last_s + GRACE_S >= last:
            return None
        return f"{name}: its last frame is at {seen.last_s:.2f} s, the record's last second begins at {last:g} s"
    if not record.get("fps"):
        return f"{name}: a folder of pictures, and the record states no fps"
    fps = float(record["fps"])
    if (seen.frames - 1) / fps + GRACE_S < last:
        return f"{name}: {seen.frames} frames at {fps:g} a second, the record's last second begins at {last:g} s"
    for first, end in seen.gaps:
        # A second without any picture would be a frozen one.
        if end - first + 1 >= fps and first / fps < last + 1 and end / fps >= start:
            return f"{name}: frames {first} to {end} have no picture, which is a second or more"
    return None


def _look_at_folder(folder: Path) -> Look:
    pictures = pictures_of(folder)
    ends = {0, len(pictures.files) // 2, len(pictures.files) - 1}
    sizes = [picture_size(folder / pictures.files[index]) for index in sorted(ends)]
    return Look(None, *sizes[0], sizes[0], 0.0, pictures.num_frames, pictures.gaps[:MOST_GAPS])


def _look_at_file(path: Path) -> Look:
    with open_stream(path) as (container, stream):
        first = _first_frame(path, container, stream)
        width, height = displayed_size(first, stream.sample_aspect_ratio)
        check_pixels(path, width, height)
        coded = displayed_size(first, None)
        last = _last_by_index(path, container, stream)
        if last is None:
            last = _last_by_seek(container, stream, first.pts)
    if last is None:  # no duration, or nothing where it should end: all packets tell
        with open_stream(path) as (container, stream):
            last = _span(stream, (packet.pts if packet.pts is not None else packet.dts
                                  for packet in demux(container, stream)))  # fmt: skip
    return Look(None, width, height, coded, last)


def _first_frame(path: Path, container: InputContainer, stream: VideoStream) -> av.VideoFrame:
    codec = stream.codec_context
    for number, packet in enumerate(demux(container, stream)):
        try:
            frames = codec.decode(packet)
        except av.FFmpegError:
            frames = []
        if frames:
            return frames[0]
        if number >= MOST_UNDECODED:
            break
    else:
        try:
            if frames := codec.decode(None):
                return frames[0]
        except av.FFmpegError:
            pass
    raise VideoError(path, "no frame of it decodes")


def _last_by_index(path: Path, container: InputContainer, stream: VideoStream) -> float | None:
    """Return the time of the last frame by the index of an MP4, as far as the file holds what the index lists.

    A file that was cut short still has its whole index and states its whole duration.
    """
    if "mov" not in container.format.name.split(",") or not len(stream.index_entries):
        return None
    size = os.path.getsize(path)
    return _span(stream, (entry.timestamp for entry in stream.index_entries
                          if not entry.is_discard and entry.pos + entry.size <= size))  # fmt: skip


def _last_by_seek(container: InputContainer, stream: VideoStream, first: int | None) -> float | None:
    """Return the time of the last frame by the packets after the last keyframe; None where there are none."""
    if not container.duration or first is None or stream.time_base is None:
        return None
    try:
        container.seek((container.start_time or 0) + container.duration, backward=True)
    except (av.FFmpegError, OverflowError):
        return None
    stamps = [packet.pts for packet in demux(container, stream) if packet.pts is not None]
    return float((max(stamps) - first) * stream.time_base) if stamps and max(stamps) > first else None


def _span(stream: VideoStream, stamps: Iterable[int | None]) -> float:
    """Return the seconds between the first and the last of some time stamps; without stamps, by their number."""
    listed = list(stamps)
    known = [stamp for stamp in listed if stamp is not None]
    if len(known) > 1 and len(known) == len(listed):
        return float((max(known) - min(known)) * (stream.time_base or Fraction(1, 1000)))
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return float(max(len(listed) - 1, 0) / rate)
