"""Sentences without truth: HC-STVG v2's test split is asked, and not scored."""

import json

import pytest

from data_prep.__main__ import main
from data_prep.records import RecordError, read_questions
from recipe.inference.answer_key import key_of
from recipe.inference.answers_file import read_lines
from recipe.inference.ground_file import ground_file
from recipe.inference.grounding import Policy
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from tests.helpers.example_records import grounding
from tests.helpers.films import make_plain_video

ANSWER = '{"1": [{"label": "a", "bbox_2d": [100, 100, 500, 500]}]}'


def lines(path, *values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def test_sentences_of_a_test_split_are_written_for_ground(tmp_path, capsys):
    make_plain_video(tmp_path / "v" / "parts" / "3" / "a.mp4", (200, 0, 0), seconds=4)
    query = tmp_path / "query_v2.json"
    query.write_text(json.dumps({"a.mp4": "the man sits down", "b.mp4": "she leaves"}))
    out = tmp_path / "q.jsonl"
    words = ["hcstvg", "--annotations", str(query), "--out", str(out), "--video_root", str(tmp_path / "v")]
    assert main(words) == 2, "there is no track file to train or evaluate on"
    assert not out.exists()
    assert f"2 sentences without truth to {out}.questions.jsonl" in capsys.readouterr().err
    first, second = read_questions(f"{out}.questions.jsonl")
    assert (first["video"], first["query"], first["split"]) == ("parts/3/a.mp4", "the man sits down", "test")
    assert first["clip"] is first["seconds"] is first["track"] is None
    assert second["video"] == "b.mp4"


def test_lines_without_truth_are_grounded_over_the_whole_file(tmp_path, tiny_base):
    make_plain_video(tmp_path / "v" / "a.mp4", (200, 0, 0), seconds=4)
    (tmp_path / "v" / "empty.mp4").touch()
    made = make_builder(tmp_path / "v", load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
    asked, loaded = [], []

    def backend(usage):
        loaded.append(usage)
        return made, lambda rows: asked.append(len(rows[0]["images"])) or [ANSWER]

    def ask(name, *values):
        tracks = lines(tmp_path / name, *values)
        key = key_of(str(tiny_base), StageArguments(dataset_name=None), tracks=tracks)
        return ground_file(tracks, tmp_path / "v", tmp_path / f"{name}.out", backend, Policy(), key=key)

    broken = {"id": "q/2", "video": "empty.mp4", "query": "?"}
    count, failed = ask(
        "q.jsonl",
        {"id": "q/0", "video": "a.mp4", "query": "the red picture"},
        {"id": "q/1", "video": "a.mp4", "query": "the red picture", "clip": [1.0, 3.0], "seconds": 2},
        broken,
        {"id": "q/3", "video": "a.mp4", "query": "the red picture", "clip": [0.0, 9.0], "seconds": 9},
    )
    assert (count, asked) == (4, [4, 2])
    assert read_lines(tmp_path / "q.jsonl.out")["q/0"]["span"] == [1, 1]
    assert [line.split(": ")[:2] for line in failed] == [["q/2", "unreadable"], ["q/3", "shorter_than_clip"]]
    loaded.clear()
    assert ask("bad.jsonl", broken)[0] == 1
    assert loaded == [], "no model is loaded for what cannot be looked at"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"id": "a", "video": "a.mp4"}, "q.jsonl:1: field query: None, expected text"),
        ({"id": 5, "video": "a.mp4", "query": "?"}, "q.jsonl:1: field id: 5, expected text"),
        ({"id": "a", "video": "../a.mp4", "query": "?"}, "q.jsonl:1: "),
        ({"id": "a", "video": "a.mp4", "query": "?", "clip": [0, 5]}, "q.jsonl:1: field seconds"),
        ({"id": "a", "video": "a.mp4", "query": "?", "clip": [5, 0], "seconds": 2}, "q.jsonl:1: field clip"),
        (grounding() | {"track": None}, "q.jsonl:1: record"),
        ([1], "q.jsonl:1: "),
    ],
)
def test_a_line_that_is_neither_is_one_line(tmp_path, value, message):
    with pytest.raises(RecordError) as error:
        list(read_questions(lines(tmp_path / "q.jsonl", value)))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_records_are_questions_too(tmp_path):
    (found,) = read_questions(lines(tmp_path / "q.jsonl", grounding()))
    assert found["span"] == grounding()["span"]
