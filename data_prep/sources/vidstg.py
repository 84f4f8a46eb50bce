"""VidSTG on VidOR: declarative and interrogative sentences about objects of one video.

    python -m data_prep vidstg --annotations VidSTG/annotations --vidor VidOR/annotation --split val --out val.jsonl

`used_segment` (last frame included) is the clip, `temporal_gt` (end excluded) the event. Boxes are VidOR's, joined on
`vid` and `target_id`; their right and lower pixels are included, so 1 is added.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_prep.audit import Audit
from data_prep.convert import Dropped, Item, Target, convert
from data_prep.convert import add_arguments as add_common
from data_prep.json_stream import read_list
from data_prep.reasons import Reason
from data_prep.records import RecordError

NAME = "vidstg"
# Sentences of each split: captions and questions (36,202 train captions; its questions are not published as a count).
EXPECTED = {"val": 3996 + 4960, "test": 4610 + 5693}
LARGEST = 512 << 20  # bytes of one VidOR file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_common(parser)
    parser.add_argument("--vidor", type=Path, help="VidOR's annotation folder (training/, validation/), for the boxes")


def run(args: argparse.Namespace) -> None:
    """Convert."""
    convert(NAME, read, args)


def files_of(args: argparse.Namespace) -> list[tuple[str, Path]]:
    """(split, annotation file) pairs under --annotations.

    Raises:
        RecordError: none is there.
    """
    if args.annotations.is_file():
        return [(args.split or args.annotations.stem.removesuffix("_annotations"), args.annotations)]
    found = sorted(args.annotations.rglob("*_annotations.json"))
    pairs = [(path.stem.removesuffix("_annotations"), path) for path in found]
    pairs = [pair for pair in pairs if args.split in (None, pair[0])]
    if not pairs:
        wanted = f"{args.split or '*'}_annotations.json"
        raise RecordError(f"--annotations {args.annotations}: no {wanted} in it")
    return pairs


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """One item a sentence."""
    pairs = files_of(args)
    counts = [EXPECTED.get(split) for split, _ in pairs]
    if None not in counts:
        audit.expected = sum(count for count in counts if count is not None)
    boxes = VidOR(args.vidor)
    for split, path in pairs:
        for index, record in enumerate(read_list(path)):
            yield from sentences(record, split, index, boxes)


def sentences(record: Any, split: str, index: int, boxes: VidOR) -> Iterator[Item]:
    """The declarative and interrogative sentences of one record."""
    place = f"{NAME}/{split}/{index}"
    try:
        vid = record["vid"]
        clip = record["used_segment"]["begin_fid"], record["used_segment"]["end_fid"]
        event = record["temporal_gt"]["begin_fid"], record["temporal_gt"]["end_fid"]
        names = {item["tid"]: item["category"] for item in record["subject/objects"]}
        texts = [("declarative", text) for text in record["captions"]]
        texts += [("interrogative", text) for text in record["questions"]]
        fps, size, count = float(record["fps"]), (record["width"], record["height"]), record["frame_count"]
        numbers = (*clip, *event, count, *size)
        if not isinstance(vid, str) or not vid.isdigit() or not all(type(number) is int for number in numbers):
            raise TypeError("vid, frames and sizes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield Dropped(place, Reason.MALFORMED, f"record {index}: {type(error).__name__} {error}")
        return
    if not 0 <= clip[0] <= clip[1] < count:
        yield from (
            Dropped(f"{place}/{n}", Reason.BAD_SPAN, f"used_segment {list(clip)} of {count} frames")
            for n in range(len(texts))
        )
        return
    for number, (kind, text) in enumerate(texts):
        name = f"{place}/{number}"
        try:
            query, target = text["description"], text["target_id"]
            label = str(names[target])
        except (KeyError, TypeError):
            yield Dropped(name, Reason.MALFORMED, f"sentence {text!r:.80}: no description or known target_id")
            continue
        found = boxes.of(vid, target)
        if isinstance(found, str):
            yield Dropped(name, Reason.NO_ANNOTATION, found)
            continue
        folder, by_frame = found
        yield Target(
            id=name,
            split=split,
            kind=kind,
            video=f"{folder}/{vid}.mp4",
            query=str(query),
            label=f"{label.split('/')[-1]}-1",
            num_frames=clip[1] - clip[0] + 1,
            begin=event[0] - clip[0],
            end=event[1] - clip[0],
            boxes={frame - clip[0]: box for frame, box in by_frame.items() if clip[0] <= frame <= clip[1]},
            fps=fps,
            size=size,
            first_frame=clip[0],
            extra={"vid": vid, "target_type": text.get("type"), "distractors": distractors(names, target)},
        )


def distractors(names: dict[Any, Any], target: Any) -> int:
    """Other objects of the target's category that the record lists."""
    return sum(other != target and name == names[target] for other, name in names.items())


class VidOR:
    """Boxes of VidOR's videos, a file a video; the last few files are kept.

    Args:
        root: `annotation/`, with `training/<folder>/<vid>.json` and `validation/...`; None: no boxes at hand.
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._files: dict[str, Path] | None = None
        self._read = lru_cache(maxsize=4)(self._trajectories)

    def of(self, vid: str, target: int) -> tuple[str, dict[int, tuple[float, float, float, float]]] | str:
        """(folder, frame -> box in pixels) of one target, or what is missing."""
        if self.root is None:
            return "no boxes: give VidOR's annotation folder as --vidor"
        if self._files is None:
            self._files = {path.stem: path for path in self.root.rglob("*.json")}
        path = self._files.get(vid)
        if path is None:
            return f"{vid}.json is not under {self.root}"
        trajectories = self._read(path)
        if isinstance(trajectories, str):
            return trajectories
        return path.parent.name, trajectories.get(target, {})

    def _trajectories(self, path: Path) -> dict[int, dict[int, tuple[float, float, float, float]]] | str:
        if path.stat().st_size > LARGEST:
            return f"{path}: {path.stat().st_size} bytes, at most {LARGEST} are read"
        by_target: dict[int, dict[int, tuple[float, float, float, float]]] = {}
        try:
            annotation = json.loads(path.read_bytes())
            for frame, listed in enumerate(annotation["trajectories"]):
                for entry in listed:
                    box = entry["bbox"]
                    corners = (box["xmin"], box["ymin"], box["xmax"] + 1, box["ymax"] + 1)
                    by_target.setdefault(entry["tid"], {})[frame] = tuple(map(float, corners))  # type: ignore[assignment]
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            return f"{path}: {type(error).__name__} {error}"
        return by_target
