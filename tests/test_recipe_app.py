"""A page to ask in: what a question makes, and the page in a server and, where there is one, in a browser."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from data_prep.drawing.boxes import PREDICTED, RL, SFT
from data_prep.errors import StageError
from data_prep.video.sampling import VideoError, probe
from recipe import app
from recipe import ground as command
from recipe.asking.answers import Asker, Limits, System, answer_question, check_upload
from recipe.inference.grounding import Policy
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from tests.helpers.films import make_audio, make_video
from tests.helpers.served_model import ANSWER, serving

HOSTILE = "<script>alert(1)</script> <b>the square</b>"
OTHER = '<think><img src=x onerror=alert(1)></think>{"0": [{"label": "square-1", "bbox_2d": [0, 0, 100, 100]}]}'


def system(look, text):
    """A model that gives one answer to whatever it is asked."""
    builder = make_builder(Path(), load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
    return System(look, f"runs/{look.name}", Policy(), lambda: (builder, lambda rows: [text] * len(rows)))


def asker(*systems, **limits):
    return Asker(systems, Limits(**limits), command.sentence, command.native_track)


@pytest.fixture
def video(tmp_path):
    return make_video(tmp_path / "street.mp4", 40, 10, size=(160, 120))


def test_both_answers_are_drawn_and_written(tmp_path, video):
    found = answer_question(asker(system(SFT, OTHER), system(RL, ANSWER)), video, HOSTILE, tmp_path / "out")
    assert found.said == [
        "SFT: 0:00 to 0:01 (1 of 1 seconds with a box)", "RL: 0:01 to 0:03 (2 of 2 seconds with a box)",
    ]  # fmt: skip
    assert [(second, [box is not None for box in boxes]) for second, boxes in found.table] == [
        (0, [True, False]), (1, [False, True]), (2, [False, True]),
    ]  # fmt: skip
    assert found.reasoning == [("SFT", "<img src=x onerror=alert(1)>"), ("RL", "first it moves")]
    assert [[bar["name"] for bar in tile["bars"]] for tile in found.tiles] == [["SFT", "RL"]] * 4
    assert [tile["bars"][1]["parts"] for tile in found.tiles] == [[], [(0.0, 100.0)], [(0.0, 100.0)], []]
    assert probe(found.overlay).num_frames == 40
    as_json, as_csv, sheet = found.files
    answers = json.loads(as_json.read_text())["answers"]
    assert [(one["system"], one["model"], one["span"]) for one in answers] == [
        ("SFT", "runs/SFT", [0, 0]), ("RL", "runs/RL", [1, 2]),
    ]  # fmt: skip
    rows = list(csv.DictReader(as_csv.open()))
    assert [(row["system"], row["second"], float(row["x_max"])) for row in rows] == [
        ("SFT", "0", 0.1), ("RL", "1", 0.5), ("RL", "2", 0.5),
    ]  # fmt: skip
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"


def test_an_answer_that_names_nothing(tmp_path, video):
    found = answer_question(asker(system(PREDICTED, "nothing")), video, "a cat", tmp_path / "out")
    assert found.said == ["not found: the model's answer names no second of the video"]
    assert found.table == []


@pytest.mark.parametrize(
    ("make", "limits", "message"),
    [
        (lambda folder: shutil.copy(__file__, folder / "a.txt"), {}, "a.txt: expected a video file (.mp4, "),
        (lambda folder: shutil.copy(__file__, folder / "a.mp4"), {}, "a.mp4"),
        (lambda folder: make_audio(folder / "a.mp4"), {}, "no video stream"),
        (lambda folder: make_video(folder / "a.mp4", 50, 10), {"minutes": 0.05}, "5 s, at most 3 s are taken"),
        (lambda folder: make_video(folder / "a.mp4", 50, 10), {"megabytes": 0}, "MB, at most 0 MB are taken"),
    ],
)
def test_uploads_that_are_refused(tmp_path, make, limits, message):
    with pytest.raises((StageError, VideoError)) as error:
        check_upload(Path(make(tmp_path)), Limits(**limits))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m", "--port", "70000"], "--port 70000, expected a number from 0 to 65535"),
        (["--model", "m", "--most_megabytes", "0"], "--most_megabytes 0, expected a number from 1"),
        (["--model", "m", "--overlay", "o.mp4"], "--overlay: an option of `python -m recipe.ground`"),
        (["--model", "m", "--box-frames=native"], "--box-frames=native: an option of `python -m recipe.ground`"),
        (["--model", "m", "--backned", "hf"], "did you mean '--backend'"),
        ([], "--model"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises((StageError, ValueError), match=".") as error:
        app.parse(words)
    assert message in str(error.value)


def test_the_page_is_on_this_machine_only_and_asks_sft_first():
    (args,) = app.parse(["--model", "rl", "--sft", "sft", "--temperature", "0.5", "--most_minutes", "2"])
    assert args.host == "127.0.0.1"
    assert [one.model for one in args.settings] == ["sft", "rl"]
    assert {(one.temperature, one.most_seconds) for one in args.settings} == {(0.5, 120)}


def test_the_systems_are_loaded_before_anybody_asks(tiny_base):
    (args,) = app.parse(["--model", str(tiny_base), "--prompts", "tiny"])
    (one,) = app.systems_of(args)
    assert one.look == PREDICTED
    (args,) = app.parse(["--model", str(tiny_base / "nowhere")])
    with pytest.raises(StageError, match="nowhere"):
        app.systems_of(args)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The page of two models behind an OpenAI-compatible server, served as the command serves it."""
    pytest.importorskip("gradio")
    from recipe.asking.page import serving as page_serving

    with serving() as server:
        words = ["--model", "rl", "--sft", "sft", "--backend", "openai", "--base_url", server.url, "--prompts", "tiny"]
        (args,) = app.parse([*words, "--most_minutes", "0.1"])
        one = Asker(app.systems_of(args), Limits(1, 0.1), command.sentence, command.native_track)
        with page_serving(one, args.host, 0) as page:
            yield page.local_url


