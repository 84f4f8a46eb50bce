"""Several events, none, and times without boxes: rows, scores by hand, protocols, smoothing, pages and checks."""

import json
import logging
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.drawing.boxes import PREDICTED, TRUE, time_bars
from data_prep.records import read_records, validate_record
from data_prep.stages import StageError
from recipe.checks.data import answers_are_known, targets_remain
from recipe.checks.earnings import earned, events_leave_room, rewards_can_be_earned, times_can_be_earned
from recipe.checks.facts import read_facts, with_boxes
from recipe.checks.labels import kind_of
from recipe.dashboards.media import Shown, picture, row
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.apart import apart
from recipe.evaluation.breakdown import breakdown
from recipe.evaluation.page import markdown
from recipe.evaluation.protocols import FrameTruth
from recipe.evaluation.scores import BOXES, metrics, score_record, score_records, smoothed
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.dataset import completion_text, load_mixture, make_builder, truth_columns
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from recipe.rewards import make_variant
from stvg_rewards import mviou_reward, parse_answer, tiou_reward, viou_reward
from tests.helpers.example_records import events, grounding, no_target, question, scene, temporal
from tests.helpers.mixed_records import KINDS, mixed, write_mixed

BOX = [0.0, 0.0, 0.5, 0.5]
WHOLE = (1000, 1000)


def track(*seconds, box=BOX):
    return [{"second": k, "box": list(box)} for k in seconds]


def listing(*seconds, box=(0, 0, 500, 500)):
    return json.dumps({str(k): [{"label": "dog-1", "bbox_2d": list(box)}] for k in seconds})


ONE = grounding(id="one", span=[1, 2], track=track(1, 2))
TWO = events(id="two", spans=[[1, 3], [6, 8]], track=track(1, 2, 6))  # hidden in second 7
TIMES = temporal(id="times", spans=[[2, 4], [7, 9]])
NONE = no_target(id="none")


# --- rows


def test_the_columns_of_each_kind():
    names = ("span", "spans", "intervals", "no_target", "temporal")
    found = {
        record["id"]: [truth_columns(record, WHOLE)[name] for name in names] for record in (ONE, TWO, TIMES, NONE)
    }
    assert found == {
        "one": [[1, 2], None, [[1, 3]], False, False],
        "two": [None, [[1, 2], [6, 7]], [[1, 3], [6, 8]], False, False],
        "times": [None, [[2, 3], [7, 8]], [[2, 4], [7, 9]], False, True],
        "none": [None, None, None, True, False],
    }
    exact = truth_columns(temporal(spans=[[2.5, 4.2]]), WHOLE)
    assert (exact["span"], exact["intervals"]) == ([2, 4], [[2.5, 4.2]]), "times stay as exact as they are stated"
    for other in (question(), scene()):
        assert [truth_columns(other, WHOLE)[name] for name in names] == [None, None, None, False, False]


@pytest.mark.parametrize(
    ("record", "text", "expected"),
    [
        (ONE, listing(1), (1 / 2, 1.0, 1 / 2)),
        (TWO, listing(1, 2, 6, 7), (1.0, 1.0, 3 / 4)),
        (TWO, listing(1, 2), (2 / 4, 1.0, 2 / 4)),
        (TWO, listing(*range(1, 8)), (4 / 7, 1.0, 3 / 7)),
        (TWO, "{}", (0.0, 0.0, 0.0)),
        (TIMES, listing(2, 3, 7, 8), (1.0, None, None)),
        (TIMES, listing(2, 8, 9), (2 / 5, None, None)),
        (NONE, "<think>No dog.</think>{}", (1.0, 1.0, 1.0)),
        (NONE, listing(4), (0.0, 0.0, 0.0)),
        (question(), "a dog", (None, None, None)),
    ],
)
def test_rewards_and_scores_of_each_kind_by_hand(record, text, expected):
    columns = {name: [value] for name, value in truth_columns(record, WHOLE).items()}
    got = [reward([text], **columns)[0] for reward in (tiou_reward, mviou_reward, viou_reward)]
    assert got == [None if value is None else pytest.approx(value) for value in expected]
    scores = score_record(parse_answer(text, seconds=10), validate_record(record))
    ours = [None] * 3 if scores is None else [None if math.isnan(value) else value for value in scores]
    assert ours == [None if value is None else pytest.approx(value) for value in expected]


