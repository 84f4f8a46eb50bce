"""A file of answers says how they were made, is never truncated, and belongs to one process at a time."""

import json
import multiprocessing
import os
import signal

import pytest

from data_prep.locks import InUse, locked
from data_prep.stages import StageError
from recipe.inference.answer_key import AnswerKey
from recipe.inference.answers_file import AnswersFile, read_lines

KEY = AnswerKey("m", {"temperature": 0.0}, {"model": "0" * 64})
OTHER = AnswerKey("m", {"temperature": 1.0}, {"model": "0" * 64})
FORK = multiprocessing.get_context("fork")


def line(name, text="x", **others):
    return {"id": name, "answer": text} | others


def killed(do, *args):
    """Run something in a process that kills itself."""
    process = FORK.Process(target=do, args=args, daemon=True)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def answer_and_die(out, names, torn=""):
    """Add answers, then die, in the middle of one if `torn` says so."""
    with AnswersFile(out, KEY) as file:
        for name in names:
            file.add([line(name)])
        if torn:
            with open(file.partial, "a") as stream:
                stream.write(torn)
        os.kill(os.getpid(), signal.SIGKILL)


def names_in(path):
    return list(read_lines(path))


def test_the_whole_file(tmp_path):
    out = tmp_path / "sub" / "a.jsonl"
    with AnswersFile(out, KEY) as file:
        assert file.known == {}
        file.add([line("b"), line("a", "ü\u2028\ud800")])
        assert not out.exists()
        file.finish(["a", "b", "c"])
    first, *lines = out.read_text().splitlines()
    assert json.loads(first) == {"about": KEY.describe()}
    assert KEY.describe() == {
        "key": KEY.short, "model": "m", "settings": {"temperature": 0.0}, "contents": {"model": "0" * 16},
    }  # fmt: skip
    assert [json.loads(text)["id"] for text in lines] == ["a", "b"], "in the order that was asked for"
    assert read_lines(out)["a"]["answer"] == "ü\u2028\ud800"
    assert [path.name for path in out.parent.iterdir()] == ["a.jsonl"]


def test_nothing_is_nothing(tmp_path):
    assert read_lines(tmp_path / "none.jsonl") == {}
    assert AnswersFile(tmp_path / "none.jsonl", KEY).whole() == {}


@pytest.mark.parametrize("torn", ["", '{"id": "c", "answer": "hal', "\0\0\0", '{"id": "c", "answer": "no line end"}'])
def test_killed_twice_no_answer_is_lost(tmp_path, torn):
    """The second kill comes before the first new answer: today's tree then had none left on the disk."""
    out, part = tmp_path / "a.jsonl", tmp_path / "a.jsonl.part"
    killed(answer_and_die, out, ["a", "b"], torn)
    assert names_in(part)[:2] == ["a", "b"]
    before = part.read_bytes()
    killed(answer_and_die, out, [])
    assert part.read_bytes() == before, "not even opened before there is something to write"
    killed(answer_and_die, out, ["d"])
    assert set(names_in(part)) >= {"a", "b", "d"}
    with AnswersFile(out, KEY) as file:
        file.add([line("e")])
        file.finish("abcde")
    assert [name for name in names_in(out) if name != "c"] == ["a", "b", "d", "e"]
    assert all(isinstance(json.loads(text), dict) for text in out.read_text().splitlines()), "no torn line is left"
    assert not part.exists()


def test_a_first_line_that_was_cut_is_no_file(tmp_path):
    (tmp_path / "a.jsonl.part").write_text(KEY.first_line()[:20])
    with AnswersFile(tmp_path / "a.jsonl", KEY) as file:
        file.add([line("a")])
        file.finish("a")
    assert names_in(tmp_path / "a.jsonl") == ["a"]


def test_a_finished_file_is_extended_beside_itself(tmp_path):
    out = tmp_path / "a.jsonl"
    with AnswersFile(out, KEY) as file:
        file.add([line("b")])
        file.finish("b")
    whole = out.read_bytes()
    killed(answer_and_die, out, ["a"])
    assert out.read_bytes() == whole
    with AnswersFile(out, KEY) as file:
        assert set(file.known) == {"a", "b"}
        file.finish("ab")
    assert names_in(out) == ["a", "b"]
    time = out.stat().st_mtime_ns
    with AnswersFile(out, KEY) as file:
        file.finish("ab")
    assert out.stat().st_mtime_ns == time, "a whole file is not written again"


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.part"])
def test_answers_of_another_key_are_refused_and_kept(tmp_path, name):
    for text, message in (
        (OTHER.first_line(), r"another temperature 1.0 -> 0.0; nothing was touched; choose another --out"),
        ("", "does not say with which model and settings"),
    ):
        content = text + json.dumps(line("a")) + "\n"
        (tmp_path / name).write_text(content)
        with pytest.raises(StageError, match=message), AnswersFile(tmp_path / "a.jsonl", KEY):
            pass
        assert (tmp_path / name).read_text() == content
        assert [path.name for path in tmp_path.iterdir()] == [name], "no lock is left"


def test_a_second_one_is_told(tmp_path):
    out = tmp_path / "a.jsonl"
    holding, go = FORK.Event(), FORK.Event()

    def hold():
        with AnswersFile(out, KEY) as file:
            file.add([line("a")])
            holding.set()
            go.wait(60)
            file.finish("a")

    process = FORK.Process(target=hold, daemon=True)
    process.start()
    assert holding.wait(60)
    with pytest.raises(InUse, match=f"a.jsonl: process {process.pid} on .* is at work there"), AnswersFile(out, KEY):
        pass
    go.set()
    process.join(60)
    assert process.exitcode == 0
    assert names_in(out) == ["a"]
    with locked(out), pytest.raises(InUse, match="another thread"), AnswersFile(out, KEY):
        pass


def test_answers_about_a_changed_video_are_taken_back_and_kept(tmp_path, capsys):
    out = tmp_path / "a.jsonl"
    with AnswersFile(out, KEY) as file:
        file.add([line("a", video_stamp="1|1"), line("b", video_stamp="1|2"), line("c")])
        file.finish("abc")
    whole = out.read_bytes()
    with AnswersFile(out, KEY) as file:
        file.outdated({"a": "1|1", "b": None, "c": "1|3"})
        assert set(file.known) == {"a", "b", "c"}, "none is known to have changed"
    assert out.read_bytes() == whole
    with AnswersFile(out, KEY) as file:
        file.outdated({"a": "1|1", "b": "1|9", "c": "1|3"})
        assert set(file.known) == {"a", "c"}
        assert names_in(file.partial) == ["a", "c"]
        file.add([line("b", "new", video_stamp="1|9")])
        file.finish("abc")
    assert "1 of 3 answers are about videos that have changed" in capsys.readouterr().err
    assert (tmp_path / "a.jsonl.old-1").read_bytes() == whole
    assert read_lines(out)["b"]["answer"] == "new"
