"""A command line that is wrong ends in one line, with the nearest right word."""

from pathlib import Path

import pytest

from data_prep.__main__ import main
from data_prep.__main__ import parser as commands
from data_prep.command_line import OneLineParser


def parser():
    made = OneLineParser()
    made.add_argument("--overlay")
    made.add_argument("--count", type=int)
    made.add_argument("--video_root", "--videos")
    made.add_argument("--max_frame_pixels", "--max_pixels", dest="pixels", type=int)
    made.add_argument("--backend", choices=("hf", "vllm"))
    return made


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--overla", "x"], "unknown option '--overla'; did you mean '--overlay'?"),  # no abbreviation either
        (["--overlya=x"], "unknown option '--overlya'; did you mean '--overlay'?"),
        (["--zzz"], "unknown option '--zzz'; --help lists the known ones"),
        (["stray"], "'stray' is not expected here; --help lists what is"),
        (["--count", "x"], "argument --count: invalid int value: 'x'"),
        (["--backend", "vlm"], "argument --backend: invalid choice: 'vlm'; did you mean 'vllm'?"),
        (["--backend", "zz"], "argument --backend: invalid choice: 'zz' (choose from hf, vllm)"),
        (["--overlay"], "argument --overlay: expected one argument"),
    ],
)
def test_one_line(words, message):
    with pytest.raises(ValueError) as error:
        parser().parse_args(words)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--video_root", "a"], "a"),
        (["--video-root", "a"], "a"),
        (["--video-root=a-b"], "a-b"),  # a value stays as it is
        (["--video_root=--x-y"], "--x-y"),
    ],
)
def test_dashes_and_underscores_are_the_same(words, value, capsys):
    assert parser().parse_args(words).video_root == value
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("old", ["--max-pixels", "--max_pixels"])
def test_an_old_spelling_is_taken_with_a_note(old, capsys):
    assert parser().parse_args([old, "4"]).pixels == 4
    assert parser().parse_args([f"{old}=4"]).pixels == 4
    note = f"{old} is now --max_frame_pixels; the old spelling goes with the next release\n"
    assert capsys.readouterr().err == note * 2


def test_help_shows_the_one_spelling(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "--max_frame_pixels MAX_FRAME_PIXELS" in shown
    assert "--max_pixels" not in shown
    assert "--videos" not in shown


def test_a_typo_of_an_old_spelling_is_told_the_new_one():
    with pytest.raises(ValueError, match="unknown option '--vidoes'; did you mean '--video_root'"):
        parser().parse_args(["--vidoes", "x"])


def test_words_after_two_dashes_are_not_respelled():
    made = OneLineParser()
    made.add_argument("--video_root")
    made.add_argument("words", nargs="*")
    assert made.parse_args(["--", "--video-root"]).words == ["--video-root"]


# What each command of data_prep called an option, its spelling, and where the value arrives.
OLD = [
    ("frames --tracks t --out o --video_root v", "--rate 2", "--frame_rate", "rate", "2"),
    ("frames --tracks t --out o --video_root v", "--budget 8", "--frame_budget", "budget", 8),
    ("frames --tracks t --out o --video_root v", "--max-pixels 9", "--max_frame_pixels", "max_pixels", 9),
    ("frames --tracks t --out o", "--videos v", "--video_root", "video_root", Path("v")),
    ("vidstg --annotations a --out o", "--videos v", "--video_root", "video_root", Path("v")),
    ("traces --tracks t --out o", "--limit 3", "--max_records", "limit", 3),
]


@pytest.mark.parametrize(("words", "given", "now", "name", "value"), OLD)
def test_old_options_of_data_prep(words, given, now, name, value, capsys):
    assert getattr(commands().parse_args([*words.split(), *given.split()]), name) == value
    old = given.split()[0]
    assert capsys.readouterr().err == f"{old} is now {now}; the old spelling goes with the next release\n"
    for same in (now, now.replace("_", "-")):
        assert getattr(commands().parse_args([*words.split(), same, given.split()[1]]), name) == value
    assert capsys.readouterr().err == ""


def test_every_option_of_data_prep_is_spelled_with_underscores():
    found = set()
    for action in commands()._actions:
        for one in (action.choices or {}).values():
            found |= {name for sub in one._actions for name in sub.option_strings if name.startswith("--")}
    assert {"--video_root", "--max_records", "--frame_rate"} <= found
    assert [name for name in found if "-" in name[2:]] == []


def test_right_words_and_help(capsys):
    assert parser().parse_args(["--count", "3"]).count == 3
    with pytest.raises(SystemExit) as end:
        parser().parse_args(["--help"])
    assert end.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["syntetic"], "invalid choice: 'syntetic'; did you mean 'synthetic'?"),
        (
            ["synthetic", "--config", "x", "--out", "y", "--scal", "1"],
            "unknown option '--scal'; did you mean '--scale'?",
        ),
        (["traces", "--out", "y"], "the following arguments are required: --tracks"),
        ([], "the following arguments are required: command"),
    ],
)
def test_data_prep_ends_in_one_line_with_code_2(words, message, capsys):
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