def test_what_is_taught():
    family = FAMILIES["glm4v"]
    texts = [completion_text(record, family, WHOLE) for record in (NONE | {"reasoning": "no dog runs"}, TWO)]
    assert texts[0] == "<think>no dog runs</think><answer>{}</answer>"
    assert parse_answer(texts[1]).track.boxes.keys() == {1, 2, 6}
    with pytest.raises(ValueError, match="record times: times without boxes are no answer"):
        completion_text(TIMES, family, WHOLE)


def builder_of(tiny_data, completions):
    prompts, videos = load_prompts("tiny"), tiny_data / "videos"
    return make_builder(videos, prompts, FAMILIES["glm4v"], 24, 48 * 48, completions=completions)


def test_the_rows_of_a_mixed_file(tiny_data, tmp_path, caplog):
    path = str(write_mixed(tiny_data, tmp_path / "mixed.jsonl"))
    assert [record["schema"] for record in read_records(path)] == [1, 2, 2, 2]
    with caplog.at_level(logging.WARNING):
        taught = load_mixture([path], builder_of(tiny_data, True), lengths=True)
    assert [item["id"] for item in taught] == ["one", "two", "none"]
    assert "1 temporal records left out: times without boxes are no answer to teach" in caplog.text
    assert taught[2]["completion"][0]["content"].endswith("<answer>{}</answer>")
    assert len(taught[2]["images"]) == 4, "a record that states no size is of the video's"
    asked = load_mixture([path], builder_of(tiny_data, False))
    assert [item["id"] for item in asked] == list(KINDS) and "completion" not in asked.column_names
    assert {len(item["prompt"]) for item in asked} == {1}
    shown = load_mixture([path], builder_of(tiny_data, True), targets_only=True)
    assert [item["id"] for item in shown] == ["one", "two"], "what the wrong-image check looks at"


@pytest.mark.parametrize(
    ("name", "targets_only", "says"),
    [
        ("times", False, "1 temporal records left out: times without boxes are no answer to teach"),
        ("none", True, "1 sentences without a target passed over"),
    ],
)
def test_a_file_that_leaves_nothing_is_one_line(tiny_data, tmp_path, name, targets_only, says):
    (tmp_path / "a.jsonl").write_text(json.dumps(mixed(tiny_data)[name]) + "\n")
    with pytest.raises(StageError, match=f"none of its records is of use here: {says}"):
        load_mixture([str(tmp_path / "a.jsonl")], builder_of(tiny_data, True), targets_only=targets_only)


# --- schema 2 says nothing else than schema 1 where both can say it

seconds = st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True).map(sorted)
sides = st.tuples(st.integers(0, 900), st.integers(1, 100)).map(lambda side: (side[0], side[0] + side[1]))
some_box = st.tuples(sides, sides).map(lambda pair: (pair[0][0], pair[1][0], pair[0][1], pair[1][1]))


@settings(max_examples=40)
@given(seconds, seconds, some_box, some_box, st.booleans())
def test_one_event_in_schema_2_scores_exactly_as_in_schema_1(true, listed, theirs, ours, smoothing):
    states = track(*true, box=[side / 1000 for side in theirs])
    older = validate_record(grounding(id="a", span=[true[0], true[-1]], track=states))
    newer = validate_record(events(id="a", spans=[[true[0], true[-1] + 1]], track=states))
    answers = {"a": listing(*listed, box=ours)}
    for protocol in ("second", "vuestg"):
        first, second = (
            score_records([record], answers, protocol=protocol, smoothing=smoothing) for record in (older, newer)
        )
        assert first == second
    columns = [{name: [value] for name, value in truth_columns(record, WHOLE).items()} for record in (older, newer)]
    assert columns[0] == columns[1]
    family = FAMILIES["glm4v"]
    assert completion_text(older, family, WHOLE) == completion_text(newer, family, WHOLE)


@pytest.mark.parametrize("protocol", ["frame", "tubedetr", "cgstvg"])
def test_one_event_in_schema_2_is_the_same_on_frames(protocol):
    frames = {"a": FrameTruth(10, 12, 38, dict.fromkeys(range(12, 38), BOX), 100)}
    both = grounding(id="a", span=[1, 3], track=track(1, 2)), events(id="a", spans=[[1, 4]], track=track(1, 2))
    first, second = (score_records([one], {"a": listing(2, 4)}, protocol=protocol, truths=frames) for one in both)
    assert first == second and 0 < first[0].scores.vIoU < 1


