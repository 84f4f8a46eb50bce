"""Settings files: one loader, and whatever is in a file one line that names file and line."""

import pytest

from data_prep.errors import StageError
from data_prep.yaml_files import MOST_BYTES, YamlError, read_mapping, read_yaml

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
)


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_plain_values(tmp_path):
    text = "\ufeffa: 1\nb: [1.0e-3, yes, null]\nc: {d: x}\nbase: &base {e: 1, f: 2}\ng: {<<: *base, e: 3}\n"
    found = read_yaml(write(tmp_path / "a.yaml", text))
    assert found["g"] == {"e": 3, "f": 2}
    assert (found["a"], found["b"], found["c"]) == (1, [0.001, True, None], {"d": "x"})
    assert read_yaml(write(tmp_path / "b.yaml", "")) is None
    assert read_mapping(tmp_path / "b.yaml") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3: key 'a' for the second time, the first is on line 1"),
        ("a:\n  b: 1\n  b: 2\n", ":3: key 'b' for the second time, the first is on line 2"),
        ("a: 1\n5: 2\n", ":2: key 5, expected a name"),
        ("no: 2\n", ":1: key no, expected a name"),
        ("? [a]\n: 2\n", ":1: key a list or mapping, expected a name"),
        ("a: " + "[" * 3000 + "]" * 3000, ":1: nested deeper than 32 levels"),
        ("".join(" " * n + f"k{n}:\n" for n in range(300)), "nested deeper than 32 levels"),
        ("a: [1, 2\nb: 3\n", ":2: expected ',' or ']'"),
        ("a: !!python/object/apply:os.system [ls]\n", ":1: could not determine a constructor"),
        ("a: *b\n", ":1: found undefined alias"),
        ("a: 1\n--- \nb: 2\n", ":2: "),
        (b"a: \xff\n", ": byte 0xff at offset 3, expected UTF-8"),
        ("a: " + "1" * 5000, ": no YAML (Exceeds the limit"),
        ("a: 2001-99-99\n", ": no YAML (month must be in 1..12)"),
        ("a: \x07\n", ": no YAML (unacceptable character"),
        (BOMB, "more than 100 aliases"),
        ("a: " + "x" * MOST_BYTES, f": more than {MOST_BYTES} bytes"),
    ],
)
def test_a_fault_is_one_line_with_its_place(tmp_path, text, message):
    path = write(tmp_path / "a.yaml", text)
    with pytest.raises(YamlError) as error:
        read_yaml(path)
    line = str(error.value)
    assert line.startswith(str(path)) and "\n" not in line and len(line) < 400
    assert message in line


def test_a_list_is_no_mapping(tmp_path):
    path = write(tmp_path / "a.yaml", "[1]")
    with pytest.raises(YamlError, match="holds a list, expected a YAML mapping") as error:
        read_mapping(path)
    assert isinstance(error.value, (StageError, ValueError))


def test_a_reader_may_change_what_it_was_given_and_a_changed_file_is_read_anew(tmp_path):
    path = write(tmp_path / "a.yaml", "a: {b: [1]}")
    read_yaml(path)["a"]["b"].append(2)
    assert read_yaml(path) == {"a": {"b": [1]}}
    write(path, "a: {b: [3]}")
    assert read_yaml(path) == {"a": {"b": [3]}}
