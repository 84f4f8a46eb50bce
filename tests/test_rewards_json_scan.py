"""The scanner reads valid JSON as json does, and the fast way of reading gives what the careful one gives."""

import json
import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stvg_rewards.json_scan import scan_object
from stvg_rewards.parsing import parse_answer, read_states
from stvg_rewards.plain import read_plain

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(max_size=4), json_values, max_size=5)


def same(a, b):
    """Equal, with NaN equal to itself."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(json_objects, st.sampled_from([None, 0, 1]), st.text(max_size=5))
def test_valid_json_is_read_as_json_reads_it(value, indent, rest):
    text = json.dumps(value, indent=indent)
    scanned = scan_object("x" + text + rest, 1)
    assert scanned.intact
    assert scanned.end == 1 + len(text)
    assert same(dict(scanned.pairs), value)


@given(json_objects, st.data())
@example({"a": 1}, None)
def test_intact_says_whether_json_takes_it(value, data):
    """One character is put in, taken out or changed: the two agree on whether that is still valid JSON."""
    text = json.dumps(value)
    if data is not None:
        at = data.draw(st.integers(1, len(text)))
        cut = data.draw(st.integers(0, 1))
        text = text[:at] + data.draw(st.sampled_from(["", *'{}[]:,"0-.eE\\ntNu x'])) + text[at + cut :]
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        assert not scan_object(text, 0).intact, text
    else:
        scanned = scan_object(text, 0)
        assert (scanned.intact, scanned.end) == (True, end), text


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ('{"a": [1, [2', [("a", [1])]),
        ('{"a": [1, 2', [("a", [1])]),  # the 2 may go on
        ('{"a": [1, 2]', [("a", [1, 2])]),
        ('{"a": {"b": 1', []),
        ('{"a": tru', []),
        ('{"a": "b', []),
        ('{"a"', []),
        ('{"a": [], "a": [1]}', [("a", []), ("a", [1])]),
    ],
)
def test_pairs(text, pairs):
    assert scan_object(text, 0).pairs == pairs


scale_numbers = st.integers(-2, 12) | st.sampled_from(
    [0.5, 2.5, float("nan"), float("inf"), True, False, None, "4", []]
)
boxes = st.lists(st.integers(0, 10), min_size=4, max_size=4) | st.lists(scale_numbers, min_size=3, max_size=5)
entries = st.fixed_dictionaries(
    {"label": st.sampled_from(["a", "a", "a", "b", "a:b", 1])}, optional={"bbox_2d": boxes, "more": st.just({"x": 1})}
)
answers = st.dictionaries(
    st.sampled_from(["0", "1", "2", "3", "4s", "5.0", "05", "x", "6", "4095", "4096"]),
    st.lists(entries, min_size=1, max_size=2) | entries | st.lists(st.none(), max_size=1),
    max_size=6,
)


@given(answers, st.sampled_from([None, 4, 5000]), st.sampled_from([(10, 10), (7, 9.5), (10, 2049)]))
def test_fast_and_careful_reading_agree(value, seconds, scale):
    text = json.dumps(value)
    fast = parse_answer(text, seconds=seconds, scale=scale)
    # A broken object in front makes the scanner read the rest; a key of 16 digits keeps read_plain away.
    scanned = parse_answer('{"x"}' + text, seconds=seconds, scale=scale)
    careful = parse_answer(text[:-1] + ', "1234567890123456": []}' if value else text, seconds=seconds, scale=scale)
    assert fast == scanned
    assert (fast.track, fast.span) == (careful.track, careful.span)
    assert careful.discarded == fast.discarded + bool(value)
    states = read_states(text, seconds=seconds, scale=scale)
    if fast.span is not None:
        listed = states.by_label[fast.track.label]
        assert fast.track.boxes == {second: box for second, box in listed.items() if box is not None}


def test_usual_answers_take_the_fast_way():
    rng = random.Random(0)
    value = {
        str(k): [{"label": "a", "bbox_2d": [rng.randrange(400), 5, 500, rng.randrange(6, 1000)]}] for k in range(2, 60)
    }
    track, span = read_plain(value, json.dumps(value).count(":"), 60, (1000, 1000))
    assert span == (2, 59)
    assert track.label == "a"
    assert track == parse_answer('{"x"}' + json.dumps(value)).track


@pytest.mark.parametrize(
    ("value", "remark"),
    [
        ({}, "empty"),
        ({"2": [], "3": []}, "no entry"),
        ({"3": [{"label": "a", "bbox_2d": [1, 2, 3, 4]}], "2": [{"label": "a", "bbox_2d": [1, 2, 3, 4]}]}, "order"),
        ({"3": [{"label": "a", "bbox_2d": [1, 2, 3, 1001]}]}, "outside"),
        ({"3": [{"label": "a", "bbox_2d": "1234"}]}, "no box"),
        ({"3": [{"label": None, "bbox_2d": [1, 2, 3, 4]}]}, "no label"),
        ({"3": {"label": "a", "bbox_2d": [1, 2, 3, 4]}}, "no list"),
        ({"60": [{"label": "a", "bbox_2d": [1, 2, 3, 4]}]}, "late"),
    ],
)
def test_other_answers_do_not(value, remark):
    assert read_plain(value, json.dumps(value).count(":"), 60, (1000, 1000)) is None, remark
