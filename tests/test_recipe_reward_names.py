"""A variant's name: derived, safe as a part of a file name, the same for all spellings, and never that of another."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.rewards import make_variant
from recipe.variants.names import LONGEST, OF_PACKAGE, number, shortened, variant_name, variant_of_settings

WEIGHTS = st.floats(0, 1e300, allow_nan=False) | st.sampled_from([0.0, 1.0, 0.1, 1e-05, 1e22])
# What `recipe.rewards` hands over: names of the package, and a user's own, which never are one of the package's words.
NAMES = st.sampled_from([*OF_PACKAGE, "length"]) | st.from_regex(r"\Amy_[a-z0-9_]{0,8}\Z")
VARIANTS = st.tuples(st.dictionaries(NAMES, WEIGHTS, min_size=1, max_size=5), st.integers(0, 3))


@given(st.lists(VARIANTS, min_size=2, max_size=6))
def test_no_two_variants_share_a_name(variants):
    by_name = {}
    for weights, rounds in variants:
        name = variant_name(weights, rounds)
        assert by_name.setdefault(name, (weights, rounds)) == (weights, rounds)


@given(VARIANTS)
def test_a_name_is_short_and_safe_in_a_path(variant):
    name = variant_name(*variant)
    assert re.fullmatch(r"[A-Za-z0-9_.+~-]+", name)
    assert not name.startswith((".", "-"))
    assert len(name) <= LONGEST


@given(VARIANTS, st.randoms())
def test_the_order_of_the_functions_does_not_matter(variant, chance):
    weights, rounds = variant
    items = list(weights.items())
    chance.shuffle(items)
    assert variant_name(dict(items), rounds) == variant_name(weights, rounds)


@given(st.floats(0, allow_nan=False, allow_infinity=False))
def test_a_number_can_be_read_back(value):
    assert float(number(value).replace("em", "e-")) == value


def test_a_long_name_ends_with_a_digest_of_all_of_it():
    first, second = "a" * 200, "a" * 199 + "b"
    assert len(shortened(first, 64)) == 64
    assert shortened(first, 64) != shortened(second, 64)
    assert shortened("short", 64) == "short"


@pytest.mark.parametrize(
    ("words", "options", "name"),
    [
        ("tiou_mviou", {}, "tiou_mviou"),
        ("tiou_mviou", {"weights": [1, 1.0]}, "tiou_mviou"),
        (["stvg_rewards.tiou_reward", "stvg_rewards.mviou_reward"], {}, "tiou_mviou"),
        (["mviou", "tiou"], {}, "tiou_mviou"),
        (["mviou", "tiou"], {"weights": [0.5, 1]}, "tiou_mviou-1-0.5"),
        ("tiou_mviou", {"weights": [1.0, 0.5]}, "tiou_mviou-1-0.5"),
        ("viou", {"weights": [2.0]}, "viou-2"),
        ("tiou_mviou", {"format_weight": 0.1, "length_weight": 0.5}, "tiou_mviou+format-0.1+length-0.5"),
        (["tiou", "stvg_rewards.format_reward"], {"weights": [1, 0.1]}, "tiou+format-0.1"),
        ("stvg_rewards.format_reward", {}, "format"),
        ("viou", {"dynamic_sampling": 2}, "viou+dynamic-2"),
        (["tiou_mviou", "viou"], {}, "tiou+mviou+viou"),
        (["stvg_rewards.scaled_tiou_reward", "mviou"], {}, "mviou+scaled_tiou"),
    ],
)
def test_names(words, options, name):
    variant = make_variant(words, **options)
    assert variant.name == name
    assert variant.label == name, "nothing of a user's own"
    assert len(variant.functions) == len(variant.weights)


def test_functions_and_weights_stay_together():
    variant = make_variant(["mviou", "tiou"], [0.5, 1.0])
    assert [function.__name__ for function in variant.functions] == ["tiou_reward", "mviou_reward"]
    assert variant.weights == (1.0, 0.5)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        # version 1: all of them, by one word
        (
            {"reward": "tiou_mviou", "reward_weights": None, "format_weight": 0.0, "length_weight": 0.0}
            | {"dynamic_sampling": 0},
            "tiou_mviou",
        ),
        ({"reward": "tiou_mviou", "reward_weights": [1.0, 0.5], "format_weight": 0.1}, "tiou_mviou-1-0.5+format-0.1"),
        ({"reward": "viou", "dynamic_sampling": 2}, "viou+dynamic-2"),
        # later: the variant itself, or only what differs from the defaults
        ({"variant": "my_reward", "learning_rate": 1.0}, "my_reward"),
        ({}, "tiou_mviou"),
        ({"reward_weights": [1.0, 1.0]}, "tiou_mviou"),
        ({"reward": ["stvg_rewards.scaled_tiou_reward", "gone.py:my_reward"]}, "scaled_tiou+my_reward"),
        ({"reward": ["my.module.my_reward"]}, "my_reward"),
        # whatever else stands there is text
        ({"reward": 3}, "3"),
        ({"reward": "viou", "reward_weights": [1, 2]}, "viou-[1, 2]"),
        ({"reward": "viou", "reward_weights": ["x"]}, "viou-['x']"),
        ({"reward": "<b>", "dynamic_sampling": {}}, "<b>"),
    ],
)
def test_the_variant_of_a_stamp(settings, name):
    assert variant_of_settings(settings) == name
