"""Served models have conventions of their own: what they are sent, and how their boxes are read."""

import base64
import io
import json
from dataclasses import replace

import pytest
import yaml
from PIL import Image

from data_prep.records import read_records
from data_prep.stages import StageError
from recipe.inference.reading import in_corners, read_answer
from recipe.inference.request import RequestForm, video_options
from recipe.inputs.pair_pictures import pairs_of
from recipe.studies.readings import READINGS, Development, choose, development_records
from recipe.studies.table1 import main, parse
from stvg_rewards.prompts.box_format import BoxFormat
from tests.helpers.served_model import serving

LISTED = {  # (0.1, 0.2, 0.3, 0.6) of a picture of 500 x 400
    "xyxy in thousandths": "[100, 200, 300, 600]",
    "yxyx in thousandths": "[200, 100, 600, 300]",
    "xywh in thousandths": "[100, 200, 200, 400]",
    "xyxy in pixels": "[50, 80, 150, 240]",
    "yxyx in pixels": "[80, 50, 240, 150]",
    "xywh in pixels": "[50, 80, 100, 160]",
    "xyxy in unit": "[0.1, 0.2, 0.3, 0.6]",
    "yxyx in unit": "[0.2, 0.1, 0.6, 0.3]",
    "xywh in unit": "[0.1, 0.2, 0.2, 0.4]",
}


@pytest.mark.parametrize("boxes", READINGS, ids=str)
def test_one_box_in_every_order_and_unit(boxes):
    text = f'{{"1": [{{"label": "a", "bbox_2d": {LISTED[str(boxes)]}}}]}}'
    answer = read_answer(text, seconds=5, order=boxes.order, scale=boxes.scale((500, 400)))
    assert answer.track.boxes[1] == pytest.approx((0.1, 0.2, 0.3, 0.6))
    assert boxes.example((100, 200, 300, 600), (500, 400)) == LISTED[str(boxes)]


@pytest.mark.parametrize(
    ("text", "order", "expected", "remark"),
    [
        ("", "yxyx", "", "no answer"),
        ("[1, 2, 3]", "yxyx", "[1, 2, 3]", "no box"),
        ("[1, 2, 3, 4, 5]", "yxyx", "[1, 2, 3, 4, 5]", "no box either"),
        ('{"1": [{"bbox_2d": [1, 2, 3', "yxyx", '{"1": [{"bbox_2d": [1, 2, 3', "cut"),
        ("[[1,2,\\n3,4]]", "yxyx", "[[1,2,\\n3,4]]", "a backslash is no blank"),
        ("[[1,2,\n3,4]]", "yxyx", "[[2, 1, 4, 3]]", "nested, over lines"),
        ("[-1, 2e1, 3, 4]", "xywh", "[-1, 2e1, 2, 24]", "below zero, exponents"),
        ("[1, 2, 9e999, 4]", "xywh", "[]", "no number"),
        ("[" + "9" * 9999 + ", 2, 3, 4]", "xywh", "[]", "endless"),
        ("[1, 2, 3, 4]", "xyxy", "[1, 2, 3, 4]", "as it is"),
    ],
)
def test_whatever_a_model_writes(text, order, expected, remark):
    assert in_corners(text, order) == expected, remark


# --- what is sent -------------------------------------------------------------------------------------------------


def row(*parts):
    images = [Image.new("RGB", (8, 6), "red") for part in parts if part["type"] == "image"]
    return {"prompt": [{"role": "user", "content": list(parts)}], "images": images}


@pytest.mark.parametrize(("media", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("video_url", "JPEG")])
def test_pictures_are_sent_in_the_form_that_is_named(media, kind):
    content = RequestForm(media).content(row({"type": "text", "text": "0s"}, {"type": "image"}))
    assert content[0] == {"type": "text", "text": "0s"}
    head, _, data = content[1]["image_url"]["url"].partition(";base64,")
    assert head == f"data:image/{kind.lower()}"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (picture.format, picture.size) == (kind, (8, 6))


@pytest.fixture
def server(monkeypatch):
    asking = pytest.importorskip("recipe.inference.served")
    monkeypatch.setattr(asking, "TRIES", replace(asking.TRIES, attempts=2, first_wait_s=0.01))
    with serving() as served:
        yield served


