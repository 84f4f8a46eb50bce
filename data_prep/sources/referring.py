"""Sentences about masked objects of a video: what MeViS, ReVOS and Refer-YouTube-VOS share.

A sentence about one object becomes its track, one about several a scene, and one about none (ReVOS) a sentence without
a target. The event lasts as long as the objects are seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.boxes import FrameBoxes
from data_prep.convert.conversion import Dropped, Item, Moments, Question, Scene, Target
from data_prep.convert.json_stream import read_object
from data_prep.convert.reasons import Reason
from data_prep.records import RecordError
from data_prep.sources.rle import boxes_of
from data_prep.sources.rows import BadFile
from data_prep.validation import quote

Size = tuple[int, int]


def videos_of(path: Path) -> dict[str, Any]:
    """Return video -> its sentences and frames, of a `meta_expressions.json`.

    Raises:
        RecordError: the file is none.
    """
    for key, value in read_object(path):
        if key == "videos" and type(value) is dict:
            return value
    raise RecordError(f"{path}: no object 'videos' in it, expected a meta_expressions.json")


def sentences_of(video: Any) -> dict[str, Any]:
    """Return number -> sentence of a video; an empty object where it is of another kind."""
    sentences = video.get("expressions") if type(video) is dict else None
    return sentences if type(sentences) is dict else {}


def frames_of(video: Any, where: str) -> list[str]:
    """Return the names of a video's pictures, in order.

    Raises:
        BadFile: they are no texts.
    """
    frames = video.get("frames") if type(video) is dict else None
    if type(frames) is not list or not frames or not all(type(frame) is str for frame in frames):
        raise BadFile(Reason.MALFORMED, f"{where}: frames {quote(frames)}, expected a list of names")
    return sorted(frames)


def objects_of(sentence: Any, field: str) -> list[str] | None:
    """Return the names of the objects that a sentence is about; None where it does not say.

    >>> objects_of({"anno_id": [3, 4]}, "anno_id"), objects_of({"obj_id": "2"}, "obj_id"), objects_of({}, "obj_id")
    (['3', '4'], ['2'], None)
    """
    stated = sentence.get(field)
    if stated is None:
        return None
    return [str(one) for one in (stated if type(stated) is list else [stated])]


def item_of(
    record_id: str,
    split: str,
    video: str,
    sentence: Any,
    names: list[str] | None,
    tracks: Mapping[str, FrameBoxes],
    *,
    num_frames: int,
    fps: float | None,
    size: Size | None,
    labels: Mapping[str, str] | None = None,
) -> Item:
    """Return the item of one sentence, or why there is none.

    Args:
        names: of the objects that it is about; None: the source does not say (test splits).
        tracks: object -> its boxes on frames.
        labels: object -> its kind.
    """
    query = sentence.get("exp") if type(sentence) is dict else None
    if type(query) is not str:
        return Dropped(record_id, Reason.MALFORMED, f"exp {quote(query)}, expected text")
    if names is None:
        return Question(record_id, split, video, query)
    kind = "interrogative" if query.rstrip().endswith("?") else "declarative"
    if not names:
        return Moments(record_id, split, kind, video, query, [], num_frames=num_frames, fps=fps, size=size)
    missing = [name for name in names if name not in tracks]
    if missing:
        return Dropped(record_id, Reason.NO_ANNOTATION, f"object {quote(missing[0])}: no mask of it")
    seen = {name: tracks[name] for name in names if len(tracks[name].frames)}
    if not seen:
        return Dropped(record_id, Reason.NO_BOX, "its masks are empty")
    if len(names) > 1:
        called = {f"{(labels or {}).get(name, 'object')}-{n}": seen[name] for n, name in enumerate(seen, 1)}
        return Scene(record_id, split, video, query, num_frames, called, fps, size)
    (boxes,) = seen.values()
    return Target(
        id=record_id,
        split=split,
        kind=kind,
        video=video,
        query=query,
        label=f"{(labels or {}).get(names[0], 'object')}-1",
        num_frames=num_frames,
        begin=int(boxes.frames[0]),
        end=int(boxes.frames[-1]) + 1,
        boxes=boxes,
        fps=fps,
        size=size,
        extra={"distractors": len(tracks) - 1},
    )


def read_masks(path: Path, wanted: set[str]) -> Iterator[tuple[str, FrameBoxes, Size | None]]:
    """Yield object, boxes on frames and (width, height) of a `mask_dict.json`, one object at a time.

    An object whose masks are no run lengths is left out, so that its sentences are counted as without annotation.

    Args:
        wanted: the objects that sentences are about.

    Raises:
        RecordError: the file is none.
    """
    for name, masks in read_object(path):
        if name not in wanted or type(masks) is not list:
            continue
        seen = [index for index, mask in enumerate(masks) if mask is not None]
        size = _size_of(masks[seen[0]]) if seen else None
        try:
            boxes = boxes_of([masks[index] for index in seen], size or (1, 1), f"{path.name} {name}")
        except BadFile:
            continue
        yield name, FrameBoxes(np.array(seen, np.int64)[boxes.frames], boxes.boxes), size


def _size_of(mask: Any) -> Size | None:
    """Return the (width, height) that a mask states; None where it states none."""
    shape = mask.get("size") if type(mask) is dict else None
    if type(shape) is not list or len(shape) != 2:
        return None
    if not all(type(side) is int and 0 < side < 1 << 16 for side in shape):
        return None
    return shape[1], shape[0]
