"""Answers that have one meaning in another form than the contract's: read, counted by form, never called whole."""

import json

import pytest

from stvg_rewards import Track, format_reward, parse_answer, parse_tracks, tiou_reward
from stvg_rewards.json_scan import scan_object
from stvg_rewards.parsing import read_second

BOX, READ = [100, 200, 300, 400], (0.1, 0.2, 0.3, 0.4)


def entry(label="a", box=BOX):
    return {"label": label, "bbox_2d": box}


def second(k, *entries):
    return json.dumps({str(k): list(entries) or [entry()]})


def record(k, label="a", box=BOX):
    return json.dumps({"second": k, "label": label, "bbox_2d": box})


TWO = f'{{"2": [{json.dumps(entry())}], "3": [{json.dumps(entry())}]}}'


@pytest.mark.parametrize(
    ("text", "repaired", "remark"),
    [
        (second(2) + second(3), {"objects": 2}, "side by side"),
        (second(2) + "\n" + second(3), {"objects": 2}, "line by line"),
        (second(2) + ",\n" + second(3) + ",", {"objects": 2}, "with commas"),
        (f"[{second(2)}, {second(3)}]", {"objects": 2}, "in a list"),
        (f"[{second(3)}, {second(2)}]", {"objects": 2}, "in another order"),
        (f"```json\n{second(2)}\n```\n```json\n{second(3)}\n```", {"objects": 2}, "in fences"),
        (f"<think>{second(9)}</think>{second(2)}\n{second(3)}", {"objects": 2}, "behind the reasoning"),
        (f"{second(2)} {{}} {second(3)}", {"objects": 2}, "an empty one between"),
        (f"[{record(2)}, {record(3)}]", {"records": 2}, "records in a list"),
        (f"{record(2)}\n{record(3)}", {"records": 2}, "records line by line"),
        (f"[{record('2 s')}, {record(3.0)}]", {"records": 2}, "whose seconds are texts or floats"),
        (f"[{TWO}]", {"list": 1}, "the contract's object in a list"),
        (f"{TWO} {{}}", {"empty": 1}, "an empty object behind it"),
        (f"{TWO}\nDone: {{}}", {"empty": 1}, "and text between"),
        (TWO.replace('[{"label"', '{"label"').replace("}]", "}"), {"dict": 2}, "a dict for a list of one"),
        (TWO.replace("[100", "[[100").replace("400]", "400]]"), {"nested": 2}, "a box nested once more"),
        (TWO.replace('"label": "a", ', "", 1), {"label": 1}, "a box without a label: the target's"),
        (f'{{"2": [[100, 200, 300, 400]], "3": [{json.dumps(entry())}]}}', {"label": 1}, "nothing but the box"),
        (
            '{"2": [100, 200, 300, 400], "3": [{"label": "a", "bbox_2d": [100, 200, 300, 400]}]}',
            {"label": 1},
            "no list",
        ),
        (TWO.replace('"2"', '"2 seconds"').replace('"3"', '"second 3"'), {"key": 2}, "seconds in words"),
        (TWO.replace('"2"', '"00:02"').replace('"3"', '"0:00:03"'), {"key": 2}, "clock times"),
    ],
)
def test_forms_with_one_meaning(text, repaired, remark):
    answer = parse_answer(text, seconds=4)
    assert answer.track == Track("a", {2: READ, 3: READ}), remark
    assert (answer.span, answer.parsed, answer.salvaged, answer.discarded) == ((2, 3), True, False, 0), remark
    assert answer.repaired == repaired, remark
    assert not answer.complete, remark
    assert parse_answer(text, seconds=4, salvage=False) == answer, "nothing was broken"
    truth = [{"second": k, "box": READ} for k in (2, 3)]
    assert tiou_reward([text], [truth]) == [1.0]
    assert format_reward([text], [truth]) == [0.0]


