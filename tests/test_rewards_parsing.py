"""The rules of reading an answer, each with its cases."""

import json

import pytest

from stvg_rewards import Track, parse_answer
from stvg_rewards.parsing import read_states

BOX = [100, 200, 300, 400]
READ = (0.1, 0.2, 0.3, 0.4)


def entry(label="a", box=BOX):
    return {"label": label, "bbox_2d": box}


def text_of(states):
    return json.dumps({str(second): entries for second, entries in states.items()})


ONE = text_of({5: [entry()]})
OTHER = text_of({7: [entry()]})


# Rule 0: what cannot be read is a prediction with no states.
@pytest.mark.parametrize("text", ["", " ", "no idea", "{", "}", "[1, 2]", "null", '"5"', "{5: 1}", "{'5': []}"])
def test_unreadable(text):
    answer = parse_answer(text)
    assert (answer.track, answer.span, answer.parsed, answer.complete) == (Track("", {}), None, False, False)
    assert not answer.salvaged and answer.discarded == 0


def test_an_empty_object_is_an_answer_without_states():
    for text in ("{}", '{"3": []}'):
        answer = parse_answer(text)
        assert (answer.span, answer.parsed, answer.complete) == (None, True, True)


# Rule 1: where the answer is.
@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (ONE, "bare"),
        (f"Here it is: {ONE} I hope that it helps.", "prose around"),
        (f"<think>{OTHER}</think>{ONE}", "behind the reasoning"),
        (f"<think>{OTHER}</think>\n<answer>\n{ONE}\n</answer>", "answer tags"),
        (f"<think>a</think><answer><|begin_of_box|>{ONE}<|end_of_box|></answer>", "GLM's box"),
        (f"```json\n{ONE}\n```", "code fence"),
        (f"<answer>```\n{ONE}```</answer>", "both"),
        (f"<think>{OTHER}</think><think>{OTHER}</think>{ONE}", "the last closing tag counts"),
        (f"\u25c1think\u25b7{OTHER}\u25c1/think\u25b7{ONE}", "Kimi's tag"),
        (f"[THINK]{OTHER}[/THINK]{ONE}", "Magistral's tag"),
        (f"At first {text_of({7: [entry()], 8: [entry()]})}, but then {ONE}", "the last object"),
        (f"{{}} {ONE} {{x}} {{ y", "braces that open no object"),
        (f'{{"seconds": 9}}{ONE}', "another object before"),
        (json.dumps(json.loads(ONE), indent=2), "indented"),
        (json.dumps(json.loads(ONE), separators=(",", ":")), "tight"),
        (f"3 < 4 / 2 > 1 {ONE}", "slashes and angles"),
    ],
)
def test_place(text, remark):
    answer = parse_answer(text)
    assert answer.track == Track("a", {5: READ}), remark
    assert answer.complete, remark


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (f"{ONE}</think>", "nothing behind the tag"),
        (f"Well,</think>{ONE}</think>", "nothing behind the last tag"),
        (f"{ONE}</think> So the answer is clear.", "an answer in the reasoning only"),
        ('{"label": "a", "bbox_2d": [1, 2, 3, 4]}', "an entry is no answer"),
    ],
)
def test_no_states_in_the_last_place(text, remark):
    assert parse_answer(text).span is None, remark


def test_an_inner_object_is_never_the_answer():
    # The last closed object of the text is the entry of second 5; the answer is the object that holds it.
    answer = parse_answer(ONE[:-2])
    assert answer.track == Track("a", {5: READ})
    assert answer.discarded == 0


def test_the_last_object_counts_even_when_it_is_not_closed():
    assert parse_answer(f'{ONE} {OTHER[:-1]}, "8": [{{').span == (7, 7)
    assert parse_answer(f'{ONE} {{"').span == (5, 5)  # the next second's object, cut before anything was in it
    assert parse_answer(f'{ONE} {{"').salvaged


# Rule 2: truncated JSON.
WHOLE = text_of({3: [entry(), entry("b")], 4: [entry()], 5: [entry()]})


def test_every_prefix_keeps_its_complete_entries():
    ends = [index + 1 for index, char in enumerate(WHOLE) if char == "}"][:-1]  # where an entry ends
    for end in range(len(WHOLE)):
        answer = parse_answer(WHOLE[:end])
        num_entries = sum(entry_end <= end for entry_end in ends)  # of a in 3, b in 3, a in 4, a in 5
        assert len(answer.track) == [0, 1, 1, 2, 3][num_entries], WHOLE[:end]
        assert answer.salvaged is answer.parsed is (num_entries > 0), WHOLE[:end]
        assert answer.discarded == 0 and not answer.complete, WHOLE[:end]


def test_salvage_can_be_switched_off():
    answer = parse_answer(WHOLE[:-1], salvage=False)
    assert (answer.span, answer.parsed, answer.salvaged) == (None, False, False)
    assert parse_answer(WHOLE, salvage=False).span == (3, 5)


