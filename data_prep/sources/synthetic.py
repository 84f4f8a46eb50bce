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
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import av
from tqdm import tqdm

from data_prep.aggregate import aggregate_frames
from data_prep.files import atomic_write, remove_leftovers
from data_prep.identity import check_outputs
from data_prep.records import SCHEMA_VERSION, RecordWriter
from data_prep.seconds import seconds_of, span_of_frames
from data_prep.sources.synthetic_clips import PIXELS_PER_UNIT, UNITS, ClipSettings, draw_clip, draw_frame
from data_prep.sources.synthetic_config import clip_settings, read_config
from data_prep.stages import Stage, StageError
from data_prep.video.workers import worker_processes

# To be raised when the same config comes to draw other clips or records: data of another version is made anew.
GENERATOR = 1
LEFT = re.compile(r"\.\d{5}\.\d+\.part")  # what a killed worker leaves of a video
SIDE = UNITS * PIXELS_PER_UNIT

# Wordings of a sentence: {colour} and {shape} name the target; an interrogative one leaves the shape to be seen.
DECLARATIVE = (
    "the {colour} {shape} moves about",
    "a {colour} {shape} is on screen",
    "the {colour} {shape} can be seen",
)
INTERROGATIVE = (
    "which {colour} shape moves about?",
    "what {colour} shape is on screen?",
    "which {colour} shape can be seen?",
)
TRACKING = ("{colour} {shape}", "the {colour} {shape}")


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
        objects.append(
            {
                "colour": shape.colour,
                "shape": shape.shape,
                "begin_frame": shape.first_frame,
                "end_frame": shape.end_frame,
                "boxes_xywh": [shape.box_at(frame / clip.rate) for frame in frames],
            }
        )
    return {
        "video": video,
        "fps": clip.rate,
        "frames": clip.num_frames,
        "width": SIDE,
        "height": SIDE,
        "objects": objects,
    }


def object_states(
    annotation: dict[str, Any], target: dict[str, Any], method: str
) -> tuple[list[int], list[dict[str, Any]]]:
    """Return (span, track) of one object: its frame boxes as second-level states, normalised."""
    width, height, fps = annotation["width"], annotation["height"], annotation["fps"]
    boxes = {
        target["begin_frame"] + offset: (x / width, y / height, (x + w) / width, (y + h) / height)
        for offset, (x, y, w, h) in enumerate(target["boxes_xywh"])
    }
    by_second = aggregate_frames(boxes, fps, method)
    span = span_of_frames(target["begin_frame"], target["end_frame"], fps)
    return list(span), [{"second": k, "box": list(box)} for k, box in sorted(by_second.items())]


def records_of(
    annotation: dict[str, Any], split: str, use: str, rng: random.Random, method: str = "middle"
) -> Iterator[dict[str, Any]]:
    """Yield the records of one annotated clip.

    Args:
        use: "general" (tracking prompts and questions, for CPT), "ground" (sentences with reasoning, for SFT and
            GRPO), "test" (one sentence a clip, so that samples are independent), "scene" (all objects at once, for
            tracking studies) or "questions" (one question a clip, nothing else).
        method: box aggregation; "middle" states the position that the 1-fps frame shows, "mean" that of the whole
            second, as real sources do.
    """
    name = Path(annotation["video"]).stem
    seconds = seconds_of(annotation["frames"], annotation["fps"])
    common = {
        "schema": SCHEMA_VERSION,
        "source": "synthetic",
        "split": split,
        "video": annotation["video"],
        "clip": [0.0, annotation["frames"] / annotation["fps"]],
        "fps": annotation["fps"],
        "width": annotation["width"],
        "height": annotation["height"],
        "seconds": seconds,
    }
    targets = annotation["objects"]
    if use == "scene":
        yield common | scene_of(annotation, f"synthetic/{split}/{name}/scene", method)
        return
    if use == "questions":
        yield common | question_of(targets, f"synthetic/{split}/{name}/qa", rng)
        return
    for index, target in enumerate(targets[:1] if use == "test" else targets):
        span, track = object_states(annotation, target, method)
        kind: str
        wordings: tuple[str, ...]
        if use == "general":
            kind, wordings = "tracking", TRACKING
        else:
            kind, wordings = rng.choice((("declarative", DECLARATIVE), ("interrogative", INTERROGATIVE)))
        record = common | {
            "id": f"synthetic/{split}/{name}/{index}",
            "kind": kind,
            "query": rng.choice(wordings).format(**target),
            "label": f"{target['shape']}-1",
            "span": span,
            "track": track,
            "answer": None,
        }
        if use == "ground":
            others = [f"{item['colour']} {item['shape']}" for item in targets if item is not target]
            record |= {"reasoning": reasoning(target, span), "distractors": len(others), "others": others}
        yield record
    if use == "general":
        yield common | question_of(targets, f"synthetic/{split}/{name}/qa", rng)


def scene_of(annotation: dict[str, Any], name: str, method: str) -> dict[str, Any]:
    """Return the fields of a scene record: each object has its own label, numbered in order of appearance."""
    tracks = []
    in_order = sorted(annotation["objects"], key=lambda item: item["begin_frame"])
    for number, target in enumerate(in_order, 1):
        tracks.append({"label": f"shape-{number}", "track": object_states(annotation, target, method)[1]})
    return {"id": name, "kind": "scene", "query": "every shape", "label": None, "span": None, "track": None} | {
        "tracks": tracks,
        "answer": None,
    }


def reasoning(target: dict[str, Any], span: list[int]) -> str:
    """Return a short trace without coordinates: when the event happens, then what to follow."""
    return f"from second {span[0]} to {span[1]} the {target['colour']} {target['shape']} moves"


def question_of(objects: list[dict[str, Any]], name: str, rng: random.Random) -> dict[str, Any]:
    """Return the fields of a question record."""
    query, answer = general_question(objects, rng)
    empty = {"label": None, "span": None, "track": None}
    return empty | {"id": name, "kind": "qa", "query": query, "answer": answer}


def general_question(objects: list[dict[str, Any]], rng: random.Random) -> tuple[str, str]:
    """Return a question about colour, count or order, and its answer."""
    topic = rng.choice(("colour", "count", "order"))
    if topic == "colour":
        shapes = [item["shape"] for item in objects]
        single = [item for item in objects if shapes.count(item["shape"]) == 1]
        if single:
            item = rng.choice(single)
            return f"what colour is the {item['shape']}?", item["colour"]
    if topic == "order" and len(objects) > 1:
        first, second = sorted(objects, key=lambda item: item["begin_frame"] / 1.0)[:2]
        if first["begin_frame"] != second["begin_frame"]:
            return "which colour comes first?", first["colour"]
    return "how many shapes are there?", str(len(objects))


def build_split(
    folder: Path,
    split: str,
    clips: int,
    use: str,
    seed: int,
    settings: ClipSettings,
    pool: Executor,
    method: str = "middle",
) -> int:
    """Make one split: videos, frame annotations and records. Returns the number of records written.

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
    with RecordWriter(folder / f"{split}.jsonl") as writer:
        for annotation in annotations:
            for record in records_of(annotation, split, use, rng, method):
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
