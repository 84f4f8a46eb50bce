"""Large JSON piece by piece: whole entries, and a limit on nesting that strings cannot hide."""

import json

import pytest

from data_prep.convert.json_stream import DEEPEST, read_list, read_object
from data_prep.records import RecordError


def test_entries_and_pairs(tmp_path):
    path = tmp_path / "a.json"
    entries = [{"a": 1.5, "b": [1, 2]}, "x", None, {"quote": 'a "b" \\ ]]]]'}]
    path.write_text(json.dumps(entries))
    assert list(read_list(path)) == entries
    path.write_text(json.dumps({"k": entries, "l": {}}))
    assert list(read_object(path)) == [("k", entries), ("l", {})]
    path.write_text("[]")
    assert list(read_list(path)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * (DEEPEST + 1), f"nested more than {DEEPEST} deep"),
        ("[" * 1_000_000, f"nested more than {DEEPEST} deep"),
        ('[{"a": "]]]]]]]]"' + ', "b": [[[[[[[["]]]]]]]]"' * 20, f"nested more than {DEEPEST} deep"),
        ('{"a": [1, 2', "not a whole JSON list"),
        ("", "not a whole JSON list"),
        ("nonsense", "not a whole JSON list"),
        ('["\\ud8', "not a whole JSON list"),
    ],
)
def test_bad_documents_are_one_line(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=message) as error:
        list(read_list(path))
    assert "a.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_string_cut_by_the_buffer_hides_nothing(tmp_path):
    path = tmp_path / "a.json"
    entries = [{"text": "[" * 300_000}, {"text": '\\"[' * 90_000}, 3]
    path.write_text(json.dumps(entries))
    assert list(read_list(path)) == entries
