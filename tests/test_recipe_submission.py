"""Predictions files of anybody's: the rules of states, and every way in which a file can be bad."""

import json

import pytest

from recipe.evaluation.submission import problems, read_prediction, read_submission

BOX = [0.0, 0.0, 0.5, 0.5]


def state(second, box=BOX):
    return {"second": second, "box": box}


@pytest.mark.parametrize(
    ("states", "span", "seconds_with_a_box", "discarded", "remark"),
    [
        ([], None, [], {}, "an answer that lists nothing"),
        ([state(2), state(4)], (2, 4), [2, 4], {}, "a gap stays a gap"),
        ([state(4), state(2)], (2, 4), [2, 4], {}, "in any order"),
        ([state(1), state(2, [0.5, 0, 0.5, 1])], (1, 2), [1], {"box": 1}, "the span outlives an empty box"),
        ([state(1, [0, 0, float("inf"), 1])], (1, 1), [], {"box": 1}, "not finite"),
        ([state(1, [0.2, 0.2, 1.4, 1.2])], (1, 1), [1], {}, "clipped to the picture"),
        ([state(1, [100, 100, 300, 300])], (1, 1), [], {"box": 1}, "pixels: outside of [0, 1], never guessed"),
        ([state(1), state(1)], (1, 1), [1], {"duplicate": 1}, "the first stands"),
        ([state(8), state(7)], (7, 7), [7], {"late": 1}, "the clip has 8 seconds"),
        ([state(-1), state(1.5), state(True), state(None)], None, [], {"key": 4}, "no seconds"),
        ([state("3"), state(4.0)], (3, 4), [3, 4], {}, "seconds all the same"),
        ([7, None, [1, BOX]], None, [], {"shape": 3}, "no states"),
        ([{"second": 1}], (1, 1), [], {"box": 1}, "no box"),
    ],
)
def test_states(states, span, seconds_with_a_box, discarded, remark):
    answer = read_prediction(states, seconds=8)
    assert answer.span == span, remark
    assert list(answer.track.boxes) == seconds_with_a_box, remark
    assert answer.discarded_by == discarded, remark
    assert answer.discarded == sum(discarded.values())
    assert answer.parsed == (bool(span) or not discarded)


def test_clipped_box():
    assert read_prediction([state(0, [-0.2, 0.5, 0.5, 1.5])]).track.boxes == {0: (0.0, 0.5, 0.5, 1.0)}


def test_text_is_read_by_its_scale():
    text = '{"0": [{"label": "cat", "bbox_2d": [0, 0, 32, 24]}]}'
    assert read_prediction(text, scale=(64, 48)).track.boxes == {0: (0.0, 0.0, 0.5, 0.5)}


def test_a_bad_file_line_by_line(tmp_path):
    path = tmp_path / "p.jsonl"
    lines = [
        json.dumps({"id": "a", "answer": "{}"}),
        "",
        json.dumps({"id": "a", "answer": "second"}),
        json.dumps({"id": "b", "track": [state(0)]}),
        "{nonsense",
        json.dumps([1]),
        json.dumps({"id": 7, "answer": ""}),
        json.dumps({"id": "c"}),
        json.dumps({"id": "d", "answer": None}),
        json.dumps({"id": "e", "track": "x"}),
        "[" * 100_000,
        json.dumps({"id": "z", "answer": "{}"}),
    ]
    path.write_bytes("\n".join(lines).encode() + b'\n\xff\n{"id": "f", "answ')
    found = read_submission(path)
    assert found.predictions == {"a": "{}", "b": [state(0)], "z": "{}"}
    assert found.duplicates == ["a"]
    assert found.broken == [
        "line 5: no JSON",
        "line 6: no object with an id that is a text",
        "line 7: no object with an id that is a text",
        "line 8: neither answer nor track",
        "line 9: its answer is no text",
        "line 10: its track is no list",
        "line 11: no JSON",
        "line 13: no JSON",
        "line 14: no JSON, the file ends in it",
    ]
    named = problems(found, ["a", "q"], {"a", "b", "q"})
    assert (named["missing_ids"], named["unknown_ids"]) == (["q"], ["z"])


@pytest.mark.parametrize(
    ("span", "found", "boxes", "remark"),
    [
        ([1, 5], (1, 5), [2, 4], "the span may reach beyond the boxes"),
        ([3, 5], (3, 5), [4], "boxes outside it are none of the answer's"),
        ([1, 99], (1, 7), [2, 4], "the clip has 8 seconds"),
        ([9, 12], None, [], "past the clip"),
    ],
)
def test_a_track_with_its_span(tmp_path, span, found, boxes, remark):
    line = {"id": "a", "answer": ["one", "two windows"], "track": [state(2), state(4)], "span": span}
    (tmp_path / "p.jsonl").write_text(json.dumps(line))
    answer = read_prediction(read_submission(tmp_path / "p.jsonl").predictions["a"], seconds=8)
    assert answer.span == found, remark
    assert list(answer.track.boxes) == boxes, remark


@pytest.mark.parametrize("span", [7, [1], [3, 2], [-1, 2], ["1", 2], [True, 2]])
def test_a_span_that_is_none(tmp_path, span):
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "a", "track": [], "span": span}))
    assert read_submission(tmp_path / "p.jsonl").broken == ["line 1: its span is not [first, last]"]


def test_no_file_is_an_empty_one(tmp_path):
    assert read_submission(tmp_path / "no.jsonl").predictions == {}


def test_a_cut_anywhere_never_raises(tmp_path):
    path = tmp_path / "p.jsonl"
    whole = "".join(json.dumps({"id": name, "track": [state(0)]}) + "\n" for name in "abc").encode()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        found = read_submission(path)
        # Every line that is whole is read (one that lacks only its line end is whole), and the rest is named.
        lines = [line for line in whole[:end].split(b"\n") if line]
        assert len(found.predictions) + len(found.broken) == len(lines)
        assert len(found.predictions) >= whole[:end].count(b"\n")
