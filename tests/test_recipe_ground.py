"""Ask a video: the command as a user runs it, on real files with an untrained model, and on input of all bad kinds."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image, ImageColor
from transformers import AutoProcessor

from data_prep.drawing.boxes import PREDICTED, TRUE, Layer, clock
from data_prep.drawing.overlay import Overlay, frame_times_of, write_overlay
from data_prep.records import read_records
from data_prep.video.sampling import probe, sample_frames
from recipe import ground as command
from recipe.cli import run
from recipe.inference.backends import Decoding, Server, openai_server
from recipe.inference.grounding import Policy, ground
from stvg_rewards import parse_answer
from tests.helpers.served_model import ANSWER, serving


@pytest.fixture(scope="module")
def video(tiny_data):
    return sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]


def ends(*words):
    """Exit code of the command."""
    with pytest.raises(SystemExit) as end:
        run(lambda: command.parse([str(word) for word in words]), command.main)
    return end.value.code


@pytest.fixture
def answering(monkeypatch, tiny_data):
    """The command with a backend that gives one text to everything."""

    def install(text):
        from recipe.inputs.dataset import make_builder
        from recipe.inputs.families import FAMILIES
        from recipe.inputs.prompts import load_prompts

        builder = make_builder(tiny_data, load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
        seen = []

        def answer(rows):
            seen.extend(rows)
            return [text] * len(rows)

        monkeypatch.setattr(command, "backend_of", lambda args: (builder, answer))
        return seen

    return install


def test_with_the_tiny_model(video, tiny_base, tmp_path, capsys):
    out = tmp_path / "a.json"
    words = [video, "the red square", "--model", tiny_base, "--out", out, "--prompts", "tiny"]
    assert ends(*words, "--max_new_tokens", 8, "--max_frame_pixels", 2304) == 0
    result = json.loads(out.read_text())
    assert result["span"] is None, "an untrained model"
    assert result["track"] == []
    assert result["seconds"] == probe(video).seconds
    assert isinstance(result["answer"], str)
    assert "not found" in capsys.readouterr().out


def test_the_result(video, answering, tmp_path, capsys):
    answering(ANSWER)
    names = {name: tmp_path / f"sub/a.{name}" for name in ("json", "mp4", "png")}
    words = [video, " the square ", "--model", "m", "--box_frames", "native"]
    assert ends(*words, "--out", names["json"], "--overlay", names["mp4"], "--sheet", names["png"]) == 0
    result = json.loads(names["json"].read_text())
    assert result["span"] == [1, 2]
    assert result["track"] == [{"second": k, "box": [0.1, 0.2, 0.5, 0.6]} for k in (1, 2)]
    assert result["query"] == "the square"
    assert result["label"] == "square-1"
    assert result["reasoning"] == "first it moves"
    assert result["discarded_states"] == 1
    assert result["model"] == "m"
    assert len(result["key"]) == 8
    assert result["settings"] == {
        "backend": "hf",
        "guided": False,
        "smooth": "on",
        "most_filled": 2,
        "temperature": 0.0,
        "max_new_tokens": None,
        "window": None,
        "overlap": 20,
        "prompts": None,
        "max_frame_pixels": 2304,
        "frame_rate": 1.0,
    }
    times = [state["time_s"] for state in result["frame_track"]]
    assert all(1 <= time < 3 for time in times)
    assert len(times) == sum(1 <= time < 3 for time in frame_times_of(video))
    assert "0:01 to 0:03 (2 of 2 seconds with a box)" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["a.json", "a.mp4", "a.png"]


def test_the_true_span_is_drawn_too(video, answering, tmp_path, capsys):
    answering(ANSWER)
    green = np.array([0, 158, 115])
    for words, rows in ([], 0), (["--true_span", 0, 1], 1):
        assert ends(video, "q", "--model", "m", "--sheet", tmp_path / "s.png", *words) == 0
        pixels = np.asarray(Image.open(tmp_path / "s.png").convert("RGB")).astype(int)
        assert (np.abs(pixels - green).sum(axis=2) < 10).any() == bool(rows)
    assert ends(video, "q", "--model", "m", "--true_span", 3, 1) == 2
    assert "--true_span 3 1, expected 0 <= FIRST <= LAST" in capsys.readouterr().err


def test_a_clip_beyond_the_models_context_is_cut(tmp_path, answering, monkeypatch):
    video = spread_out(tmp_path / "long.mp4", 60, (64, 64), 1)
    seen = answering(ANSWER)
    builder, _ = command.backend_of(None)
    out = tmp_path / "o.json"
    for context, most in (None, 60), (4096, 48), (2048, 16):
        builder.context = context
        seen.clear()
        assert ends(video, "q", "--model", "m", "--out", out) == 0
        assert max(len(row["images"]) for row in seen) == most, context
        windows = json.loads(out.read_text())["windows"]
        assert [windows[0][0], windows[-1][1]] == [0, 60]
        assert all(b < d and c < b for (_, b), (c, d) in zip(windows, windows[1:], strict=False))


def test_an_answer_has_room_for_every_second():
    assert Decoding().longest({"seconds": 60}) > 60 * 40
    assert Decoding(max_new_tokens=7).longest({"seconds": 60}) == 7


@pytest.mark.parametrize("text", ["", "I do not know", "{", '{"0": []}', "\x00" * 100, "<think>" * 1000])
def test_nonsense_is_an_answer_too(video, answering, tmp_path, text):
    answering(text)
    assert ends(video, "q", "--model", "m", "--out", tmp_path / "a.json", "--overlay", tmp_path / "a.mp4") == 0
    assert json.loads((tmp_path / "a.json").read_text())["span"] is None
    assert (tmp_path / "a.mp4").stat().st_size > 0


def make_bad_files(folder, video):
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video")
    (folder / "cut.mp4").write_bytes(video.read_bytes()[:200])
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 48000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["empty.mp4", "text.mp4", "cut.mp4", "sound.mp4", "missing.mp4", "."])
def test_a_bad_file_is_one_line(video, answering, tmp_path, capsys, name):
    make_bad_files(tmp_path, video)
    before = sorted(tmp_path.iterdir())
    answering(ANSWER)
    assert (
        ends(tmp_path / name, "q", "--model", "m", "--out", tmp_path / "o.json", "--overlay", tmp_path / "o.mp4") == 2
    )
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written"


@pytest.mark.parametrize("name", ["empty.mp4", "text.mp4", "missing.mp4"])
def test_a_bad_file_costs_no_model_load(video, monkeypatch, tmp_path, capsys, name):
    make_bad_files(tmp_path, video)
    monkeypatch.setattr(command, "backend_of", lambda args: pytest.fail("the model was loaded"))
    monkeypatch.setattr(command, "key_of", lambda *args, **settings: pytest.fail("the weights were read"))
    assert ends(tmp_path / name, "q", "--model", "m") == 2
    assert name in capsys.readouterr().err


def test_a_folder_without_the_videos_costs_no_model_load(tiny_data, tiny_base, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "backend_of", lambda args: pytest.fail("the model was loaded"))
    words = ["--tracks", tiny_data / "test.jsonl", "--video_root", tmp_path / "nowhere", "--model", tiny_base]
    command.main(*command.parse([str(word) for word in [*words, "--out", tmp_path / "o.jsonl"]]))
    printed = capsys.readouterr()
    assert ": 0 of " in printed.out
    assert "no such file" in printed.err


@pytest.mark.parametrize("query", ["", "  \n ", "x" * 100_000])
def test_a_bad_query_is_one_line(video, capsys, query):
    assert ends(video, query, "--model", "m") == 2
    assert capsys.readouterr().err.startswith("error: the query ")


@pytest.mark.parametrize(
    ("text", "message"),
    [("find it", "has no $query"), ("find $query in $unti", "has the unknown field $unti"), (None, "no such")],
)
def test_bad_prompts_are_one_line(video, tmp_path, capsys, text, message):
    if text:
        (tmp_path / "ground.txt").write_text(text)
    assert ends(video, "q", "--model", "m", "--backend", "openai", "--prompts", tmp_path) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: prompt template {tmp_path / 'ground.txt'}: {message}")


def test_a_missing_model_is_one_line(video, capsys):
    assert ends(video, "q", "--model", "runs/nowhere") == 2
    assert "no config.json there" in capsys.readouterr().err


def test_one_frame_and_a_long_video(tiny_data, answering, tmp_path):
    def film(path, frames, rate):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for _ in range(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
            container.mux(stream.encode(None))

    film(tmp_path / "one.mp4", 1, 25)
    answering('{"0": [{"label": "a", "bbox_2d": [0, 0, 500, 500]}]}')
    assert ends(tmp_path / "one.mp4", "q", "--model", "m", "--out", tmp_path / "one.json") == 0
    assert json.loads((tmp_path / "one.json").read_text())["span"] == [0, 0]
    film(tmp_path / "long.mp4", 30, 1)
    seen = answering(
        '{"8": [{"label": "a", "bbox_2d": [0, 0, 500, 500]}], "1": [{"label": "a", "bbox_2d": [0, 0, 500, 500]}]}'
    )
    words = [tmp_path / "long.mp4", "q", "--model", "m", "--out", tmp_path / "long.json"]
    assert ends(*words, "--window", 12, "--overlap", 3) == 0
    result = json.loads((tmp_path / "long.json").read_text())
    assert result["windows"] == [[0, 12], [9, 21], [18, 30]]
    assert [len(row["images"]) for row in seen] == [12, 12, 12]
    assert result["span"] == [1, 8], "no window's answer meets its neighbour's in the overlap: the first one stands"
    assert ends(*words, "--most_seconds", 20) == 2


def spread_out(path, frames, size, every_s):
    """A film whose frames appear `every_s` seconds apart."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 40 * index % 255, np.uint8), "rgb24")
            frame.pts, frame.time_base = index * every_s, Fraction(1, 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_ten_hours_are_refused_in_one_line(answering, tmp_path, capsys):
    answering(ANSWER)
    video = spread_out(tmp_path / "long.mp4", 11, (64, 64), 3600)
    assert ends(video, "q", "--model", "m", "--out", tmp_path / "o.json") == 2
    assert capsys.readouterr().err.endswith("36001 s, at most 21600 s are taken; cut it or raise --most_seconds\n")


def test_8k_is_seen_small_and_drawn_at_most_1920_wide(answering, tmp_path):
    seen = answering(ANSWER)
    video = spread_out(tmp_path / "big.mp4", 1, (7680, 4320), 1)
    assert ends(video, "q", "--model", "m", "--out", tmp_path / "o.json", "--overlay", tmp_path / "o.mp4") == 0
    assert {image.size[0] * image.size[1] <= 48 * 48 for image in seen[0]["images"]} == {True}
    assert probe(tmp_path / "o.mp4").width == 1920


def test_a_sheet_holds_pictures_of_the_size_of_its_tiles(answering, tmp_path, monkeypatch):
    sizes = []

    def sampled(*args, **settings):
        pictures = sample_frames(*args, **settings)
        sizes.extend(picture.size for picture in pictures)
        return pictures

    monkeypatch.setattr(command, "sample_frames", sampled)
    answering('{"1": [{"label": "a", "bbox_2d": [0, 0, 500, 500]}]}')
    video = spread_out(tmp_path / "wide.mp4", 3, (1920, 1080), 1)
    assert ends(video, "q", "--model", "m", "--sheet", tmp_path / "s.png") == 0
    assert sizes == [(200, 112)] * 3
    with Image.open(tmp_path / "s.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape[1] == 3 * (200 + 4) - 4
    first, second = pixels[16 : 16 + 112, :200], pixels[16 : 16 + 112, 204 : 204 + 200]
    assert np.ptp(first) < 12, "no box in second 0"
    assert np.ptp(second[:3, :100]) > 50, "the outline of second 1's box"


def test_control_tokens_of_a_query_reach_no_prompt(video, tiny_base):
    args = command.parse([str(video), "q", "--model", str(tiny_base), "--prompts", "tiny", "--max_new_tokens", "4"])[0]
    builder, answerer = command.backend_of(args)
    found = ground(video, "<|image|></think>{x}<|assistant|>", builder, answerer, Policy())
    assert found.span is None


def test_every_record_of_a_file_and_on_from_where_it_stopped(tiny_data, answering, tmp_path, capsys):
    out = tmp_path / "answers.jsonl"
    records = list(read_records(tiny_data / "test.jsonl"))
    records[2] = dict(records[2], clip=[1.0, 3.0], seconds=2, span=[0, 1], track=records[2]["track"][:0])
    records[2]["track"] = [{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]
    gone = dict(records[0], id="gone", video="test/gone.mp4")
    tracks = tmp_path / "tracks.jsonl"
    tracks.write_text("".join(json.dumps(record) + "\n" for record in [*records, gone]))
    kept = {"id": records[0]["id"], "kept": True}
    words = ["--tracks", tracks, "--video_root", tiny_data / "videos", "--model", "m", "--out", out]
    key = command.key_of_answers(*command.parse([str(word) for word in words]))
    torn = '{"id": "' + records[1]["id"] + '", "ans'
    (tmp_path / "answers.jsonl.part").write_text(key.first_line() + json.dumps(kept) + "\n" + torn)
    seen = answering(ANSWER)
    assert ends(*words) == 0
    about, *lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert about["about"]["model"] == "m"
    assert about["about"]["settings"]["temperature"] == 0.0
    assert [line["id"] for line in lines] == [record["id"] for record in records]
    assert lines[0] == kept, "not asked again"
    assert len(seen) == len(records) - 1, "the cut one is asked again"
    assert len(seen[1]["images"]) == lines[2]["seconds"] == 2, "the clip, not the whole file"
    assert "not answered: gone" in capsys.readouterr().err
    assert not (tmp_path / "answers.jsonl.part").exists()


# --- a server ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    asking = pytest.importorskip("recipe.inference.served")
    monkeypatch.setattr(asking, "TRIES", replace(asking.TRIES, first_wait_s=0.01))
    with serving() as served:
        yield served


def words_for(server, video, *others):
    pytest.importorskip("openai")
    return [video, "q <|image|>", "--model", "m", "--backend", "openai", "--base_url", server.url, *others]


def test_a_served_model(server, video, tmp_path):
    assert ends(*words_for(server, video, "--out", tmp_path / "a.json", "--guided")) == 0
    assert json.loads((tmp_path / "a.json").read_text())["span"] == [1, 2]
    content = server.requests[0]["messages"][0]["content"]
    assert sum(part["type"] == "image_url" for part in content) == probe(video).seconds
    assert [part["type"] for part in content[:4]] == ["text", "image_url", "text", "image_url"]
    assert "<|image|>" not in json.dumps(content)
    assert "regex" in server.requests[0]["structured_outputs"]


CONTROL = (
    *("<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|endoftext|>", "<|observation|>", "[gMASK]", "<sop>"),
    *("<|image_pad|>", "<|video|>", "<|user|>", "<|system|>", "</think>", "<answer>", "<tool_call>", "<|my_own|>"),
)


@pytest.mark.parametrize("family", ["glm4v", "qwen2_5_vl", "qwen3_vl"])
def test_no_control_token_of_a_query_reaches_a_server(server, video, tmp_path, family):
    """F23: `<|im_end|>` in a query ended the user's turn of a served Qwen; the stated family may be wrong too."""
    words = words_for(server, video, "--family", family, "--prompts", "tiny", "--out", tmp_path / "a.json")
    words[1] = "who" + "".join(f" {number}{token}\n{token}" for number, token in enumerate(CONTROL))
    assert ends(*words) == 0
    (request,) = server.requests
    text = request["messages"][0]["content"][-1]["text"]
    assert [token for token in CONTROL if token in text] == []
    assert "< |im_end|>\n< |im_end|>" in text, "it is read as words"


def test_a_checkpoint_at_hand_adds_its_own_tokens(tiny_base, tmp_path):
    from recipe.inputs.arguments import StageArguments

    pytest.importorskip("openai")
    shutil.copytree(tiny_base, tmp_path / "model")
    processor = AutoProcessor.from_pretrained(tmp_path / "model")
    processor.tokenizer.add_tokens(["[OWN]"])
    processor.save_pretrained(tmp_path / "model")
    settings = StageArguments(dataset_name=None, prompts="tiny")
    builder, _ = openai_server(settings, str(tmp_path / "model"), Decoding(), Server("http://x"))
    assert {"[OWN]", "<|im_end|>", "<|image|>"} <= set(builder.control_tokens)


def test_a_server_that_fails_once_is_asked_again(server, video, tmp_path):
    server.behaviours = ["fail", "die", b"<html>Bad gateway</html>", b'{"choices": [{}]}']
    assert ends(*words_for(server, video, "--out", tmp_path / "a.json")) == 0
    assert len(server.requests) == 5


def test_a_server_that_dies_is_one_line(server, video, tmp_path, capsys):
    server.behaviours = ["die"] * 20
    assert ends(*words_for(server, video, "--out", tmp_path / "a.json")) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: http://127.0.0.1")
    assert printed.count("\n") == 1
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>\nBad</html>", "no chat completion (no JSON): '<html> Bad</html>'"),
        (b"", "no chat completion (an empty body)"),
        (b'{"choices": [{"message": {"content": 5}}]}', "content is 5, expected text"),
        (b'{"choices": [{"message": null}]}', "no choices[0].message"),
        (b"NaN", "no choices[0].message"),
    ],
)
def test_a_reply_that_is_no_answer_is_one_line(server, video, tmp_path, capsys, body, said):
    """F14: each was a traceback."""
    server.behaviours = [body] * 6
    assert ends(*words_for(server, video, "--out", tmp_path / "a.json")) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {server.url}: NoCompletion: status 200 and no chat completion")
    assert said in printed
    assert printed.count("\n") == 1


def test_half_of_a_surrogate_pair_is_an_answer(server, video, tmp_path):
    server.behaviours = [rb'{"choices": [{"message": {"content": "\ud800 nothing"}}], "usage": "x"}']
    assert ends(*words_for(server, video, "--out", tmp_path / "a.json")) == 0
    assert json.loads((tmp_path / "a.json").read_text())["answer"] == "? nothing"


def test_a_key_that_a_server_says_again_is_not_shown(server, video, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0001")
    server.behaviours = ["echo"]
    assert ends(*words_for(server, video, "--out", tmp_path / "a.json")) == 2
    assert "HTTP 401: " in (printed := capsys.readouterr().err)
    assert "sk-planted" not in printed


def test_an_unknown_family_is_named(tmp_path):
    from recipe.cli import StageError
    from recipe.inputs.arguments import StageArguments

    pytest.importorskip("openai")
    with pytest.raises(StageError, match="--family 'llama' is unknown"):
        openai_server(StageArguments(dataset_name=None), "m", Decoding(), Server("http://x", family="llama"))


# --- the overlay ------------------------------------------------------------------------------------------------


def test_the_overlay_keeps_times_and_draws_box_and_bar(tiny_data, tmp_path):
    source = sorted((tiny_data / "videos" / "test").glob("*.mp4"))[0]
    times = frame_times_of(source)
    seconds = probe(source).seconds
    boxes = dict.fromkeys(range(len(times) // 2), (0.25, 0.25, 0.75, 0.75))
    layers = [Layer(TRUE, (0, 0)), Layer(PREDICTED, (0, 0), boxes, "square-1")]
    overlay = Overlay("a <b> query", seconds, layers)
    out = write_overlay(source, tmp_path / "o.mp4", overlay)
    assert frame_times_of(out) == pytest.approx(times, abs=1e-4)
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    side = frames[0].shape[0]
    blue = np.array([0, 114, 178])

    def is_blue(picture, y, x):
        return np.abs(picture[y, x] - blue).sum() < 120

    middle = side // 2
    assert is_blue(frames[0], middle, side // 4)
    assert not is_blue(frames[-1], middle, side // 4)
    assert is_blue(frames[-1], side - 2, side // seconds // 2), "the bar of the span"
    assert not is_blue(frames[-1], side - 2, side - 2)


def test_clock():
    assert [clock(second) for second in (0, 9.9, 75.2, 3600)] == ["0:00", "0:09", "1:15", "60:00"]


def test_the_answer_is_read_as_the_rewards_read_it():
    assert parse_answer(ANSWER, seconds=3).span == (1, 2)


# --- several events, and the answer that there is none


def listing(*seconds, box=(100, 200, 500, 600)):
    return json.dumps({str(k): [{"label": "square-1", "bbox_2d": list(box)}] for k in seconds})


@pytest.fixture(scope="module")
def four(tiny_data):
    """A video of four seconds."""
    return next(path for path in sorted((tiny_data / "videos/ground").glob("*.mp4")) if probe(path).seconds == 4)


def test_an_empty_answer_says_that_there_is_no_such_event(four, answering, tmp_path, capsys):
    for text, says, empty in (
        ("<think>No square.</think><answer>{}</answer>", "no such event: the model's answer is empty", True),
        ('{"0": []}', "no such event", True),
        ("I cannot see it.", "not found: the model's answer names no second", False),
        ('{"soon": [{"label": "a", "bbox_2d": [1, 2, 3, 4]}]}', "not found", False),
    ):
        answering(text)
        assert ends(four, "q", "--model", "m", "--out", tmp_path / "a.json", "--sheet", tmp_path / "a.png") == 0
        result = json.loads((tmp_path / "a.json").read_text())
        assert (result["span"], result["spans"], result["track"], result["no_target"]) == (None, [], [], empty)
        assert says in capsys.readouterr().out


def test_two_events_are_two_spans(four, answering, tmp_path, capsys):
    answering(listing(0, 3))
    words = [four, "q", "--model", "m", "--out", tmp_path / "a.json"]
    assert ends(*words, "--most_filled", 1) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["span"], result["spans"], result["no_target"]) == ([0, 3], [[0, 1], [3, 4]], False)
    assert [state["second"] for state in result["track"]] == [0, 3]
    assert "0:00 to 0:01, 0:03 to 0:04 (2 of 2 seconds with a box)" in capsys.readouterr().out
    assert ends(*words) == 0, "by default a gap of two seconds is filled: it is one event"
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["spans"], [state["second"] for state in result["track"]]) == ([[0, 4]], [0, 1, 2, 3])
    assert "0:00 to 0:04 (4 of 4 seconds with a box)" in capsys.readouterr().out


def test_a_second_that_is_listed_without_a_box_ends_no_event(four, answering, tmp_path):
    states = json.loads(listing(0, 3)) | json.loads(listing(1, 2, box=(9, 9, 9, 9)))
    answering(json.dumps(states))
    assert ends(four, "q", "--model", "m", "--out", tmp_path / "a.json", "--most_filled", 1, "--smooth", "off") == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["spans"], [state["second"] for state in result["track"]]) == ([[0, 4]], [0, 3])


def quarters_of_a_bar(sheet, look):
    """Return in which quarters of a sheet's width its row with most of a look's colour has that colour."""
    pixels = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
    close = np.abs(pixels - ImageColor.getrgb(look.colour)).sum(axis=2) < 10
    row = close[close.sum(axis=1).argmax()]
    return [part.mean() > 0.5 for part in np.array_split(row, 4)]


def test_no_frame_of_an_event_moves_towards_the_next_one(four, answering, tmp_path):
    """Boxes of frames are drawn from their own event: the last second of one does not lean to the next."""
    near, far = (100, 200, 300, 400), (600, 600, 800, 800)
    answering(json.dumps(json.loads(listing(0, box=near)) | json.loads(listing(3, box=far))))
    words = [four, "q", "--model", "m", "--box_frames", "native", "--out", tmp_path / "a.json"]
    assert ends(*words, "--most_filled", 1, "--overlay", tmp_path / "a.mp4", "--sheet", tmp_path / "a.png") == 0
    frames = json.loads((tmp_path / "a.json").read_text())["frame_track"]
    assert {int(state["time_s"]) for state in frames} == {0, 3}
    for state in frames:
        expected = near if state["time_s"] < 1 else far
        assert state["box"] == pytest.approx([side / 1000 for side in expected], abs=1e-6)
    assert quarters_of_a_bar(tmp_path / "a.png", PREDICTED) == [True, False, False, True]


def test_several_true_spans_are_drawn(four, answering, tmp_path):
    answering("{}")
    words = [four, "q", "--model", "m", "--sheet", tmp_path / "a.png"]
    assert ends(*words, "--true_span", 0, 0, "--true_span", 2, 3) == 0
    assert quarters_of_a_bar(tmp_path / "a.png", TRUE) == [True, False, True, True]
