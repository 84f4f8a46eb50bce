"""How much of a second's mean box its frames show: in the clips for video units, in the old clips, and in LaSOT.

    STVG_SAMPLES=... python -m bench.within_a_second

Mean overlaps (IoU) over all seconds whose middle and quarter points show the target: of the mean box with that of the
middle frame, with the mean of the two at the quarter points, with their hull, and of these two with each other.
LaSOT's tracks are read from `samples/lasot_toolkit` below STVG_SAMPLES, and left out where there are none.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.table import Report, parser_of
from data_prep.aggregate import aggregate_frames
from data_prep.sources.synthetic_clips import ClipSettings, draw_clip
from data_prep.sources.synthetic_config import clip_settings, read_config
from recipe.evaluation.tables import markdown_table
from stvg_rewards import Box, box_iou

CLIPS = 400
LASOT_FPS = 30
NAMES = ("middle frame", "mean of the quarter points", "their hull", "quarter points, each other")
Boxes = dict[int, Box]


def drawn(settings: ClipSettings, clips: int) -> Iterator[tuple[Boxes, int]]:
    """Yield the frame boxes and the rate of each shape in `clips` drawn clips."""
    for index in range(clips):
        clip = draw_clip(random.Random(index), settings)
        for shape in clip.shapes:
            boxes = {}
            for frame in range(shape.first_frame, shape.end_frame):
                x, y, width, height = shape.box_at(frame / clip.rate)
                boxes[frame] = (float(x), float(y), float(x + width), float(y + height))
            yield boxes, clip.rate


def lasot(folder: Path) -> Iterator[tuple[Boxes, int]]:
    """Yield the frame boxes of each track; frames without the target are left out."""
    for path in sorted(folder.glob("*.txt")):
        absent = (folder / "absent" / path.name).read_text().replace(",", " ").split()
        boxes = {}
        for frame, (line, gone) in enumerate(zip(path.read_text().split(), absent, strict=True)):
            x, y, width, height = map(float, line.split(","))
            if gone == "0" and width > 0 and height > 0:
                boxes[frame] = (x, y, x + width, y + height)
        yield boxes, LASOT_FPS


def overlaps(tracks: Iterable[tuple[Boxes, int]]) -> tuple[int, list[float]]:
    """Return the number of seconds and the mean overlaps, in the order of `NAMES`."""
    found: list[tuple[float, ...]] = []
    for boxes, fps in tracks:
        for second, mean in aggregate_frames(boxes, fps).items():
            first, middle, last = (boxes.get(int((second + share) * fps)) for share in (0.25, 0.5, 0.75))
            if first is None or middle is None or last is None:
                continue
            halfway = ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2, (first[2] + last[2]) / 2)
            between = (*halfway, (first[3] + last[3]) / 2)
            hull = (min(first[0], last[0]), min(first[1], last[1]), max(first[2], last[2]), max(first[3], last[3]))
            found.append((*(box_iou(mean, box) for box in (middle, between, hull)), box_iou(first, last)))
    return len(found), [sum(column) / len(column) for column in zip(*found, strict=True)]


def main() -> None:
    """Print a table, and a row of each source: what pairs of frames show against one frame."""
    options = parser_of(__doc__).parse_args()
    report, clips = Report("within_a_second", options.rows), CLIPS // 10 if options.quick else CLIPS
    config = read_config(Path("recipe/configs/tiny/unit-clips.yaml"))
    sources = {
        "unit-clips.yaml": drawn(clip_settings(config, {}), clips),
        "data.yaml": drawn(clip_settings(read_config(Path("recipe/configs/tiny/data.yaml")), {}), clips),
    }
    folder = Path(os.environ.get("STVG_SAMPLES", ".")) / "samples" / "lasot_toolkit" / "annos"
    if folder.is_dir():
        sources["LaSOT"] = lasot(folder)
    rows = []
    for name, tracks in sources.items():
        count, means = overlaps(tracks)
        what = f"{name}: IoU of a second's mean box with the mean at its quarter points, {count} seconds"
        report.add(what, means[1], means[0], "", "its middle frame's box")
        rows.append([name, str(count), *(f"{mean:.3f}" for mean in means)])
    print(markdown_table(["tracks", "seconds", *NAMES], rows))


if __name__ == "__main__":
    main()
