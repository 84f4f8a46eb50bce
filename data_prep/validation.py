"""What makes a record valid, and one clear line for what does not."""

import math
import re
from collections.abc import Mapping
from typing import Any, cast

from data_prep.record_type import Record
from data_prep.seconds import LIMIT_NAME, length_problem, most_seconds

SCHEMA_VERSION = 1
GROUNDING_KINDS = ("declarative", "interrogative", "tracking")
TEXT_KINDS = ("caption", "qa")
KINDS = (*GROUNDING_KINDS, "scene", *TEXT_KINDS)
FIELDS = (
    "schema", "id", "source", "split", "kind", "video", "clip", "fps", "width", "height", "seconds", "query",
    "label", "span", "track", "answer",
)  # fmt: skip
_EDGES = ("x_min", "y_min", "x_max", "y_max")
_MAX_SIDE = 1 << 20
_PLAIN_PATH = re.compile(r"(?:\w[\w.-]*/)*\w[\w.-]*", re.ASCII).fullmatch


class RecordError(ValueError):
    """A record, or a line that should hold one, is not valid; the message is one line."""


class _Wrong(Exception):
    """What is wrong, before it is known which record and line it is in."""


def validate_record(record: Any, where: str = "") -> Record:
    """Check one record and return it as a new dict: the fields of `FIELDS` in order, then the added ones.

    A field that its kind lets be null may be missing and comes back as None: `answer` for grounding kinds and
    scenes; `label`, `span`, `track`, `fps`, `width`, `height`, `clip` and `seconds` for captions and questions
    (a null clip is the whole file); `label`, `span`, `track` and `answer` for scenes, which have `tracks`.

    Args:
        record: what was read or is to be written.
        where: file and line, or whatever says where the record stands; it opens the error's message.

    Raises:
        RecordError: naming the record's id, the field, what was found and what was expected.

    Example:
        >>> record = {"schema": 1, "id": "demo/0", "source": "demo", "split": "train", "kind": "declarative",
        ...     "video": "a/0.mp4", "clip": [0, 3], "fps": 30, "width": 64, "height": 48, "seconds": 3,
        ...     "query": "the dog runs", "label": "dog-1", "span": [1, 2],
        ...     "track": [{"second": 1, "box": [0.44, 0.1, 0.31, 0.2]}]}
        >>> validate_record(record, "tracks.jsonl:7")
        Traceback (most recent call last):
        data_prep.validation.RecordError: tracks.jsonl:7: record demo/0 second 1: x_max 0.31 < x_min 0.44
    """
    if type(record) is dict and _is_plain(record):
        return _ordered(record)
    prefix = f"{where}: " if where else ""
    if not isinstance(record, Mapping):
        raise RecordError(f"{prefix}{quote(record)}, expected a record (a JSON object)")
    record_id = record.get("id")
    name = f"record {quote(record_id, 200)}" if isinstance(record_id, str) and record_id else "record without id"
    try:
        return _validated(record)
    except _Wrong as wrong:
        raise RecordError(f"{prefix}{name} {wrong}") from None


def check_video_path(path: Any) -> str:
    """A relative POSIX path that stays under its root, returned as it is.

    Raises:
        RecordError: for anything else.
    """
    try:
        return _video_path(path)
    except _Wrong as wrong:
        raise RecordError(str(wrong)) from None


def check_clip(record: Mapping[str, Any], where: str) -> None:
    """Check `clip` and `seconds` of a line that is no whole record.

    Raises:
        RecordError: one is missing, or they do not fit each other.
    """
    try:
        _clip(record, _seconds(record, None, nullable=False), nullable=False)
    except _Wrong as wrong:
        raise RecordError(f"{where}: {wrong}") from None


def quote(value: Any, limit: int = 80) -> str:
    """A value for a one-line message: printable, and cut where it is long."""
    if isinstance(value, str):
        text = value[: limit + 1]
    elif isinstance(value, (list, tuple, Mapping)) and len(value) > 8:
        text = f"{type(value).__name__} of {len(value)} entries"
    else:
        try:
            text = repr(value)
        except (ValueError, RecursionError):  # an integer of thousands of digits; a list nested too deeply
            text = f"a {type(value).__name__} too long to show"
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _validated(record: Mapping[str, Any]) -> Record:
    kind = record.get("kind")
    if kind not in KINDS:
        raise _Wrong(_message("kind", record, f"one of {', '.join(KINDS)}"))
    version = record.get("schema")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise _Wrong(_message("schema", record, f"{SCHEMA_VERSION}"))
    is_text, is_scene = kind in TEXT_KINDS, kind == "scene"
    for field in ("id", "source", "split", "query"):
        _text(field, record)
    _video_path(record.get("video") if "video" in record else None)
    for field in ("width", "height"):
        _whole(field, record, 1, _MAX_SIDE, nullable=is_text)
    fps: Any = record.get("fps")
    if not (is_text and fps is None) and not (_is_number(fps) and fps > 0):
        raise _Wrong(_message("fps", record, "a finite number above 0"))
    rate: Any = record.get("rate")
    if rate is not None and not (_is_number(rate) and 0 < rate <= 1000):
        raise _Wrong(_message("rate", record, "frames a second, above 0 and at most 1000, or null"))
    seconds = _seconds(record, rate, nullable=is_text)
    _clip(record, seconds, nullable=is_text)
    if is_text:
        for field in ("label", "span", "track"):
            if record.get(field) is not None:
                raise _Wrong(_message(field, record, f"null for kind {kind}"))
        _text("answer", record)
    elif record.get("answer") is not None:
        _text("answer", record)
    span = None if is_text or seconds is None else _span(record, seconds, nullable=is_scene)
    if is_scene:
        if record.get("label") is not None:
            _text("label", record)
        if record.get("track") is not None:
            raise _Wrong(_message("track", record, "null for kind scene, which has tracks"))
        _tracks(record, span, seconds or 0)
    elif record.get("tracks") is not None:
        raise _Wrong(_message("tracks", record, f"none for kind {kind}"))
    elif not is_text:
        _text("label", record)
        if "track" not in record:
            raise _Wrong(_message("track", record, "a list of {second, box}"))
        _track(record["track"], span, seconds or 0, "")
    return _ordered(record)


