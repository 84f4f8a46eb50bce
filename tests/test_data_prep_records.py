"""Record files: written whole, read as a stream, wrong lines named; paths of videos stay under their root."""

import doctest
import importlib
import json
import math
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import records
from data_prep.events import in_first_schema
from data_prep.records import RecordError, RecordWriter, read_records, resolve_video, validate_record
from tests.helpers.example_records import VALID, grounding, state


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
    assert list(read_records(path)) == [in_first_schema(validate_record(record)) for record, _ in VALID]
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


def test_a_long_path_is_named_whole(tmp_path):
    path = tmp_path / ("folder" * 20) / "tracks.jsonl"
    path.parent.mkdir()
    write_lines(path, b"{")
    with pytest.raises(RecordError) as error:
        list(read_records(path))
    assert str(error.value).startswith(f"{path}:1: no JSON")


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


WITH_EXAMPLES = ["aggregate", "files", "identity", "locks", "records", "seconds", "validation"]
WITH_EXAMPLES += ["video.decoding", "video.packets", "video.pictures", "video.sampling"]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings(module):
    assert doctest.testmod(importlib.import_module(f"data_prep.{module}")).failed == 0
