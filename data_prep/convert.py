"""Any source of annotations to second-level records: the loop that all sources share.

A source yields what it reads as `Target`, `Scene`, `Text` or `Dropped`; here each becomes a record and a line of frame
boxes, or is counted with its reason. Nothing is kept in memory but the counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.aggregate import METHODS, aggregate_frames
from data_prep.audit import Audit
from data_prep.files import atomic_write
from data_prep.reasons import Reason
from data_prep.records import SCHEMA_VERSION, RecordError, RecordWriter, resolve_video
from data_prep.seconds import frame_time, seconds_of, span_of_frames
from data_prep.video import VideoError, probe

Box = Sequence[float]


@dataclass(frozen=True)
class Dropped:
    """A record that a source itself leaves out."""

    id: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Target:
    """One target of a clip with its boxes on frames.

    Attributes:
        kind: "declarative", "interrogative" or "tracking".
        video: path under the video root.
        first_frame, num_frames: the clip inside its video, frames.
        fps: frames a second, or None where the source does not say.
        size: (width, height) of the displayed picture, pixels, or None where the source does not say.
        begin, end: the event, frames of the clip, half-open.
        boxes: frame of the clip -> (x_min, y_min, x_max, y_max) in pixels, half-open; absent where not visible.
        extra: added fields of the record.
    """

    id: str
    split: str
    kind: str
    video: str
    query: str
    label: str
    num_frames: int
    begin: int
    end: int
    boxes: Mapping[int, Box]
    fps: float | None = None
    size: tuple[int, int] | None = None
    first_frame: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """All targets of a clip, each under its label (appendix A.1's answer with several labels)."""

    id: str
    split: str
    video: str
    query: str
    num_frames: int
    tracks: Mapping[str, Mapping[int, Box]]
    fps: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Text:
    """A caption or a question with its answer."""

    id: str
    split: str
    kind: str
    video: str
    query: str
    answer: str
    clip: tuple[float, float] | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


Item = Target | Scene | Text | Dropped
Source = Callable[[argparse.Namespace, Audit], Iterator[Item]]


class _Drop(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every source."""
    parser.add_argument("--annotations", type=Path, required=True, help="the data set's root, or a part of it")
    parser.add_argument("--videos", type=Path, help="video root: check that each video is there")
    parser.add_argument("--split", default=None, help="which split, where PATH holds several; else its name")
    parser.add_argument("--out", type=Path, required=True, help="track file to write (JSONL)")
    parser.add_argument("--size", type=_size, help="WxH where the source does not state the picture's size")
    parser.add_argument("--fps", type=float, help="frames a second where the source does not state them")
    parser.add_argument("--aggregation", choices=METHODS, default="mean", help="frame boxes to one box a second")
    parser.add_argument("--seed", type=int, default=0, help="chooses among the wordings of prompts")
    parser.add_argument("--strict", action="store_true", help="the first dropped record is an error")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r}, expected WxH such as 1280x720")
    return int(width), int(height)


def convert(name: str, source: Source, args: argparse.Namespace) -> Audit:
    """Write records, frame boxes and report of one source.

    Raises:
        RecordError: under --strict at the first drop; always where nothing at all was read.
        OSError: a file cannot be read or written.
    """
    if not args.annotations.exists():
        raise RecordError(f"--annotations {args.annotations}: no such file or folder")
    audit = Audit(name, strict=args.strict)
    frames_path = args.out.with_name(args.out.name + ".frames.jsonl")
    has_frames = False
    with ExitStack() as stack:
        records = stack.enter_context(RecordWriter(args.out))
        frames = stack.enter_context(atomic_write(frames_path))
        progress = stack.enter_context(tqdm(desc=name, unit="record", mininterval=1.0, file=sys.stderr))
        for item in source(args, audit):
            progress.update()
            if isinstance(item, Dropped):
                audit.drop(item.id, item.reason, item.detail)
                continue
            try:
                record = to_record(name, item, args)
                records.write(record)
            except _Drop as drop:
                audit.drop(item.id, drop.reason, str(drop))
                continue
            except RecordError as error:
                audit.drop(item.id, Reason.MALFORMED, str(error))
                continue
            if isinstance(item, Target):
                frames.write(json.dumps(frame_line(item, record)) + "\n")
                has_frames = True
            audit.written += 1
        if not audit.read:
            raise RecordError(f"--annotations {args.annotations}: no record of {name} found there")
    if not has_frames:
        frames_path.unlink(missing_ok=True)
    audit.write(args.out.with_name(args.out.name + ".report.json"))
    print(audit.table())
    return audit


def to_record(source: str, item: Target | Scene | Text, args: argparse.Namespace) -> dict[str, Any]:
    """The record of one item.

    Raises:
        _Drop: it cannot become one, with the reason.
    """
    query = item.query.replace("\xa0", " ").strip()
    if not query:
        raise _Drop(Reason.NO_QUERY, "the sentence is empty")
    size, fps = _size_and_rate(item, args)
    record: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "id": item.id,
        "source": source,
        "split": item.split,
        "kind": "scene" if isinstance(item, Scene) else item.kind,
        "video": item.video,
        "fps": fps,
        "width": size[0] if size else None,
        "height": size[1] if size else None,
        "query": query,
    }
    if isinstance(item, Text):
        clip = None if item.clip is None else list(item.clip)
        seconds = None if clip is None else max(1, -int(-(clip[1] - clip[0]) // 1))
        texts = {"clip": clip, "seconds": seconds, "answer": item.answer.replace("\xa0", " ").strip()}
        return record | texts | dict(item.extra)
    if size is None:
        raise _Drop(Reason.UNKNOWN_SIZE, "the source states no picture size; give --size WxH or --videos")
    if fps is None:
        raise _Drop(Reason.UNKNOWN_FPS, "the source states no frame rate; give --fps or --videos")
    first = item.first_frame if isinstance(item, Target) else 0
    start, end = float(frame_time(first, fps)), float(frame_time(first + item.num_frames, fps))
    record |= {"clip": [start, end], "seconds": seconds_of(item.num_frames, fps)}
    if isinstance(item, Scene):
        tracks = [
            {"label": label, "track": states(boxes, size, fps, args.aggregation)}
            for label, boxes in item.tracks.items()
        ]
        tracks = [track for track in tracks if track["track"]]
        if not tracks:
            raise _Drop(Reason.NO_BOX, "no target of the scene has a visible box")
        return record | {"tracks": tracks}
    if not 0 <= item.begin < item.end <= item.num_frames:
        raise _Drop(Reason.BAD_SPAN, f"frames [{item.begin}, {item.end}) of a clip of {item.num_frames}")
    visible = {frame: box for frame, box in item.boxes.items() if item.begin <= frame < item.end}
    track = states(visible, size, fps, args.aggregation)
    if not track:
        raise _Drop(Reason.NO_BOX, f"no visible box in frames [{item.begin}, {item.end})")
    span = list(span_of_frames(item.begin, item.end, fps))
    return record | {"label": item.label, "span": span, "track": track} | dict(item.extra)


def states(boxes: Mapping[int, Box], size: tuple[int, int], fps: float, method: str) -> list[dict[str, Any]]:
    """Second-level states of frame boxes in pixels, clipped to the picture.

    Raises:
        _Drop: a box is not four finite numbers.
    """
    try:
        by_second = aggregate_frames(normalised(boxes, size), fps, method)
    except ValueError as error:
        raise _Drop(Reason.BAD_BOX, str(error)) from None
    return [{"second": second, "box": list(box)} for second, box in sorted(by_second.items())]


def normalised(boxes: Mapping[int, Box], size: tuple[int, int]) -> dict[int, tuple[float, float, float, float]]:
    """Boxes in shares of the picture, clipped to it; what is left with nothing in it is out."""
    width, height = size
    found = {}
    for frame, (left, top, right, bottom) in boxes.items():
        if not all(abs(side) < 1e9 for side in (left, top, right, bottom)):  # NaN fails too
            raise _Drop(Reason.BAD_BOX, f"frame {frame}: {[left, top, right, bottom]}")
        box = (max(left, 0) / width, max(top, 0) / height, min(right, width) / width, min(bottom, height) / height)
        if box[0] < box[2] and box[1] < box[3]:
            found[frame] = box
    return found


def frame_line(item: Target, record: dict[str, Any]) -> dict[str, Any]:
    """A line of `<out>.frames.jsonl`: the event on frames, for the frame-level protocols."""
    boxes = normalised(item.boxes, (record["width"], record["height"]))
    return {
        "id": item.id,
        "fps": record["fps"],
        "begin": item.begin,
        "end": item.end,
        "num_frames": item.num_frames,
        "first_frame": item.first_frame,
        "boxes": [
            {"frame": f, "box": [round(v, 6) for v in box]}
            for f, box in sorted(boxes.items())
            if item.begin <= f < item.end
        ],
    }


def _size_and_rate(
    item: Target | Scene | Text, args: argparse.Namespace
) -> tuple[tuple[int, int] | None, float | None]:
    """Picture size and rate: the source's, else the options', else the video's. Checks the video where it can."""
    size, fps = item.size or args.size, item.fps or args.fps
    if size is not None and not (0 < size[0] <= 1 << 20 and 0 < size[1] <= 1 << 20):
        raise _Drop(Reason.BAD_SIZE, f"{size[0]} x {size[1]} pixels")
    if args.videos is None:
        return size, fps
    try:
        path = resolve_video(args.videos, item.video)
    except RecordError as error:
        raise _Drop(Reason.BAD_PATH, str(error)) from None
    if path.is_dir():  # a folder of frames: it states no rate, and its first picture the size
        return size or _size_of_frames(path), fps
    if not path.is_file():
        raise _Drop(Reason.MISSING_VIDEO, f"{item.video} is not under {args.videos}")
    if size is None or fps is None:
        try:
            info = probe(path)
        except VideoError as error:
            raise _Drop(Reason.BAD_VIDEO, str(error)) from None
        size, fps = size or (info.width, info.height), fps or float(info.fps)
    return size, fps


def _size_of_frames(folder: Path) -> tuple[int, int] | None:
    from PIL import Image, UnidentifiedImageError

    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            try:
                with Image.open(path) as picture:
                    return picture.size
            except (OSError, UnidentifiedImageError):
                return None
    return None
