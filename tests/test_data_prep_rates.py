"""Frame rates: fixed, a record's own, and dynamic, which must not give the answer away at inference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.video.rates import RATES, dynamic_rate, parse_policy, rate_of

RECORD = {"seconds": 20, "span": [3, 4]}


@pytest.mark.parametrize("value", ["fast", "", None, 0, -1, "nan", "inf", 1e9, [1]])
def test_other_policies_are_refused(value):
    with pytest.raises(ValueError, match="expected frames a second"):
        parse_policy(value)


@given(st.integers(1, 10_000), st.integers(1, 200), st.one_of(st.none(), st.integers(1, 10_000)))
def test_dynamic_keeps_the_budget(seconds, budget, event):
    rate = dynamic_rate(seconds, event_seconds=event, budget=budget)
    assert rate in RATES
    assert seconds * rate <= budget or rate == RATES[0]
    assert rate <= dynamic_rate(seconds, budget=budget), "an event's length never raises it"


def test_short_events_are_seen_more_densely_and_long_ones_more_cheaply():
    rates = [dynamic_rate(16, event_seconds=event) for event in (1, 2, 4, 8, 16)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]


def test_at_inference_the_event_does_not_matter():
    others = [RECORD | {"span": span} for span in ([0, 19], [7, 7], None)]
    assert {rate_of(record, "dynamic") for record in [RECORD, *others]} == {rate_of(RECORD, "dynamic")}
    assert rate_of(RECORD, "dynamic", training=True) != rate_of(others[0], "dynamic", training=True)


def test_a_records_own_rate_comes_first():
    for policy in (1.0, "dynamic"):
        assert rate_of(RECORD | {"rate": 4}, policy) == 4.0
        assert rate_of(RECORD | {"rate": 4}, policy, training=True) == 4.0
    assert rate_of(RECORD | {"rate": None}, 0.5) == 0.5


def test_of_several_events_the_shortest_decides():
    # 20 seconds, of which 2 are the shorter event: 8 frames of it take 4 a second, and 64 frames hold 2.
    several = {"schema": 2, "seconds": 20, "spans": [[1, 3], [5, 15]]}
    assert rate_of(several, "dynamic", training=True) == rate_of(RECORD, "dynamic", training=True) == 2.0
    assert rate_of(several | {"spans": [[1, 9], [10, 20]]}, "dynamic", training=True) == 1.0


def test_no_rate_tells_that_a_sentence_has_no_target():
    """Otherwise the highest rate, which all prompts have at inference, would mean the empty answer."""
    absent = [{"schema": 2, "seconds": 16, "no_target": True, "id": f"a/{number}"} for number in range(400)]
    rates = [rate_of(record, "dynamic", training=True) for record in absent]
    assert rates == [rate_of(record, "dynamic", training=True) for record in absent], "drawn by the id"
    lengths = [dynamic_rate(16, event_seconds=1 + length) for length in range(16)]
    for rate in set(lengths):
        assert rates.count(rate) / 400 == pytest.approx(lengths.count(rate) / 16, abs=0.08)
    assert {rate_of(record, "dynamic") for record in absent} == {dynamic_rate(16)}
