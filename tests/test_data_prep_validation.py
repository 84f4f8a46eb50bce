"""The record format: what is taken, what is refused, and how the message reads."""

import copy
import json
import math
from pathlib import Path
from types import MappingProxyType

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import record_shape, records, validation
from data_prep.events import FIELDS_OF_EVENTS
from data_prep.record_shape import EVENTS_VERSION
from data_prep.records import SCHEMA_VERSION, RecordError, validate_record
from tests.helpers.example_records import (
    VALID,
    caption,
    events,
    grounding,
    no_target,
    question,
    scene,
    state,
    temporal,
    without,
)

SCHEMA = json.loads((Path(records.__file__).parent / "record.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


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
    (grounding(schema=3), "field schema: 3, expected 1 or 2"),
    (grounding(schema=True), "field schema: True, expected 1 or 2"),
    (without(grounding(), "schema"), "field schema: missing, expected 1 or 2"),
    (scene(schema=2), "field schema: 2, expected 1"),
    (question(schema=2), "field schema: 2, expected 1"),
    (grounding(schema=2), "field span: [6, 8], expected null in schema 2, which has spans"),
    (grounding(spans=[[6, 9]]), "field spans: [[6, 9]], expected none in schema 1"),
    (grounding(no_target=True), "field no_target: True, expected none in schema 1"),
    (scene(no_target=True), "field no_target: True, expected none for kind scene"),
    (question(spans=[[6, 9]]), "field spans: [[6, 9]], expected none for kind qa"),
    (
        events(spans=None),
        "field spans: None, expected [[begin, end), ...], pairs of seconds of at least 0, at least one,",
    ),
    (without(events(), "spans"), "field spans: missing, expected [[begin, end), ...]"),
    (events(spans=[]), "field spans: [], expected [[begin, end), ...]"),
    (events(spans=[1, 3]), "field spans: [1, 3], expected [[begin, end), ...]"),
    (events(spans=[[1, 3, 5]]), "field spans: [[1, 3, 5]], expected [[begin, end), ...]"),
    (events(spans=[[-1, 3]]), "field spans: [[-1, 3]], expected [[begin, end), ...]"),
    (events(spans=[["1", 3]]), "field spans: [['1', 3]], expected [[begin, end), ...]"),
    (events(spans=[[3, 3]]), "field spans[0]: [3, 3], expected 0 <= begin < end <= 10, the clip's seconds"),
    (events(spans=[[1, 3], [6, 10.5]]), "field spans[1]: [6, 10.5], expected 0 <= begin < end <= 10"),
    (events(spans=[[1, math.inf]]), "field spans[0]: [1, inf], expected 0 <= begin < end <= 10"),
    (events(spans=[[1, math.nan]]), "field spans"),
    (events(spans=[[6, 8], [1, 3]]), "field spans[1]: [1, 3] after [6, 8], expected increasing spans"),
    (events(spans=[[1, 4], [3, 8]]), "field spans[1]: [3, 8] after [1, 4], expected increasing spans"),
    (events(spans=[[1, 4], [4, 8]]), "field spans[1]: [4, 8] after [1, 4], it touches the one before: one event is"),
    (events(track=[state(1), state(4)]), "second 4: expected a second inside spans [[1, 3], [6.5, 9]]"),
    (events(track=[state(9)]), "second 9: expected a second inside spans [[1, 3], [6.5, 9]]"),
    (events(track=[state(6), state(1)]), "second 1: after second 6, expected increasing seconds"),
    (events(track=[state(6, (0.4, 0, 0.1, 1))]), "second 6: x_max 0.1 < x_min 0.4"),
    (events(track=[]), "field track: [], expected a list of {second, box}, at least one, or task: temporal where"),
    (without(events(), "track"), "field track: missing, expected a list of {second, box}, at least one, or task"),
    (events(label=None), "field label: None"),
    (events(fps=None), "field fps: None"),
    (events(task="temporl"), "field task: temporl, expected temporal or null"),
    (events(no_target="yes"), "field no_target: yes, expected true, false or null"),
    (temporal(track=[state(7)]), "field track: [{'second': 7, 'box': [0.1, 0.2, 0.3, 0.4]}], expected null for task"),
    (temporal(track=[]), "field track: [], expected null for task temporal, which has no boxes"),
    (temporal(spans=None), "field spans: None, expected [[begin, end), ...]"),
    (temporal(span=[2, 3]), "field span: [2, 3], expected null in schema 2, which has spans"),
    (temporal(seconds=None), "field seconds: None"),
    (temporal(task=True), "field task: True, expected temporal or null"),
    (no_target(spans=[[1, 3]]), "field spans: [[1, 3]], expected null where no_target is true"),
    (no_target(track=[state(1)]), "field track: [{'second': 1, 'box': [0.1, 0.2, 0.3, 0.4]}], expected null where"),
    (no_target(track=[]), "field track: [], expected null where no_target is true"),
    (no_target(task="temporal"), "field task: temporal, expected null where no_target is true"),
    (no_target(clip=None), "field clip: None"),
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
    (grounding(rate=0), "field rate: 0, expected frames a second, above 0"),
    (grounding(rate="2"), "field rate: 2"),
    (grounding(rate=True), "field rate: True"),
    (grounding(seconds=0), "field seconds: 0"),
    (grounding(seconds=12), "field seconds: 12, expected at most 11 for clip [0.0, 10.01]"),
    (grounding(clip=[3, 3]), "field clip: [3, 3], expected 0 <= start_s < end_s"),
    (grounding(clip=[-1, 10]), "field clip: [-1, 10], expected [start_s, end_s], two finite numbers of at least 0"),
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


def test_the_schema_file_is_generated_from_the_declared_fields():
    path = Path(records.__file__).parent / "record.schema.json"
    assert path.read_text() == record_shape.schema_text(), (
        "python -m data_prep.record_shape > data_prep/record.schema.json"
    )


def test_the_schema_itself_is_valid_and_names_all_fields():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for version, names in (
        (SCHEMA_VERSION, {"GroundingRecord", "SceneRecord", "TextRecord"}),
        (EVENTS_VERSION, {"EventsRecord", "TemporalRecord", "NoTargetRecord"}),
    ):
        for name in names:
            properties = SCHEMA["$defs"][name]["properties"]
            task = {"task"} if version == EVENTS_VERSION else set()
            assert set(properties) == {*validation.FIELDS, "tracks", "rate", "spans", "no_target", *task}
            assert properties["schema"]["const"] == version
    assert SCHEMA["properties"]["kind"]["enum"] == list(validation.KINDS)


@pytest.mark.parametrize("record", [record for record, _ in VALID])
def test_every_kind_is_checked_by_its_own_fields(record):
    assert VALIDATOR.is_valid(record)
    assert not VALIDATOR.is_valid(record | {"kind": "story"}) and not VALIDATOR.is_valid(without(record, "kind"))


@pytest.mark.parametrize("kind", ["grounding", "scene", "question", "events", "temporal", "no_target"])
def test_the_schema_knows_what_each_kind_needs(kind):
    make, needed = {
        "grounding": (grounding, ["clip", "fps", "width", "height", "seconds", "label", "span", "track"]),
        "scene": (scene, ["clip", "fps", "width", "height", "seconds", "tracks"]),
        "question": (question, ["answer"]),
        "events": (events, ["clip", "fps", "width", "height", "seconds", "label", "spans", "track"]),
        "temporal": (temporal, ["clip", "seconds", "spans", "task"]),
        "no_target": (no_target, ["clip", "seconds", "no_target"]),
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
@given(st.sampled_from([grounding(), scene(), question(), events(), temporal(), no_target()]), st.data())
def test_any_change_is_taken_or_refused_with_a_message(record, data):
    field = data.draw(st.sampled_from([*validation.FIELDS, "tracks", "rate", *FIELDS_OF_EVENTS]))
    changed = record | {field: data.draw(json_values)}
    try:
        valid = validate_record(changed)
    except RecordError as error:
        assert "\n" not in str(error)
    else:
        assert VALIDATOR.is_valid(changed) and VALIDATOR.is_valid(valid)


ODD_VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        1,
        10,
        -1,
        2**31,
        1 << 21,
        0.0,
        0.5,
        1e308,
        math.inf,
        math.nan,
        "",
        " ",
        "a",
        "\x1f",
        "\xe4",
        "../a",
    ]
    + ["/a", "a/b.mp4", "a//b", "a.", "caption", "qa", "scene", "tracking", [], [0, 3], [6.0, 8.0], [0.0, 10.0]]
    + [2, "temporal", [[1, 3]], [[1.5, 8.25]], [[1, 3], [3, 5]], [[1, 2], [8, 10]], [[0, 11]], [[0, math.nan]]]
    + [[8, 6], [0.0, math.nan], {}, [state(7)], [state(6), state(6)], [{"second": 6}], [state(6, (0, 0, 1, 1))]]
    + [[state(6, (0.5, 0.1, 0.4, 0.2))], [state(6, (0.1, 0.1, 0.2, math.nan))], [state(6.0)], [state(True)]]
)


@settings(deadline=None, derandomize=True, max_examples=800)
@given(
    st.sampled_from([grounding, scene, question, caption, events, temporal, no_target]),
    st.dictionaries(
        st.sampled_from([*validation.FIELDS, "tracks", "rate", "added", *FIELDS_OF_EVENTS]), ODD_VALUES, max_size=3
    ),
    st.lists(st.sampled_from(validation.FIELDS), max_size=1),
)
def test_what_is_valid_keeps_every_rule(make, changes, gone):
    """The rules once more, written plainly and by other means than the code's."""
    record = {field: value for field, value in (make() | changes).items() if field not in gone}
    try:
        validate_record(record)
    except RecordError as error:
        assert str(error).isprintable() and len(str(error)) < 400
        return
    assert VALIDATOR.is_valid(record)
    for field in ("id", "source", "split", "query"):
        assert record[field].strip()
    seconds, clip, span = record.get("seconds"), record.get("clip"), record.get("span")
    assert clip is None or 0 <= clip[0] < clip[1] < math.inf
    assert clip is None or seconds is None or seconds <= clip[1] - clip[0] + 1.001
    assert span is None or 0 <= span[0] <= span[1] < seconds
    spans = record.get("spans") or []
    ends = [time for one in spans for time in one]
    assert ends == sorted(set(ends)) and all(0 <= time <= seconds for time in ends)
    if record["schema"] == 2:
        assert span is None and bool(spans) != (record.get("no_target") is True)
        assert bool(record.get("track")) == (record.get("task") is None and bool(spans))
    for second in (entry["second"] for entry in (record.get("track") if spans else None) or []):
        assert any(begin < second + 1 and second < end for begin, end in spans)
    for track in [record.get("track"), *(entry["track"] for entry in record.get("tracks") or [])]:
        at = [entry["second"] for entry in track or []]
        assert at == sorted(set(at))
        assert not at or (span or [0, seconds - 1])[0] <= at[0] and at[-1] <= (span or [0, seconds - 1])[1]
        for x_min, y_min, x_max, y_max in (entry["box"] for entry in track or []):
            assert 0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1


def test_values_of_numpy_and_other_mappings_are_taken_as_their_numbers():
    record = grounding(fps=np.float64(29.97), track=[MappingProxyType(state(7, (np.float64(0.1), 0, 1, 1)))])
    assert validate_record(MappingProxyType(record))["fps"] == 29.97
    with pytest.raises(RecordError, match="second 7: x_max 0.1 < x_min 0.4"):
        validate_record(grounding(fps=np.float64(25), track=[state(7, (0.4, 0, 0.1, 1))]))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (grounding(clip=[0, math.inf]), "field clip: [0, inf], expected [start_s, end_s], two finite numbers"),
        (grounding(fps=math.inf), "field fps: inf, expected a finite number above 0"),
        (grounding(rate=1001), "field rate: 1001, expected frames a second, above 0 and at most 1000, or null"),
        (grounding(span="half \ud800"), "field span: half \\ud800, expected [first, last]"),
        (grounding(video="a/\ud800.mp4"), "field video: a/\\ud800.mp4, expected Unicode text"),
        (grounding(track=[state(-1)]), "field track[0].second: -1, expected a whole number of at least 0"),
        (scene(tracks=[{"label": "a", "track": [state(1), state(0)]}]), "tracks[0] second 0: after second 1"),
        (scene(tracks=[{"label": "a", "track": [{"box": []}]}]), "tracks[0] field track[0]: {'box': []}, expected"),
        (scene(tracks=[{"label": "a", "track": [state(1, (0, 0, 1, 2))]}]), "tracks[0] second 1: y_max 2, expected"),
        (scene(tracks=[{"track": []}]), "tracks[0] field label: missing, expected text that is not blank"),
    ],
)
def test_how_faults_of_single_values_read(record, message):
    with pytest.raises(RecordError) as error:
        validate_record(record)
    assert str(error.value).startswith(f"record vidstg/test/2401 {message}")


def test_no_writer_takes_a_set(tmp_path):
    with pytest.raises(RecordError), records.RecordWriter(tmp_path / "a.jsonl") as writer:
        writer.write(grounding(span={6, 8}))
    assert not (tmp_path / "a.jsonl").exists()
