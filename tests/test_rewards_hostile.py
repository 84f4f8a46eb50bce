"""Text made to break a parser: nothing is raised, and a million characters are no matter of hours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg_rewards import Answer, parse_answer, tiou_reward

ENTRY = '{"label": "a", "bbox_2d": [1, 2, 3, 4]}'
TRUTH = [{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]

# Each makes a text of about n characters.
ATTACKS = {
    "open braces": lambda n: "{" * n,
    "open brackets": lambda n: "[" * n,
    "open objects": lambda n: '{"a":' * (n // 5),
    "open lists of objects": lambda n: '{"0":[' * (n // 6),
    "deep list": lambda n: '{"0":' + "[" * (n // 2) + "]" * (n // 2) + "}",
    "deep object": lambda n: '{"0":' * (n // 6) + "0" + "}" * (n // 6),
    "closing braces": lambda n: "}" * n,
    "wrong closers": lambda n: '{"0": [' + "}]" * (n // 2),
    "brackets left open": lambda n: '{"0": [' + '[{"a":' * (n // 12) + "}]" * (n // 12),
    "empty objects": lambda n: "{}" * (n // 2),
    "broken objects": lambda n: '{"a" }' * (n // 6),
    "braces and spaces": lambda n: "{ " * (n // 2),
    "brace and spaces": lambda n: "{" + " " * n,
    "quotes": lambda n: '{"' + '"' * n,
    "backslashes": lambda n: '{"' + "\\" * n,
    "escaped quotes": lambda n: '{"' + '\\"' * (n // 2),
    "open string": lambda n: '{"a": "' + "b" * n,
    "open strings": lambda n: '{"a": "b\n' * (n // 9),
    "commas": lambda n: '{"0": [' + "," * n,
    "colons": lambda n: '{"0"' + ":" * n,
    "many keys": lambda n: "{" + ",".join(f'"{k}":[]' for k in range(n // 11)) + "}",
    "one key many times": lambda n: "{" + ",".join(['"0":[]'] * (n // 7)) + "}",
    "many labels": lambda n: '{"0":[' + ",".join(f'{{"label":"{k}"}}' for k in range(n // 18)) + "]}",
    "one label many times": lambda n: '{"0":[' + ",".join([ENTRY] * (n // 40)) + "]}",
    "long number": lambda n: '{"0":[{"label":"a","bbox_2d":[0,0,9,' + "9" * n + "]}]}",
    "long fraction": lambda n: '{"0":[{"label":"a","bbox_2d":[0,0,9,0.' + "9" * n + "]}]}",
    "long exponent": lambda n: '{"0":[{"label":"a","bbox_2d":[0,0,9,1e' + "9" * n + "]}]}",
    "many long numbers": lambda n: '{"0":[{"label":"a","bbox_2d":[' + ",".join(["9" * 300] * (n // 301)) + "]}]}",
    "long key": lambda n: '{"' + "9" * n + '":[]}',
    "key of zeros": lambda n: '{"0.' + "0" * n + 'x":[]}',
    "key of spaces": lambda n: '{"3' + " " * n + 'x":[]}',
    "reasoning tags": lambda n: "</think>" * (n // 8),
    "slashes": lambda n: "/" * n,
    "fences": lambda n: "```json\n" * (n // 8),
    "NUL": lambda n: "\x00" * n,
    "lone surrogates": lambda n: '{"\ud800' * (n // 3),
    "escaped surrogates": lambda n: '{"0":[{"label":"' + "\\ud800" * (n // 6) + '"}]}',
    "NaN": lambda n: '{"0":[{"label":"a","bbox_2d":[' + ",".join(["NaN", "-Infinity"] * (n // 14)) + "]}]}",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_million_characters(attack):
    assert isinstance(parse_answer(ATTACKS[attack](1_000_000)), Answer)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_the_reasoning_hides_no_answer(attack):
    text = ATTACKS[attack](50_000)
    assert parse_answer(f'<think>{text}</think>{{"0": [{ENTRY}]}}').span == (0, 0)
    assert isinstance(parse_answer(text + ENTRY), Answer)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_reward_takes_any_text(attack):
    (reward,) = tiou_reward([ATTACKS[attack](1000)], track=[TRUTH], seconds=[4])
    assert 0.0 <= reward <= 1.0


PIECES = [
    *'{}[]:,"0123456789.-\\/eEus \n\x00\ud800\u25c1<>`',
    *(
        '"0"',
        '"1"',
        '"label"',
        '"bbox_2d"',
        '"a"',
        "true",
        "null",
        "NaN",
        "Infinity",
        "</think>",
        "<answer>",
        "```json",
    ),
    *(ENTRY, f'"3": [{ENTRY}]', '{"', '"label": "a"', '"bbox_2d": [1, 2, 3, 4]', "9" * 400, "1e999"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.sampled_from([None, 1, 4]), st.booleans())
@settings(max_examples=500)
def test_soup_of_tokens(text, seconds, salvage):
    check_invariants(parse_answer(text, seconds=seconds, salvage=salvage), seconds, salvage)


@given(st.text(st.characters(codec=None, categories=None)))
def test_any_text(text):
    check_invariants(parse_answer(text), None, True)


def check_invariants(answer, seconds, salvage):
    assert (answer.span is None) <= (not answer.track.boxes)
    assert sum(answer.discarded_by.values()) == answer.discarded
    assert not (answer.complete and (answer.salvaged or answer.discarded or not answer.parsed))
    assert salvage or not answer.salvaged
    if answer.span is not None:
        assert 0 <= answer.span[0] <= answer.span[1]
        assert seconds is None or answer.span[1] < seconds
        assert all(answer.span[0] <= second <= answer.span[1] for second in answer.track.boxes)
    for left, top, right, bottom in answer.track.boxes.values():
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert list(answer.track.boxes) == sorted(answer.track.boxes)
