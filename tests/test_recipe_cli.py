"""Bad input is one line and exit code 2; a fault of the program keeps its traceback."""

import pytest
import yaml

from data_prep.stages import StageError
from data_prep.video import VideoError
from recipe.cli import run


def ends(parse, main=lambda *_: None):
    with pytest.raises(SystemExit) as end:
        run(parse, main)
    return end.value.code


def raising(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize(
    "error",
    [
        StageError("runs/x: no such\n  folder"),
        VideoError("a.mp4", "nothing decodes"),
        FileNotFoundError(2, "No such file", "tracks.jsonl"),
        OSError(28, "No space left on device", "runs/tiny/sft"),
    ],
)
def test_the_users_faults_are_one_line(error, capsys):
    assert ends(lambda: (), raising(error)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


def test_bad_settings_are_one_line(capsys):
    assert ends(raising(ValueError("--tracks is missing"))) == 2
    assert ends(raising(yaml.YAMLError("line 3:\n  bad"))) == 2
    assert capsys.readouterr().err == "error: --tracks is missing\nerror: line 3: bad\n"


def test_an_interrupt_says_how_to_go_on(capsys):
    assert ends(lambda: (), raising(KeyboardInterrupt())) == 130
    assert "goes on" in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(lambda: (), raising(ZeroDivisionError()))


def test_it_ends_well():
    assert ends(lambda: (1, 2), lambda a, b: None) == 0