@pytest.fixture
def config(server, tiny_data, tmp_path):
    """A table of one served system, and a development file of other videos."""
    test = list(read_records(tiny_data / "test.jsonl"))
    videos = {record["video"] for record in test}
    rest = [r for r in read_records(tiny_data / "ground.jsonl") if r["video"] not in videos and r.get("track")]
    assert len(rest) >= 5
    write_tracks(tmp_path / "development.jsonl", rest)
    root = str(tiny_data / "videos")
    return {
        "out": str(tmp_path / "out"),
        "benchmarks": {"A": {"tracks": str(tiny_data / "test.jsonl"), "video_root": root}},
        "systems": [{"name": "Served", "api": {"model": "m", "base_url": server.url, "workers": 1}}],
        "evaluation": {"max_frame_pixels": 112 * 112, "max_new_tokens": 99},
        "development": {"tracks": str(tmp_path / "development.jsonl"), "records": 4},
    }


def write_tracks(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def table_of(tmp_path, config, *options):
    path = tmp_path / "table1.yaml"
    path.write_text(yaml.safe_dump(config))
    main(*parse(["--config", str(path), *options]))
    return json.loads((tmp_path / "out/readings.json").read_text())


def knows_the_truth(tracks, boxes):
    """Return a model that answers with the true boxes of the record that a prompt asks about, in its own form."""
    records = [record for path in tracks for record in read_records(path)]

    def answer(body):
        *content, question = body["messages"][0]["content"]
        asked = question["text"]
        url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        size = Image.open(io.BytesIO(base64.b64decode(url.partition(";base64,")[2]))).size
        record = next(r for r in records if f'"{r["query"]}"' in asked)
        states = {}
        for state in record["track"]:
            corners = tuple(round(1000 * value) for value in state["box"])
            states[state["second"]] = f'[{{"label": "x", "bbox_2d": {boxes.example(corners, size)}}}]'
        return "{" + ", ".join(f'"{second}": {listed}' for second, listed in states.items()) + "}"

    return answer


def unique_queries(path):
    """Make the query of each record its own, so that the model above knows which record is asked about."""
    records = list(read_records(path))
    for record in records:
        record["query"] = f"{record['query']} ({record['id']})"
    write_tracks(path, records)


@pytest.fixture
def truth(config, tmp_path):
    """The table's settings over files whose records can be told apart by their queries."""
    tests = tmp_path / "test.jsonl"
    write_tracks(tests, read_records(config["benchmarks"]["A"]["tracks"]))
    config["benchmarks"]["A"]["tracks"] = str(tests)
    for path in (tests, tmp_path / "development.jsonl"):
        unique_queries(path)
    return config


def test_a_model_that_answers_otherwise_than_asked_is_read_as_it_answers(tmp_path, truth, server, capsys):
    """Asked for corners x first, it answers y first, as one that was trained so does."""
    tracks = [truth["benchmarks"]["A"]["tracks"], truth["development"]["tracks"]]
    server.answer_to = knows_the_truth(tracks, BoxFormat("yxyx"))
    readings = table_of(tmp_path, truth)
    assert readings["Served"]["reading"] == "yxyx in thousandths"
    assert readings["Served"]["asked"] == "xyxy in thousandths"
    assert len(readings["Served"]["m_vIoU"]) == 9
    assert readings["Served"]["n"] == 4
    assert len(server.requests) == 4 + 5, "one request a record, for all readings"
    result = json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]
    assert result["m_vIoU"] > 0.9, "the reading is applied to the test files"
    page = capsys.readouterr().out
    assert "- Served: read as yxyx in thousandths, asked for xyxy in thousandths; m_vIoU of 4 records: xyxy in" in page
    assert f"chosen on records of {truth['development']['tracks']} and not on any record of the table" in page
    (raw,) = (tmp_path / "out").glob("A-Served.predictions-????????.jsonl")
    before = raw.read_bytes()
    server.requests.clear()
    table_of(tmp_path, truth)
    assert not server.requests
    assert raw.read_bytes() == before, "what the model wrote stays as it was"