def test_one_event_in_schema_2_lies_in_the_same_groups():
    older = [grounding(id=str(last), span=[1, last], track=track(1)) for last in (1, 4, 9)]
    newer = [events(id=str(last), spans=[[1, last + 1]], track=track(1)) for last in (1, 4, 9)]
    answers = {"1": listing(1), "4": listing(1, 2), "9": listing(8)}
    first, second = (breakdown(records, [score_records(records, answers)]) for records in (older, newer))
    assert first == second and len(first["groups"]["event_seconds"]) == 3


@given(st.sets(st.integers(0, 19), min_size=1, max_size=12), st.sets(st.integers(0, 19), min_size=1, max_size=12))
def test_times_of_several_events_are_sets_of_seconds(true, listed):
    spans = [[second, second + 1] for second in sorted(true)]
    merged = [span for span in spans if span[0] - 1 not in true]
    for span in merged:
        while span[1] in true:
            span[1] += 1
    record = validate_record(temporal(clip=[0, 20], seconds=20, spans=merged))
    scores = score_record(parse_answer(listing(*listed), seconds=20), record)
    counted = listed if len(merged) > 1 else set(range(min(listed), max(listed) + 1))
    assert scores.tIoU == pytest.approx(len(true & counted) / len(true | counted))


# --- evaluation

RECORDS = [
    ONE | {"video": "a.mp4"}, TWO | {"video": "a.mp4"}, TIMES | {"video": "b.mp4"}, NONE | {"video": "b.mp4"},
    NONE | {"id": "none-2", "video": "c.mp4"}, NONE | {"id": "none-3", "video": "d.mp4"},
]  # fmt: skip
ANSWERS = {
    "one": listing(1, 2),
    "two": "<think>It does not jump.</think>{}",  # a false negative
    "times": listing(2, 3, 7),
    "none": "{}",
    "none-2": listing(3),  # a false positive
    "none-3": "I am not sure.",
}


