"""Track files -> resized frames as JPEG in Parquet shards, for training that must not decode video.

    python -m data_prep frames --tracks cpt.jsonl sft.jsonl --videos data/videos --out data/frames

One row a clip, in the order of the tracks; `datasets` loads the shards as they are. A shard appears whole or not at
all, so a stopped run goes on where it was. `--engine ray` runs the same function through Ray Data on the cluster that
RAY_ADDRESS names; all its machines must see the same folders.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.clips import clip_frames
from data_prep.files import atomic_write
from data_prep.frame_store import PATTERN, SCHEMA, clip_key, read_columns
from data_prep.rates import FRAME_BUDGET, parse_policy, rate_of
from data_prep.records import RecordError, read_records, resolve_video
from data_prep.seconds import frame_times
from data_prep.sizes import fit_frame
from data_prep.stages import StageError, file_digest
from data_prep.video import VideoError, probe

MANIFEST = "frames.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--tracks", nargs="+", type=Path, required=True, help="track files (JSONL)")
    parser.add_argument("--videos", type=Path, required=True, help="video root")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--rate", default="1", help='frames a second, or "dynamic"; a record\'s own rate comes first')
    parser.add_argument("--budget", type=int, default=FRAME_BUDGET, help="most frames of a clip under dynamic")
    parser.add_argument("--training", action="store_true", help="dynamic may look at the event's length (CPT, SFT)")
    parser.add_argument("--max-pixels", type=int, default=448 * 448, help="most pixels of a frame")
    parser.add_argument("--grid", type=int, default=28, help="sides are multiples of this")
    parser.add_argument("--quality", type=int, default=92, help="of the JPEGs, 1 to 100")
    parser.add_argument("--shard-size", type=int, default=256, help="clips of a shard")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (local engine)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")


def run(args: argparse.Namespace) -> None:
    """Write the missing shards, then the report."""
    for name in ("budget", "max_pixels", "grid", "quality", "shard_size", "workers"):
        most = 100 if name == "quality" else 10**9
        if not 1 <= getattr(args, name) <= most:
            option = f"--{name.replace('_', '-')}"
            raise StageError(f"{option} {getattr(args, name)}, expected a whole number from 1 to {most}")
    clips = distinct_clips(args)
    if not clips:
        raise StageError(f"{', '.join(map(str, args.tracks))}: no record in them")
    shards = [clips[begin : begin + args.shard_size] for begin in range(0, len(clips), args.shard_size)]
    check_folder(args, len(shards))
    todo = []
    for number, shard in enumerate(shards):
        path = args.out / f"clips-{number:05d}-of-{len(shards):05d}.parquet"
        if not path.is_file():
            todo.append({"path": str(path), "videos": str(args.videos), "quality": args.quality, "clips": shard})
    done = len(clips) - sum(len(job["clips"]) for job in todo)
    engine = local_engine if args.engine == "local" else ray_engine
    with tqdm(
        total=len(clips), initial=done, unit="clip", desc="frames", mininterval=1.0, file=sys.stderr
    ) as progress:
        for count in engine(todo, args.workers):
            progress.update(count)
    report(args.out)


def distinct_clips(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be decoded: each clip at each rate once, in the order of the records."""
    policy, clips = parse_policy(args.rate), dict[str, dict[str, Any]]()
    for path in args.tracks:
        records = read_records(path)
        for record in tqdm(records, desc=f"look {path.name}", unit="record", mininterval=1.0, file=sys.stderr):
            clip = described(record, args.videos)
            if "error" not in clip:
                clip["rate"] = rate_of(record | clip, policy, budget=args.budget, training=args.training)
                clip["size"] = fit_frame(clip["width"], clip["height"], grid=args.grid, max_pixels=args.max_pixels)
            start, end = clip["clip"] or (0.0, 0.0)
            key = clip_key(record["video"], start, end, clip.get("rate") or 1.0)
            first = clips.setdefault(key, clip | {"key": key})
            first["whole_file"] |= clip["whole_file"]
    return list(clips.values())


def described(record: dict[str, Any], videos: Path) -> dict[str, Any]:
    """The record's clip with everything that decoding needs; from the file where the record does not say it."""
    names = ("video", "clip", "seconds", "width", "height", "fps")
    clip: dict[str, Any] = {name: record[name] for name in names}
    clip["whole_file"] = clip["clip"] is None or clip["seconds"] is None
    if any(clip[name] is None for name in ("clip", "seconds", "width", "height")):
        try:
            info = probe(resolve_video(videos, record["video"]))
        except (VideoError, RecordError, OSError) as error:
            return clip | {"error": one_line(error)}
        if clip["whole_file"]:
            clip |= {"clip": [0.0, float(info.duration_s)], "seconds": info.seconds}
        clip |= {"width": info.width, "height": info.height}
    return clip


def one_line(error: Exception) -> str:
    """An error as one line."""
    return " ".join(str(error).split())[:300]


