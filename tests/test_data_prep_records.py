"""The record format: what is taken, what is refused, and how the message reads."""

import copy
import doctest
import importlib
import json
import math
import sys
import tracemalloc
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import records, validation
from data_prep.records import SCHEMA_VERSION, RecordError, RecordWriter, read_records, resolve_video, validate_record

SCHEMA = json.loads((Path(records.__file__).parent / "record.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def state(second, box=(0.1, 0.2, 0.3, 0.4)):
    return {"second": second, "box": list(box)}


def grounding(**changes):
    return {
        "schema": 1,
        "id": "vidstg/test/2401",
        "source": "vidstg",
        "split": "test",
        "kind": "declarative",
        "video": "0000/2401.mp4",
        "clip": [0.0, 10.01],
        "fps": 29.97,
        "width": 640,
        "height": 480,
        "seconds": 10,
        "query": "the dog runs to the child",
        "label": "dog-1",
        "span": [6, 8],
        "track": [state(6), state(8)],
        "answer": None,
    } | changes


def scene(**changes):
    tracks = [{"label": "person-1", "track": [state(0)]}, {"label": "person-2", "track": []}]
    return grounding(kind="scene", label=None, span=None, track=None, tracks=tracks) | changes


def question(**changes):
    nothing = dict.fromkeys(("fps", "width", "height", "label", "span", "track"))
    return grounding(kind="qa", query="what runs?", answer="a dog") | nothing | changes


def caption(**changes):
    return question(kind="caption", query="Describe the video.", answer="A dog runs.") | changes


def without(record, *fields):
    return {field: value for field, value in record.items() if field not in fields}


VALID = [
    (grounding(), "all fields"),
    (grounding(kind="interrogative"), "a question about the target"),
    (grounding(kind="tracking"), "a tracking prompt"),
    (grounding(track=[]), "a span without any visible box"),
    (grounding(clip=[2, 12.02], fps=30), "whole numbers are numbers"),
    (grounding(track=[state(6, (0, 0, 1, 1))], span=[6, 6]), "the whole picture, one second"),
    (grounding(seconds=1, clip=[0, 0.04], span=[0, 0], track=[state(0)]), "a clip of one frame"),
    (grounding(reasoning="first when, then where", generated=[1, {"a": None}]), "added fields"),
    (without(grounding(), "answer"), "answer may be missing"),
    (grounding(answer="because"), "or be there"),
    (scene(), "a scene"),
    (scene(span=[0, 3]), "a scene with a span"),
    (without(scene(), "label", "span", "track", "answer"), "a scene without what it has not"),
    (question(), "a question"),
    (caption(), "a caption"),
    (without(question(), "label", "span", "track", "fps", "width", "height"), "a question in short"),
    (question(fps=25.0, width=10, height=20), "a question with a known size"),
    (question(clip=None, seconds=None), "a question about the whole file"),
    (grounding(video="folder with spaces/ünïcode/..mp4"), "two dots inside a name"),
    (grounding(query="  l'élève 走る 🏃 "), "any script"),
]


@pytest.mark.parametrize(("record", "remark"), VALID)
def test_valid_records(record, remark):
    before = copy.deepcopy(record)
    result = validate_record(record)
    assert record == before, "the input is left as it is"
    assert {k: v for k, v in result.items() if k in record} == record, remark
    assert list(result)[: len(validation.FIELDS)] == list(validation.FIELDS)
    assert all(result[field] is None for field in validation.FIELDS if field not in record)
    assert validate_record(result) == result
    VALIDATOR.validate(record)
    VALIDATOR.validate(result)


WRONG = [
    # what, and the message after "record vidstg/test/2401 "
    (grounding(schema=2), "field schema: 2, expected 1"),
    (grounding(schema=True), "field schema: True, expected 1"),
    (without(grounding(), "schema"), "field schema: missing, expected 1"),
    (
        grounding(kind="story"),
        "field kind: story, expected one of declarative, interrogative, tracking, scene, caption, qa",
    ),
    (grounding(kind=[]), "field kind: []"),
    (grounding(source=""), "field source: , expected text that is not blank"),
    (grounding(split=None), "field split: None"),
    (grounding(query=" \n"), "field query:  \\n, expected text that is not blank"),
    (grounding(query="half \ud800"), "field query: half \\ud800, expected Unicode text"),
    (grounding(label=None), "field label: None"),
    (grounding(answer=3), "field answer: 3"),
    (grounding(width=0), "field width: 0, expected a whole number from 1"),
    (grounding(width=640.0), "field width: 640.0"),
    (grounding(height=True), "field height: True"),
    (grounding(height=None), "field height: None"),
    (grounding(fps=None), "field fps: None, expected a finite number above 0"),
    (grounding(fps=0), "field fps: 0"),
    (grounding(fps=math.nan), "field fps: nan"),
    (grounding(fps="25"), "field fps: 25"),
    (grounding(seconds=0), "field seconds: 0"),
    (grounding(seconds=12), "field seconds: 12, expected at most 11 for clip [0.0, 10.01]"),
    (grounding(clip=[3, 3]), "field clip: [3, 3], expected 0 <= start_s < end_s"),
    (grounding(clip=[-1, 10]), "field clip: [-1, 10], expected 0 <= start_s < end_s"),
    (grounding(clip=[0, math.inf]), "field clip: [0, inf], expected [start_s, end_s], two finite numbers"),
    (grounding(clip=[0, 1, 2]), "field clip: [0, 1, 2], expected [start_s, end_s]"),
    (grounding(clip=None), "field clip: None, expected [start_s, end_s]"),
    (grounding(span=[8, 6]), "field span: [8, 6], expected 0 <= first <= last <= 9"),
    (grounding(span=[6, 10]), "field span: [6, 10], expected 0 <= first <= last <= 9"),
    (grounding(span=[-1, 8]), "field span: [-1, 8]"),
    (grounding(span=[6.0, 8.0]), "field span: [6.0, 8.0], expected [first, last], two whole seconds"),
    (grounding(span=None), "field span: None"),
    (without(grounding(), "track"), "field track: missing"),
    (grounding(track={"6": [0, 0, 1, 1]}), "field track: {'6': [0, 0, 1, 1]}, expected a list of {second, box}"),
    (grounding(track=[[6, 0, 0, 1, 1]]), "field track[0]: [6, 0, 0, 1, 1], expected {second, box}"),
    (grounding(track=[{"second": 6}]), "field track[0]: {'second': 6}, expected {second, box}"),
    (grounding(track=[state("6")]), "field track[0].second: 6, expected a whole number"),
    (grounding(track=[state(6), state(6)]), "second 6: after second 6, expected increasing seconds"),
    (grounding(track=[state(8), state(6)]), "second 6: after second 8, expected increasing seconds"),
    (grounding(track=[state(5)]), "second 5: expected a second inside span [6, 8]"),
    (grounding(track=[state(8), state(9)]), "second 9: expected a second inside span [6, 8]"),
    (grounding(track=[state(7, (0.44, 0.1, 0.31, 0.2))]), "second 7: x_max 0.31 < x_min 0.44"),
    (grounding(track=[state(7, (0.1, 0.6, 0.3, 0.2))]), "second 7: y_max 0.2 < y_min 0.6"),
    (grounding(track=[state(7, (0.1, 0.1, 0.1, 0.2))]), "second 7: x_max 0.1 = x_min 0.1"),
    (grounding(track=[state(7, (0.1, 0.2, 0.3, 0.2))]), "second 7: y_max 0.2 = y_min 0.2"),
    (grounding(track=[state(7, (-0.01, 0, 1, 1))]), "second 7: x_min -0.01, expected a number from 0 to 1"),
    (grounding(track=[state(7, (0, 0, 1.2, 1))]), "second 7: x_max 1.2, expected a number from 0 to 1"),
    (grounding(track=[state(7, (0, 0, 1, 300))]), "second 7: y_max 300, expected a number from 0 to 1"),
    (grounding(track=[state(7, (0, math.nan, 1, 1))]), "second 7: y_min nan"),
    (grounding(track=[state(7, (0, 0, 1e308, 1))]), "second 7: x_max 1e+308"),
    (grounding(track=[state(7, (0, 0, 10**400, 1))]), "second 7: x_max 1000"),
    (grounding(track=[state(7, (0, 0, True, 1))]), "second 7: x_max True"),
    (grounding(track=[state(7, (0, 0, "1", 1))]), "second 7: x_max 1, expected a number"),
    (grounding(track=[state(7, (0, 0, 1))]), "second 7: box [0, 0, 1], expected [x_min, y_min, x_max, y_max]"),
    (grounding(track=[state(7, [0.0] * 99)]), "second 7: box list of 99 entries"),
    (grounding(track=[{"second": 7, "box": None}]), "second 7: box None"),
    (scene(track=[]), "field track: [], expected null for kind scene, which has tracks"),
    (without(scene(), "tracks"), "field tracks: missing, expected a list of {label, track}, at least one"),
    (scene(tracks=[]), "field tracks: []"),
    (scene(tracks=[3]), "field tracks[0]: 3, expected {label, track}"),
    (scene(tracks=[{"label": "a"}]), "field tracks[0]: {'label': 'a'}"),
    (scene(tracks=[{"label": "", "track": []}]), "tracks[0] field label: , expected text"),
    (scene(tracks=[{"label": "a", "track": None}]), "tracks[0] field track: None"),
    (
        scene(tracks=[{"label": "a", "track": [state(3, (0.5, 0, 0.4, 1))]}]),
        "tracks[0] second 3: x_max 0.4 < x_min 0.5",
    ),
    (
        scene(tracks=[{"label": "a", "track": [state(10)]}]),
        "tracks[0] second 10: expected a second inside the clip's seconds [0, 9]",
    ),
    (grounding(tracks=[]), "field tracks: [], expected none for kind declarative"),
    (caption(tracks=[{"label": "a", "track": []}]), "field tracks: [{'label': 'a', 'track': []}], expected none"),
    (question(answer=None), "field answer: None"),
    (question(answer=""), "field answer: "),
    (question(span=[0, 1]), "field span: [0, 1], expected null for kind qa"),
    (caption(label="dog"), "field label: dog, expected null for kind caption"),
    (caption(track=[]), "field track: [], expected null for kind caption"),
    (caption(width=-1), "field width: -1"),
]
BAD_PATHS = ["", "/etc/passwd", "../a.mp4", "a/../../b.mp4", "a/..", "..", ".", "./a.mp4", "a//b.mp4", "a/"]
BAD_PATHS += ["a\\b.mp4", "..\\a.mp4", "a\0.mp4", 5, None, ["a.mp4"], "half\udc80.mp4"]
WRONG += [(grounding(video=path), "field video: ") for path in BAD_PATHS]


@pytest.mark.parametrize(("record", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_records(record, message):
    with pytest.raises(RecordError) as error:
        validate_record(record, "tracks.jsonl:12")
    text = str(error.value)
    assert text.startswith(f"tracks.jsonl:12: record vidstg/test/2401 {message}")
    assert "\n" not in text and text.isprintable() and len(text) < 400


@pytest.mark.parametrize("value", [None, [], "text", 3, True])
def test_what_is_no_record(value):
    with pytest.raises(RecordError, match="expected a record"):
        validate_record(value)


@pytest.mark.parametrize("record_id", [None, "", 7, " "])
def test_a_record_without_id(record_id):
    with pytest.raises(RecordError, match="^record .*field id: "):
        validate_record(grounding(id=record_id))


def test_messages_stay_short_and_printable():
    with pytest.raises(RecordError) as error:
        validate_record(grounding(id="x" * 10_000 + "\x1b[31m", kind="\x1b[2J" + "y" * 10_000))
    assert len(str(error.value)) < 500 and str(error.value).isprintable()


# --- the JSON Schema file says the same as far as it can


@pytest.mark.parametrize("record", [record for record, _ in WRONG], ids=[str(i) for i in range(len(WRONG))])
def test_the_schema_refuses_only_what_is_refused(record):
    if not VALIDATOR.is_valid(record):
        with pytest.raises(RecordError):
            validate_record(record)


def test_the_schema_itself_is_valid_and_names_all_fields():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == {*validation.FIELDS, "tracks"}
    assert SCHEMA["properties"]["schema"]["const"] == SCHEMA_VERSION
    assert SCHEMA["properties"]["kind"]["enum"] == list(validation.KINDS)


@pytest.mark.parametrize("kind", ["grounding", "scene", "question"])
def test_the_schema_knows_what_each_kind_needs(kind):
    make, needed = {
        "grounding": (grounding, ["clip", "fps", "width", "height", "seconds", "label", "span", "track"]),
        "scene": (scene, ["clip", "fps", "width", "height", "seconds", "tracks"]),
        "question": (question, ["answer"]),
    }[kind]
    for field in ["schema", "id", "source", "split", "kind", "video", "query", *needed]:
        for record in (without(make(), field), make(**{field: None})):
            assert not VALIDATOR.is_valid(record), field
            with pytest.raises(RecordError):
                validate_record(record)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text("ab./\\ \0", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["second", "box", "label"]), inner),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from([grounding(), scene(), question()]), st.data())
def test_any_change_is_taken_or_refused_with_a_message(record, data):
    field = data.draw(st.sampled_from([*validation.FIELDS, "tracks"]))
    changed = record | {field: data.draw(json_values)}
    try:
        valid = validate_record(changed)
    except RecordError as error:
        assert "\n" not in str(error)
    else:
        assert VALIDATOR.is_valid(changed) and VALIDATOR.is_valid(valid)


# --- files


def write_lines(path, *lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def test_no_records(tmp_path):
    assert list(read_records(write_lines(tmp_path / "a.jsonl", b""))) == []
    with RecordWriter(tmp_path / "b.jsonl") as writer:
        assert writer.count == 0
    assert (tmp_path / "b.jsonl").read_bytes() == b""


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "new" / "tracks.jsonl"
    with RecordWriter(path) as writer:
        for record, _ in VALID:
            writer.write(record)
        assert not path.exists()
        assert writer.count == len(VALID)
    assert list(read_records(path)) == [validate_record(record) for record, _ in VALID]
    assert path.read_bytes().count(b"\n") == len(VALID)
    assert "走る 🏃" in path.read_text(encoding="utf-8"), "queries stay readable"


def test_floats_survive_to_the_bit(tmp_path):
    value = grounding(fps=30000 / 1001, track=[state(6, (0.1 + 0.2, 1 / 3, 2 / 3, 0.7))])
    with RecordWriter(tmp_path / "a.jsonl") as writer:
        writer.write(value)
    (back,) = read_records(tmp_path / "a.jsonl")
    assert back["track"] == value["track"] and back["fps"] == value["fps"]


def test_a_wrong_record_leaves_no_file(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(RecordError, match="field seconds"), RecordWriter(path) as writer:
        writer.write(grounding())
        writer.write(grounding(seconds=0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [math.nan, math.inf, {1, 2}, "half \ud800", b"bytes", [[math.nan]]])
def test_added_fields_have_to_be_json(tmp_path, extra):
    with (
        pytest.raises(RecordError, match="record vidstg/test/2401: an added field cannot be JSON"),
        RecordWriter(tmp_path / "a.jsonl") as writer,
    ):
        writer.write(grounding(extra=extra))


def test_added_fields_nested_without_end(tmp_path):
    nested = []
    for _ in range(sys.getrecursionlimit() * 3):
        nested = [nested]
    with pytest.raises(RecordError, match="an added field"), RecordWriter(tmp_path / "a.jsonl") as writer:
        writer.write(grounding(extra=nested))


def test_a_writer_outside_its_block(tmp_path):
    with pytest.raises(RuntimeError, match="with RecordWriter"):
        RecordWriter(tmp_path / "a.jsonl").write(grounding())


def test_blank_lines_and_windows_line_ends(tmp_path):
    line = json.dumps(grounding()).encode()
    path = write_lines(tmp_path / "a.jsonl", b"", line + b"\r", b"  ", line, b"")
    assert len(list(read_records(path))) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"no JSON \(.* at column 2\), expected one record"),
        (b"not json", r"no JSON \(Expecting value at column 1\)"),
        (b'{"a": 1} {"b": 2}', r"no JSON \(Extra data at column 10\)"),
        (b"[1, 2]", r"\[1, 2\], expected a record \(a JSON object\)"),
        (b'{"schema": NaN}', "NaN in JSON, expected a finite number"),
        (b'{"schema": -Infinity}', "-Infinity in JSON, expected a finite number"),
        (b'{"schema": 1, "id": "\xff"}', "byte 0xff at offset 21, expected UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "integer string conversion"),
        (b"\x00\x01\x02", "no JSON"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (json.dumps(grounding(seconds=0)).encode(), "record vidstg/test/2401 field seconds: 0"),
        (json.dumps(grounding()).replace("29.97", "1e999").encode(), "field fps: inf"),
        (json.dumps(grounding()).replace("0.3", "1e308").encode(), "second 6: x_max 1e\\+308"),
    ],
)
def test_wrong_lines_name_file_and_line(tmp_path, line, message):
    path = write_lines(tmp_path / "tracks.jsonl", grounding(), b"", line)
    records_ = read_records(path)
    assert next(records_)["id"] == "vidstg/test/2401"
    with pytest.raises(RecordError, match=message) as error:
        next(records_)
    text = str(error.value)
    assert text.startswith(f"{path}:3: ")
    assert "\n" not in text and len(text) < len(str(path)) + 300


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 1000)
    path = write_lines(tmp_path / "a.jsonl", b"x" * 5000)
    with pytest.raises(RecordError, match="a.jsonl:1: line above 1000 bytes"):
        list(read_records(path))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(read_records(tmp_path / "absent.jsonl"))


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_any_bytes_are_records_or_a_record_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(data)
    try:
        list(read_records(path))
    except RecordError as error:
        assert "fuzz.jsonl:" in str(error) and "\n" not in str(error)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    with RecordWriter(path) as writer:
        for _ in range(2000):
            writer.write(grounding())
    tracemalloc.start()
    assert sum(1 for _ in read_records(path)) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000 < path.stat().st_size / 4


# --- paths of videos


def test_resolve_video(tmp_path):
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b.mp4").write_bytes(b"x")
    root = tmp_path / "root"
    assert resolve_video(root, "a/b.mp4") == (root / "a" / "b.mp4").resolve()
    assert resolve_video(str(root), "a/absent.mp4") == (root / "a" / "absent.mp4").resolve()


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4", "a\\b", "a\0b", "", None])
def test_resolve_video_refuses_paths_that_leave(tmp_path, path):
    with pytest.raises(RecordError, match="field video: "):
        resolve_video(tmp_path, path)


def test_links(tmp_path):
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret.mp4").write_bytes(b"x")
    (root / "real.mp4").write_bytes(b"x")
    (root / "inner.mp4").symlink_to("real.mp4")
    (root / "file.mp4").symlink_to(outside / "secret.mp4")
    (root / "folder").symlink_to(outside)
    (root / "up.mp4").symlink_to("../outside/secret.mp4")
    (root / "loop.mp4").symlink_to("loop.mp4")
    assert resolve_video(root, "inner.mp4") == (root / "real.mp4").resolve()
    for name in ("file.mp4", "folder/secret.mp4", "folder/absent.mp4", "up.mp4"):
        with pytest.raises(RecordError, match="expected a file under the root"):
            resolve_video(root, name)
    # The root itself may be a link to where the videos lie.
    (tmp_path / "link").symlink_to(root)
    assert resolve_video(tmp_path / "link", "real.mp4") == (root / "real.mp4").resolve()


def test_a_root_beside_one_of_the_same_beginning(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root" / "a.mp4").symlink_to(tmp_path / "root2" / "a.mp4")
    with pytest.raises(RecordError, match="expected a file under the root"):
        resolve_video(tmp_path / "root", "a.mp4")


def test_names_that_no_file_system_takes(tmp_path):
    # Either refused here or no such file later, never another exception.
    try:
        assert not resolve_video(tmp_path, "x" * 5000).is_relative_to("/etc")
    except RecordError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("module", ["aggregate", "decoding", "files", "packets", "pictures", "records", "seconds",
                                    "validation", "video"])  # fmt: skip
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"data_prep.{module}")).failed == 0
