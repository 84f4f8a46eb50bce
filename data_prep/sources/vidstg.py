"""VidSTG on VidOR: declarative and interrogative sentences about objects of one video.

    python -m data_prep vidstg --annotations VidSTG/annotations --vidor VidOR/annotation --split val --out val.jsonl

`used_segment` (last frame included) is the clip, `temporal_gt` (end excluded) the event. Boxes are VidOR's, joined on
`vid` and `target_id`; their right and lower pixels are included, so 1 is added.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.boxes import FrameBoxes
from data_prep.convert.audit import Audit
from data_prep.convert.conversion import Dropped, Item, Target, convert
from data_prep.convert.conversion import add_arguments as add_common
from data_prep.convert.json_stream import read_list
from data_prep.convert.reasons import Reason
from data_prep.records import RecordError
from data_prep.sources.vidor import VidOR

NAME = "vidstg"
# Each record has one caption; how many questions train has was not published.
EXPECTED = {
    "train": {"records": 36202, "captions": 36202},
    "val": {"records": 3996, "captions": 3996, "questions": 4960},
    "test": {"records": 4610, "captions": 4610, "questions": 5693},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_common(parser)
    parser.add_argument("--vidor", type=Path, help="VidOR's annotation folder (training/, validation/), for the boxes")


def run(args: argparse.Namespace) -> None:
    """Convert the annotations into a track file, and report what was dropped."""
    convert(NAME, read, args)


def files_of(args: argparse.Namespace) -> list[tuple[str, Path]]:
    """Return the (split, annotation file) pairs under --annotations.

    Raises:
        RecordError: none is there.
    """
    if args.annotations.is_file():
        return [(args.split or args.annotations.stem.removesuffix("_annotations"), args.annotations)]
    paths = sorted(args.annotations.rglob("*_annotations.json")) or sorted(args.annotations.glob("*.json"))
    pairs = [(path.stem.removesuffix("_annotations"), path) for path in paths]
    pairs = [pair for pair in pairs if args.split in (None, pair[0])]
    if not pairs:
        wanted = f"{args.split or '*'}_annotations.json"
        raise RecordError(f"--annotations {args.annotations}: no {wanted} in it")
    return pairs


def read(args: argparse.Namespace, audit: Audit) -> Iterator[Item]:
    """Yield one item for each sentence."""
    pairs = files_of(args)
    boxes = VidOR(args.vidor)
    for split, path in pairs:
        audit.expect(EXPECTED.get(split))
        for index, record in enumerate(read_list(path)):
            audit.count("records")
            yield from sentences(record, split, index, boxes, audit)


def sentences(record: Any, split: str, index: int, boxes: VidOR, audit: Audit) -> Iterator[Item]:
    """Yield the declarative and interrogative sentences of one record."""
    clip_id = f"{NAME}/{split}/{index}"
    try:
        vid = record["vid"]
        segment, event = record["used_segment"], record["temporal_gt"]
        first, last, begin, end = segment["begin_fid"], segment["end_fid"], event["begin_fid"], event["end_fid"]
        names = {item["tid"]: item["category"] for item in record["subject/objects"]}
        captions, questions = record["captions"], record["questions"]
        fps, width, height, count = record["fps"], record["width"], record["height"], record["frame_count"]
        numbers = {"used_segment": first, "used_segment end": last, "temporal_gt": begin, "temporal_gt end": end}
        numbers |= {"width": width, "height": height, "frame_count": count}
        for key, number in numbers.items():
            if type(number) is not int or abs(number) > 1 << 31:
                raise TypeError(f"{key} {number!r:.60}, expected a whole number")
        if type(vid) is not str or not vid.isdecimal() or not vid.isascii():
            raise TypeError(f"vid {vid!r:.60}, expected digits")
        if type(fps) is not int and type(fps) is not float:
            raise TypeError(f"fps {fps!r:.60}, expected a number")
        if type(captions) is not list or type(questions) is not list:
            raise TypeError("captions and questions, expected lists")
        fps = float(fps)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        missing = "missing field " if isinstance(error, KeyError) else ""
        yield Dropped(clip_id, Reason.MALFORMED, f"record {index}: {missing}{error}")
        return
    audit.count("captions", len(captions))
    audit.count("questions", len(questions))
    texts = [("declarative", text) for text in captions] + [("interrogative", text) for text in questions]
    if not texts:
        yield Dropped(clip_id, Reason.NO_QUERY, f"record {index}: no caption and no question")
    problem = None
    if not 0 <= first <= last < count:
        problem = f"used_segment [{first}, {last}] of {count} frames"
    elif not first <= begin < end <= last + 1:
        problem = f"temporal_gt [{begin}, {end}) outside used_segment [{first}, {last}]"
    for number, (kind, text) in enumerate(texts):
        name = f"{clip_id}/{number}"
        if problem:
            yield Dropped(name, Reason.BAD_SPAN, problem)
            continue
        try:
            query, target = text["description"], text["target_id"]
            label = names[target]
            if type(query) is not str or type(label) is not str:
                raise TypeError
        except (KeyError, TypeError):
            yield Dropped(name, Reason.MALFORMED, f"sentence {text!r:.80}: no description or known target_id")
            continue
        result = boxes.of(vid, target)
        if isinstance(result, str):
            yield Dropped(name, Reason.NO_ANNOTATION, result)
            continue
        video, on_frames = result
        frames, corners = on_frames.between(begin, end)
        yield Target(
            id=name,
            split=split,
            kind=kind,
            video=video,
            query=query,
            label=f"{label.split('/')[-1]}-1",
            num_frames=last - first + 1,
            begin=begin - first,
            end=end - first,
            boxes=FrameBoxes(frames - first, corners),
            fps=fps,
            size=(width, height),
            first_frame=first,
            extra={"vid": vid, "target_type": text.get("type"), "distractors": distractors(names, target)},
        )


def distractors(names: dict[Any, Any], target: Any) -> int:
    """Count the other objects of the target's category that the record lists."""
    return sum(other != target and name == names[target] for other, name in names.items())
