"""The leak checker: a table of sentences, each with what it should say; the command; limits."""

import doctest
import importlib
import io
import subprocess
import sys
import time

import pytest

from data_prep.__main__ import main
from data_prep.leaks import checking
from data_prep.leaks.checking import leaks_in, verdict
from data_prep.leaks.number_words import with_digits
from recipe.inference.grounding import reasoning_of
from tests.helpers.leak_sentences import FINAL, FOURTH, SECOND, TABLE, THIRD, measure

SPAN, SECONDS = (3, 8), 20


@pytest.mark.parametrize(("sentence", "leaks", "first", "last", "seconds"), TABLE, ids=lambda value: str(value)[:50])
def test_table(sentence, leaks, first, last, seconds):
    said = verdict(sentence, (first, last), seconds)
    assert (said != "ok") == leaks, said
    assert said == "ok" or said.startswith("leak: ")


@pytest.mark.parametrize("cases", [TABLE, SECOND, THIRD, FOURTH, FINAL])
def test_sets_are_balanced_and_stay_mended(cases):
    leaking = sum(case[1] for case in cases)
    assert leaking * 2 == len(cases) >= 60
    assert measure(cases) == (1.0, 1.0, [])


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("He jumps from second 12 to 15.", 'leak: time "second 12 to 15" outside seconds 2 to 9'),
        ("Around 0:15 he jumps.", 'leak: time "0:15" outside seconds 2 to 9'),
        ("At the end he jumps.", 'leak: part of the clip "at the end" outside seconds 2 to 9'),
        ("It lasts fifteen seconds.", 'leak: length "15 seconds", the event has 6 s'),
        ("He is at [1, 2, 3, 4] in second 15.", 'leak: coordinates "[1, 2, 3, 4]"'),
        ("It ends at second twenty-one.", 'leak: time "second 21" outside seconds 2 to 9'),
    ],
)
def test_the_reason_names_what_was_found_and_what_is_allowed(sentence, reason):
    assert verdict(sentence, SPAN, SECONDS) == reason


@pytest.mark.parametrize(
    ("second", "tolerance_s", "ok"),
    [
        # span [3, 8] covers 3.0 to 9.0; widened by 1 s, 2.0 to 10.0
        ("2", 1.0, True),
        ("1.9", 1.0, False),
        ("9.9", 1.0, True),
        ("10", 1.0, False),
        ("3", 0.0, True),
        ("2", 0.0, False),
        ("8.9", 0.0, True),
        ("9", 0.0, False),
        ("6", 3.0, True),
        ("0", 3.0, True),
        ("12", 3.0, False),
    ],
)
def test_tolerance_widens_both_ends(second, tolerance_s, ok):
    assert (verdict(f"He jumps at second {second}.", SPAN, SECONDS, tolerance_s) == "ok") == ok


def test_parts_of_the_clip_depend_on_its_length():
    assert verdict("At the end he jumps.", (3, 8), 10) == "ok"
    assert verdict("At the end he jumps.", (3, 8), 11) != "ok"  # second 10; allowed is up to 9
    assert verdict("Halfway through the clip he jumps.", (3, 8), 12) == "ok"
    assert verdict("Halfway through the clip he jumps.", (3, 8), 40) != "ok"


@pytest.mark.parametrize(
    "sentence",
    [
        "SECOND TWELVE",
        "Second\u00a0twelve",
        "second \uff11\uff12",  # full-width digits
        "sec\u200bond 12",  # a zero-width space
        "seconds 5\u201312",  # an en dash
        "seconds 5\u221212",  # a minus
        "second\n12",
        "second \u2460\u2461 and second 12",
    ],
)
def test_other_ways_to_write_it_are_no_way_around(sentence):
    assert verdict(f"He jumps in {sentence}.", SPAN, SECONDS).startswith("leak: time")


def test_all_leaks_of_a_trace_are_listed():
    trace = "At [1, 2, 3, 4] and [5, 6, 7, 8] in second 15; two men; at the end he sits."
    kinds = [leak.kind for leak in leaks_in(trace, SPAN, SECONDS)]
    assert kinds == ["coordinates", "coordinates", "time", "part of the clip"]