def run(tmp_path, records, answers, **settings):
    for name, lines in (("t", records), ("p", [{"id": name, "answer": text} for name, text in answers.items()])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    places = {"tracks": tmp_path / "t.jsonl", "predictions": tmp_path / "p.jsonl", "out": tmp_path / "m.json"}
    return evaluate(EvalArguments(**{name: str(path) for name, path in places.items()}, **settings))


def test_the_numbers_of_a_mixed_file(tmp_path):
    found, (samples,) = run(tmp_path, RECORDS, ANSWERS)
    # Of the two records with boxes one is right and one gets the empty answer.
    assert (found["n"], found["m_tIoU"], found["m_vIoU"], found["mvIoU"]) == (2, 0.5, 0.5, 0.5)
    assert found["parse_failures"] == pytest.approx(1 / 6), "of all answers"
    assert [sample.id for sample in samples] == ["one", "two"], "what studies compare"
    absent, times = found["no_target"], found["temporal"]
    assert [absent[name] for name in ("n", "score", "false_positive_rate", "false_negative_rate")] == [
        3, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(1 / 3),
    ]  # fmt: skip
    # 3 of 4 seconds; above 0.7 too.
    assert [times[name] for name in ("n", "m_tIoU", "tIoU@0.3", "tIoU@0.5", "tIoU@0.7")] == [1, 0.75, 1.0, 1.0, 1.0]
    assert absent["interval95"]["score"] == [0.0, 1.0] and times["interval95"]["m_tIoU"] == [0.75, 0.75]
    groups = found["groups"]["events"]
    assert {name: (part["n"], part["m_vIoU"]) for name, part in groups.items()} == {"1": (1, 1.0), "2+": (1, 0.0)}
    assert found["groups"]["event_seconds"].keys() == {"1-2", "3-5"}, "two seconds, and two of each event"
    assert found["ceiling"]["m_vIoU"] == pytest.approx((1 + 3 / 4) / 2), "second 7 has no true box"
    page = (tmp_path / "m.md").read_text()
    assert "| sentences without a target, n = 3 | value | 95 % |" in page
    assert "| false positives | 33.3 |  |" in page and "| false negatives | 33.3 |  |" in page
    assert "| times without boxes, n = 1 | value | 95 % |" in page and "| m_tIoU | 75.0 | [75.0, 75.0] |" in page


def test_a_file_of_tubes_with_one_event_each_has_no_new_word(tmp_path):
    found, _ = run(tmp_path, RECORDS[:1], ANSWERS)
    assert not {"no_target", "temporal"} & found.keys() and "events" not in found["groups"]
    assert "false" not in (tmp_path / "m.md").read_text()


def test_a_file_without_any_tube(tmp_path):
    found, (samples,) = run(tmp_path, RECORDS[2:], ANSWERS)
    assert (found["n"], found["m_tIoU"], found["groups"], samples) == (0, None, {}, [])
    assert json.loads((tmp_path / "m.json").read_text()) == found, "JSON has no NaN"
    assert found["no_target"]["false_negative_rate"] == 0.0
    assert "m_vIoU" not in (tmp_path / "m.md").read_text()
    only_absent, _ = run(tmp_path, RECORDS[3:], ANSWERS)
    assert only_absent["no_target"]["false_negative_rate"] is None, "no record has a target"


def test_repeats_are_averaged():
    runs = [score_records(RECORDS, answers) for answers in (ANSWERS, ANSWERS | {"none-2": "{}", "times": "{}"})]
    found = apart(runs)
    assert found["no_target"]["score"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert found["no_target"]["false_negative_rate"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert found["temporal"]["m_tIoU"] == pytest.approx(0.75 / 2)


def test_an_answer_that_cannot_be_read_or_is_missing_denies_nothing():
    unread = ANSWERS | {"one": "no idea", "times": ""}
    found = apart([score_records(RECORDS, unread)])["no_target"]
    assert found["false_negative_rate"] == pytest.approx(1 / 3), "only the empty answer does"


@pytest.mark.parametrize("protocol", ["frame", "tubedetr", "cgstvg", "vuestg"])
def test_protocols_score_tubes_as_if_the_others_were_not_there(tmp_path, protocol):
    frames = {"id": "one", "fps": 29.97, "begin": 35, "end": 80, "boxes": [{"frame": 40, "box": BOX}]}
    (tmp_path / "f.jsonl").write_text(json.dumps(frames) + "\n")
    given_settings = {"protocol": protocol} | ({} if protocol == "vuestg" else {"frames": str(tmp_path / "f.jsonl")})
    alone, _ = run(tmp_path, RECORDS[:1], ANSWERS, **given_settings)
    among, _ = run(tmp_path, [RECORDS[0], *RECORDS[2:]], ANSWERS, **given_settings)
    same = ("m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5", "mvIoU", "n", "ceiling", "groups", "vuestg")
    assert {name: among.get(name) for name in same} == {name: alone.get(name) for name in same}
    assert among["no_target"]["score"] == pytest.approx(1 / 3) and among["temporal"]["m_tIoU"] == 0.75


def test_a_protocol_on_frames_has_no_rule_for_several_events(tmp_path):
    (tmp_path / "f.jsonl").write_text("")
    with pytest.raises(StageError, match=r"--protocol frame: 1 records? \(two\) with several events|1 \(two\) with"):
        run(tmp_path, RECORDS, ANSWERS, protocol="frame", frames=str(tmp_path / "f.jsonl"))
    found, _ = run(tmp_path, RECORDS[:2], ANSWERS | {"two": listing(1, 2, 6)}, protocol="vuestg")
    assert found["m_tIoU"] == found["m_vIoU"] == 1.0, "the seconds that have a box, as VUE-STG counts them"


# --- predictions as recipe.ground writes them


@pytest.mark.parametrize(
    ("line", "record", "expected", "remark"),
    [
        ({"track": track(1, 2, 6), "span": [1, 7], "spans": [[1, 3], [6, 8]]}, TWO, (1.0, 1.0, 0.75), "7 is listed"),
        ({"track": track(1, 2, 6), "spans": [[1, 3], [6, 8]]}, TWO, (1.0, 1.0, 0.75), "the hull may be left out"),
        ({"track": track(1, 2, 6), "span": [1, 7]}, TWO, (0.75, 1.0, 0.75), "without spans the boxes are the seconds"),
        ({"track": track(1, 2, 6), "spans": [[1, 2]]}, TWO, (0.25, 1.0, 0.25), "boxes outside the spans do not count"),
        ({"track": track(1, 2), "span": [1, 2], "spans": [[1, 3]]}, ONE, (1.0, 1.0, 1.0), "one event"),
        ({"track": [], "spans": [[7, 1e300]]}, TIMES, (2 / 5, None, None), "cut at the clip's end: 7, 8, 9"),
        ({"track": [], "span": None, "spans": [], "no_target": True}, NONE, (1.0, 1.0, 1.0), "the empty answer"),
        ({"track": []}, NONE, (1.0, 1.0, 1.0), "an empty track is one"),
        ({"track": [], "no_target": False}, NONE, (0.0, 0.0, 0.0), "one that could not be read is not"),
    ],
)  # fmt: skip
def test_lines_of_tracks(tmp_path, line, record, expected, remark):
    (tmp_path / "t.jsonl").write_text(json.dumps(record) + "\n")
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": record["id"]} | line) + "\n")
    names = {"tracks": "t.jsonl", "predictions": "p.jsonl", "out": "m.json"}
    found, _ = evaluate(EvalArguments(**{name: str(tmp_path / path) for name, path in names.items()}))
    part = found.get("temporal") or found.get("no_target") or found
    got = (part.get("m_tIoU", part.get("score")), found["mvIoU"], found["m_vIoU"])
    if record is NONE:
        got = (part["score"],) * 3
    assert got == tuple(None if value is None else pytest.approx(value) for value in expected), remark


@pytest.mark.parametrize(
    "spans", [7, [3], [[3]], [[3, 3]], [[4, 2]], [[0, "1"]], [[-1, 2]], [[0, float("inf")]], [[True, 2]]]
)
def test_spans_that_are_none_are_a_line_that_cannot_be_read(tmp_path, spans):
    from recipe.evaluation.submission import read_submission

    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "a", "track": [], "spans": spans}) + "\n")
    assert read_submission(tmp_path / "p.jsonl").broken == ["line 1: its spans are not [[begin, end), ...]"]


