"""What a record's own video says, where it is at hand: its size and rate beat those of the options."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_prep.boxes import FrameBoxes
from data_prep.convert.audit import Audit
from data_prep.convert.items import Moments, Scene, Target, Text
from data_prep.convert.reasons import Drop, Reason
from data_prep.records import Record, RecordError, resolve_video
from data_prep.seconds import seconds_of
from data_prep.video.looks import Fault, fault_of, look
from data_prep.video.numbered import Pictures, frame_sizes, pictures_of
from data_prep.video.sampling import VideoError, VideoInfo, probe

REASONS = {
    Fault.UNREADABLE: Reason.UNREADABLE,
    Fault.SHORTER: Reason.SHORTER_THAN_CLIP,
    Fault.OTHER_SIZE: Reason.OTHER_SIZE,
}
SAME_RATE = 0.01  # rates that differ by less, such as 30 and 29.97, are one
# What is said of records that are written all the same.
OTHER_THAN_SIZE = "records whose frames have another size than --size; their own was used"
OTHER_THAN_FPS = "records whose video has another rate than --fps; its own was used"
CHANGING_SIZE = "records whose pictures change their size; each box is a share of its own picture"
STRANGERS = "pictures beside the frames that are no frames"
GAPS = "frames of a folder that have no picture; the one before stands for them"
HALF = "sequences whose boxes never pass half of --size: is it the size of their pictures? --video_root would tell"


@dataclass(frozen=True)
class Media:
    """What is known of an item's pictures.

    Attributes:
        size: (width, height) in pixels that boxes are shares of; None: not known.
        fps: frames a second, or None.
        path: the video or folder of pictures; None: not at hand.
        pictures, sizes: of a folder whose pictures change their size: the pictures, and (n, 2) sizes of them.
    """

    size: tuple[int, int] | None
    fps: float | None
    path: Path | None = None
    pictures: Pictures | None = None
    sizes: np.ndarray | None = None

    def sizes_at(self, frames: np.ndarray) -> np.ndarray | tuple[int, int]:
        """Return the picture's (width, height) at each frame of the video: (n, 2), or one for all."""
        if self.pictures is None or self.sizes is None:
            assert self.size is not None
            return self.size
        nearest = np.searchsorted(self.pictures.frames, frames, side="right") - 1
        found: np.ndarray = self.sizes[np.maximum(nearest, 0)]
        return found


def media_of(item: Target | Scene | Text | Moments, args: argparse.Namespace, audit: Audit) -> Media:
    """Return the size and rate of an item's pictures: the source's own, else the video's, else the options'.

    Raises:
        Drop: The video is missing or of no use.
    """
    path = _path_of(item, args)
    size, fps = item.size, item.fps
    if path is None:
        return _stated(args.size if size is None else size, args.fps if fps is None else fps)
    seen = look(path)
    if seen.problem is not None:
        raise Drop(Reason.UNREADABLE, seen.problem)
    pictures = sizes = None
    if path.is_dir():
        pictures = pictures_of(path)
        _note_folder(path, pictures, audit)
        if size is None and isinstance(item, (Target, Scene)):
            found = _sizes_of(pictures)
            if isinstance(found, VideoError):
                raise Drop(Reason.UNREADABLE, str(found))
            if len(np.unique(found, axis=0)) > 1:
                sizes = found
                audit.note(CHANGING_SIZE, item.id)
        fps = args.fps if fps is None else fps
    elif fps is None:
        info = _probed(path)
        if isinstance(info, VideoError):
            raise Drop(Reason.UNREADABLE, str(info))
        fps = float(info.fps)
        if args.fps is not None and abs(args.fps / fps - 1) > SAME_RATE:
            audit.note(OTHER_THAN_FPS, f"{item.id}: {fps:g} frames a second")
    if size is None:
        size = (seen.width, seen.height)
        if args.size is not None and args.size != size:
            audit.note(OTHER_THAN_SIZE, f"{item.id}: {size[0]}x{size[1]}")
    return Media(size, fps, path, pictures if sizes is not None else None, sizes)


