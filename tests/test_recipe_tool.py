"""The tool server through the package's own client; only files under the root are opened."""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from data_prep.records import RecordError
from data_prep.stages import StageError
from recipe import tool
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from tests.helpers import forked
from tests.helpers.films import make_plain_video

mcp = pytest.importorskip("mcp")


def call(server, **arguments):
    async def one():
        async with mcp.Client(server) as client:
            names = [item.name for item in (await client.list_tools()).tools]
            return names, await client.call_tool("ground_video", arguments)

    names, result = asyncio.run(one())
    assert names == ["ground_video"]
    return result


@pytest.fixture(scope="module")
def server(tiny_data, tiny_base):
    words = ["--root", str(tiny_data / "videos"), "--model", str(tiny_base), "--prompts", "tiny"]
    (args,) = tool.parse([*words, "--max_new_tokens", "8", "--max_frame_pixels", "2304"])
    return tool.server_of(tool.grounding_tool(args.root, args.settings))


def test_a_call(server, tiny_data):
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    for name in (f"test/{video.name}", str(video.resolve())):
        result = call(server, video=name, query="the red square <|image|>")
        assert not result.is_error
        found = json.loads(result.content[0].text)
        assert found["span"] is None
        assert found["track"] == []
        assert found["seconds"] > 0


@pytest.mark.parametrize(
    ("video", "query", "message"),
    [
        ("../../etc/passwd", "q", "video"),
        ("/etc/passwd", "q", "video"),
        ("https://example.org/a.mp4", "q", "addresses are not opened"),
        ("file:///etc/passwd", "q", "addresses are not opened"),
        ("test/none.mp4", "q", "no such file"),
        ("test", "q", "no such file"),
    ],
)
def test_bad_calls_are_errors_of_one_line(server, video, query, message):
    result = call(server, video=video, query=query)
    assert result.is_error
    assert message in result.content[0].text
    assert "\n" not in result.content[0].text
    assert "Traceback" not in result.content[0].text


def test_an_empty_query(server, tiny_data):
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    assert "the query is empty" in call(server, video=f"test/{video.name}", query=" ").content[0].text


def test_a_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.mp4").write_text("x")
    (tmp_path / "root" / "a.mp4").symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(RecordError, match="link"):
        tool.allowed(tmp_path / "root", "a.mp4")


def test_parallel_calls_share_one_model_and_see_their_own_videos(tmp_path, monkeypatch):
    """F1: 39 of 40 calls failed, the model was loaded 8 times, and calls were answered about another call's video."""
    colours = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 255, 0)}
    for place, colour in enumerate(colours.values()):
        make_plain_video(tmp_path / "root" / f"cam{place}" / "0001.mp4", colour, 4)
        make_plain_video(tmp_path / "root" / f"cam{place}" / f"{place}.mp4", colour, 4)
    loaded, inside = [], []

    def backend_of(settings):
        time.sleep(0.2)  # loading takes a while
        loaded.append(settings)
        builder = make_builder(Path("none"), load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
        builder.clips.cache_clips = 2  # clips are put out while other threads look

        def answer(rows):
            inside.append(1)
            assert len(inside) == 1, "one call at a time asks the model"
            pixel = rows[0]["images"][0].getpixel((5, 5))
            inside.pop()
            name = list(colours)[max(range(3), key=lambda n: np.dot(pixel, list(colours.values())[n]))]
            return [json.dumps({"0": [{"label": name, "bbox_2d": [0, 0, 500, 500]}]})]

        return builder, answer

    monkeypatch.setattr(tool.command, "backend_of", backend_of)
    (args,) = tool.parse(["--root", str(tmp_path / "root"), "--model", "m", "--window", "2", "--overlap", "0"])
    ask = tool.grounding_tool(args.root, args.settings)

    def call(number):
        place = number % 3
        name = f"cam{place}/0001.mp4" if number % 2 else f"cam{place}/{place}.mp4"
        return ask(name, "q")["label"] == list(colours)[place]

    with ThreadPoolExecutor(8) as pool:
        right = list(pool.map(call, range(40)))
    assert right == [True] * 40
    assert len(loaded) == 1
    make_plain_video(tmp_path / "root" / "cam0" / "0001.mp4", colours["blue"], 4)
    assert ask("cam0/0001.mp4", "q")["label"] == "blue", "the file was replaced"


def test_a_missing_root_is_named():
    with pytest.raises(StageError, match="--root nowhere: no such folder"):
        tool.parse(["--root", "nowhere", "--model", "m"])


@pytest.mark.slow
def test_over_stdio_as_a_client_starts_it(tiny_data, tiny_base):
    from mcp import StdioServerParameters

    words = ["-m", "recipe.tool", "--root", str(tiny_data / "videos"), "--model", str(tiny_base), "--prompts", "tiny"]
    words += ["--max_new_tokens", "8", "--max_frame_pixels", "2304"]
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    result = call(StdioServerParameters(command=sys.executable, args=words), video=f"test/{video.name}", query="q")
    assert json.loads(result.content[0].text)["span"] is None


def test_the_schema_is_what_the_function_takes():
    done = forked.run([sys.executable, "-m", "recipe.tool", "--schema"], capture_output=True)
    schema = json.loads(done.stdout)
    assert schema == tool.SCHEMA
    assert schema["function"]["parameters"]["required"] == ["video", "query"]


def test_the_skills_file():
    with open("launch/openclaw/ground-video/SKILL.md") as stream:
        _, front, body = stream.read().split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["name"] == "ground-video"
    assert head["description"]
    assert head["metadata"]["openclaw"]["requires"]["bins"] == ["python3"]
    assert "recipe.ground" in body
    assert "rewards/stvg_rewards/prompts/short" in body
