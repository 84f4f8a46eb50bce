"""Records to the rows that TRL's SFTTrainer takes: prompt and completion messages, frames as files beside them.

    python -m recipe.inputs.export --config recipe/configs/tiny/traces.yaml

writes `rows.jsonl`, `rows.parquet` and `frames/` to a folder. The rows are those that recipe.sft builds on the fly;
here they stand in files, for a trainer that knows nothing of this repository:

    SFTTrainer(..., train_dataset=load_dataset("parquet", data_files="rows.parquet", split="train"))

`rows.jsonl` is for reading; its images are paths relative to it, and it holds the columns that rewards read too. The
Parquet file names the same images by absolute path: after moving the folder run the command again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet
from datasets import Dataset, Features, Image, List, Value
from tqdm import tqdm

from data_prep.events import is_temporal
from data_prep.files import atomic_write, remove_leftovers
from data_prep.identity import check_outputs
from data_prep.locks import locked
from data_prep.records import read_records, resolve_video
from data_prep.stages import StageError
from data_prep.video.marks import video_mark
from recipe.cli import Parser, run
from recipe.inputs.dataset import UNTAUGHT, RowBuilder, make_builder
from recipe.inputs.families import FAMILIES, families_tokens
from recipe.inputs.prompts import load_prompts


@dataclass
class RowsArguments:
    """What the rows are made of and for."""

    tracks: str = field(default="traces.jsonl", metadata={"help": "track file whose records have their reasoning"})
    video_root: str = field(default="data/videos", metadata={"help": "folder that the records' video paths start at"})
    out: str = field(default="rows", metadata={"help": "folder for rows.jsonl and frames/"})
    family: str = field(default="glm4v", metadata={"help": f"of the model: {', '.join(FAMILIES)}"})
    grid: int | None = field(
        default=None, metadata={"help": "pixels that frame sides are multiples of; none: the family's"}
    )
    prompts: str | None = field(
        default=None, metadata={"help": "folder of prompt templates; none: our one-target wording"}
    )
    max_frame_pixels: int = field(default=448 * 448, metadata={"help": "most pixels of a resized frame"})
    frame_rate: float = field(default=1.0, metadata={"help": "frames a second"})
    image_format: str = field(default="jpg", metadata={"help": "jpg (quality 95) or png (as decoded)"})
    max_records: int | None = field(default=None, metadata={"help": "only the first records"})


def parse(args: list[str] | None = None) -> tuple[RowsArguments]:
    """Read the settings from --config YAML and the command line (which wins); refuse an unknown key."""
    (arguments,) = Parser((RowsArguments,)).parse_args_and_config(args)
    if arguments.family not in FAMILIES:
        raise ValueError(f"family {arguments.family!r} is unknown; known: {', '.join(FAMILIES)}")
    if arguments.image_format not in ("jpg", "png"):
        raise ValueError(f"image_format {arguments.image_format!r}, expected jpg or png")
    return (arguments,)


def main(arguments: RowsArguments) -> None:
    """Write the rows. Frames that exist for the same videos are kept, so an interrupted run resumes.

    Raises:
        RecordError, VideoError, OSError: a record, video or folder is at fault.
        StageError: no record has its video, an output is an input, or another process writes there.
    """
    family = FAMILIES[arguments.family]
    builder = make_builder(
        video_root=Path(arguments.video_root),
        prompts=load_prompts(arguments.prompts),
        family=family,
        grid=arguments.grid or family.grid,
        max_pixels=arguments.max_frame_pixels,
        rate=arguments.frame_rate,
        control_tokens=families_tokens(),
    )
    out = Path(arguments.out)
    outputs = {"--out": out, "--out, rows": out / "rows.jsonl", "--out, table": out / "rows.parquet"}
    check_outputs(outputs, [arguments.tracks, arguments.video_root])
    with locked(out, folder=True):
        remove_leftovers(out / "rows.jsonl", out / "rows.parquet")
        written, missing = write_rows(out, builder, arguments)
        write_parquet(out)
    print(f"rows: {written} in {out / 'rows.jsonl'}" + (f", {missing} left out without a video" if missing else ""))


def write_rows(out: Path, builder: RowBuilder, arguments: RowsArguments) -> tuple[int, int]:
    """Write `rows.jsonl` and its frames; return how many rows were written and how many records have no video.

    Raises:
        StageError: no record has its video; what was there stays.
    """
    written = missing = untaught = 0
    with atomic_write(out / "rows.jsonl") as stream:
        for number, record in enumerate(
            tqdm(read_records(arguments.tracks), desc="rows", unit="row", mininterval=1.0, file=sys.stderr)
        ):
            if number == arguments.max_records:
                break
            if is_temporal(record):
                untaught += 1
                continue
            video = resolve_video(builder.clips.video_root, record["video"])
            if not video.is_file():
                missing += 1
                continue
            seen = [record["video"], video_mark(video), record["clip"], arguments.frame_rate]
            row = builder.row(record)
            names = write_frames(out, seen, row["images"], arguments)
            stream.write(json.dumps(row | {"images": names}, ensure_ascii=False) + "\n")
            written += 1
        if untaught:
            print(f"rows: {untaught} {UNTAUGHT}", file=sys.stderr)
        if not written and not missing:
            raise StageError(f"{arguments.tracks}: no record is left to write")
        if not written:
            raise StageError(
                f"{arguments.tracks}: none of its {missing} records has its video below {builder.clips.video_root}"
            )
    return written, missing


def write_frames(out: Path, seen: list[Any], frames: list[Any], arguments: RowsArguments) -> list[str]:
    """Write a clip's frames unless they are there; records of one clip share them. Return paths relative to `out`.

    Args:
        seen: what the frames are of: the video and what it is known by (a replaced one has other frames), clip, rate.
    """
    kind = [list(frames[0].size), arguments.image_format]
    digest = hashlib.sha256(json.dumps([*seen, *kind]).encode()).hexdigest()[:16]
    names = [f"frames/{digest[:2]}/{digest}/{index:04d}.{arguments.image_format}" for index in range(len(frames))]
    for name, frame in zip(names, frames, strict=True):
        path = out / name
        if not path.exists():
            # Whole or not there, but not synced one by one: a power cut costs frames that are made again.
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.part")
            options: dict[str, Any] = {"quality": 95, "subsampling": 0} if arguments.image_format == "jpg" else {}
            frame.save(aside, format="JPEG" if arguments.image_format == "jpg" else "PNG", **options)
            aside.replace(path)
    return names


def write_parquet(folder: Path) -> Path:
    """Write `rows.parquet` from `rows.jsonl`: prompt, completion, and images in a column that decodes on access."""
    rows = []
    with (folder / "rows.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            images = [{"path": str(folder.resolve() / name), "bytes": None} for name in row["images"]]
            rows.append({"id": row["id"], "prompt": row["prompt"], "completion": row["completion"], "images": images})
    dataset = Dataset.from_list(rows)
    part = {"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})}
    answer = {"role": Value("string"), "content": Value("string")}
    features = Features(
        {"id": Value("string"), "prompt": List(part), "completion": List(answer), "images": List(Image())}
    )
    path = folder / "rows.parquet"
    with atomic_write(path, "wb") as file:
        # Dataset.to_parquet would copy the pictures into the file.
        pyarrow.parquet.write_table(dataset.cast(features).data.table, file)
    return path


if __name__ == "__main__":
    run(parse, main)
