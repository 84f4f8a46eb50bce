"""What records say, drawn on their videos: a page of tiles, bars, films and problems, a folder of them, or one video.

    python -m data_prep show tracks.jsonl --video_root data/videos --out tracks.html

A line that is no valid record is shown with its fault, so that a file can be mended before anything reads it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.drawing.boxes import TRUE
from data_prep.errors import StageError
from data_prep.identity import check_outputs
from data_prep.show.cards import Card
from data_prep.show.entries import Entry, read_entries
from data_prep.show.outputs import INDEX, write_folder, write_page, write_video
from data_prep.show.problems import Kind, problems_of

PAGES, VIDEOS = (".html", ".htm"), (".mp4",)
MOST_SHOWN = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("tracks", type=Path, help="track file (JSONL)")
    parser.add_argument(
        "--video_root", "--videos", type=Path, help="folder of the videos; without it boxes stand on grey"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="a page (.html), a video (.mp4) or a folder (default: the track file's name and .html)",
    )
    parser.add_argument("--records", help="ids of the records to show, with commas between them")
    parser.add_argument(
        "--max_records", type=int, default=MOST_SHOWN, help=f"most records that are shown ({MOST_SHOWN})"
    )


def run(args: argparse.Namespace) -> None:
    """Read the file twice: once for what is wrong with each record, once to draw those that are shown.

    Raises:
        StageError: Options or folders are at fault, or there is no such record.
        RecordError, OSError: The track file cannot be read.
    """
    out: Path = args.out or args.tracks.with_name(args.tracks.name + ".html")
    kind = check(args, out)
    numbers, in_file, total = choose(args)
    if not numbers:
        raise StageError(f"{args.tracks}: no record in it")
    chosen = "those named" if args.records else "half of them with problems, the others at even steps"
    about: dict[str, Any] = {
        "name": args.tracks.name,
        "total": total,
        "chosen": chosen,
        "video_root": str(args.video_root or ""),
        "in_file": in_file,
        "looks": [TRUE],
    }
    cards = (Card.of(entry, args.video_root) for entry in drawn(args.tracks, numbers))
    if kind == "page":
        told = write_page(out, cards, about, args.video_root)
    elif kind == "folder":
        told = write_folder(out, cards, about, args.video_root)
    else:
        told = write_video(out, list(cards), args.video_root)
    print(f"{out / INDEX if kind == 'folder' else out}: {told.shown} of {total} records, {told.wrong} with problems")
    for name, count in told.kinds.most_common():
        print(f"  {name}: {count}")


def check(args: argparse.Namespace, out: Path) -> str:
    """Return what is to be written: "page", "folder" or "video".

    Raises:
        StageError: Another ending, an output that is an input, a number or a folder that cannot be.
    """
    if args.max_records < 1:
        raise StageError(f"--max_records {args.max_records}, expected at least 1")
    if not args.tracks.is_file():
        raise StageError(f"{args.tracks}: no such file, expected a track file (JSONL)")
    if args.video_root is not None and not args.video_root.is_dir():
        raise StageError(f"--video_root {args.video_root}: no such folder")
    check_outputs({"--out": out}, [args.tracks, args.video_root])
    ending = out.suffix.lower()
    if ending in PAGES or ending in VIDEOS:
        if out.is_dir():
            raise StageError(f"--out {out}: a folder, expected a file with this ending")
        return "page" if ending in PAGES else "video"
    if out.is_dir() or (not ending and not out.exists()):
        return "folder"
    raise StageError(f"--out {out}: expected a page (.html), a video (.mp4) or a folder")


def choose(args: argparse.Namespace) -> tuple[list[int], Counter[Kind], int]:
    """Return the numbers of the records that are shown, how many of all have each problem, and how many there are.

    Half of those shown have problems (where there are some), the others lie at even steps through the file.

    Raises:
        StageError: A named record is not there.
    """
    wanted = None if args.records is None else [name.strip() for name in args.records.split(",") if name.strip()]
    in_file: Counter[Kind] = Counter()
    wrong: list[tuple[bool, int]] = []  # hints come after problems
    named: dict[str, int] = {}
    total = 0
    for entry in read_entries(args.tracks):
        problems = problems_of(entry)
        in_file.update({problem.kind for problem in problems})
        if problems:
            wrong.append((all(problem.is_hint for problem in problems), entry.number))
        if wanted is not None and (name := entry.text("id")) in wanted:
            named.setdefault(name, entry.number)
        total += 1
    if wanted is not None:
        missing = [name for name in wanted if name not in named]
        if missing or not wanted:
            raise StageError(f"--records {args.records}: no record {(missing or [''])[0]!r} in {args.tracks}")
        return sorted({named[name] for name in wanted})[: args.max_records], in_file, total
    return even_choice(total, [number for _, number in sorted(wrong)], args.max_records), in_file, total


def even_choice(total: int, wrong: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of `total` numbers, in order: half of them of `wrong`, the others at even steps.

    >>> even_choice(10, [], 3), even_choice(10, [2, 3, 9], 4), even_choice(2, [1], 9)
    ([1, 5, 8], [2, 3, 5, 8], [0, 1])
    """
    if total <= most:
        return list(range(total))
    chosen = list(wrong[: most - most // 2])
    others = sorted(set(range(total)) - set(chosen))
    rest = most - len(chosen)
    chosen += [others[int((index + 0.5) * len(others) / rest)] for index in range(rest)]
    return sorted(chosen)


def drawn(tracks: Path, numbers: Sequence[int]) -> Iterator[Entry]:
    """Yield the records of these numbers, with a progress bar."""
    wanted = set(numbers)
    with tqdm(total=len(numbers), unit="record", desc="show", mininterval=1.0, file=sys.stderr) as progress:
        for entry in read_entries(tracks):
            if entry.number in wanted:
                yield entry
                progress.update(1)
            if entry.number >= numbers[-1]:
                return