@pytest.mark.parametrize(
    ("text", "seconds", "num_earlier", "remark"),
    [
        (second(3) + second(3, entry("b")), [3], 1, "a second that comes twice: the last object"),
        ("\n".join(map(second, (2, 3, 2, 3))), [2, 3], 2, "a list that is written twice: the last one"),
        (f"{TWO} {second(5)}", [5], 2, "a whole answer and one second"),
        (f"{second(5)} {TWO}", [2, 3], 1, "one second and a whole answer"),
        (f"First {second(2)}, then {second(3)}", [3], 1, "text between single seconds: no one answer, and seen"),
        (f"[{record(2)}] [{record(3)}, {record(4)}]", [3, 4], 1, "two lists of records"),
        (f"Perhaps {TWO}, no: {second(5)}", [5], 0, "a draft of another form in the text"),
        (f"Perhaps {TWO}, no: {TWO}", [2, 3], 0, "a draft in the text, as in reasoning whose tags are gone"),
    ],
)
def test_what_is_left_unread_is_counted(text, seconds, num_earlier, remark):
    answer = parse_answer(text)
    assert list(answer.track.boxes) == seconds, remark
    assert answer.discarded_by == ({"earlier": num_earlier} if num_earlier else {}), remark
    assert answer.complete is (num_earlier == 0), remark


@pytest.mark.parametrize(
    ("text", "seconds", "remark"),
    [
        (second(2) + "\n" + second(3)[:-1], [2, 3], "the last object is open"),
        (second(2) + "\n" + second(3) + '\n{"4": [{"lab', [2, 3], "the last object holds nothing yet"),
        (second(2) + '\n{"', [2], "nor a key"),
        (f"[{second(2)}, {second(3)}", [2, 3], "the list is open"),
        (f"[{record(2)}, {record(3)}", [2, 3], "a list of records is open"),
        (f"[{record(2)}, {record(3)[:-1]}", [2], "a record without its brace is not complete"),
        (f"[{record(2)}, {record(3)[:20]}", [2], "nor is half a record"),
        (f'[{record(2)}, {{"bbox_2d": [1, 2, 3, 4], "label": "a", "sec', [2], "in another order"),
    ],
)
def test_cut_answers_keep_what_is_complete_and_are_called_salvaged(text, seconds, remark):
    answer = parse_answer(text)
    assert list(answer.track.boxes) == seconds, remark
    assert (answer.salvaged, answer.complete) == (True, False), remark
    assert parse_answer(text, salvage=False).span is None, remark


def test_every_prefix_of_lines_keeps_its_complete_entries():
    lines = [second(k) for k in range(4)]
    text = "\n".join(lines)
    ends = [index for index in range(len(text)) if text.startswith("}]}", index)]
    # Nothing tells a text that ends with its first line from a whole answer.
    whole = {len(lines[0]), len(lines[0]) + 1}
    for end in range(len(text)):
        answer = parse_answer(text[:end])
        assert len(answer.track) == sum(at < end for at in ends), text[:end]
        assert answer.complete is (end in whole), text[:end]


@pytest.mark.parametrize(
    ("text", "seconds", "num_brackets", "remark"),
    [
        (TWO.replace("}], ", "}, "), [2, 3], 1, "before the next second"),
        (TWO.replace("}], ", "} "), [2, 3], 1, "without the comma too"),
        (
            TWO.replace(
                '"label": "a", "bbox_2d": [100, 200, 300, 400]', '"bbox_2d": [100, 200, 300, 400, "label": "a"'
            ),
            [2, 3],
            2,
            "in a box",
        ),
        (second(2)[:-2] + ', "3": [' + json.dumps(entry()), [2, 3], 1, "and then cut"),
    ],
)
def test_a_key_ends_the_list_that_it_stands_in(text, seconds, num_brackets, remark):
    answer = parse_answer(text)
    assert list(answer.track.boxes) == seconds, remark
    assert answer.repaired == {"bracket": num_brackets}, remark
    assert (answer.salvaged, answer.complete, answer.discarded) == (True, False, 0), remark


def test_a_text_in_a_list_is_no_key_unless_a_colon_follows():
    assert scan_object('{"a": ["b", "c"], "d": ["e"', 0).pairs == [("a", ["b", "c"]), ("d", ["e"])]
    assert scan_object('{"a": [[1, "b": 2}', 0) == ([("a", [[1]]), ("b", 2)], 18, False, True, 2)
    assert scan_object('{"a": [1: 2]}', 0).num_repaired == 0, "a number is no key"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *(("2 seconds", 2), ("2 sec", 2), ("2.0 SECONDS", 2), ("second 2", 2), ("Second_2", 2), ("sec 2", 2)),
        *(("00:02", 2), ("1:05", 65), ("61:05", 3665), ("01:00:02", 3602), ("00:02.0", 2)),
        *(("00:75", None), ("1:75:00", None), ("2 minutes", None), ("2.5 seconds", None), ("seconds", None)),
        *(("second 2.5", None), ("1:2", None), ("00:02.5", None), ("2-3", None), ("second second 2", None)),
    ],
)
def test_keys_in_words(key, expected):
    assert read_second(key) == expected