@pytest.mark.parametrize("boxes", [BoxFormat("xyxy", "unit"), BoxFormat("xywh"), BoxFormat("xyxy", "pixels")], ids=str)
def test_other_forms_are_found_too(tmp_path, truth, server, boxes):
    tracks = [truth["benchmarks"]["A"]["tracks"], truth["development"]["tracks"]]
    server.answer_to = knows_the_truth(tracks, boxes)
    assert table_of(tmp_path, truth)["Served"]["reading"] == str(boxes)
    # Pixels of so small a picture are coarse.
    assert json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]["m_vIoU"] > 0.7


def test_what_is_asked_for_is_in_the_prompt_and_is_how_answers_are_read(tmp_path, truth, server):
    """A system whose own order is y first is asked for it, and no step turns its boxes round again."""
    del truth["development"]
    truth["systems"][0]["api"] |= {"box_order": "yxyx", "box_unit": "thousandths", "media": "jpeg"}
    server.answer_to = knows_the_truth([truth["benchmarks"]["A"]["tracks"]], BoxFormat("yxyx"))
    readings = table_of(tmp_path, truth)
    assert readings["Served"]["why"] == "no development part"
    assert json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]["m_vIoU"] > 0.9
    text = server.requests[0]["messages"][0]["content"][-1]["text"]
    assert "[y_min, x_min, y_max, x_max], in thousandths" in text
    assert "[310, 102, 644, 298]" in text, "the example too"


def test_only_the_reading(tmp_path, truth, server, capsys):
    table_of(tmp_path, truth, "--choose_reading")
    assert len(server.requests) == 4
    assert not (tmp_path / "out/table1.json").exists()
    assert "- Served: read as " in capsys.readouterr().out


def test_no_test_record_chooses(tmp_path, truth, server):
    records = list(read_records(truth["development"]["tracks"]))
    test = list(read_records(truth["benchmarks"]["A"]["tracks"]))
    for shared in (test[0], records[0] | {"id": "another", "video": test[0]["video"]}):
        write_tracks(tmp_path / "development.jsonl", [*records, shared])
        with pytest.raises(StageError, match=r"development\.jsonl: shares record .* no reading is chosen on test"):
            table_of(tmp_path, truth)
    assert not server.requests, "refused before anything is asked or paid"


def test_the_same_records_whatever_their_order(tmp_path, truth):
    records = list(read_records(truth["development"]["tracks"]))
    names = []
    for order in (records, records[::-1]):
        write_tracks(tmp_path / "development.jsonl", order)
        development = Development(**truth["development"])
        names.append([r["id"] for r in development_records(development, list(truth["benchmarks"].values()))])
    assert names[0] == names[1]
    assert len(names[0]) == 4
    other = development_records(replace(development, seed=1), list(truth["benchmarks"].values()))
    assert [r["id"] for r in other] != names[0]


def test_among_equals_what_was_asked_for_stands(truth):
    records = list(read_records(truth["development"]["tracks"]))
    asked = BoxFormat("xywh", "unit")
    choice = choose(records, {}, lambda record: (48, 48), asked)
    assert choice.boxes == asked
    assert set(choice.means.values()) == {0.0}


def test_a_missing_development_file_and_a_silent_server_are_said(tmp_path, truth, server, capsys):
    truth["development"]["tracks"] = str(tmp_path / "none.jsonl")
    table_of(tmp_path, truth)
    assert f"- Served: read as asked, xyxy in thousandths: no {tmp_path / 'none.jsonl'}" in capsys.readouterr().out
    truth["development"]["tracks"] = str(tmp_path / "development.jsonl")
    truth["systems"][0]["api"]["base_url"] = "http://127.0.0.1:9/v1"
    assert "127.0.0.1:9" in table_of(tmp_path, truth)["Served"]["why"]


