"""Serve a page to ask in: a video and a sentence in, the answer drawn on the video, as a table and as files out.

    python -m recipe.app --model runs/tiny/grpo-tiou_mviou-s0 --sft runs/tiny/sft
    python -m recipe.app --backend openai --model NAME --base_url http://localhost:8000/v1 --family glm4v

`--sft` asks a second checkpoint too, and shows both answers in one video. The page is on this machine only unless
--host says otherwise. Options of `recipe.ground` that choose the model and how it is asked are taken too.
"""

from __future__ import annotations

import argparse
import sys

from data_prep.command_line import respelled, unknown_words
from data_prep.drawing.boxes import PREDICTED, RL, SFT
from data_prep.errors import StageError
from recipe import ground as command
from recipe.asking.answers import Asker, Limits, System
from recipe.asking.page import check_gradio, serving
from recipe.cli import OneLineParser, run

# Options of `recipe.ground` that say what is read and written, which each question says here.
OF_FILES = ("tracks", "out", "overlay", "sheet", "true_span", "box_frames", "most_seconds", "engines")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Read the command's settings from the command line, and those of `recipe.ground` that choose the model.

    Raises:
        StageError: a number that cannot be, or options of `recipe.ground` that make no sense here.
    """
    parser = OneLineParser(prog="python -m recipe.app", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="checkpoint folder, or the served model's name (openai)")
    parser.add_argument("--sft", help="a checkpoint (or served model) that is asked too, and shown beside --model")
    parser.add_argument("--host", default=LOOPBACK[0], help="address to listen at; the default is this machine only")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--most_megabytes", type=int, default=200, help="a larger upload is refused")
    parser.add_argument("--most_minutes", type=float, default=10.0, help="a longer video is refused")
    args, others = parser.parse_known_args(argv)
    for name, least, most in (("port", 0, 65_535), ("most_megabytes", 1, 1 << 20), ("most_minutes", 0.02, 1440)):
        if not least <= getattr(args, name) <= most:
            raise StageError(f"--{name} {getattr(args, name):g}, expected a number from {least:g} to {most:g}")
    ours, theirs = (set(one._option_string_actions) for one in (parser, command.build_parser()))
    if unknown := [
        word
        for word in others
        if word.startswith("--") and respelled([word], theirs, {})[0].partition("=")[0] not in theirs
    ]:
        raise ValueError(unknown_words(unknown, ours | theirs))
    for word in others:
        if word.partition("=")[0].lstrip("-").replace("-", "_") in OF_FILES:
            raise StageError(f"{word}: an option of `python -m recipe.ground` that the page has no use for")
    seconds = str(max(1, round(args.most_minutes * 60)))
    args.settings = [
        # The video and the query come with each question; these two stand in for them here.
        command.parse(["-", "-", "--model", model, "--most_seconds", seconds, *others])[0]
        for model in ([args.sft] if args.sft else []) + [args.model]
    ]
    return (args,)


def systems_of(args: argparse.Namespace) -> list[System]:
    """Load the models and return them in the order of their bars: SFT, then RL; one by itself is the prediction.

    Raises:
        StageError: A checkpoint or a server is not there.
    """
    looks = [SFT, RL] if args.sft else [PREDICTED]
    systems = [
        System(look, settings.model, command.policy_of(settings), command.lazy_backend(settings))
        for look, settings in zip(looks, args.settings, strict=True)
    ]
    for system in systems:
        system.backend()  # now, so that what is wrong is said before anybody asks
    return systems


def main(args: argparse.Namespace) -> None:
    """Serve the page until it is stopped.

    Raises:
        StageError: gradio is not installed, the port is taken, or a model cannot be loaded.
    """
    check_gradio()
    limits = Limits(args.most_megabytes, args.most_minutes)
    asker = Asker(systems_of(args), limits, command.sentence, command.native_track)
    if args.host not in LOOPBACK:
        print(f"--host {args.host}: whoever reaches this machine can ask; there is no password", file=sys.stderr)
    try:
        with serving(asker, args.host, args.port) as page:
            print(f"ask at {page.local_url} (Ctrl-C stops it)", flush=True)
            page.block_thread()
    except OSError as error:
        raise StageError(f"--host {args.host} --port {args.port}: {' '.join(str(error).split())}") from None


if __name__ == "__main__":
    run(parse, main)