def check_folder(args: argparse.Namespace, num_shards: int) -> None:
    """Take the output folder, or go on in one that holds shards of the same settings.

    Raises:
        StageError: it holds shards of other settings.
    """
    names = ("rate", "budget", "training", "max_pixels", "grid", "quality", "shard_size")
    settings = {name: getattr(args, name) for name in names}
    inputs = {str(path): file_digest(path) for path in args.tracks}
    text = json.dumps({"settings": settings, "inputs": inputs, "shards": num_shards}, sort_keys=True, indent=1)
    path = args.out / MANIFEST
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise StageError(
            f"{args.out}: holds frames of other settings or track files; remove it or choose another --out"
        )
    if not path.is_file() and any(args.out.glob(PATTERN)):
        raise StageError(f"{args.out}: holds shards that no {MANIFEST} tells of; choose another --out")
    args.out.mkdir(parents=True, exist_ok=True)
    for left in args.out.glob(".*.part"):
        left.unlink()
    if not path.is_file():
        with atomic_write(path) as out:
            out.write(text)


def local_engine(jobs: list[dict[str, Any]], workers: int) -> Iterator[int]:
    """Clips done, shard by shard, over processes of this machine."""
    if workers == 1 or len(jobs) < 2:
        yield from map(write_shard, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap_unordered(write_shard, jobs)
        pool.close()
        pool.join()


def ray_engine(jobs: list[dict[str, Any]], workers: int) -> Iterator[int]:
    """The same through Ray Data, on the cluster of RAY_ADDRESS or on a local one.

    Raises:
        StageError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise StageError("--engine ray needs Ray Data: pip install 'ray[data]'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers unless asked for
    started = not ray.is_initialized()
    if started:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if not os.environ.get("RAY_ADDRESS"):
            options |= {"num_cpus": workers, "include_dashboard": False}
        ray.init(**options)
    try:
        if jobs:
            # JSON: a column of lists of dicts would be made a struct. One block a shard, so that each is a task.
            items = ray.data.from_items([{"job": json.dumps(job)} for job in jobs], override_num_blocks=len(jobs))
            for row in items.map(lambda row: {"clips": write_shard(json.loads(row["job"]))}).iter_rows():
                yield int(row["clips"])
    finally:
        if started:
            ray.shutdown()


def write_shard(job: dict[str, Any]) -> int:
    """Decode a shard's clips and write its file; a clip that cannot be decoded is a row with its error."""
    import pyarrow
    import pyarrow.parquet as parquet
    from datasets import Features, Image, List, Value

    features = Features({name: List(Image()) if kind == "images" else Value(kind) for name, kind in SCHEMA.items()})
    schema = features.arrow_schema  # with the note by which `datasets` knows that the bytes are pictures
    path = Path(job["path"])
    digest = hashlib.sha256(job["path"].encode()).hexdigest()[:8]
    aside = path.parent / f".{path.name}.{os.getpid()}-{digest}.part"
    try:
        with open(aside, "wb") as file:
            # A row group a clip: no more than one is in memory, and FrameStore reads one without the others.
            with parquet.ParquetWriter(file, schema) as writer:
                for clip in job["clips"]:
                    row = clip_row(clip, job["videos"], job["quality"])
                    writer.write_table(pyarrow.Table.from_pylist([row], schema=schema))
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return len(job["clips"])


def clip_row(clip: dict[str, Any], videos: str, quality: int) -> dict[str, Any]:
    """A clip's row, with its frames or with what went wrong."""
    frames, error = [], clip.get("error")
    if error is None:
        try:
            path = resolve_video(videos, clip["video"])
            pictures = clip_frames(path, clip, frame_times(clip["seconds"], clip["rate"]), tuple(clip["size"]))
            frames = [{"bytes": jpeg(picture, quality), "path": None} for picture in pictures]
        except (VideoError, RecordError, OSError) as problem:
            error = one_line(problem)
    start, end = clip["clip"] or (None, None)
    row = {name: clip.get(name) for name in ("key", "video", "seconds", "rate", "whole_file")}
    return row | {"start_s": start, "end_s": end, "error": error, "num_frames": len(frames), "frames": frames}


def jpeg(picture: Any, quality: int) -> bytes:
    """A picture as JPEG bytes."""
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=quality)
    return out.getvalue()


def report(folder: Path) -> None:
    """Write and print what the shards hold: clips, frames, and the clips without frames with their errors."""
    clips, frames, errors = 0, 0, []
    for shard in sorted(folder.glob(PATTERN)):
        for row in read_columns(shard, ["key", "error", "num_frames"]):
            clips += 1
            frames += row["num_frames"]
            if row["error"] is not None:
                errors.append(f"{row['key']}: {row['error']}")
    found = {"clips": clips, "frames": frames, "without_frames": len(errors), "examples": errors[:10]}
    with atomic_write(folder / "frames.report.json") as out:
        json.dump(found, out, indent=1, ensure_ascii=False)
    print(f"{folder}: {frames} frames of {clips - len(errors)} clips; {len(errors)} clips without")
    for line in errors[:10]:
        print(f"  {line}", file=sys.stderr)