@pytest.mark.parametrize("media", ["video_url", "video_file"])
def test_a_whole_file_is_sent_as_a_video_and_a_part_as_frames(tmp_path, truth, server, tiny_data, media):
    del truth["development"]
    path = tmp_path / "test.jsonl"
    first, second, *_ = read_records(path)
    part = second | {"clip": [0.0, 1.0], "seconds": 1, "span": [0, 0], "track": [{"second": 0, "box": [0, 0, 1, 1]}]}
    write_tracks(path, [first, part])
    truth["systems"][0]["api"]["media"] = media
    table_of(tmp_path, truth)
    whole, cut = [request["messages"][0]["content"] for request in server.requests]
    assert [entry["type"] for entry in whole] == ["video_url", "text"]
    assert whole[1]["text"].startswith("The video stands above.")
    url, file = whole[0]["video_url"]["url"], tiny_data / "videos" / first["video"]
    if media == "video_file":
        assert url == file.resolve().as_uri()
    else:
        head, _, data = url.partition(";base64,")
        assert head == "data:video/mp4"
        assert base64.b64decode(data) == file.read_bytes()
    assert [entry["type"] for entry in cut] == ["text", "image_url", "text"]
    assert cut[1]["image_url"]["url"].startswith("data:image/jpeg;")
    assert "the text before each frame gives its time" in cut[2]["text"]


@pytest.mark.parametrize(("media", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("video_url", "PNG")])
def test_pairs_of_frames_are_sent_as_one_video_with_their_times(media, kind):
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "green", "blue")]
    shown = {
        "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "q"}]}]
    }
    shown["images"] = pairs_of(frames, 2.0)
    video, text = RequestForm(media).content(shown)
    assert text == {"type": "text", "text": "q"}
    head, _, data = video["video_url"]["url"].partition(";base64,")
    assert head == "data:video/jpeg"
    pictures = [Image.open(io.BytesIO(base64.b64decode(part))) for part in data.split(",")]
    assert [(picture.format, picture.size) for picture in pictures] == [(kind, (8, 6))] * 4
    if kind == "PNG":  # nothing is lost, and the last frame stands twice
        assert [picture.tobytes() for picture in pictures] == [f.tobytes() for f in (*frames, frames[-1])]
    (name, options) = video_options(shown).popitem()
    assert name == "media_io_kwargs"
    assert options["video"] == {
        "num_frames": -1,
        "do_sample_frames": False,
        "fps": 2.0,
        "frames_indices": [0, 1, 2, 2],
        "total_num_frames": 4,
        "duration": 2.0,
    }
    assert video_options(row({"type": "image"})) == {}


def test_a_table_asks_with_video_and_says_what_to_do_where_none_is_taken(tmp_path, truth, server, capsys):
    del truth["development"]
    truth["evaluation"]["video_units"] = "pairs"
    server.behaviours[:] = ["refuse"]
    table_of(tmp_path, truth)
    content = server.requests[1]["messages"][0]["content"]
    assert [entry["type"] for entry in content] == ["video_url", "text"]
    assert content[1]["text"].startswith("The video stands above.")
    assert server.requests[1]["media_io_kwargs"]["video"]["fps"] == 2.0
    assert "it was sent a video of frames; --video_units frames sends pictures" in capsys.readouterr().err


def test_frames_without_times(tmp_path, truth, server):
    del truth["development"]
    truth["systems"][0]["api"]["timestamps"] = False
    table_of(tmp_path, truth)
    content = server.requests[0]["messages"][0]["content"]
    assert {entry["type"] for entry in content[:-1]} == {"image_url"}
    assert "evenly spaced" in content[-1]["text"]


@pytest.mark.parametrize(
    "change", [{"box_order": "yxyx"}, {"box_unit": "unit"}, {"media": "jpeg"}, {"timestamps": False}]
)
def test_another_form_of_request_is_asked_anew(tmp_path, truth, server, change):
    del truth["development"]
    table_of(tmp_path, truth)
    server.requests.clear()
    truth["systems"][0]["api"] |= change
    table_of(tmp_path, truth)
    assert len(server.requests) == 5


def test_a_systems_own_prompts(tmp_path, truth, server):
    del truth["development"]
    truth["systems"][0]["prompts"] = "paper-contract"
    table_of(tmp_path, truth)
    assert "all of them, at every second" in server.requests[0]["messages"][0]["content"][-1]["text"]
