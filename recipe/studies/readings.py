"""In which order and unit does a served model write boxes? Chosen on development records, never on those of a table.

A model may be asked for one form and answer in the one that it was trained with. The same stored answers to a fixed 50
records of a development track file are scored under each order and unit; the reading with the highest m_vIoU is then
applied to the answers of the test files, and the table states all means.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write
from data_prep.records import Record, read_records
from recipe.cli import check_keys
from recipe.evaluate import EvalArguments
from recipe.evaluation.scores import metrics, score_records, scored
from recipe.inference.answers_file import Line, read_lines
from recipe.inference.backends import Decoding, openai_server
from recipe.inference.grounding import on_the_videos_clock
from recipe.inference.reading import read_answer
from recipe.inference.windows import join
from recipe.studies.endpoint import Endpoint
from stvg_rewards.prompts.box_format import CORNERS, UNITS, BoxFormat

READINGS = tuple(BoxFormat(order, unit) for unit in UNITS for order in CORNERS)
VIDEOS = "data/videos"  # as the evaluation has it
SizeOf = Callable[[Record], tuple[int, int]]


@dataclass(frozen=True)
class Development:
    """Where the records are that a reading is chosen on.

    Attributes:
        tracks: a track file that shares no record and no video with a table's.
        video_root: folder that its video paths start at; where none is given the first benchmark's.
        records: how many of its records are asked about; the same ones for every system.
        seed: chooses them, together with their ids.
    """

    tracks: str
    video_root: str = ""
    records: int = 50
    seed: int = 0


@dataclass(frozen=True)
class Choice:
    """The reading of a system.

    Attributes:
        boxes: what is applied.
        asked: what the prompt asks for.
        means: reading -> m_vIoU over the development records, a fraction; empty where there are none.
        n: number of development records.
        why: why nothing could be chosen, so that the answers are read as asked; else "".
    """

    boxes: BoxFormat
    asked: BoxFormat
    means: Mapping[str, float]
    n: int = 0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the choice as JSON-like values."""
        found = {"reading": str(self.boxes), "asked": str(self.asked), "m_vIoU": dict(self.means), "n": self.n}
        return found | ({"why": self.why} if self.why else {})

    def __str__(self) -> str:
        if self.why:
            return f"read as asked, {self.asked}: {self.why}"
        means = ", ".join(f"{name} {100 * mean:.1f}" for name, mean in self.means.items())
        return f"read as {self.boxes}, asked for {self.asked}; m_vIoU of {self.n} records: {means}"


def read_development(where: str, settings: Any) -> Development:
    """Return the settings of a table's `development` part.

    Raises:
        ValueError: No mapping, an unknown or missing key, or no record.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where}: development is {settings!r}, expected settings by name, such as tracks")
    check_keys(f"{where}: development", settings, {field.name for field in fields(Development)}, ("tracks",))
    found = Development(**settings)
    if type(found.records) is not int or found.records < 1:
        raise ValueError(f"{where}: development: records is {found.records!r}, expected a whole number above 0")
    return found


def development_records(development: Development, benchmarks: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Return the records that readings are chosen on: those with the lowest digests of seed and id.

    Args:
        benchmarks: the table's, with `tracks` and `video_root`; their records are left alone.

    Raises:
        StageError: A record, or its video, is in a benchmark's track file.
    """
    every = scored(read_records(development.tracks))
    root = development_root(development, benchmarks)
    names = {record["id"] for record in every}
    videos = {_video(root, record) for record in every}
    for benchmark in benchmarks:
        if not Path(benchmark["tracks"]).is_file():
            continue
        for record in read_records(benchmark["tracks"]):
            if record["id"] in names or _video(benchmark.get("video_root") or VIDEOS, record) in videos:
                raise StageError(
                    f"{development.tracks}: shares record {record['id']} or its video with {benchmark['tracks']}, and "
                    "no reading is chosen on test records; name a track file of other videos as development"
                )
    order = {name: hashlib.sha256(f"{development.seed}:{name}".encode()).hexdigest() for name in names}
    return sorted(every, key=lambda record: order[record["id"]])[: development.records]


