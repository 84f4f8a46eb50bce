"""Signs at a stage's end that its numbers mean little, on both sides of each limit."""

import sys

import pytest

from recipe.training.signs import print_signs, signs_of


@pytest.mark.parametrize(
    ("results", "logged", "sign"),
    [
        ({"wrong_image_loss_ratio": 1.29}, {}, "is 1.29 times that with the right ones (below 1.3)"),
        ({"wrong_image_loss_ratio": float("nan")}, {}, "is nan times"),
        ({"wrong_image_loss_ratio": 1.31}, {}, None),
        ({}, {"parse_rate": 0.89}, "11% of the last answers cannot be read"),
        ({}, {"parse_rate": 0.91}, None),
        ({}, {"completions/clipped_ratio": 0.21}, "21% of the last answers are cut off"),
        ({}, {"completions/clipped_ratio": 0.19}, None),
        ({}, {"frac_reward_zero_std": 0.9}, "90% of the last groups have equal rewards"),
        ({}, {"frac_reward_zero_std": 0.7}, None),
        ({}, {}, None),
    ],
)
def test_signs(results, logged, sign):
    found = signs_of(
        results, [{"parse_rate": 0.1, "frac_reward_zero_std": 1.0, "loss": 1}, {"parse_rate": 1.0}, logged]
    )
    if "frac_reward_zero_std" not in logged:
        found = [one for one in found if "equal rewards" not in one]
    assert [sign in one for one in found] == ([True] if sign else [])


def test_they_are_one_line_and_red_on_a_terminal(capsys, monkeypatch):
    print_signs("sft", [])
    assert capsys.readouterr().err == ""
    print_signs("sft", ["a", "b"])
    assert capsys.readouterr().err == "warning: sft: a; b\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    print_signs("sft", ["a"])
    assert capsys.readouterr().err == "\033[31mwarning: sft: a\033[0m\n"