@pytest.mark.parametrize(
    "unit",
    [
        "he jumps at second 4 and ",
        "1, ",
        "between 3 and ",
        "[1, ",
        "the end of the ",
        "a" * 50,
        "12 ",
        '"',
        "3-",
        "x ",
        "~",
        "1",
        "1st, ",
        "~ ",
        "at ",
        "'-",
        "from the ",
    ],
)
def test_time_is_linear_in_the_text(unit):
    def seconds_for(length):
        text = unit * (length // len(unit))
        begin = time.process_time()
        list(leaks_in(text, SPAN, SECONDS))
        return time.process_time() - begin

    seconds_for(1000)
    # Four times the text; quadratic would be sixteen times, in each of the tries that a busy machine may spoil.
    assert any(seconds_for(40_000) < 12 * seconds_for(10_000) + 0.1 for _ in range(5))


HOSTILE = """
from data_prep.leaks import checking
from data_prep.leaks.checking import leaks_in
from data_prep.leaks.coordinates import coordinates_in
from data_prep.traces.judge import problems_of
from recipe.inference.grounding import reasoning_of
checking.LONGEST = 10**9  # the patterns themselves are linear
record = {"span": [3, 8], "seconds": 20}
for unit in ("~", "1", "1st, ", "~ ", "at ", "'-", "from the "):
    text = "The man walks in, then " + unit * (200_000 // len(unit))
    list(leaks_in(text, (3, 8), 20))
    assert problems_of(text * 5, record, None, 1.0)[0][0] == "too long"
list(leaks_in("coordinates " + "'-" * 100_000, (3, 8), 20))
assert reasoning_of("\\n" * 1_000_000) == ""
assert reasoning_of("\\n" * 1_000_000 + "<think> he jumps </think>{}</think>") == "he jumps"
print("read")
"""


@pytest.mark.parametrize("unit", ["at second 4 ", "~", "1st, ", "the end of the ", "coordinates '-", "1, ", "\ufdfa"])
def test_a_megabyte_is_a_leak_of_its_own_and_only_its_beginning_is_read(unit, monkeypatch):
    read = []
    monkeypatch.setattr(checking, "with_digits", lambda text: read.append(len(text)) or with_digits(text))
    first = next(leaks_in(unit * (1_000_000 // len(unit)), SPAN, SECONDS))
    assert first.kind == "unread" and f"at most {checking.LONGEST} are read" in first.detail
    assert verdict(unit * (1_000_000 // len(unit)), SPAN, SECONDS).startswith("leak: unread")
    list(leaks_in(unit * (1_000_000 // len(unit)), SPAN, SECONDS))
    assert read == [checking.LONGEST]  # the first two stopped at the first leak


@pytest.mark.slow
def test_long_repetitions_end():
    """The limit is generous; what was quadratic takes hours."""
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=400)
    assert done.stdout.splitlines()[-1:] == ["read"], done.stderr[-2000:]


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("", ""),
        ("{}", ""),
        ("<think>He jumps.</think>{}", "He jumps."),
        ("  <think>\n He jumps. \n</think>{}", "He jumps."),
        ("He jumps.</think>{}", "He jumps."),  # the prompt opened it
        ("<think>a</think>b</think>", "a"),
        ("<think>He jumps.", ""),
        ("so <think>a</think>", "so <think>a"),
    ],
)
def test_reasoning_of(text, reasoning):
    assert reasoning_of(text) == reasoning


@pytest.mark.parametrize(
    "sentence",
    [
        "in the " + "1" * 5000 + "th second",  # int() of 5000 digits is an error
        "at minute " + "7" * 5000,
        "around ~~~~~~~~~~~ 15 s he jumps",
        "he jumps at about roughly the 15 s mark",
        "coordinates 'x' and 'y' are 120",
    ],
)
def test_long_numbers_and_runs_are_still_leaks(sentence):
    assert verdict(sentence, SPAN, SECONDS).startswith("leak")


@pytest.mark.parametrize(
    "name",
    ["leaks.number_words", "leaks.coordinates", "leaks.times", "leaks.parts", "leaks.checking", "traces.judge"]
    + ["traces.prompts", "traces.template", "traces.replies", "traces.correction", "traces.frames"],
)
def test_examples_run(name):
    failed, tried = doctest.testmod(importlib.import_module(f"data_prep.{name}"))
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("", ""),
        ("one hundred and twenty-three", "123"),
        ("a hundred", "100"),
        ("two dozen, half a dozen", "24, 6"),
        ("nineteen point two five", "19.25"),
        (
            "the second one and the second two men",
            "the other 1 and the other 2 men",
        ),
        ("a third of the way, the third man, two fifths of it", "1/3 of the way, the 3rd man, 2/5 of it"),
        ("the twenty-second second", "the 22nd second"),
        ("a twenty-second clip", "a 20-second clip"),
    ],
)
def test_numbers_in_words(text, folded):
    assert with_digits(text) == folded


class _Input:
    def __init__(self, data):
        self.buffer = io.BytesIO(data)


def check(monkeypatch, capsys, data, *more):
    monkeypatch.setattr("sys.stdin", _Input(data))
    code = main(["check-trace", "--span", "3", "8", "--seconds", "20", *more])
    return code, capsys.readouterr()


def test_the_command_answers_each_line(monkeypatch, capsys):
    lines = b"Seconds 3 to 8.\n\nAt the end he sits.\r\nTwo men, one 5-year-old.\n\xff\xfe second 12\nno line end"
    code, printed = check(monkeypatch, capsys, lines)
    assert code == 0
    assert printed.out.splitlines() == [
        "ok",
        "ok",
        'leak: part of the clip "at the end" outside seconds 2 to 9',
        "ok",
        'leak: time "second 12" outside seconds 2 to 9',
        "ok",
    ]
    assert printed.err == ""


def test_the_command_takes_a_tolerance(monkeypatch, capsys):
    assert check(monkeypatch, capsys, b"In second 12.\n", "--tolerance", "5")[1].out == "ok\n"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--span", "8", "3"], "--span 8 3 --seconds 20: expected 0 <= FIRST <= LAST < K"),
        (["--seconds", "8"], "--span 3 8 --seconds 8: expected 0 <= FIRST <= LAST < K"),
        (["--tolerance", "nan"], "--tolerance nan: expected seconds, 0 or more"),
    ],
)
def test_options_that_cannot_be_are_one_line(monkeypatch, capsys, more, said):
    code, printed = check(monkeypatch, capsys, b"x\n", *more)
    assert (code, printed.out, printed.err) == (2, "", f"error: {said}\n")
