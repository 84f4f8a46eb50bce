"""What the converters write without a second look is what the full check takes, and the rest meets its messages."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.convert import conversion, media
from data_prep.convert.acceptance import is_sound
from data_prep.convert.building import text_record
from data_prep.records import RecordError, RecordWriter, read_records, validate_record
from tests.helpers.example_records import caption, grounding, scene
from tests.helpers.layouts import convert, write

BUILT = [validate_record(make()) for make in (grounding, scene, caption)]


def changed(record, path, value):
    """Return a copy of a record with another value at a path."""
    record = copy.deepcopy(record)
    *parents, last = path
    owner = record
    for step in parents:
        owner = owner[step]
    owner[last] = value
    return record


def refused(record):
    """Return whether the full check refuses a record."""
    try:
        validate_record(record)
    except RecordError:
        return True
    return False


@pytest.mark.parametrize("record", BUILT, ids=[record["kind"] for record in BUILT])
def test_what_builders_make_needs_no_second_look(record):
    assert is_sound(record)


FLAT = [0.2, 0.2, 0.2, 0.4]
FAULTS = [
    *((index, (field,), "\u2003") for index in (0, 1, 2) for field in ("id", "split", "query")),
    *((index, ("video",), path) for index in (0, 1, 2) for path in ("/a.mp4", "../a.mp4", "a//b.mp4", "a\\b", "")),
    *((index, ("clip",), [5.0, 5.0]) for index in (0, 1, 2)),
    *((index, ("clip",), [0.0, 8.5]) for index in (0, 1, 2)),  # the tenth second would begin after its end
    (2, ("clip",), [0.0, float("inf")]),
    (0, ("label",), " "),
    (1, ("tracks", 0, "label"), ""),
    (2, ("answer",), "\xa0"),
    (0, ("span",), [2, 1]),
    (0, ("span",), [0, 99]),
    *((0, ("track", 0, "second"), second) for second in (-1, 0, 99)),
    *((1, ("tracks", 0, "track", 0, "second"), second) for second in (-1, 99)),
    *((0, ("track", 0, "box"), box) for box in (FLAT, [0.5, 0.1, 0.4, 0.9], [0, 0, 1, 1.01], [-0.1, 0, 1, 1])),
    *((1, ("tracks", 0, "track", 0, "box"), box) for box in (FLAT, [0, float("nan"), 1, 1])),
]


@pytest.mark.parametrize(("index", "path", "value"), FAULTS)
def test_what_annotations_get_wrong_is_not_accepted(index, path, value):
    record = changed(BUILT[index], path, value)
    assert refused(record)
    assert not is_sound(record)


share = st.sampled_from([-0.1, 0.0, 0.2, 0.5, 0.7, 1.0, 1.1])


@given(
    st.lists(
        st.fixed_dictionaries({"second": st.integers(-1, 7), "box": st.lists(share, min_size=4, max_size=4)}),
        min_size=1,
        max_size=3,
    ),
    st.tuples(st.integers(-1, 7), st.integers(-1, 7)).map(list),
    st.tuples(st.floats(-1, 9), st.floats(-1, 9)).map(list),
    st.integers(1, 8),
)
def test_accepted_means_valid_whatever_the_numbers(track, span, clip, seconds):
    stated = {"clip": clip, "seconds": seconds}
    records = [
        BUILT[0] | stated | {"track": track, "span": span},
        BUILT[1] | stated | {"tracks": [{"label": "a", "track": track}]},
        BUILT[2] | stated,
    ]
    for record in records:
        assert is_sound(record) == (not refused(record))


def test_the_writer_meets_what_no_look_was_taken_at(tmp_path):
    half, endless = changed(BUILT[2], ("query",), "a \ud800"), BUILT[2] | {"moments": [[0.0, float("nan")]]}
    assert is_sound(half) and is_sound(endless)
    for record, message in ((half, "half of a surrogate pair"), (endless, "an added field cannot be JSON")):
        with pytest.raises(RecordError, match=message), RecordWriter(tmp_path / "a.jsonl") as writer:
            writer.write(record, is_checked=True)
    with RecordWriter(tmp_path / "a.jsonl") as writer:
        writer.write(BUILT[2] | {"moments": [10**20]}, is_checked=True)  # beyond 64 bits
    assert next(read_records(tmp_path / "a.jsonl"))["moments"] == [10**20]


def test_a_builder_that_makes_a_bad_record_is_caught(tmp_path, monkeypatch):
    write(tmp_path / "val_1.json", {"v": {"duration": 9, "timestamps": [[0, 4], [2, 8]], "sentences": ["a", "b"]}})

    def bad(source, item, args, audit):
        return text_record(source, item, args, audit) | ({"seconds": 99} if item.answer == "b" else {})

    monkeypatch.setattr(conversion, "text_record", bad)
    records, report, _ = convert("activitynet", tmp_path / "val_1.json", tmp_path / "o.jsonl")
    assert [record["answer"] for record in records.values()] == ["a"]
    assert "field seconds: 99, expected at most 7" in json.dumps(report["examples"])


def test_paths_are_looked_at_once_a_conversion(tmp_path, monkeypatch):
    asked = []
    real = media.resolve_video
    monkeypatch.setattr(media, "resolve_video", lambda root, video: asked.append(video) or real(root, video))
    rows = "".join(f"{frame},{number},5,5,9,9,1,1,1\n" for number in (1, 2, 3) for frame in (1, 2))
    write(tmp_path / "in" / "S1" / "gt" / "gt.txt", rows)
    options = ("--size", "50x20", "--fps", "10")
    for _ in range(2):
        records, _, _ = convert("mot", tmp_path / "in", tmp_path / "o.jsonl", *options)
        assert len(records) == 4
    assert asked == ["S1/img1"] * 2, "four records have one folder, which another conversion looks for again"
