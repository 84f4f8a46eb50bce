"""Read Label Studio's JSON and JSON-MIN exports of video tasks: rectangles with keyframes.

Label Studio shows a rectangle from its first keyframe on. Between two keyframes it moves in a straight line, one that
is not `enabled` hides it until the next, and the last stays until the end. Frames are of the tool's own rate, from 1:
frame f is what the player shows at `time` = f / rate. Boxes are per cent of the picture, turned about their corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.annotations.documents import texts_in
from data_prep.annotations.keyframes import Keyframes
from data_prep.annotations.marks import Marks, Reading, Unread, numbers, text_of
from data_prep.annotations.videos import is_film
from data_prep.convert.building import FASTEST, SLOWEST
from data_prep.convert.json_stream import read_list, read_object
from data_prep.convert.reasons import Drop, Reason
from data_prep.validation import quote

RECTANGLE = "videorectangle"
NO_ANNOTATION = "tasks without an annotation"
SECOND_HANDS = "further annotations of a task"


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the rectangles of each task.

    Raises:
        RecordError: the file is no JSON.
    """
    with path.open("rb") as stream:
        is_list = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    tasks: Iterator[Any] = read_list(path) if is_list else iter([dict(read_object(path))])
    for number, task in enumerate(tasks, 1):
        if type(task) is not dict:
            yield Unread(str(number), Reason.MALFORMED, f"{path.name} entry {number}: {quote(task)}, expected a task")
            continue
        name = text_of(task.get("id")) or str(number)
        data = task["data"] if type(task.get("data")) is dict else task
        for region, value, texts in _regions(task, reading):
            item = f"{name}/{region}"
            try:
                yield _marks(item, value, _video_in(data), texts | texts_in(data))
            except Drop as drop:
                yield Unread(item, drop.reason, f"{path.name} task {name} region {region}: {drop}")


def _regions(task: Mapping[str, Any], reading: Reading) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Yield name, value and texts of each rectangle of a task, in either export."""
    if "annotations" not in task and "completions" not in task:  # JSON-MIN
        number = 0
        for values in task.values():
            for value in values if type(values) is list else ():
                if type(value) is dict and "sequence" in value:
                    number += 1
                    yield str(number), value, texts_in(value)
        return
    hands = task.get("annotations") or task.get("completions") or []
    hands = [hand for hand in hands if type(hand) is dict and not hand.get("was_cancelled")]
    reading.ignore(NO_ANNOTATION, int(not hands))
    reading.ignore(SECOND_HANDS, max(0, len(hands) - 1))
    results = hands[0].get("result") if hands else None
    results = [result for result in results if type(result) is dict] if type(results) is list else []
    for number, result in enumerate(results, 1):
        value = result.get("value")
        kind = str(result.get("type", "")).lower()
        if kind == RECTANGLE and type(value) is dict:
            region = result.get("id")
            yield text_of(region) or str(number), value, _texts(region, results)
        elif kind.startswith(("timeline", "rectangle", "video")):
            reading.ignore(f"regions of type {quote(kind, 40)}")


def _texts(region: Any, results: list[dict[str, Any]]) -> dict[str, str]:
    """Return what was written or chosen about a region: name of the tag -> text."""
    texts: dict[str, str] = {}
    for result in results if region is not None else ():
        if result.get("id") != region:
            continue
        value, meta = result.get("value"), result.get("meta")
        for owner, key, name in ((value, "text", "from_name"), (value, "choices", "from_name"), (meta, "text", "")):
            words = owner.get(key) if type(owner) is dict else None
            words = [words] if type(words) is str else words if type(words) is list else []
            text = " ".join(word for word in words if type(word) is str).strip()
            if text:
                texts.setdefault(text_of(result.get(name)) or "meta", text)
    return texts


def _video_in(data: Mapping[str, Any]) -> str | None:
    """Return the address of a task's video: the field `video`, or the first one that looks like a film."""
    candidates = [data.get("video"), *data.values()]
    return next((one for one in candidates if type(one) is str and is_film(one)), text_of(data.get("video")))


def _marks(name: str, value: Mapping[str, Any], video: str | None, texts: Mapping[str, str]) -> Marks:
    """Return a rectangle as keyframes.

    Raises:
        Drop: it has none, or one is of another kind.
    """
    sequence = value.get("sequence")
    if type(sequence) is not list or not sequence or not all(type(one) is dict for one in sequence):
        raise Drop(Reason.NO_BOX, f"sequence {quote(sequence)}, expected a list of keyframes")
    rows = np.array(
        [
            numbers([one.get(key) for key in ("frame", "x", "y", "width", "height")], 5, "keyframe")
            + numbers([one.get("rotation") or 0, one.get("time") or 0], 2, "rotation and time")
            for one in sequence
        ]
    )
    shown = np.array([one.get("enabled") is not False for one in sequence])
    order = np.argsort(rows[:, 0], kind="stable")
    rows, shown = rows[order], shown[order]
    if (np.diff(rows[:, 0]) == 0).any():
        raise Drop(Reason.AMBIGUOUS, f"two keyframes on frame {rows[:-1, 0][np.diff(rows[:, 0]) == 0][0]:g}")
    boxes = np.column_stack([rows[:, 1:3], rows[:, 1:3] + rows[:, 3:5]])
    labels = next((found for key, found in value.items() if key.lower().endswith("labels") and found), None)
    label = labels[0] if type(labels) is list else labels
    return Marks(
        name=name,
        video=video,
        boxes=Keyframes(
            rows[:, 0], boxes, shown, rows[:, 5] if rows[:, 5].any() else None, about_centre=False, closed=True
        ),
        unit="percent",
        label=text_of(label),
        attributes=(texts,),
        rate=_rate(value, rows),
    )


def _rate(value: Mapping[str, Any], rows: np.ndarray) -> float:
    """Return the tool's frames a second: a keyframe's frame over its time, or the video's frames over its length.

    Raises:
        Drop: neither is stated.
    """
    latest = rows[rows[:, 6].argmax()]
    frames, seconds = float(latest[0]), float(latest[6])
    if seconds <= 0:
        lengths = [value.get("framesCount") or 0, value.get("duration") or 0]
        frames, seconds = numbers(lengths, 2, "framesCount, duration")
    if seconds <= 0 or not SLOWEST <= frames / seconds <= FASTEST:
        detail = f"{frames:g} frames in {seconds:g} s, expected a keyframe's time, or framesCount and duration"
        raise Drop(Reason.UNKNOWN_FPS, detail)
    return frames / seconds
