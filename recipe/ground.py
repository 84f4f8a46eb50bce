"""Ask a video a question: when does it happen, and where is the target?

    python -m recipe.ground video.mp4 "the person in red picks up the bag" --model runs/tiny/grpo-tiou_mviou-s0
    python -m recipe.ground --tracks test.jsonl --video_root data/videos --model ... --out answers.jsonl

Prints the span as clock times and writes JSON, an overlay video and a contact sheet where asked.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.drawing.boxes import PREDICTED, TRUE, Layer, clock
from data_prep.drawing.overlay import Overlay, frame_times_of, write_overlay
from data_prep.drawing.sheet import contact_sheet, tile_size, write_sheet
from data_prep.errors import StageError
from data_prep.events import num_seconds
from data_prep.files import atomic_write
from data_prep.identity import check_outputs
from data_prep.seconds import frame_times
from data_prep.video.looks import look
from data_prep.video.sampling import sample_frames
from recipe.cli import OneLineParser, run
from recipe.inference.answer_key import AnswerKey, key_of
from recipe.inference.backends import Answerer, Decoding, Server, hugging_face, openai_server, vllm_in_process
from recipe.inference.engines import check_engines, engines_named
from recipe.inference.expand import expand_boxes
from recipe.inference.ground_file import ground_file
from recipe.inference.grounding import Grounding, Policy, check_query, check_video, ground
from recipe.inference.jobs import GroundRecords, engines_of
from recipe.inference.smoothing import MOST_FILLED
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import RowBuilder
from recipe.inputs.loading import trained_with
from recipe.inputs.video_units import FRAMES, UNITS, stated_units
from stvg_rewards import Span

# Settings that a checkpoint of this recipe was trained with and that its answers depend on.
_OF_THE_CHECKPOINT = ("prompts", "max_frame_pixels", "video_units", "frame_rate", "frame_budget")


def build_parser() -> OneLineParser:
    """Return the parser of the command's options, which other commands take too."""
    parser = OneLineParser(prog="python -m recipe.ground", description=__doc__.splitlines()[0])
    parser.add_argument("video", nargs="?", type=Path, help="video file")
    parser.add_argument("query", nargs="?", help="sentence or question that names the target")
    parser.add_argument("--model", required=True, help="checkpoint folder, or the served model's name (openai)")
    parser.add_argument("--out", type=Path, help="result (JSON; with --tracks JSONL)")
    parser.add_argument("--overlay", type=Path, help="also write this MP4 with the answer drawn into it")
    parser.add_argument("--sheet", type=Path, help="also write this PNG, one tile a second")
    parser.add_argument(
        "--box_frames", "--frames", choices=("second", "native"), default="second", help="native: a box a frame too"
    )
    parser.add_argument("--tracks", type=Path, help="ground every record of this file instead of one video")
    parser.add_argument(
        "--video_root", "--videos", type=Path, default=Path("data/videos"), help="folder of the videos of --tracks"
    )
    parser.add_argument("--backend", choices=("hf", "vllm", "openai"), default="hf")
    parser.add_argument(
        "--engines", default="auto", help="with --tracks, processes that answer: a number, or auto: one a visible GPU"
    )
    parser.add_argument("--base_url", default=os.environ.get("OPENAI_BASE_URL", "http://localhost:8000/v1"))
    parser.add_argument("--family", default="glm4v", help="model family of --backend openai")
    parser.add_argument(
        "--openai_only", action="store_true", help="state no setting that OpenAI's own API lacks (openai)"
    )
    parser.add_argument("--guided", action="store_true", help="hold the answer to the format (vllm, openai)")
    parser.add_argument("--smooth", choices=("on", "off"), default="on", help="inter-second smoothing")
    parser.add_argument("--most_filled", type=int, default=MOST_FILLED, help="longest gap that is filled, seconds")
    parser.add_argument(
        "--true_span",
        type=int,
        nargs=2,
        action="append",
        metavar=("FIRST", "LAST"),
        help="drawn beside the answer's; of several events give each",
    )
    parser.add_argument("--temperature", type=float, default=0.0, help="0 decodes greedily")
    parser.add_argument("--max_new_tokens", type=int, help="longest answer (default: room for a box each second)")
    parser.add_argument("--prompts", help="folder of prompt templates (default: the checkpoint's)")
    parser.add_argument("--max_frame_pixels", type=int, help="most pixels of a frame (default: the checkpoint's)")
    parser.add_argument(
        "--video_units", choices=UNITS, help="frames, or pairs: the family's own video (default: the checkpoint's)"
    )
    parser.add_argument("--window", type=int, help="longest part seen at once, seconds (default: what fits)")
    parser.add_argument("--overlap", type=int, default=20, help="what neighbouring parts share, seconds")
    parser.add_argument("--most_seconds", type=int, default=6 * 3600, help="a longer video is refused")
    return parser


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Read the command's settings from the command line.

    Raises:
        StageError: neither a video with a query nor --tracks, or settings that exclude each other.
    """
    args = build_parser().parse_args(argv)
    if (args.tracks is None) == (args.video is None):
        raise StageError("expected a video and a query, or --tracks; see --help")
    check_engines(args.engines)
    if args.engines != "auto" and args.tracks is None:
        raise StageError("--engines is for --tracks: one video is one question, which one engine answers")
    for first, last in args.true_span or ():
        if not 0 <= first <= last:
            raise StageError(f"--true_span {first} {last}, expected 0 <= FIRST <= LAST")
    if args.video is not None:
        check_query(args.query or "")
    elif args.out is None or args.overlay or args.sheet:
        raise StageError("--tracks writes answers to --out alone")
    return (args,)


def settings_of(args: argparse.Namespace) -> StageArguments:
    """Choose prompts and frame size: the command line's, else the checkpoint's own, else the defaults."""
    known = {name: trained_with(args.model, name) for name in _OF_THE_CHECKPOINT}
    if args.video_units not in (None, known["video_units"] or FRAMES):
        known["frame_rate"] = None  # the checkpoint's was for other units
    values = {name: value for name, value in known.items() if value is not None}
    given = {"prompts": args.prompts, "max_frame_pixels": args.max_frame_pixels, "video_units": args.video_units}
    return StageArguments(dataset_name=None, **values | {name: v for name, v in given.items() if v is not None})


def backend_of(args: argparse.Namespace) -> tuple[RowBuilder, Answerer]:
    """Return the row builder and the answering function of the chosen backend."""
    decoding = Decoding(args.temperature, args.max_new_tokens, args.guided)
    script_args = settings_of(args)
    if args.backend == "openai":
        api_key = os.environ.get("OPENAI_API_KEY", "")
        server = Server(args.base_url, api_key, args.family, openai_only=args.openai_only)
        return openai_server(script_args, args.model, decoding, server)
    make = hugging_face if args.backend == "hf" else vllm_in_process
    return make(script_args, args.model, decoding)


def lazy_backend(args: argparse.Namespace) -> Callable[[], tuple[RowBuilder, Answerer]]:
    """Return a function that gives what `backend_of` gives, and that several threads may call at once.

    The model is loaded at the first call, and only once. One thread at a time asks it, unless a server does the work.
    """
    loading, asking = threading.Lock(), threading.Lock()
    loaded: list[tuple[RowBuilder, Answerer]] = []

    def backend() -> tuple[RowBuilder, Answerer]:
        with loading:
            if not loaded:
                builder, answerer = backend_of(args)
                loaded.append((builder, answerer if args.backend == "openai" else in_turn(answerer, asking)))
            return loaded[0]

    return backend


def in_turn(answerer: Answerer, lock: threading.Lock) -> Answerer:
    """Return an answerer that one thread at a time asks."""

    def answer(rows: list[dict[str, Any]]) -> list[str]:
        with lock:
            return answerer(rows)

    return answer


def policy_of(args: argparse.Namespace) -> Policy:
    """Return the settings for cutting videos into windows and for finishing answers."""
    return Policy(args.window, args.overlap, args.smooth == "on", args.most_filled, args.most_seconds)


def key_of_answers(args: argparse.Namespace) -> AnswerKey:
    """Return what the answers depend on besides the video and the query, or the videos.

    Raises:
        StageError: There is no such checkpoint or track file.
    """
    return key_of(
        args.model,
        settings_of(args),
        tracks=args.tracks,
        backend=args.backend,
        base_url=args.base_url,
        family=args.family,
        temperature=args.temperature,
        max_new_tokens=args.max_new_tokens,
        guided=args.guided,
        openai_only=args.openai_only,
        **policy_of(args).settings(),
    )


def settings_in_result(args: argparse.Namespace, builder: RowBuilder) -> dict[str, Any]:
    """Return the settings as a result states them."""
    names = ("backend", "guided", "smooth", "most_filled", "temperature", "max_new_tokens", "window", "overlap")
    return {name: getattr(args, name) for name in names} | {
        "prompts": args.prompts or settings_of(args).prompts,
        "max_frame_pixels": builder.clips.max_pixels,
        "frame_rate": builder.clips.rate,
        **stated_units(builder.clips.units),
    }


def native_track(video: Path, found: Grounding) -> tuple[list[float], dict[int, tuple[float, float, float, float]]]:
    """Return when each frame of the video appears, seconds, and the answer's box of each frame inside its events.

    Each event's boxes are expanded by themselves: the last one of an event does not move towards the next event.
    """
    times = frame_times_of(video)
    inside: dict[int, tuple[float, float, float, float]] = {}
    for first, last in found.events:
        boxes = expand_boxes({k: box for k, box in found.boxes.items() if first <= k <= last}, times)
        inside |= {frame: box for frame, box in boxes.items() if first <= times[frame] < last + 1}
    return times, inside


def ground_one(args: argparse.Namespace) -> None:
    """Ground one video: print the answer and write the files that the settings name."""
    video: Path = args.video
    if problem := look(video).problem:  # before the model, whose load a mistyped path must not cost
        raise StageError(problem)
    info = check_video(video, policy_of(args))
    key = key_of_answers(args)
    builder, answerer = backend_of(args)
    found = ground(video, args.query, builder, answerer, policy_of(args), progress=_say_windows)
    result: dict[str, Any] = {"video": str(video)} | found.to_json()
    result |= {"model": args.model, "settings": settings_in_result(args, builder), "key": key.short}
    frames: dict[int, Any] = {}
    true = [Layer(TRUE, [(first, last) for first, last in args.true_span])] if args.true_span else []
    if args.box_frames == "native" or args.overlay:
        times, frames = native_track(video, found)
        if args.box_frames == "native":
            result["frame_track"] = [
                {"frame": frame, "time_s": round(times[frame], 6), "box": [round(v, 6) for v in box]}
                for frame, box in sorted(frames.items())
            ]
    if args.overlay:
        layers = [*true, Layer(PREDICTED, found.events, frames, found.label)]
        print(f"overlay: {write_overlay(video, args.overlay, Overlay(found.query, found.seconds, layers))}")
    if args.sheet:
        # As small as the tiles from the decoder on: ten minutes of 720p are 1.7 GB of pictures.
        pictures = sample_frames(video, frame_times(found.seconds), size=tile_size((info.width, info.height)))
        sheet = contact_sheet(pictures, [*true, Layer(PREDICTED, found.events, found.boxes)])
        print(f"sheet: {write_sheet(args.sheet, sheet)}")
    if args.out:
        with atomic_write(args.out) as out:
            json.dump(result, out, indent=1, ensure_ascii=False)
        print(f"result: {args.out}")
    print(sentence(found))


def _say_windows(done: int, total: int) -> None:
    if total > 1:
        print(f"window {done} of {total}", file=sys.stderr)


def sentence(found: Grounding) -> str:
    """Return the answer as a sentence."""
    if found.empty:
        return "no such event: the model's answer is empty, which says that the video does not show it"
    if found.span is None:
        return "not found: the model's answer names no second of the video"
    parts = f", joined from {len(found.joined)} of {len(found.windows)} windows" if len(found.windows) > 1 else ""
    seconds = f"{len(found.boxes)} of {num_seconds(found.events)} seconds with a box"
    return f"{in_clocks(found.events)} ({seconds}{parts})"


def in_clocks(events: Sequence[Span]) -> str:
    """Return events as clock times.

    >>> in_clocks([(1, 2), (70, 74)])
    '0:01 to 0:03, 1:10 to 1:15'
    """
    return ", ".join(f"{clock(first)} to {clock(last + 1)}" for first, last in events)


def ground_all(args: argparse.Namespace) -> None:
    """Ground every record of a track file; write one JSON a line, resume an earlier call, and list failures."""
    key, policy = key_of_answers(args), policy_of(args)
    ask = partial(ground_file, args.tracks, args.video_root, args.out, policy=policy, key=key)
    engines = engines_named(args.engines) if args.backend != "openai" else 1
    if args.backend == "vllm" or engines > 1:
        decoding = Decoding(args.temperature, args.max_new_tokens, args.guided)
        job = GroundRecords(settings_of(args), args.model, decoding, args.backend, args.video_root, policy)
        with engines_of(job, engines) as answering:
            count, failed = ask(None, engines=answering.map)
    else:
        count, failed = ask(lambda usage: backend_of(args))
    print(f"{args.out}: {count - len(failed)} of {count} records answered")
    for line in failed[:10]:
        print(f"not answered: {line}", file=sys.stderr)


def main(args: argparse.Namespace) -> None:
    """Ground one video, or a file of records.

    Raises:
        StageError: An output is an input, or see `recipe.inference.ground_file`.
    """
    outputs = {"--out": args.out, "--overlay": args.overlay, "--sheet": args.sheet}
    check_outputs(outputs, [args.video, args.tracks, args.model if args.backend != "openai" else None])
    if args.tracks is not None:
        ground_all(args)
    else:
        ground_one(args)


if __name__ == "__main__":
    run(parse, main)