@pytest.mark.parametrize(
    ("text", "seconds", "remark"),
    [
        (ONE[:-1] + ",}", [5], "trailing comma"),
        (ONE[:-1] + ' "6": [' + json.dumps(entry()) + "]}", [5, 6], "missing comma"),
        (ONE[:-1] + ', "6": oops, "7": [' + json.dumps(entry()) + "]}", [5, 7], "a word in between"),
        (ONE.replace("]}]", "]}"), [5], "missing bracket"),
        (ONE.replace("]}]", "]}]]"), [5], "a bracket too many"),
        (ONE.replace('"a"', '"a\n"'), [5], "a raw line break in a string"),
        (ONE.replace('"a"', '"\\x"'), [5], "an unknown escape"),
        (ONE.replace("100", "0100"), [], "a number with a leading zero is no JSON: the box is invalid"),
        (ONE.replace("]}]}", "}]}"), [], "an unclosed box is invalid, its entry is listed"),
        (ONE[:-1] + "\n```", [5], "a fence instead of the last brace"),
    ],
)
def test_broken_json_keeps_complete_entries(text, seconds, remark):
    answer = parse_answer(text)
    assert list(answer.track.boxes) == seconds, remark
    assert answer.salvaged and not answer.complete, remark
    assert parse_answer(text, salvage=False).span is None, remark


# Rule 3: states.
@pytest.mark.parametrize("key", ["3", "3.0", "3s", "3.00", "03", " 3", "3 s", "3.0s"])
def test_keys_that_name_a_second(key):
    answer = parse_answer(json.dumps({key: [entry()]}))
    assert (answer.span, answer.discarded, answer.complete) == ((3, 3), 0, True)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "-3",
        "3.5",
        "three",
        "frame 3",
        "3:60",
        "3:0",
        "1e1",
        "\uff13",
        "\u00b3",
        "s",
        "3ss",
        "+3",
        "9" * 300,
        "NaN",
    ],
)
def test_keys_that_name_none(key):
    answer = parse_answer(json.dumps({key: [entry(), entry("b")], "4": [entry()]}))
    assert (answer.span, answer.discarded_by) == ((4, 4), {"key": 2})


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "a",
        {},
        {"x": BOX},
        [7],
        [None],
        ["a"],
        [[]],
        [{}],
        [{"x": BOX}],
        [{"label": 7, "bbox_2d": BOX}],
        True,
    ],
)
def test_values_of_another_shape(value):
    answer = parse_answer(json.dumps({"3": value, "4": [entry()]}))
    assert (answer.span, answer.discarded_by, answer.complete) == ((4, 4), {"shape": 1}, False)
    assert parse_answer(json.dumps({"3": value})).parsed is False


@pytest.mark.parametrize(
    "box",
    [
        *(None, 7, "1234", [], [1, 2, 3], [1, 2, 3, 4, 5], {"x": 1}, [1, 2, 3, None], ["1", "2", "3", "4"]),
        *([[1], 2, 3, 4], [0, 0, True, True], [False, False, 3, 4]),
        *([0, 0, float("nan"), 4], [0, 0, float("inf"), 4], [float("-inf"), 0, 3, 4], [0, 0, 1e999, 4]),
        *([3, 0, 1, 4], [0, 4, 3, 1], [3, 4, 1, 2]),  # inverted
        *([2, 0, 2, 4], [0, 2, 4, 2]),  # empty
        *([1000, 0, 1200, 4], [0, 1000, 4, 1001], [-9, 0, 0, 4], [-9, -9, -1, -1]),  # outside
        *([5e-324, 0, 1e-323, 4], [0, 5e-324, 4, 1e-323]),  # empty once divided by the scale
    ],
)
def test_invalid_boxes_are_discarded_but_their_second_is_listed(box):
    answer = parse_answer(json.dumps({"3": [entry(box=box)], "4": [entry()]}))
    assert answer.track == Track("a", {4: READ})
    assert (answer.span, answer.discarded_by, answer.complete) == ((3, 4), {"box": 1}, False)


def test_an_entry_without_a_box_lists_its_label():
    answer = parse_answer(json.dumps({"3": [{"label": "a"}], "4": [entry()]}))
    assert (answer.span, answer.discarded_by) == ((3, 4), {"box": 1})


@pytest.mark.parametrize(
    ("box", "expected", "remark"),
    [
        ([-50, 250, 500, 1500], (0.0, 0.25, 0.5, 1.0), "clipped to the picture"),
        ([0, 0, 1000, 1000], (0.0, 0.0, 1.0, 1.0), "the whole picture"),
        ([0.5, 1.5, 2.5, 3.5], (0.0005, 0.0015, 0.0025, 0.0035), "fractions are numbers"),
        ([0, 0, 10**400, 10**400], (0.0, 0.0, 1.0, 1.0), "a number of 400 digits is finite"),
        ([-(10**400), 0, 1, 1], (0.0, 0.0, 0.001, 0.001), "and so is its negative"),
    ],
)
def test_valid_boxes(box, expected, remark):
    assert parse_answer(json.dumps({"3": [entry(box=box)]})).track.boxes == {3: pytest.approx(expected)}, remark


