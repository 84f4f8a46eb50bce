"""A command line that is wrong ends in one line, with the nearest right word."""

import pytest

from data_prep.__main__ import main
from data_prep.command_line import OneLineParser


def parser():
    made = OneLineParser()
    made.add_argument("--overlay")
    made.add_argument("--count", type=int)
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