# --- smoothing never bridges two events


def test_smoothing_does_not_bridge_two_events():
    # Two seconds are left out, which smoothing fills inside one event.
    text = listing(1, 2, 5, 6)
    apart_by_two = events(id="a", spans=[[1, 3], [5, 7]], track=track(1, 2, 5, 6))
    through = grounding(id="a", span=[1, 6], track=track(1, 2, 3, 4, 5, 6))
    (off,), (on,) = (score_records([apart_by_two], {"a": text}, smoothing=smoothing) for smoothing in (False, True))
    assert off.scores == on.scores == (1.0, 1.0, 1.0)
    (filled,) = score_records([through], {"a": text}, smoothing=True)
    assert filled.scores == (1.0, 1.0, 1.0), "and of one event the gap is filled"


def test_each_event_is_steadied_by_itself_and_keeps_its_seconds():
    """A second that is listed without a valid box is filled; one that is not listed never gets any."""
    first, later = (0, 0, 200, 200), (100, 100, 300, 300)
    states = {k: [{"label": "a", "bbox_2d": list(first if k < 4 else later)}] for k in (0, 1, 3, 5, 6)}
    states[2] = [{"label": "a", "bbox_2d": [9, 9, 9, 9]}]
    answer = parse_answer(json.dumps(states), seconds=10)
    assert answer.unboxed == (2,)
    found = smoothed(answer, [(0, 3), (5, 6)])
    assert sorted(found.track.boxes) == [0, 1, 2, 3, 5, 6] and found.unboxed == ()
    assert found.track.boxes[2] == pytest.approx((0.0, 0.0, 0.2, 0.2)), "from its own event"
    assert found.track.boxes[5] == pytest.approx((0.1, 0.1, 0.3, 0.3))
    assert sorted(smoothed(answer, [(0, 6)]).track.boxes) == [0, 1, 2, 3, 4, 5, 6], "one event"


# --- pictures


