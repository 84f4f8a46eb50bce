"""Traces of sentences with several events and of those without a target: composed, asked for, and judged."""

import hashlib
import json
import re
from contextlib import closing

import pytest

from data_prep.__main__ import main
from data_prep.events import events_of, in_words
from data_prep.leaks.checking import verdict_of
from data_prep.records import RecordWriter, read_records, validate_record
from data_prep.traces.correction import answer_text
from data_prep.traces.judge import problems_of
from data_prep.traces.prompts import DEFAULT, Prompts, metadata, record_key
from data_prep.traces.template import Wordings, compose
from tests.helpers.example_records import events, grounding, no_target, state, temporal
from tests.helpers.teacher_server import Teacher

TWICE = events(label="dog-1", query="the brown dog jumps", distractors=1, others=["cat"])
ABSENT = no_target(label="dog-1", query="the brown dog jumps", others=["cat", "bird"])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "record", [TWICE, ABSENT, no_target(query="a dog jumps"), events(spans=[[2, 3], [5, 6], [8, 9]], track=[state(2)])]
)
def test_every_wording_of_the_template_states_no_time_that_is_wrong(record, seed):
    record = validate_record(record)
    trace = compose(record, Wordings.read(), seed)
    assert problems_of(trace, record, None, 0.0) == [], trace
    assert verdict_of(trace, events_of(record), record["seconds"], 0.0) == "ok"
    if events_of(record):
        assert in_words(events_of(record)) in trace
        assert "Just before" not in trace and "of the picture" not in trace, "that is said of one event"
    else:
        assert not re.search(r"\d", trace)


def test_what_a_sentence_without_a_target_is_told_of():
    wordings = Wordings.read()
    assert {"the cat and the bird" in compose(validate_record(ABSENT), wordings, seed) for seed in range(9)} == {True}
    tiny = Wordings.read(DEFAULT.with_name("traces-tiny"))
    assert compose(validate_record(ABSENT), tiny, 0) == "no brown dog moves"
    assert compose(validate_record(TWICE), tiny, 0) == "from second 1 to 2 and from second 6 to 8 the brown dog moves"
    assert answer_text(ABSENT) == "{}"


@pytest.mark.parametrize(
    ("trace", "record", "problems"),
    [
        ("It jumps near second 1 and again near second 7.", TWICE, []),
        ("It jumps near second 4, between the two.", TWICE, ['time "second 4" outside seconds 1 to 2 and 6 to 8']),
        ("Nothing in the clip jumps like that.", ABSENT, []),
        ("Nothing jumps in second 3 or later.", ABSENT, ['time "second 3" where there is no event']),
        ("Each jump lasts 3 seconds.", TWICE, []),
        ("It lasts 9 seconds.", TWICE, ['length "9 seconds", the event has 3 s']),
        ("It lasts 9 seconds.", ABSENT, ['length "9 seconds" where there is no event']),
    ],
)
def test_times_of_no_event_leak(trace, record, problems):
    assert [detail for _, detail in problems_of(trace, validate_record(record), None, 0.0)] == problems


@pytest.mark.parametrize(
    ("claimed", "record", "says"),
    [
        ((6.0, 8.0), TWICE, None),
        ((4.0, 5.0), TWICE, "does not meet seconds 1 to 2 nor seconds 6 to 8"),
        ((1.0, 2.0), ABSENT, "does not meet anything: there is no event"),
    ],
)
def test_a_placeholder_that_means_another_event_argues(claimed, record, says):
    found = problems_of("The dog jumps as it was said.", validate_record(record), claimed, 0.0)
    assert [reason for reason, _ in found] == ([] if says is None else ["argues"])
    assert says is None or says in found[0][1]


def test_wordings_that_cannot_say_it_are_a_reason_of_their_own(tmp_path):
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        for name, record in (("one", grounding()), ("two", TWICE), ("none", ABSENT), ("times", temporal())):
            writer.write(record | {"id": name})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/template.txt").write_text("asked: I look for it.\ntime: It is in seconds $first to $last.\n")
    words = ["traces", "--tracks", str(tmp_path / "tracks.jsonl"), "--out", str(tmp_path / "out")]
    assert main([*words, "--prompts", str(tmp_path / "mine")]) == 0
    assert [row["id"] for row in read_records(tmp_path / "out/traces.jsonl")] == ["one"]
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert [row["reason"].rsplit("template.txt ", 1)[1] for row in rejected] == [
        "has no part times, which this record needs",
        "has no part absent, which this record needs",
    ]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["records"], report["skipped"]) == (3, 1), "times without boxes teach no answer"
    page = (tmp_path / "out/review.html").read_text()
    assert "from second 1 to 2 and from second 6 to 8 of 10 seconds" in page and "at no time of 10 seconds" in page


