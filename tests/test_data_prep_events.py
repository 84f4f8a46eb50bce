"""The events of a record: the same whichever schema says them, in whole seconds, apart from each other."""

import doctest
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import events as module
from data_prep.events import (
    events_of,
    has_no_target,
    in_first_schema,
    is_judged,
    is_temporal,
    num_seconds,
    runs_of,
    spans_of,
    times_of,
)
from data_prep.records import RecordWriter, read_records, validate_record
from tests.helpers.example_records import events, grounding, no_target, question, scene, state, temporal, without


def test_examples():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("record", "expected", "remark"),
    [
        (grounding(span=[6, 8]), [(6, 8)], "schema 1: both ends included"),
        (events(spans=[[6, 9]]), [(6, 8)], "schema 2: the end is not"),
        (events(spans=[[6.9, 7.1]]), [(6, 7)], "every second that it reaches into"),
        (events(spans=[[6.2, 6.4]]), [(6, 6)], "an event within a second is a second long"),
        (events(spans=[[2.0000000001, 3.9999999999]]), [(2, 3)], "what rounding adds is no part of a second"),
        (events(spans=[[1.9999999999, 4.0000000001]]), [(2, 3)], "at either end"),
        (events(spans=[[3, 3.0000000001]]), [(3, 3)], "or all of it"),
        (events(spans=[[1, 3], [6, 9]]), [(1, 2), (6, 8)], "two events"),
        (events(spans=[[1, 2.5], [3.5, 5]]), [(1, 4)], "their seconds touch: whole seconds cannot tell them apart"),
        (events(spans=[[1, 2.5], [2.7, 5]]), [(1, 4)], "they share second 2"),
        (temporal(), [(2, 3), (7, 9)], "without boxes"),
        (no_target(), [], "without a target"),
        (scene(), [], "of a scene nobody says it"),
        (scene(span=[0, 3]), [(0, 3)], "or somebody does"),
        (question(), [], "a question has none"),
    ],
)
def test_the_events_of_a_record(record, expected, remark):
    assert events_of(record) == expected, remark


def test_what_kind_of_truth_a_record_has():
    kinds = [grounding(), grounding(track=[]), events(), temporal(), no_target(), scene(), question()]
    assert [is_judged(record) for record in kinds] == [True, False, True, True, True, False, False]
    assert [is_temporal(record) for record in kinds] == [False, False, False, True, False, False, False]
    assert [has_no_target(record) for record in kinds] == [False, False, False, False, True, False, False]
    added = grounding(task="temporal")  # of schema 1 it is a field that somebody added
    assert is_judged(validate_record(added)) and not is_temporal(added)


def test_times_are_as_exact_as_they_are_stated():
    assert times_of(temporal()) == [[2.5, 4.0], [7, 9.3]]
    assert times_of(grounding(span=[6, 8])) == [[6, 9]]
    assert times_of(no_target()) == times_of(question()) == []


times = st.lists(st.tuples(st.floats(-2, 14), st.floats(-2, 14)), max_size=6)


@given(times)
def test_any_times_become_spans_that_a_record_may_have(given_times):
    spans = spans_of(given_times, 10)
    covered = {second for a, b in given_times for second in range(10) if a < b and a < second + 1 and second < b}
    if not spans:
        assert not covered
        return
    record = validate_record(temporal(spans=spans))
    ours = events_of(record)
    listed = {second for first, last in ours for second in range(first, last + 1)}
    # A time that ends within a microsecond of a second may leave that second out.
    assert listed <= covered and len(covered - listed) <= 2 * len(given_times)
    assert num_seconds(ours) == len(listed)
    assert all(before[1] + 1 < after[0] for before, after in zip(ours, ours[1:], strict=False)), "apart"


@given(st.sets(st.integers(0, 40), max_size=12), st.integers(0, 4))
def test_runs_hold_the_seconds_and_are_cut_at_long_gaps(seconds, most_missing):
    runs = runs_of(seconds, most_missing)
    assert all(any(first <= second <= last for first, last in runs) for second in seconds)
    assert all({first, last} <= seconds for first, last in runs)
    assert all(after[0] - before[1] - 1 > most_missing for before, after in zip(runs, runs[1:], strict=False))


# --- schema 2 is written only where schema 1 cannot say it


def lines(path, *given_records):
    with RecordWriter(path) as writer:
        for record in given_records:
            writer.write(record)
    return path.read_text().splitlines()


def test_a_record_that_schema_1_can_say_is_written_in_schema_1(tmp_path):
    older = grounding(reasoning="first when", span=[6, 8])
    newer = without(older, "span") | {"schema": 2, "spans": [[6, 9.0]], "task": None, "no_target": False}
    first, second = lines(tmp_path / "a.jsonl", older, newer)
    assert first == second, "byte by byte"


@pytest.mark.parametrize(
    "record", [events(), events(spans=[[6, 8.5]], track=[state(7)]), temporal(), temporal(spans=[[2, 4]]), no_target()]
)
def test_any_other_is_written_as_it_is_and_read_back(tmp_path, record):
    (line,) = lines(tmp_path / "a.jsonl", record)
    assert json.loads(line)["schema"] == 2
    (back,) = read_records(tmp_path / "a.jsonl")
    assert back == validate_record(record) and in_first_schema(back) == back


def test_a_mixed_file_is_read_in_order(tmp_path):
    mixed = [grounding(id="a"), events(id="b"), temporal(id="c"), no_target(id="d"), question(id="e"), scene(id="f")]
    lines(tmp_path / "a.jsonl", *mixed)
    assert [record["id"] for record in read_records(tmp_path / "a.jsonl")] == list("abcdef")
