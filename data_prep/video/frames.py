"""Track files -> resized frames as JPEG in Parquet shards, for training that must not decode video.

    python -m data_prep frames --tracks cpt.jsonl sft.jsonl --video_root data/videos --out data/frames

One row a clip, in the order of the tracks; `datasets` loads the shards as they are. A shard appears whole or not at
all, so a stopped run goes on where it was. The same command makes again what could not be decoded and what a replaced
video no longer shows; frames that are there are copied. `--engine ray` runs the same function through Ray Data on the
cluster that RAY_ADDRESS names; all its machines must see the same folders.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.files import atomic_write, remove_leftovers
from data_prep.identity import check_outputs
from data_prep.locks import locked
from data_prep.records import RecordError, read_records, resolve_video
from data_prep.stages import StageError, file_digest
from data_prep.video.frame_engines import local_engine, ray_engine
from data_prep.video.frame_shards import LEFT, Shelf, mark_of, one_line
from data_prep.video.frame_store import PATTERN, clip_key, read_columns
from data_prep.video.rates import FRAME_BUDGET, parse_policy, rate_of
from data_prep.video.sampling import VideoError, probe, probe_whole
from data_prep.video.sizes import fit_frame

MANIFEST = "frames.json"
REPORT = "frames.report.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--tracks", nargs="+", type=Path, required=True, help="track files (JSONL)")
    parser.add_argument("--video_root", "--videos", type=Path, required=True, help="folder of the videos")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    # `dest` where the manifests of folders already written have a setting under another name.
    parser.add_argument(
        "--frame_rate",
        "--rate",
        dest="rate",
        default="1",
        help='frames a second, or "dynamic"; a record\'s own rate comes first',
    )
    parser.add_argument(
        "--frame_budget",
        "--budget",
        dest="budget",
        type=int,
        default=FRAME_BUDGET,
        help="most frames of a clip under dynamic",
    )
    parser.add_argument("--training", action="store_true", help="dynamic may look at the event's length (CPT, SFT)")
    parser.add_argument(
        "--max_frame_pixels",
        "--max_pixels",
        dest="max_pixels",
        type=int,
        default=448 * 448,
        help="most pixels of a frame",
    )
    parser.add_argument("--grid", type=int, default=28, help="sides are multiples of this")
    parser.add_argument("--quality", type=int, default=92, help="of the JPEGs, 1 to 100")
    parser.add_argument("--shard_size", type=int, default=256, help="clips of a shard")
    parser.add_argument(
        "--max_missing", type=float, default=0.05, metavar="SHARE", help="clips that may be without frames, 0 to 1"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (local engine)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")


def run(args: argparse.Namespace) -> None:
    """Write the shards that are missing or no longer true, then the report.

    Raises:
        StageError: settings or folders are at fault, a worker was killed, or too many clips have no frames.
        InUse: another process writes into --out.
        RecordError, OSError: a track file cannot be read.
    """
    check(args)
    with locked(args.out, folder=True):
        check_folder(args)
        shelf = Shelf.read(args.out)
        clips = distinct_clips(args, shelf)
        if not clips:
            raise StageError(f"{', '.join(map(str, args.tracks))}: no record in them")
        jobs = planned(args, clips, shelf)
        todo = [job for job in jobs if not is_whole(job, shelf)]
        done = len(clips) - sum(len(job["clips"]) for job in todo)
        engine = local_engine if args.engine == "local" else ray_engine
        with tqdm(
            total=len(clips), initial=done, unit="clip", desc="frames", mininterval=1.0, file=sys.stderr
        ) as progress:
            for count in engine(todo, args.workers):
                progress.update(count)
        # The same tracks can be other clips once a file's length is known; what stays of them has been copied.
        for path in set(args.out.glob(PATTERN)) - {Path(job["path"]) for job in jobs}:
            path.unlink()
        report(args.out, args.max_missing)


def check(args: argparse.Namespace) -> None:
    """Raise a StageError of one line about numbers that cannot be and outputs that are inputs."""
    for name in ("budget", "max_pixels", "grid", "quality", "shard_size", "workers"):
        most = 100 if name == "quality" else 10**9
        if not 1 <= getattr(args, name) <= most:
            option = {"budget": "frame_budget", "max_pixels": "max_frame_pixels"}.get(name, name)
            raise StageError(f"--{option} {getattr(args, name)}, expected a whole number from 1 to {most}")
    if not 0 <= args.max_missing <= 1:
        raise StageError(f"--max_missing {args.max_missing}, expected a share from 0 to 1")
    outputs = {"--out": args.out, "--out, file": args.out / MANIFEST, "--out, report": args.out / REPORT}
    check_outputs(outputs, [*args.tracks, args.video_root])


def check_folder(args: argparse.Namespace) -> None:
    """Take the output folder, or resume in one that holds shards of the same settings and track files.

    Raises:
        StageError: it holds shards of others.
    """
    names = ("rate", "budget", "training", "max_pixels", "grid", "quality", "shard_size")
    ours = {
        "settings": {name: getattr(args, name) for name in names},
        "inputs": {str(path): file_digest(path) for path in args.tracks},
    }
    path = args.out / MANIFEST
    if path.is_file():
        theirs = read_manifest(path)
        changed = sorted(
            name for name in names if name in theirs["settings"] and theirs["settings"][name] != ours["settings"][name]
        )
        if sorted(theirs["inputs"].values()) != sorted(ours["inputs"].values()):  # wherever the files lie
            changed.append("tracks")
        if changed:
            raise StageError(
                f"{args.out}: holds frames of other settings or track files ({', '.join(changed)}); remove it or "
                "choose another --out"
            )
    elif any(args.out.glob(PATTERN)):
        raise StageError(f"{args.out}: holds shards that no {MANIFEST} tells of; choose another --out")
    # The lock is held, so nobody writes these; other hidden files are not ours.
    for left in [entry for entry in args.out.iterdir() if LEFT.fullmatch(entry.name)]:
        left.unlink()
    remove_leftovers(path, args.out / REPORT)
    if not path.is_file():
        with atomic_write(path) as out:
            json.dump(ours, out, sort_keys=True, indent=1)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what the folder's frames were made of: `settings`, and `inputs` (path -> sha256).

    Raises:
        StageError: it says nothing of that.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest["settings"], dict) or not isinstance(manifest["inputs"], dict):
            raise TypeError("settings and inputs, expected mappings")
    except (ValueError, KeyError, TypeError) as error:
        raise StageError(f"{path}: cannot be read ({one_line(error)}); choose another --out") from None
    return dict(manifest)


def distinct_clips(args: argparse.Namespace, shelf: Shelf) -> list[dict[str, Any]]:
    """Return what the tracks need: each clip at each rate once, in the order of the records."""
    policy, clips = parse_policy(args.rate), dict[str, dict[str, Any]]()
    for path in args.tracks:
        records = read_records(path)
        for record in tqdm(records, desc=f"look {path.name}", unit="record", mininterval=1.0, file=sys.stderr):
            clip = described(record, args.video_root, shelf)
            if clip["seconds"] is not None:
                clip["rate"] = rate_of(record | clip, policy, budget=args.budget, training=args.training)
            if clip["width"] is not None and clip["height"] is not None:
                clip["size"] = fit_frame(clip["width"], clip["height"], grid=args.grid, max_pixels=args.max_pixels)
            start, end = clip["clip"] or (0.0, 0.0)
            key = clip_key(record["video"], start, end, clip.get("rate") or 1.0)
            first = clips.setdefault(key, clip | {"key": key})
            first["whole_file"] |= clip["whole_file"]
    return list(clips.values())


def described(record: dict[str, Any], videos: Path, shelf: Shelf) -> dict[str, Any]:
    """Return the record's clip with everything that decoding needs; from the file where the record does not say it.

    A clip that cannot be described has an `error` that says why.
    """
    names = ("video", "clip", "seconds", "width", "height", "fps")
    clip: dict[str, Any] = {name: record[name] for name in names}
    clip["whole_file"] = clip["clip"] is None or clip["seconds"] is None
    if any(clip[name] is None for name in ("clip", "seconds", "width", "height")):
        try:
            path = resolve_video(videos, record["video"])
            known = shelf.whole_files.get(record["video"]) if clip["whole_file"] and not path.exists() else None
            if known is not None:  # its frames are there, and the file was put away
                return clip | {"clip": [known["start_s"], known["end_s"]], "seconds": known["seconds"]}
            info = probe_whole(path) if clip["whole_file"] else probe(path)
        except (VideoError, RecordError, OSError) as error:
            return clip | {"error": one_line(error)}
        if clip["whole_file"]:
            clip |= {"clip": [0.0, float(info.duration_s)], "seconds": info.seconds}
        clip |= {"width": info.width, "height": info.height}
    return clip


def planned(args: argparse.Namespace, clips: list[dict[str, Any]], shelf: Shelf) -> list[dict[str, Any]]:
    """Return a job a shard; each of its clips says where its frames lie already, or None as `kept`."""
    marks: dict[str, str | None] = {}
    unknown = 0
    for clip in clips:
        place = shelf.places.get(clip["key"])
        if place is not None and place.clip["whole_file"] == clip["whole_file"]:
            if clip["video"] not in marks:
                marks[clip["video"]] = mark_of(args.video_root, clip["video"])
            # A video that was put away leaves its frames true; older shards say nothing of their videos.
            if None in (place.mark, marks[clip["video"]]) or place.mark == marks[clip["video"]]:
                clip |= {"kept": [str(place.shard), place.row], "kept_mark": place.mark}
                unknown += place.mark is None
                continue
        clip |= {"kept": None, "kept_mark": None}
    if unknown:
        print(
            f"{args.out}: {unknown} clips were decoded by an earlier version, which did not note its videos: whether "
            "one was replaced since is not known; remove their shards to decode them again",
            file=sys.stderr,
        )
    parts = [clips[begin : begin + args.shard_size] for begin in range(0, len(clips), args.shard_size)]
    return [
        {
            "path": str(args.out / f"clips-{number:05d}-of-{len(parts):05d}.parquet"),
            "videos": str(args.video_root),
            "quality": args.quality,
            "clips": part,
        }
        for number, part in enumerate(parts)
    ]


def is_whole(job: dict[str, Any], shelf: Shelf) -> bool:
    """Return whether a job's shard holds just the rows that it should, each with frames of the video as it is now."""
    path = Path(job["path"])
    return shelf.rows.get(path) == len(job["clips"]) and all(
        clip["kept"] == [str(path), number] for number, clip in enumerate(job["clips"])
    )


def report(folder: Path, max_missing: float) -> None:
    """Write and print what the shards hold: clips, frames, and the clips without frames with their errors.

    Raises:
        StageError: no clip has frames, or more than the share `max_missing` have none.
    """
    clips, frames, errors = 0, 0, []
    for shard in sorted(folder.glob(PATTERN)):
        for row in read_columns(shard, ["key", "error", "num_frames"]):
            clips += 1
            frames += row["num_frames"]
            if row["error"] is not None:
                errors.append(f"{row['key']}: {row['error']}")
    totals = {"clips": clips, "frames": frames, "without_frames": len(errors), "examples": errors[:10]}
    with atomic_write(folder / REPORT) as out:
        json.dump(totals, out, indent=1, ensure_ascii=False)
    print(f"{folder}: {frames} frames of {clips - len(errors)} clips; {len(errors)} clips without")
    for line in errors[:10]:
        print(f"  {line}", file=sys.stderr)
    if len(errors) == clips or len(errors) > max_missing * clips:
        raise StageError(
            f"{folder}: {len(errors)} of {clips} clips have no frames, expected at most {max_missing:.0%} "
            f"(--max_missing); the first: {errors[0]}; the same command tries them again"
        )