@pytest.mark.slow
def test_the_served_page_answers_through_gradios_own_client(url, video, tmp_path):
    from gradio_client import Client, handle_file

    client = Client(url, verbose=False, download_files=str(tmp_path / "got"))
    said, overlay, shown, files = client.predict(handle_file(video), HOSTILE, api_name="/ask")
    assert said.splitlines()[1] == "RL: 0:01 to 0:03 (2 of 2 seconds with a box)"
    assert probe(overlay).num_frames == 40
    assert shown.count("<figure>") == 4
    assert "<script" not in shown
    assert sorted(Path(path).suffix for path in files) == [".csv", ".json", ".png"]
    (tmp_path / "a.mp4").write_text("no video")
    long = make_video(tmp_path / "long.mp4", 90, 10)
    for bad, query, message in (
        (tmp_path / "a.mp4", "q", "error: a.mp4: "),
        (long, "q", "error: long.mp4: 9 s, at most 6 s are taken"),
        (video, " ", "error: the query is empty"),
    ):
        said, overlay, shown, files = client.predict(handle_file(bad), query, api_name="/ask")
        assert said.startswith(message)
        assert (overlay, shown, files) == (None, "", None)
    large = tmp_path / "large.mp4"
    large.write_bytes(video.read_bytes() + bytes(2**21))
    with pytest.raises(Exception, match="(?i)size|413|large"):
        client.predict(handle_file(large), "q", api_name="/ask")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_in_a_browser(url, video, width, scheme):
    api = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("no Chromium here")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=sandbox)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        others = []
        page.on("request", lambda asked: others.append(asked.url))
        page.goto(url)
        page.set_input_files("input[type=file]", str(video))
        page.wait_for_selector("video")
        page.get_by_label("sentence or question").fill("<b>the square</b> moves")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.wait_for_selector(".answer figure", timeout=120_000)
        said = [area.input_value() for area in page.locator("textarea").all()]
        assert any("RL: 0:01 to 0:03" in text for text in said)
        page.wait_for_function("[...document.querySelectorAll('video')].filter(v => v.readyState > 1).length == 2")
        assert page.locator(".answer figure").count() == 4
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        hidden = """[...document.querySelectorAll('.answer *')].filter(e => e.scrollWidth > e.clientWidth + 1
                    && ['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX)).length"""
        assert page.evaluate(hidden) == 0
        browser.close()
    assert [address for address in others if not address.startswith((url, "data:", "blob:"))] == []