def length_of(item: Moments, media: Media) -> tuple[float, int]:
    """Return the seconds of an item's video, and K: of the video where it is at hand, else as the source states.

    Raises:
        Drop: Neither is known.
    """
    if media.path is not None and media.path.is_dir() and media.fps is not None:
        frames = look(media.path).frames
        return frames / media.fps, seconds_of(frames, media.fps)
    if media.path is not None and media.path.is_file():
        info = _probed(media.path)
        if isinstance(info, VideoError):
            raise Drop(Reason.UNREADABLE, str(info))
        return float(info.duration_s), info.seconds
    if item.num_frames is not None and media.fps is not None:
        return item.num_frames / media.fps, seconds_of(item.num_frames, media.fps)
    if item.duration is None:
        missing = (
            "duration; give --video_root" if item.num_frames is None else "frame rate; give --fps or --video_root"
        )
        raise Drop(Reason.UNKNOWN_LENGTH, f"the source states no {missing}")
    if not 0 < item.duration < math.inf:
        raise Drop(Reason.BAD_SPAN, f"a video of {item.duration} s")
    return item.duration, max(1, math.ceil(item.duration))


def check_record(record: Record, media: Media, args: argparse.Namespace) -> None:
    """Compare a finished record with its video.

    Raises:
        Drop: The video ends before the clip does, or has another shape than the source states.
    """
    # Without --video_root only the size is taken from frames that lie beside the annotations.
    if media.path is not None and args.video_root is not None and (fault := fault_of(look(media.path), record)):
        raise Drop(REASONS[fault[0]], fault[1])


def note_half(item: Target, boxes: FrameBoxes, media: Media, args: argparse.Namespace, audit: Audit) -> None:
    """Say it where a size that only the option states is twice what a sequence's boxes reach."""
    if media.path is None and item.size is None and args.size is not None and len(boxes.boxes):
        reach = boxes.boxes[:, 2:].max(axis=0) / args.size
        if (reach <= 0.5).all():
            audit.note(HALF, item.id)


def _note_folder(folder: Path, pictures: Pictures, audit: Audit) -> None:
    """Say which pictures are no frames and which frames have no picture."""
    if pictures.strangers:
        audit.note(STRANGERS, str(folder / pictures.strangers[0]), len(pictures.strangers), once=str(folder))
    if pictures.gaps:
        first, last = pictures.gaps[0]
        missing = sum(last - first + 1 for first, last in pictures.gaps)
        audit.note(GAPS, f"{folder}: frames {first} to {last}", missing, once=str(folder))


@lru_cache(maxsize=64)
def _stated(size: tuple[int, int] | None, fps: float | None) -> Media:
    """Return what is stated of pictures that are not at hand, made once for all records that state the same."""
    return Media(size, fps)


def _path_of(item: Target | Scene | Text | Moments, args: argparse.Namespace) -> Path | None:
    # Trackers' data sets come as folders with the boxes beside the frames.
    if args.video_root is not None:
        return _video_under(args.video_root, item.video)
    if item.size is not None or not _is_folder(args.annotations):
        return None
    return _pictures_beside(args.annotations, item.video)


def forget_paths() -> None:
    """Forget where videos lie: a conversion looks once for each, and the next one looks again."""
    for remembered in (_is_folder, _video_under, _pictures_beside):
        remembered.cache_clear()


@lru_cache(maxsize=8)
def _is_folder(path: Path) -> bool:
    return path.is_dir()


@lru_cache(maxsize=256)
def _video_under(root: Path, video: str) -> Path:
    """Find a video once, however many records it has.

    Raises:
        Drop: It is missing, or its path leads elsewhere.
    """
    path = _resolved(root, video)
    if not path.is_file() and not path.is_dir():
        raise Drop(Reason.MISSING_VIDEO, f"{video} is not under {root}")
    return path


@lru_cache(maxsize=256)
def _pictures_beside(root: Path, video: str) -> Path | None:
    """Find a folder of pictures beside the annotations once, however many records it has."""
    path = _resolved(root, video)
    return path if path.is_dir() and _has_frames(path) else None


def _resolved(root: Path, video: str) -> Path:
    try:
        return resolve_video(root, video)
    except RecordError as error:
        raise Drop(Reason.BAD_PATH, str(error)) from None


def _has_frames(folder: Path) -> bool:
    try:
        return bool(pictures_of(folder).files)
    except VideoError:
        return False


@lru_cache(maxsize=64)
def _probed(path: Path) -> VideoInfo | VideoError:
    """Probe a video once, however many records it has."""
    try:
        return probe(path)
    except VideoError as error:
        return error


@lru_cache(maxsize=64)
def _sizes_of(pictures: Pictures) -> np.ndarray | VideoError:
    """Read the headers of a folder's pictures once, however many records it has."""
    try:
        return np.array(frame_sizes(pictures))
    except VideoError as error:
        return error
