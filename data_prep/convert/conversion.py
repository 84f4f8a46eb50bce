"""Any source of annotations to second-level records: the loop that all sources share.

A source yields what it reads as `Target`, `Scene`, `Text`, `Moments` or `Dropped`; here each becomes a record and a
line of frame boxes, or is counted with its reason. Nothing is kept in memory but the counts.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from tqdm import tqdm

from data_prep.aggregate import METHODS
from data_prep.convert.acceptance import is_sound
from data_prep.convert.audit import Audit
from data_prep.convert.building import (
    FASTEST,
    SLOWEST,
    frame_line,
    moments_record,
    question_line,
    scene_record,
    target_record,
    text_record,
)
from data_prep.convert.items import Dropped, Item, Moments, Question, Scene, Target, Text
from data_prep.convert.media import forget_paths
from data_prep.convert.reasons import Drop, Reason
from data_prep.files import atomic_write, remove_leftovers
from data_prep.identity import check_outputs
from data_prep.locks import locked
from data_prep.records import Record, RecordError, RecordWriter
from data_prep.stages import StageError
from data_prep.validation import check_video_path

__all__ = ["Dropped", "Item", "Moments", "Question", "Scene", "Source", "Target", "Text", "add_arguments", "convert"]
Source = Callable[[argparse.Namespace, Audit], Iterator[Item]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every source."""
    parser.add_argument("--annotations", type=Path, required=True, help="the data set's root, or a part of it")
    parser.add_argument("--video_root", "--videos", type=Path, help="look at each video, and take its size and rate")
    parser.add_argument(
        "--video_prefix",
        type=read_folder,
        help="folder to write before each record's video: that of --video_root below the root that training reads",
    )
    parser.add_argument("--split", default=None, help="which split, where PATH holds several; else its name")
    parser.add_argument("--out", type=Path, required=True, help="track file to write (JSONL)")
    parser.add_argument("--size", type=_size, help="WxH where neither source nor pictures state a size")
    parser.add_argument("--fps", type=read_rate, help="frames a second where neither source nor video does")
    parser.add_argument("--aggregation", choices=METHODS, default="mean", help="frame boxes to one box a second")
    parser.add_argument("--seed", type=int, default=0, help="chooses among the wordings of prompts")
    parser.add_argument("--strict", action="store_true", help="the first dropped record is an error")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r}, expected WxH such as 1280x720")
    return int(width), int(height)


def read_folder(text: str) -> str:
    """Return an option's folder below the video root.

    Raises:
        argparse.ArgumentTypeError: it is no such path.
    """
    try:
        return check_video_path(text.rstrip("/"))
    except RecordError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a folder's path below the video root") from None