def _ordered(record: Mapping[str, Any]) -> Record:
    if tuple(record)[: len(FIELDS)] == FIELDS:
        return cast(Record, dict(record))
    extra = {field: value for field, value in record.items() if field not in FIELDS}
    return cast(Record, {field: record.get(field) for field in FIELDS} | extra)


def _is_plain(record: dict[str, Any]) -> bool:
    """Whether a record is right and of the types that nearly all have.

    The checks of `_validated` in one piece, because a function a field took a third of a converter's time. What is
    not plain goes through those, which say what is wrong; a test holds that nothing else passes here.
    """
    get = record.get
    kind, width, height, fps, seconds, clip = (
        get("kind"), get("width"), get("height"), get("fps"), get("seconds"), get("clip")
    )  # fmt: skip
    if type(kind) is not str or kind not in KINDS or get("schema") is not SCHEMA_VERSION:
        return False
    for text in (get("id"), get("source"), get("split"), get("query"), get("video")):
        if type(text) is not str or not text.isascii() or text.isspace() or not text:
            return False
    if not _PLAIN_PATH(record["video"]) or "tracks" in record or get("rate") is not None:
        return False
    if kind in TEXT_KINDS:
        answer = get("answer")
        if type(answer) is not str or not answer.isascii() or answer.isspace() or not answer:
            return False
        if not (get("label") is get("span") is get("track") is None):
            return False
        if clip is fps is width is height is seconds is None:
            return True
    elif kind == "scene" or get("answer") is not None:
        return False
    if not (kind in TEXT_KINDS and width is height is fps is None) and not (
        type(width) is type(height) is int
        and 0 < width <= _MAX_SIDE >= height > 0
        and type(fps) is float
        and 0 < fps < math.inf
    ):
        return False
    if type(clip) is not list or len(clip) != 2 or type(seconds) is not int or not 0 < seconds <= most_seconds():
        return False
    start, end = clip
    if not (type(start) is type(end) is float and 0 <= start < end < math.inf and seconds - 1 <= end - start):
        return False
    if kind in TEXT_KINDS:
        return True
    label, span, track = get("label"), get("span"), get("track")
    if type(label) is not str or not label.isascii() or label.isspace() or not label:
        return False
    if type(span) is not list or len(span) != 2 or type(track) is not list:
        return False
    first, last = span
    if not (type(first) is type(last) is int and 0 <= first <= last < seconds):
        return False
    previous = first - 1
    for state in track:
        if not _is_plain_state(state, previous, last):
            return False
        previous = state["second"]
    return True


def _message(field: str, record: Mapping[str, Any], expected: str) -> str:
    found = quote(record[field]) if field in record else "missing"
    return f"field {field}: {found}, expected {expected}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(field: str, record: Mapping[str, Any]) -> None:
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(_message(field, record, "text that is not blank"))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _Wrong(_message(field, record, "Unicode text (it holds half of a surrogate pair)")) from None


def _whole(field: str, record: Mapping[str, Any], low: int, high: int, nullable: bool) -> int | None:
    value: Any = record.get(field)
    if value is None and nullable:
        return None
    if not _is_whole(value) or not low <= value <= high:
        raise _Wrong(_message(field, record, f"a whole number from {low} to {high}"))
    return int(value)


def _seconds(record: Mapping[str, Any], rate: float | None, nullable: bool) -> int | None:
    try:
        seconds = _whole("seconds", record, 1, most_seconds(), nullable)
    except _Wrong as wrong:
        value = record.get("seconds")
        if value is not None and _is_whole(value) and value > 1:
            raise _Wrong(f"{wrong} ({LIMIT_NAME} raises it)") from None
        raise
    if seconds is not None and rate is not None and (problem := length_problem(seconds, rate)):
        raise _Wrong(f"field rate: {problem}")
    return seconds


