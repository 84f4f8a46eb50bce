"""Grounding as a tool that other programs call: an MCP server over stdio, and an OpenAI function schema.

    python -m recipe.tool --root videos --model runs/tiny/grpo-tiou_mviou-s0
    python -m recipe.tool --schema

One tool, `ground_video(video, query)`. Only files under `--root` are opened; addresses of the network never are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from data_prep.records import RecordError, resolve_video
from data_prep.stages import StageError
from data_prep.video.sampling import VideoError

with redirect_stdout(sys.stderr):  # transformers may print while it is imported, and stdout belongs to the protocol
    from recipe import ground as command
    from recipe.cli import OneLineParser, run
    from recipe.inference.grounding import ground

NAME = "ground_video"
DESCRIPTION = (
    "Find when a described event happens in a video and where its target is. Returns the span in seconds (inclusive, "
    "null if not found), the spans of several events (end exclusive) and one box [x_min, y_min, x_max, y_max] a "
    "second, in shares of the picture; no_target is true if the model says that the video does not show the event."
)
SCHEMA = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": DESCRIPTION,
        "parameters": {
            "type": "object",
            "properties": {
                "video": {"type": "string", "description": "path of the video file under the server's video folder"},
                "query": {"type": "string", "description": "one sentence or question that names the target"},
            },
            "required": ["video", "query"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}

Tool = Callable[[str, str], dict[str, Any]]


def parse(argv: list[str] | None = None) -> tuple[argparse.Namespace]:
    """Read the command's settings from the command line, and those of `recipe.ground` that choose the model.

    Raises:
        StageError: no folder at --root, or no --model.
    """
    parser = OneLineParser(prog="python -m recipe.tool", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder whose videos may be opened")
    parser.add_argument("--schema", action="store_true", help="print the OpenAI function schema and end")
    args, others = parser.parse_known_args(argv)
    if args.schema:
        return (args,)
    if args.root is None or not args.root.is_dir():
        raise StageError(f"--root {args.root}: no such folder; name the one whose videos may be opened")
    # The video and the query come with each call; these two stand in for them here.
    (args.settings,) = command.parse(["-", "-", *others])
    return (args,)


def allowed(root: Path, video: str) -> Path:
    """Return the file that a caller names, if it lies inside the root.

    Raises:
        RecordError: an address, a path outside the root, or a link that leads out of it.
    """
    if "://" in video:
        raise RecordError(f"{video[:80]!r}: addresses are not opened; give the path of a file")
    path = Path(video)
    if path.is_absolute() and path.is_relative_to(root.resolve()):
        video = path.relative_to(root.resolve()).as_posix()
    return resolve_video(root, video)


def grounding_tool(root: Path, settings: argparse.Namespace) -> Tool:
    """Return the tool as a function (video, query) -> result, which several threads may call at once.

    The model is loaded at the first call, and only once. One call at a time asks it, unless a server does the work.
    """
    backend = command.lazy_backend(settings)

    def call(video: str, query: str) -> dict[str, Any]:
        path = allowed(root, video)
        if not path.is_file():
            raise VideoError(video, "no such file")
        builder, answerer = backend()
        grounding = ground(path, query, builder, answerer, command.policy_of(settings))
        result = {"video": video} | grounding.to_json()
        if grounding.span is not None:
            result["clock"] = command.in_clocks(grounding.events)
        return result

    return call


def server_of(tool: Tool) -> Any:
    """Build an MCP server with the one tool.

    Raises:
        StageError: the `mcp` package is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError:
        raise StageError("the tool server needs the mcp package: pip install mcp") from None
    server = MCPServer(name="video-grounding", instructions=DESCRIPTION)

    @server.tool(name=NAME, description=DESCRIPTION)
    def ground_video(video: str, query: str) -> str:
        try:
            return json.dumps(tool(video, query), ensure_ascii=False)
        except (StageError, VideoError, RecordError, OSError) as error:
            raise ToolError(" ".join(str(error).split())) from None

    return server


def main(args: argparse.Namespace) -> None:
    """Serve until the client goes, or print the schema."""
    if args.schema:
        print(json.dumps(SCHEMA, indent=1))
        return
    print(f"{NAME}: videos under {args.root}, model {args.settings.model}", file=sys.stderr)
    server_of(grounding_tool(args.root, args.settings)).run()


if __name__ == "__main__":
    run(parse, main)