def colours(bars, line, width, count):
    return [
        "#{:02X}{:02X}{:02X}".format(*bars.getpixel((width * k + width // 2, 12 * line + 6))) for k in range(count)
    ]


def test_a_bar_shows_each_event():
    bars = time_bars(5, [(TRUE, [(0, 0), (3, 4)]), (PREDICTED, [])], width=100, row=12)
    assert [colour == TRUE.colour for colour in colours(bars, 0, 20, 5)] == [True, False, False, True, True]
    assert PREDICTED.colour not in colours(bars, 1, 20, 5)


@pytest.mark.parametrize(
    ("record", "text", "scores"),
    [
        (TWO, listing(1, 6), (0.5, 1.0, 0.5)),
        (TIMES, listing(2, 3), (0.5, None, None)),
        (NONE, "{}", (1.0, 1.0, 1.0)),
        (NONE, "?", (0.0, 0.0, 0.0)),
    ],
)
def test_a_held_out_clip_of_each_kind_has_a_picture_and_a_row(record, text, scores):
    from PIL import Image

    shown = Shown(validate_record(record), [Image.new("RGB", (48, 48))] * 10, WHOLE, text)
    assert picture(shown).width > 100
    assert [row(shown)[name] for name in ("tIoU", "mvIoU", "vIoU")] == list(scores)


# --- checks before a stage


def test_what_preflight_says_of_such_records():
    assert answers_are_known(0, 5) == []
    (warned,), (refused,) = answers_are_known(3, 5), answers_are_known(3, 0)
    assert not warned.refused and warned.text.startswith("3 temporal records left out")
    assert refused.refused and refused.text.endswith("; none is left")
    assert targets_remain(5, 10) == []
    (many,) = targets_remain(6, 10)
    assert not many.refused and "a model that always answers {} is right in 60%" in many.text


def test_what_records_of_each_kind_can_earn():
    def answer(record):
        return completion_text(with_boxes(record), FAMILIES["glm4v"], WHOLE), WHOLE

    found = {
        record["id"]: earned(make_variant("tiou_mviou"), record, *answer(record)) for record in (ONE, TWO, TIMES, NONE)
    }
    # Of two events a second without a true box is missing in the true answer: 3 of 4 seconds.
    assert found == {"one": 2.0, "two": 1.75, "times": 1.0, "none": 2.0}
    assert times_can_be_earned(make_variant("tiou_mviou"), [ONE, TIMES], 1, answer) == []
    assert times_can_be_earned(make_variant("viou"), [ONE], 0, answer) == []
    (finding,) = times_can_be_earned(make_variant("viou"), [ONE, TIMES], 7, answer)
    assert not finding.refused and finding.text.startswith("7 temporal records earn nothing under reward viou")
    assert [one.refused for one in rewards_can_be_earned(make_variant("viou"), [TIMES], 1, answer)] == [True]
    long = temporal(spans=[[0, 5], [5.5, 10]])
    assert len(events_leave_room([long], ["tiou_reward"])) == 1 and events_leave_room([NONE], ["tiou_reward"]) == []


def test_the_facts_of_a_mixed_file(tiny_data, tmp_path):
    path = str(write_mixed(tiny_data, tmp_path / "mixed.jsonl"))
    kinds = {
        StageArguments: {"declarative", "of several events", "without a target"},
        GRPOArguments: {"declarative", "of several events", "without a target", "without boxes"},
    }
    for arguments, listed in kinds.items():
        facts = read_facts(arguments(dataset_name=None, tracks=[path], max_frame_pixels=2304), 24)
        assert facts.count == len(listed) and (facts.temporal, facts.no_target) == (1, 1)
        assert {kind.removesuffix(" with reasoning").split(" ", 1)[-1] for kind in facts.kinds} >= listed - {
            "declarative"
        }
        assert len(facts.sample) == len(listed), "records that state no size are measured too"
    assert kind_of(TWO) == "declarative of several events" and kind_of(TIMES) == "declarative without boxes"


def test_samples_know_their_truth():
    samples = score_records(RECORDS, ANSWERS)
    assert [sample.truth for sample in samples] == ["boxes", "boxes", "times", *["nothing"] * 3]
    assert [sample.lists for sample in samples] == [True, False, True, False, True, False]
    assert metrics([sample for sample in samples if sample.truth == BOXES])["n"] == 2
    result = metrics(samples) | {"protocol": "second", "repeats": 1, "temperature": 0.0, "smooth": "off"}
    page = markdown(result | breakdown(RECORDS, [samples]) | apart([samples]), name="x")
    assert page.index("times without boxes") < page.index("predictions")