def _video_path(path: Any) -> str:
    wrong = None
    if not isinstance(path, str) or not path:
        wrong = "expected a path under the video root"
    elif "\0" in path or "\\" in path:
        wrong = "expected a path with / and without backslashes or NUL"
    elif path.startswith("/"):
        wrong = "an absolute path, expected one relative to the video root"
    elif any(part in ("", ".", "..") for part in path.split("/")):
        wrong = 'expected a path without empty, "." or ".." parts'
    else:
        try:
            path.encode("utf-8")
            return path
        except UnicodeEncodeError:
            wrong = "expected Unicode text (it holds half of a surrogate pair)"
    raise _Wrong(f"field video: {quote(path)}, {wrong}")


def _clip(record: Mapping[str, Any], seconds: int | None, nullable: bool) -> None:
    clip = record.get("clip")
    if clip is None and nullable:
        return
    if not isinstance(clip, (list, tuple)) or len(clip) != 2 or not all(map(_is_number, clip)):
        raise _Wrong(_message("clip", record, "[start_s, end_s], two finite numbers"))
    start, end = clip
    if not 0 <= start < end:
        raise _Wrong(_message("clip", record, "0 <= start_s < end_s"))
    # The last second holds a frame, so the clip reaches at least to its beginning.
    if seconds is not None and seconds - 1 > end - start + 1e-3:
        raise _Wrong(_message("seconds", record, f"at most {math.floor(end - start) + 1} for clip {quote(clip)}"))


def _span(record: Mapping[str, Any], seconds: int, nullable: bool) -> tuple[int, int] | None:
    span = record.get("span")
    if span is None and nullable:
        return None
    if not isinstance(span, (list, tuple)) or len(span) != 2 or not all(map(_is_whole, span)):
        raise _Wrong(_message("span", record, "[first, last], two whole seconds"))
    if not 0 <= span[0] <= span[1] < seconds:
        raise _Wrong(_message("span", record, f"0 <= first <= last <= {seconds - 1}"))
    return span[0], span[1]


def _tracks(record: Mapping[str, Any], span: tuple[int, int] | None, seconds: int) -> None:
    tracks = record.get("tracks")
    if not isinstance(tracks, (list, tuple)) or not tracks:
        raise _Wrong(_message("tracks", record, "a list of {label, track}, at least one"))
    for index, entry in enumerate(tracks):
        name = f"tracks[{index}]"
        if not isinstance(entry, Mapping) or "track" not in entry:
            raise _Wrong(f"field {name}: {quote(entry)}, expected {{label, track}}")
        try:
            _text("label", entry)
        except _Wrong as wrong:
            raise _Wrong(f"{name} {wrong}") from None
        _track(entry["track"], span, seconds, f"{name} ")


def _track(track: Any, span: tuple[int, int] | None, seconds: int, name: str) -> None:
    if not isinstance(track, (list, tuple)):
        raise _Wrong(f"{name}field track: {quote(track)}, expected a list of {{second, box}}")
    first, last = span or (0, seconds - 1)
    previous = first - 1
    for index, state in enumerate(track):
        if not _is_plain_state(state, previous, last):
            _state(state, index, previous, span, (first, last), name)
        previous = state["second"]


def _is_plain_state(state: Any, previous: int, last: int) -> bool:
    """Whether a state is right and of the types that nearly all have: half of a converter's time would go here."""
    if type(state) is not dict or type(state.get("second")) is not int or type(state.get("box")) is not list:
        return False
    box = state["box"]
    if not previous < state["second"] <= last or len(box) != 4:
        return False
    x_min, y_min, x_max, y_max = box
    if not (type(x_min) is type(y_min) is type(x_max) is type(y_max) is float):
        return False
    return 0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1


def _state(
    state: Any, index: int, previous: int, span: tuple[int, int] | None, allowed: tuple[int, int], name: str
) -> None:
    """The same check in full, which says what is wrong."""
    if not isinstance(state, Mapping) or "second" not in state or "box" not in state:
        raise _Wrong(f"{name}field track[{index}]: {quote(state)}, expected {{second, box}}")
    second = state["second"]
    if not _is_whole(second):
        raise _Wrong(f"{name}field track[{index}].second: {quote(second)}, expected a whole number")
    if not allowed[0] <= second <= allowed[1]:
        inside = f"span {list(span)}" if span else f"the clip's seconds {list(allowed)}"
        raise _Wrong(f"{name}second {quote(second)}: expected a second inside {inside}")
    if second <= previous:
        raise _Wrong(f"{name}second {second}: after second {previous}, expected increasing seconds")
    _box(state["box"], f"{name}second {second}")


def _box(box: Any, where: str) -> None:
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise _Wrong(f"{where}: box {quote(box)}, expected [x_min, y_min, x_max, y_max]")
    for edge, value in zip(_EDGES, box, strict=True):
        if not _is_number(value) or not 0 <= value <= 1:
            raise _Wrong(f"{where}: {edge} {quote(value)}, expected a number from 0 to 1 (normalised)")
    x_min, y_min, x_max, y_max = box
    if x_max <= x_min:
        raise _Wrong(f"{where}: x_max {x_max} {'<' if x_max < x_min else '='} x_min {x_min}")
    if y_max <= y_min:
        raise _Wrong(f"{where}: y_max {y_max} {'<' if y_max < y_min else '='} y_min {y_min}")
