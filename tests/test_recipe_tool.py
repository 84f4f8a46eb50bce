"""The tool server through the package's own client; only files under the root are opened."""

import asyncio
import json
import subprocess
import sys

import pytest
import yaml

from data_prep.records import RecordError
from data_prep.stages import StageError
from recipe import tool

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
    (args,) = tool.parse([*words, "--max-new-tokens", "8", "--max-frame-pixels", "2304"])
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


def test_a_missing_root_is_named():
    with pytest.raises(StageError, match="--root nowhere: no such folder"):
        tool.parse(["--root", "nowhere", "--model", "m"])


@pytest.mark.slow
def test_over_stdio_as_a_client_starts_it(tiny_data, tiny_base):
    from mcp import StdioServerParameters

    words = ["-m", "recipe.tool", "--root", str(tiny_data / "videos"), "--model", str(tiny_base), "--prompts", "tiny"]
    words += ["--max-new-tokens", "8", "--max-frame-pixels", "2304"]
    video = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    result = call(StdioServerParameters(command=sys.executable, args=words), video=f"test/{video.name}", query="q")
    assert json.loads(result.content[0].text)["span"] is None


def test_the_schema_is_what_the_function_takes():
    done = subprocess.run([sys.executable, "-m", "recipe.tool", "--schema"], capture_output=True, text=True)
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
    assert "recipe/prompts/short" in body
