"""The synthetic source: real H.264 files of moving shapes with frame annotations, and their second-level records.

    python -m data_prep synthetic --config recipe/configs/tiny/data.yaml --out runs/tiny/data

writes `videos/<split>/*.mp4`, `annotations/<split>.jsonl` (one clip a line, boxes of every frame) and
`<split>.jsonl` (records). Nothing here is special to synthetic data but the drawing: the records are made by the
same frame-to-second code as any other source's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import av
from tqdm import tqdm

from data_prep.files import atomic_write, remove_leftovers
from data_prep.identity import check_outputs
from data_prep.records import RecordWriter
from data_prep.sources.synthetic_clips import (
    PIXELS_PER_UNIT,
    UNITS,
    ClipSettings,
    draw_clip,
    draw_frame,
)
from data_prep.sources.synthetic_config import SHARES, clip_settings, read_config
from data_prep.sources.synthetic_records import Others, records_of
from data_prep.stages import Stage, StageError
from data_prep.video.workers import worker_processes

# To be raised when the same config comes to draw other clips or records: data of another version is made anew.
GENERATOR = 1
LEFT = re.compile(r"\.\d{5}\.\d+\.part")  # what a killed worker leaves of a video
SIDE = UNITS * PIXELS_PER_UNIT


def write_video(path: Path, clip: Any) -> None:
    """Encode one drawn clip as H.264 MP4 (yuv420p); written aside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part")
    with av.open(str(aside), "w", format="mp4") as container:
        # With its macroblock tree on, x264 writes other bytes after other clips in the same process.
        options = {"crf": "16", "preset": "veryfast", "threads": "1", "mbtree": "0"}
        stream = container.add_stream("libx264", rate=clip.rate, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for index in range(clip.num_frames):
            picture = av.VideoFrame.from_ndarray(draw_frame(clip, index), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    aside.replace(path)


def make_clip(folder: Path, split: str, index: int, seed: int, settings: ClipSettings) -> dict[str, Any]:
    """Draw clip `index` of a split, write its video unless it is there, and return its frame-level annotation."""
    clip = draw_clip(random.Random(f"{seed}/{split}/{index}"), settings)
    video = f"{split}/{index:05d}.mp4"
    path = folder / "videos" / video
    if not path.exists():
        write_video(path, clip)
    objects = []
    for shape in clip.shapes:
        frames = range(shape.first_frame, shape.end_frame)
        item = {
            "colour": shape.colour,
            "shape": shape.shape,
            "begin_frame": shape.first_frame,
            "end_frame": shape.end_frame,
            "boxes_xywh": [shape.box_at(frame / clip.rate) if shape.is_on_screen(frame) else None for frame in frames],
        }
        if len(shape.events) > 1:
            item["events"] = shape.events
        objects.append(item)
    return {
        "video": video,
        "fps": clip.rate,
        "frames": clip.num_frames,
        "width": SIDE,
        "height": SIDE,
        "objects": objects,
    }


def build_split(
    folder: Path,
    split: str,
    clips: int,
    use: str,
    seed: int,
    settings: ClipSettings,
    pool: Executor,
    method: str = "middle",
    shares: Mapping[str, float] | None = None,
) -> int:
    """Make one split: videos, frame annotations and records. Returns the number of records written.

    Args:
        shares: of the sentences without a target, and of those without boxes, by name; None: none.

    Goes on where an earlier call stopped: whole videos are kept; annotations and records appear complete.
    """
    jobs = [pool.submit(make_clip, folder, split, index, seed, settings) for index in range(clips)]
    with tqdm(jobs, desc=f"{split} clips", unit="clip") as progress:
        annotations = [job.result() for job in progress]
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "annotations" / f"{split}.jsonl") as out:
        for annotation in annotations:
            out.write(json.dumps(annotation) + "\n")
    rng = random.Random(f"{seed}/{split}/{use}")
    others = Others(f"{seed}/{split}/others", **shares) if shares else None
    with RecordWriter(folder / f"{split}.jsonl") as writer:
        for annotation in annotations:
            for record in records_of(annotation, split, use, rng, method, others):
                writer.write(record)
    return writer.count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--config", type=Path, required=True, help="YAML with seed, clip settings and splits")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--scale", type=float, default=1.0, help="share of each split's clips, for a short try")
    parser.add_argument(
        "--overwrite_output_dir",
        action="store_true",
        help="move what --out holds aside (to OUT.old-N) and make it anew",
    )


def run(args: argparse.Namespace) -> None:
    """Make every split of the config, unless the folder holds them already.

    Raises:
        ValueError: A key of the config that is not known, or a value of the wrong kind.
        StageError: This build of PyAV cannot write H.264, a worker was killed, or the folder holds something else.
    """
    config = read_config(args.config)
    outputs = {f"--out, {split}": args.out / f"{split}.jsonl" for split in config["splits"]}
    check_outputs({"--out": args.out, **outputs}, [args.config])
    settings = config | {"scale": args.scale, "generator": GENERATOR}
    stage = Stage(args.out, "data", settings, defaults={"generator": 1})
    if not args.overwrite_output_dir and stage.is_complete():
        return
    if "libx264" not in av.codecs_available:
        raise StageError(
            "PyAV has no libx264 encoder here, so no videos can be written; "
            "install the PyPI wheel: pip install --force-reinstall av"
        )
    try:
        stage.begin(overwrite=args.overwrite_output_dir)
        remove_left(args.out, config["splits"])
        counts = {}
        with worker_processes(os.cpu_count() or 1) as pool:
            for split, wanted in config["splits"].items():
                clips = max(1, round(wanted["clips"] * args.scale))
                counts[split] = build_split(
                    args.out,
                    split,
                    clips,
                    wanted["use"],
                    config.get("seed", 0),
                    clip_settings(config, wanted),
                    pool,
                    config.get("box", "middle"),
                    {name: float(wanted[name]) for name in SHARES if wanted.get(name)},
                )
        made = [
            path.relative_to(args.out).as_posix() for kind in ("jsonl", "mp4") for path in args.out.rglob(f"*.{kind}")
        ]
        stage.finish({"records": counts}, files=sorted(made))
    finally:
        stage.release()


def remove_left(folder: Path, splits: Iterable[str]) -> None:
    """Delete what killed runs left half written; the folder's lock is held."""
    for split in splits:
        remove_leftovers(folder / f"{split}.jsonl", folder / "annotations" / f"{split}.jsonl")
        for path in [path for path in (folder / "videos" / split).glob(".*") if LEFT.fullmatch(path.name)]:
            path.unlink(missing_ok=True)
