"""Text made to break a parser: nothing is raised, and a million characters are no matter of hours."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.attacks import ATTACKS, ENTRY, READERS
from stvg_rewards import Answer, parse_answer, tiou_reward

TRUTH = [{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_million_characters(attack):
    assert isinstance(parse_answer(ATTACKS[attack](1_000_000)), Answer)


@pytest.mark.slow
def test_a_million_keys():
    text = "{" + ",".join(f'"{k}":[]' for k in range(1_000_000)) + "}"
    assert parse_answer(text).complete
    assert not parse_answer(text[:-1]).complete  # the same through the scanner


@pytest.mark.parametrize("attack", ATTACKS)
def test_time_grows_with_the_text_and_not_with_its_square(attack):
    """Eight times the text: eight times the work, where a quadratic reader would need 64 times, however often asked.

    A busy machine spoils a measurement now and then, and so it may be made again.
    """

    def cpu_seconds(read, text):
        begin = time.process_time()
        read(text)
        return time.process_time() - begin

    short, long = ATTACKS[attack](8_000), ATTACKS[attack](64_000)
    for read in READERS.values():
        tries = ((cpu_seconds(read, short), cpu_seconds(read, long)) for _ in range(5))
        assert any(larger < 24 * smaller + 0.05 for smaller, larger in tries), read


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