def test_an_answer_that_is_kept_stays_under_its_key():
    """Keys and versions of requests about one event are what they were before schema 2: answers were paid for."""
    fields = ("video", "clip", "query", "label", "span", "seconds", "track", "distractors", "others", "target_type")
    record = validate_record(grounding())
    text = json.dumps([record.get(field) for field in fields], sort_keys=True, ensure_ascii=False)
    assert record_key(record) == f"{record['id']}#{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    texts = [(DEFAULT / name).read_text() for name in ("teacher.txt", "rewrite.txt")]
    prompts = Prompts.read(DEFAULT, "frames")
    assert prompts.version == hashlib.sha256("\0".join([*texts, "frames"]).encode()).hexdigest()[:12]
    versions = {prompts.of(validate_record(one))[2] for one in (grounding(), TWICE, ABSENT)}
    assert len(versions) == 3
    keys = {record_key(validate_record(one)) for one in (TWICE, TWICE | {"spans": [[1, 3], [6, 9.5]]}, ABSENT)}
    assert len(keys) == 3, "what schema 2 says is part of its record's key"


def test_what_the_teacher_learns():
    assert metadata(validate_record(TWICE))["events"] == [{"first": 1, "last": 2}, {"first": 6, "last": 8}]
    assert metadata(validate_record(TWICE))["hidden in seconds"] == [8]
    absent = metadata(validate_record(no_target()))
    assert absent == {"target": "object", "seconds": 10, "event": "the clip does not show it"}


def test_a_served_teacher_is_asked_about_each_in_its_own_words(tiny_data, tmp_path):
    source = next(record for record in read_records(tiny_data / "ground.jsonl") if record["seconds"] == 4)
    nothing = dict.fromkeys(("span", "track", "label", "fps", "width", "height"))
    box = source["track"][0]["box"]
    twice = {"schema": 2, "span": None, "spans": [[0, 1], [2.5, 4]], "track": [{"second": 0, "box": box}]}
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        writer.write(source | twice | {"id": "two", "query": "twice"})
        writer.write(source | nothing | {"schema": 2, "no_target": True, "id": "none", "query": "never"})
    script = {
        "twice": lambda *_: 'It is seen in second 0, and later from second 2 to 3.\n{"interval": [0, 3]}',
        # The first request is answered with a time, where there is none to state.
        "never": lambda kind, *_: "No such shape is shown." if kind == "rewrite" else "It is not there at second 2.",
    }
    with closing(Teacher(script)) as server:
        words = ["traces", "--tracks", str(tmp_path / "tracks.jsonl"), "--out", str(tmp_path / "out")]
        words += ["--video_root", str(tiny_data / "videos"), "--base_url", server.url, "--model", "m"]
        assert main(words) == 0
        asked = {(query, kind): body["messages"][0]["content"] for _, query, kind, body in server.asked}
    kept = {row["id"]: row["reasoning"] for row in read_records(tmp_path / "out/traces.jsonl")}
    assert kept == {"two": "It is seen in second 0, and later from second 2 to 3.", "none": "No such shape is shown."}
    assert "more than once in this clip: in second 0 and from second 2 to 3." in asked["twice", "trace"][-1]["text"]
    assert "Nothing in this clip fits the sentence." in asked["never", "trace"][-1]["text"]
    assert "Nothing in the video fits the sentence" in asked["never", "rewrite"]
    assert len(asked["never", "trace"]) == 2 * source["seconds"] + 1, "frames of a record that states no size"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--span", "3", "4", "--span", "8", "9"], ["ok", 'leak: time "second 6" outside seconds 2 to 5 and 7 to 10']),
        (["--no_target"], [f'leak: time "second {second}" where there is no event' for second in (8, 6)]),
    ],
)
def test_the_check_of_several_events_and_of_none(monkeypatch, capsys, words, expected):
    class Input:
        buffer = [b"Again in second 8.\n", b"Again in second 6.\n"]

    monkeypatch.setattr("sys.stdin", Input)
    assert main(["check-trace", "--seconds", "20", *words]) == 0
    assert capsys.readouterr().out.splitlines() == expected


def test_the_check_needs_one_of_the_two(capsys):
    assert main(["check-trace", "--seconds", "20", "--no_target", "--span", "1", "2"]) == 2
    assert "not allowed with" in capsys.readouterr().err
