"""Read lines of one's own: `{"video": ..., "query": ..., "span": [begin, end], "boxes": ...}`, times in seconds.

`boxes` is an object of second -> box, a list of `[time, x_min, y_min, x_max, y_max]`, or a list of objects with `box`
and one of `second`, `time` and `frame`. Without boxes the line says only when something happens; without a span that
is as long as there are boxes. `spans` holds several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from data_prep.annotations.marks import Marks, Reading, Samples, Unread, numbers, text_of
from data_prep.convert.json_lines import read_lines
from data_prep.convert.reasons import Drop, Reason
from data_prep.validation import quote

LONGEST = 64 << 20  # bytes of a line
_MOMENT = "second, time or frame"


def read(path: Path, reading: Reading) -> Iterator[Marks | Unread]:
    """Yield the object of each line."""
    for number, line in read_lines(path, LONGEST):
        where = f"{path.name}:{number}"
        if line is None:
            yield Unread(str(number), Reason.MALFORMED, f"{where}: a line of {LONGEST} bytes or more")
            continue
        try:
            yield marks_of(orjson.loads(line), number, reading)
        except Drop as drop:
            yield Unread(str(number), drop.reason, f"{where}: {drop}")
        except ValueError as error:
            yield Unread(str(number), Reason.MALFORMED, f"{where}: no JSON ({quote(str(error))})")


def marks_of(line: Any, number: int, reading: Reading) -> Marks:
    """Return the object of one line.

    Raises:
        Drop: a field is of another kind.
    """
    if type(line) is not dict:
        raise Drop(Reason.MALFORMED, f"{quote(line)}, expected an object with video, query and boxes")
    video = line.get("video")
    if video is not None and type(video) is not str:
        raise Drop(Reason.MALFORMED, f"video {quote(video)}, expected text")
    return Marks(
        name=text_of(line.get("id")) or str(number),
        video=video,
        boxes=_samples(line.get("boxes"), reading),
        unit=reading.unit,
        label=text_of(line.get("label")),
        query=text_of(line.get("query")),
        attributes=({name: value for name, value in line.items() if type(value) is str},),
        events=events_of(line),
    )


def events_of(line: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return the [begin, end) of `span` or `spans`, seconds.

    Raises:
        Drop: they are no pairs of numbers.
    """
    several = line.get("spans")
    if several is None:
        several = [] if line.get("span") is None else [line["span"]]
    if type(several) is not list:
        raise Drop(Reason.BAD_SPAN, f"spans {quote(several)}, expected a list of [begin, end], seconds")
    events = []
    for pair in several:
        try:
            begin, end = numbers(pair, 2, "span")
        except Drop as drop:
            raise Drop(Reason.BAD_SPAN, str(drop)) from None
        events.append((begin, end))
    return tuple(events)


def _samples(boxes: Any, reading: Reading) -> Samples | None:
    """Return the boxes of a line, in seconds or on frames.

    Raises:
        Drop: they are in another form, or some on frames and some not.
    """
    if boxes is None or boxes == [] or boxes == {}:
        return None
    if type(boxes) is dict:
        rows = [(_number(key, "second"), False, numbers(box, 4, f"box at {key}")) for key, box in boxes.items()]
    elif type(boxes) is list:
        rows = [_row(entry, index, reading) for index, entry in enumerate(boxes)]
    else:
        raise Drop(Reason.MALFORMED, f"boxes {quote(boxes)}, expected a list or an object of second -> box")
    if len({on_frame for _, on_frame, _ in rows}) > 1:
        raise Drop(Reason.MALFORMED, "boxes: some have a frame and some a time, expected one of them")
    positions = np.array([position for position, _, _ in rows])
    return Samples(positions, np.array([box for _, _, box in rows]), in_seconds=not rows[0][1])


def _row(entry: Any, index: int, reading: Reading) -> tuple[float, bool, list[float]]:
    """Return the position of a box, whether that is a frame, and the box.

    Raises:
        Drop: it is in another form.
    """
    if type(entry) is list:
        time, *box = numbers(entry, 5, f"boxes[{index}]")
        return time, False, box
    if type(entry) is not dict or "box" not in entry:
        raise Drop(Reason.MALFORMED, f"boxes[{index}]: {quote(entry)}, expected a box and one of {_MOMENT}")
    box = numbers(entry["box"], 4, f"boxes[{index}].box")
    if "frame" in entry:
        return _number(entry["frame"], "frame") - reading.first_frame, True, box
    for name in ("time", "second"):
        if name in entry:
            return _number(entry[name], name), False, box
    raise Drop(Reason.MALFORMED, f"boxes[{index}]: {quote(entry)}, expected one of {_MOMENT}")


def _number(value: Any, what: str) -> float:
    return numbers([value], 1, what)[0]