def test_boxes_without_a_label_are_the_targets():
    text = json.dumps({"1": [entry("b")], "2": [entry(), {"bbox_2d": [1, 2, 3, 4]}], "3": [entry()], "4": BOX})
    answer = parse_answer(text)
    assert (answer.track, answer.span) == (Track("a", {2: READ, 3: READ, 4: READ}), (2, 4))
    assert answer.discarded_by == {"duplicate": 1}, "second 2 has the target already"
    assert [(track.label, list(track.boxes)) for track in parse_tracks(text)] == [("b", [1]), ("a", [2, 3, 4])]
    nameless = parse_answer(json.dumps({"2": [{"bbox_2d": BOX}], "3": [{"bbox_2d": [5, 5, 1, 1]}]}))
    assert (nameless.track, nameless.span, nameless.unboxed) == (Track("", {2: READ}), (2, 3), (3,))
    assert nameless.discarded_by == {"box": 1}


@pytest.mark.parametrize("value", [-1, 2.5, True, None, [2], "soon", 10**400, float("inf"), float("nan")])
def test_records_of_no_second_are_discarded(value):
    answer = parse_answer(f"[{record(1)}, {record(value)}]")
    assert (answer.span, answer.discarded_by) == ((1, 1), {"key": 1})


def test_of_two_records_of_one_second_and_label_the_first_stands():
    answer = parse_answer(f"[{record(1)}, {record(1, box=[1, 1, 2, 2])}, {record(1, 'b')}, {record(2)}]")
    assert (answer.track.boxes, answer.discarded_by) == ({1: READ, 2: READ}, {"duplicate": 1})
    text = '{"second": 1, "second": 2, "label": "a", "bbox_2d": [100, 200, 300, 400]}'
    assert parse_answer(text).span == (1, 1), "of duplicate keys the first"


@pytest.mark.parametrize(
    ("boxes", "scale", "sign"),
    [
        ([[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]], (1000, 1000), "within_one"),
        ([[0, 0, 1, 1], [0, 0, 1, 1]], (1000, 1000), "within_one"),
        ([[0, 0, 1, 1], [0, 0, 500, 1]], (1000, 1000), ""),
        ([[0.1, 0.2, 0.3, 0.4]], (1, 1), ""),
        ([[10, 10, 400, 300], [10, 10, 1100, 300]], (1000, 1000), "beyond"),
        ([[1100, 10, 1200, 300]], (1000, 1000), "beyond"),
        ([[10, 10, 400, 1000]], (1000, 1000), ""),
        ([["a", 1, 2, 3], []], (1000, 1000), ""),
    ],
)
def test_signs_of_another_scale(boxes, scale, sign):
    text = json.dumps({str(k): [entry(box=box)] for k, box in enumerate(boxes)})
    for layout in (text, json.dumps(json.loads(text), indent=1)):
        assert parse_answer(layout, scale=scale).scale_sign == sign


def test_shares_by_reason_are_logged():
    truth = [{"second": 2, "box": READ}, {"second": 3, "box": READ}]
    texts = [
        TWO,
        second(2) + second(3),
        json.dumps({"2": [entry()], "x": [entry(), entry()]}),
        json.dumps({"2": [entry(box=[0.1, 0.2, 0.3, 0.4])]}),
    ]
    logged = {}
    tiou_reward(texts, [truth] * 4, log_metric=logged.__setitem__)
    found = {name: value for name, value in logged.items() if "/" in name or "scale" in name or "within" in name}
    assert {name for name, value in found.items() if value} == {"repaired/objects", "discarded/key", "within_one_rate"}
    assert found["repaired/objects"] == found["discarded/key"] == found["within_one_rate"] == 0.25
    assert logged["discarded_states"] == 0.5