def test_a_number_longer_than_python_converts_is_finite_too():
    text = '{"3": [{"label": "a", "bbox_2d": [0, 0, 500, %s]}]}' % ("9" * 10_000)
    answer = parse_answer(text)
    assert answer.track.boxes == {3: (0.0, 0.0, 0.5, 1.0)}
    assert answer.complete


def test_the_scale_travels_and_is_never_guessed():
    text = text_of({3: [entry(box=[64, 36, 320, 180])]})
    assert parse_answer(text, scale=(640, 360)).track.boxes == {3: pytest.approx((0.1, 0.1, 0.5, 0.5))}
    assert parse_answer(text).track.boxes == {3: pytest.approx((0.064, 0.036, 0.32, 0.18))}


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (json.dumps({"3": [entry(), entry(box=[1, 1, 2, 2])]}), "in one list"),
        (
            f'{{"3": [{json.dumps(entry())}], "3": [{json.dumps(entry(box=[1, 1, 2, 2]))}]}}',
            "under a key that comes twice",
        ),
        (f'{{"3": [{json.dumps(entry())}], "3s": [{json.dumps(entry(box=[1, 1, 2, 2]))}]}}', "under another spelling"),
    ],
)
def test_the_first_of_two_entries_stands(text, remark):
    answer = parse_answer(text)
    assert (answer.track.boxes, answer.discarded_by) == ({3: READ}, {"duplicate": 1}), remark


def test_the_first_entry_stands_even_if_its_box_is_invalid():
    answer = parse_answer(text_of({3: [entry(box=[]), entry()]}))
    assert (answer.track.boxes, answer.span, answer.discarded_by) == ({}, (3, 3), {"box": 1, "duplicate": 1})


def test_a_key_that_comes_twice_adds_other_labels():
    states = read_states(f'{{"3": [{json.dumps(entry("a"))}], "3": [{json.dumps(entry("b"))}]}}')
    assert states.by_label == {"a": {3: READ}, "b": {3: READ}}
    assert states.intact and not states.discarded


def test_of_duplicate_keys_inside_an_entry_the_first_stands():
    text = '{"3": [{"label": "a", "label": "b", "bbox_2d": [100, 200, 300, 400], "bbox_2d": [1, 1, 2, 2]}]}'
    assert parse_answer(text).track == Track("a", {3: READ})


def test_keys_past_the_clips_end_go_with_all_they_hold():
    text = text_of({0: [entry()], 9: [entry()], 10: [entry(), entry("b")], 11: []})
    answer = parse_answer(text, seconds=10)
    assert (answer.span, answer.discarded_by) == ((0, 9), {"late": 3})
    assert parse_answer(text, seconds=12).span == (0, 10)
    assert parse_answer(text).complete


# Rule 4: one target.
def test_the_label_of_most_seconds_is_the_target():
    answer = parse_answer(text_of({1: [entry("b")], 2: [entry("b"), entry("a")], 3: [entry("a")], 4: [entry("a")]}))
    assert (answer.track.label, answer.span) == ("a", (2, 4))


def test_a_tie_goes_to_the_label_that_appears_first():
    assert parse_answer(text_of({1: [entry("b"), entry("a")], 2: [entry("a"), entry("b")]})).track.label == "b"
    assert parse_answer('{"9": [{"label": "z"}], "1": [{"label": "a"}]}').track.label == "z"  # in the text


def test_seconds_with_an_invalid_box_count_for_the_choice():
    answer = parse_answer(text_of({1: [entry("a", []), entry("b")], 2: [entry("a", [])]}))
    assert (answer.track, answer.span) == (Track("a", {}), (1, 2))


def test_repeating_a_label_in_one_second_does_not_count_twice():
    answer = parse_answer(text_of({1: [entry("a"), entry("a"), entry("a"), entry("b")], 2: [entry("b")]}))
    assert answer.track.label == "b"


# Rule 5: the span.
def test_the_span_holds_seconds_whose_state_was_discarded_and_gaps():
    answer = parse_answer(text_of({2: [entry(box=[])], 4: [entry()], 7: [entry(box=[1, 1, 1, 1])]}))
    assert (answer.span, list(answer.track.boxes)) == ((2, 7), [4])


def test_the_span_is_that_of_the_target_only():
    assert parse_answer(text_of({0: [entry("b")], 4: [entry("a")], 5: [entry("a")], 9: [entry("b", [])]})).span == (
        0,
        9,
    )
    assert parse_answer(text_of({0: [entry("b")], 4: [entry("a")], 5: [entry("a")]})).span == (4, 5)


def test_seconds_come_in_any_order():
    answer = parse_answer(text_of({7: [entry()], 2: [entry()]}))
    assert (answer.span, list(answer.track.boxes)) == ((2, 7), [2, 7])


@pytest.mark.parametrize(
    "settings", [{"seconds": 0}, {"scale": (0, 1)}, {"scale": (1,)}, {"scale": (float("nan"), 1)}]
)
def test_settings_may_not_be_wrong(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        parse_answer("{}", **settings)