def read_rate(text: str) -> float:
    """Return an option's frames a second.

    Raises:
        argparse.ArgumentTypeError: no video has this rate.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not SLOWEST <= rate <= FASTEST:
        raise argparse.ArgumentTypeError(f"{text!r}, expected frames a second from {SLOWEST:g} to {FASTEST:g}")
    return rate


def convert(name: str, source: Source, args: argparse.Namespace, has_frames: bool = True) -> Audit:
    """Write records, frame boxes and report of one source.

    Args:
        has_frames: whether this is a grounding source, which has boxes on frames.

    Raises:
        RecordError: under --strict at the first drop; always where no record could be written. Records that were
            there stay; where there were none, the report says what was dropped.
        StageError: an output is an input, or another process writes there.
        OSError: a file cannot be read or written.
    """
    ends = (".frames.jsonl", ".report.json", ".questions.jsonl")
    frames_path, report_path, questions_path = (args.out.with_name(args.out.name + end) for end in ends)
    outputs = {"--out": args.out, "--out, boxes": frames_path, "--out, report": report_path}
    check_paths(args, outputs)
    audit = Audit(name, strict=args.strict)
    forget_paths()
    with locked(args.out):
        remove_leftovers(args.out, frames_path, report_path, questions_path)
        try:
            _write(name, source, args, audit, frames_path if has_frames else None)
        except _NothingWritten as error:
            if not args.out.exists():  # the report of an earlier conversion stays beside its records
                audit.write(report_path)
            asked = _write_questions(audit, questions_path)
            raise RecordError(f"{error}; nothing was written to {args.out}{asked}") from None
        _write_questions(audit, questions_path)
        audit.write(report_path)
    print(audit.table())
    return audit


def _write_questions(audit: Audit, path: Path) -> str:
    """Write the sentences without truth, and return what is said of them; "" where there are none."""
    if not audit.questions:
        return ""
    with atomic_write(path, "wb") as out:
        out.writelines(audit.questions)
    return f", but {len(audit.questions)} sentences without truth to {path}, for recipe.ground --tracks"


class _NothingWritten(Exception):
    """No record could be written: an earlier track file stays."""


def _write(name: str, source: Source, args: argparse.Namespace, audit: Audit, frames_path: Path | None) -> None:
    """Write records and frame boxes.

    Raises:
        _NothingWritten: with one line that says why.
    """
    with ExitStack() as stack:
        stack.enter_context(_no_collector())
        records = stack.enter_context(RecordWriter(args.out))
        frames = stack.enter_context(atomic_write(frames_path, "wb")) if frames_path else None
        for item in tqdm(source(args, audit), desc=name, unit="record", mininterval=1.0, file=sys.stderr):
            if isinstance(item, Dropped):
                audit.drop(item.id, item.reason, item.detail)
                continue
            if isinstance(item, Question):
                audit.drop(item.id, Reason.NO_TRUTH, "a sentence without annotation, which can be asked only")
                audit.questions.append(question_line(name, item))
                continue
            try:
                boxes = None
                if isinstance(item, Text):
                    record = text_record(name, item, args, audit)
                elif isinstance(item, Moments):
                    record = moments_record(name, item, args, audit)
                elif isinstance(item, Scene):
                    record = scene_record(name, item, args, audit)
                else:
                    record, boxes = target_record(name, item, args, audit)
                record = placed(record, args.video_prefix)
                records.write(record, is_checked=is_sound(record))
                if frames is not None and boxes is not None:
                    frames.write(frame_line(cast(Target, item), record["fps"], boxes))
            except Drop as drop:
                audit.drop(item.id, drop.reason, str(drop))
            except RecordError as error:
                audit.drop(item.id, _reason_of(item), str(error))
            else:
                audit.written += 1
        if not audit.read:
            raise RecordError(f"--annotations {args.annotations}: no record of {name} found there")
        if not audit.written:
            raise _NothingWritten(_why_nothing(audit))


def placed(record: Record, prefix: str | None) -> Record:
    """Return a record whose video lies in a folder of the root, where `prefix` names one.

    Data sets of one mixture have one video root, and each names its videos below a folder of its own.
    """
    if prefix:
        record["video"] = f"{prefix}/{record['video']}"
    return record


def check_paths(args: argparse.Namespace, outputs: Mapping[str, Path]) -> None:
    """Look at every path that a source was given, before any is opened.

    Raises:
        RecordError: an input is not there.
        StageError: an output is an input, or is a file of an input folder that no conversion wrote.
    """
    inputs = {name: path for name, path in vars(args).items() if isinstance(path, Path) and name != "out"}
    check_outputs(outputs, inputs.values())
    for name, path in inputs.items():
        if not path.exists():
            raise RecordError(f"--{name} {path}: no such file or folder")
    ours = all(path.exists() for flag, path in outputs.items() if flag != "--out, boxes")
    for flag, path in outputs.items():
        for name, folder in inputs.items():
            if path.is_file() and not ours and path.resolve().is_relative_to(folder.resolve()):
                raise StageError(
                    f"{flag} {path}: a file of --{name}, which no conversion wrote and which would "
                    "be overwritten; choose another"
                )


def _why_nothing(audit: Audit) -> str:
    """Say in one line why no record was written: the most frequent reason with an example, which names what misses."""
    reason, count = max(audit.dropped.items(), key=lambda item: item[1])
    return (
        f"{audit.source}: all {audit.read} records dropped, {count} as {reason}, such as {audit.examples[reason][0]}"
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Switch the search for reference cycles off while the block runs.

    Records have no cycles, and the search takes longer the more objects are alive.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _reason_of(item: Target | Scene | Text | Moments) -> Reason:
    """Return why the record of an item is not valid: its path or anything else."""
    try:
        check_video_path(item.video)
    except RecordError:
        return Reason.BAD_PATH
    return Reason.MALFORMED