def development_root(development: Development, benchmarks: Sequence[Mapping[str, Any]]) -> str:
    """Return the folder that the development records' video paths start at."""
    return development.video_root or (benchmarks[0].get("video_root") if benchmarks else None) or VIDEOS


def write_records(records: Sequence[Record], out: Path) -> None:
    """Write the chosen records as a track file, unless it holds them already."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if not out.is_file() or out.read_text(encoding="utf-8") != text:
        with atomic_write(out) as stream:
            stream.write(text)


def read_line(line: Line, boxes: BoxFormat, frame_size: tuple[int, int]) -> dict[str, Any]:
    """Read the raw texts of a stored answer in another order and unit.

    Args:
        line: of a file of answers: `answer` (one text a window) and `windows`.
        frame_size: (width, height) of the frames that were shown, pixels.

    Returns:
        `track` and `span` as the line has them, normalised to [0, 1].
    """
    texts = line["answer"] if isinstance(line["answer"], list) else [line["answer"]]
    windows = []
    for text, (first, end) in zip(texts, line["windows"], strict=True):
        answer = read_answer(text, seconds=end - first, order=boxes.order, scale=boxes.scale(frame_size))
        windows.append(on_the_videos_clock(answer, first, end))
    span, found, _ = join(windows)
    track = [{"second": second, "box": list(box)} for second, box in sorted(found.items())]
    return {"track": track, "span": list(span) if span else None}


def choose(records: Sequence[Record], lines: Mapping[str, Line], size_of: SizeOf, asked: BoxFormat) -> Choice:
    """Score the same answers under each reading; the highest m_vIoU is chosen, what was asked for among equals.

    Args:
        records: of development; one without an answer counts 0 in each reading.
        lines: id -> line of the file of answers.
        size_of: gives the size of a record's frames, pixels.
    """
    means: dict[BoxFormat, float] = {}
    for boxes in READINGS:
        read = {r["id"]: read_line(lines[r["id"]], boxes, size_of(r)) for r in records if r["id"] in lines}
        answers = {name: found if found["span"] else found["track"] for name, found in read.items()}
        means[boxes] = metrics(score_records(records, answers))["m_vIoU"]
    best = max(READINGS, key=lambda boxes: (means[boxes], boxes == asked))
    return Choice(best, asked, {str(boxes): mean for boxes, mean in means.items()}, len(records))


def size_of_frames(args: EvalArguments, endpoint: Endpoint) -> SizeOf:
    """Return the function that gives the size of the frames that the endpoint is shown of a record, pixels."""
    decoding = Decoding(args.temperature, args.max_new_tokens)
    builder, _ = openai_server(args.frames_seen(), endpoint.model, decoding, endpoint.server())
    return builder.frame_size


def choice_of(args: EvalArguments, endpoint: Endpoint, records: Sequence[Record]) -> Choice:
    """Return the choice from the answers in `args.predictions`, which are about development records."""
    lines = read_lines(Path(args.predictions or ""))
    if not lines:
        return Choice(endpoint.boxes, endpoint.boxes, {}, why="no answer to a development record")
    return choose(records, lines, size_of_frames(args, endpoint), endpoint.boxes)


def read_again(args: EvalArguments, endpoint: Endpoint, boxes: BoxFormat) -> str:
    """Write the answers in `args.predictions` as another reading has them; return the path of that file."""
    size_of = size_of_frames(args, endpoint)
    source = Path(args.predictions or "")
    out = source.with_name(source.name.removesuffix(".jsonl") + f".read-{boxes.order}-{boxes.unit}.jsonl")
    lines = read_lines(source)
    with atomic_write(out) as stream:
        for record in read_records(args.tracks):
            if (line := lines.get(record["id"])) is not None:
                stream.write(json.dumps({"id": record["id"]} | read_line(line, boxes, size_of(record))) + "\n")
    return str(out)


def _video(root: str, record: Record) -> str:
    return str((Path(root) / record["video"]).resolve())
