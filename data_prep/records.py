"""Read and write second-level records: JSONL, one record a line, validated both ways.

`record.schema.json` beside this file states the shape for other tools; what it cannot say (order of
seconds, x_min < x_max, spans inside the clip) is checked by `data_prep/validation.py`.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, cast

import orjson

from data_prep.events import in_first_schema
from data_prep.files import atomic_write
from data_prep.record_type import ObjectTrack, Record, State
from data_prep.validation import (
    FIELDS,
    SCHEMA_VERSION,
    RecordError,
    check_clip,
    check_video_path,
    quote,
    validate_record,
)

__all__ = [
    "SCHEMA_VERSION",
    "ObjectTrack",
    "Record",
    "RecordError",
    "RecordWriter",
    "State",
    "read_lines",
    "read_questions",
    "read_records",
    "resolve_video",
    "validate_record",
]

MAX_LINE_BYTES = 64 * 2**20  # a day of boxes is under 10 MB; a file without line ends must not fill the memory


def read_records(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Yield the valid records of a JSONL file one by one; blank lines are skipped.

    Raises:
        RecordError: at the first line that is no valid record, naming file and line.
        OSError: if the file cannot be read.

    Example:
        >>> for record in read_records("tracks.jsonl"):  # doctest: +SKIP
        ...     print(record["query"], record["span"])
    """
    for where, value in read_lines(path):
        yield validate_record(value, where)


def read_questions(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Yield what can be asked of a JSONL file: records, and lines that have no truth.

    A line without `schema` needs `id`, `video` and `query` only. Its `clip` and `seconds` are None, which means the
    whole file, unless it states both.

    Raises:
        RecordError: at the first line that is neither, naming file and line.
        OSError: if the file cannot be read.

    Example:
        >>> for question in read_questions("query_v2.questions.jsonl"):  # doctest: +SKIP
        ...     print(question["video"], question["query"])
    """
    for where, value in read_lines(path):
        if not isinstance(value, Mapping) or "schema" in value:
            yield validate_record(value, where)
            continue
        for field in ("id", "video", "query"):
            if not isinstance(value.get(field), str) or not value[field].strip():
                shown = quote(value.get(field))
                raise RecordError(f"{where}: field {field}: {shown}, expected text (a line without truth has no more)")
        try:
            check_video_path(value["video"])
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from None
        question: dict[str, Any] = dict.fromkeys(FIELDS) | {"kind": "declarative"} | dict(value)
        if question["clip"] is not None or question["seconds"] is not None:
            check_clip(question, where)
        yield cast(Record, question)


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[str, Any]]:
    """Yield (file and line for messages, parsed value) of each line that is not blank; values are not validated.

    Raises:
        RecordError: at the first line that is no JSON, or too long, naming file and line.
        OSError: if the file cannot be read.
    """
    name = quote(os.fspath(path), 4096)  # printable, and whole: a path is there to be opened
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            where = f"{name}:{number}"
            if len(line) > MAX_LINE_BYTES:
                raise RecordError(f"{where}: line above {MAX_LINE_BYTES} bytes, expected one record a line")
            if line.strip():
                yield where, _parse(line, where)


def _parse(line: bytes, where: str) -> Any:
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        bad = line[error.start]
        raise RecordError(f"{where}: byte 0x{bad:02x} at offset {error.start}, expected UTF-8") from None
    except RecursionError:
        raise RecordError(f"{where}: JSON nested too deeply, expected one flat record") from None
    except json.JSONDecodeError as error:
        raise RecordError(f"{where}: no JSON ({error.msg} at column {error.colno}), expected one record") from None
    except ValueError as error:  # NaN and Infinity, and integers of thousands of digits
        raise RecordError(f"{where}: {quote(str(error), 120)}") from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} in JSON, expected a finite number")


def _is_finite(value: Any, depth: int = 0) -> bool:
    """Return whether no number in a value is NaN or infinite."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is list or kind is tuple or kind is dict:
        if depth >= 100:
            return False
        # A loop, because a generator takes twice as long.
        for entry in value.values() if kind is dict else value:  # noqa: SIM110
            if not _is_finite(entry, depth + 1):
                return False
        return True
    return kind is int or kind is str or kind is bool or value is None


def _line(valid: Mapping[str, Any]) -> bytes:
    """Return a valid record as its line; only added fields can still be at fault.

    Raises:
        RecordError: An added field cannot be written as JSON.
    """
    try:
        if len(valid) > len(FIELDS):
            for field in list(valid)[len(FIELDS) :]:
                if not _is_finite(valid[field]):  # orjson would write NaN as null
                    raise ValueError(f"{field}: a number that is not finite, or nested too deeply")
        return orjson.dumps(valid, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):
        valid = validate_record(valid)  # a caller's own check may not look for halves of surrogate pairs
    try:  # integers above 64 bits and keys that are numbers are JSON to the standard library
        return json.dumps(valid, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        problem = quote(str(error), 120)
        raise RecordError(f"record {quote(valid['id'])}: an added field cannot be JSON ({problem})") from None


class RecordWriter:
    """Write records to a JSONL file that appears complete or not at all.

    Use it as a context manager: when the block ends well the file takes its place, on an error or a kill what was
    there before stays.

    Raises (from `write`):
        RecordError: if the record is not valid; it names the record and the field.

    Example:
        >>> with RecordWriter("tracks.jsonl") as writer:  # doctest: +SKIP
        ...     writer.write(record)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.count = 0
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "RecordWriter":
        self._file = self._stack.enter_context(atomic_write(self.path, "wb"))
        return self

    def write(self, record: Mapping[str, Any], *, is_checked: bool = False) -> None:
        """Validate one record and add its line, in schema 1 wherever that says all of it.

        Args:
            is_checked: the caller has checked the record, whose fields stand in the order of `FIELDS`.
        """
        if self._file is None:
            raise RuntimeError("RecordWriter is a context manager: with RecordWriter(path) as writer: ...")
        valid = cast(Record, record) if is_checked else validate_record(record)
        self._file.write(_line(in_first_schema(valid)))
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file = None
        self._stack.__exit__(kind, error, trace)


def resolve_video(root: str | os.PathLike[str], relative: str) -> Path:
    """Return the file that a record's `video` names under the video root; it need not exist.

    The root itself may be a link, what lies under it may link only to places inside it.

    Raises:
        RecordError: if the path is not a plain relative one, or a link leads out of the root.

    Example:
        >>> resolve_video("/", "videos/a.mp4").name
        'a.mp4'
    """
    check_video_path(relative)
    base = Path(root)
    try:
        real_root, real = base.resolve(), (base / relative).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
        raise RecordError(f"video {quote(relative)}: {quote(str(error), 120)}") from None
    if not real.is_relative_to(real_root):
        raise RecordError(f"video {quote(relative)}: a link to {quote(str(real))}, expected a file under the root")
    return real
