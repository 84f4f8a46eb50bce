"""What a folder of traces holds is never mistaken for something else, written over or lost."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from test_data_prep_traces import rows, teacher, words, write_tracks

from data_prep.__main__ import main
from data_prep.records import RecordWriter, read_records
from data_prep.stages import read_stamp
from data_prep.traces import template as trace_template
from data_prep.traces.journal import Journal, Question
from tests.helpers import forked

# `python -c` that runs a command and dies by SIGKILL once traces.jsonl is written, before review.html is.
KILLED = """
import os, signal, sys
from data_prep.traces import command as traces
traces.write_review = lambda *words, **settings: os.kill(os.getpid(), signal.SIGKILL)
from data_prep.__main__ import main
main(sys.argv[1:])
"""


def template(tiny_data, out, *more):
    return ["traces", "--tracks", str(tiny_data / "ground.jsonl"), "--out", str(out), *more]


def killed(command, run=forked.run):
    done = run([sys.executable, "-c", KILLED, *command], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def last_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_interrupted_run_does_not_pass_for_whole(tiny_data, tmp_path, capsys):
    out = tmp_path / "out"
    killed(template(tiny_data, out))
    assert read_stamp(out)["complete"] is False
    assert main(template(tiny_data, out)) == 0
    assert "up to date" not in capsys.readouterr().err
    whole = contents(out)
    killed(template(tiny_data, out, "--seed", "5", "--overwrite_output_dir"))
    assert (out / "traces.jsonl").read_bytes() != whole["traces.jsonl"]
    assert main(template(tiny_data, out)) == 2, "texts of seed 5 are not called those of seed 0"
    assert "differs in seed 5 -> 0" in last_line(capsys)
    assert contents(tmp_path / "out.old-1") == whole
    assert main(template(tiny_data, out, "--seed", "5")) == 0


def test_what_a_kill_leaves_is_removed_and_nothing_else(tiny_data, tmp_path):
    out = tmp_path / "out"
    killed(template(tiny_data, out))
    ours, other = out / ".traces.jsonl.0123456789ab.part", out / ".mine.part"
    ours.write_text("half")
    other.write_text("mine")
    assert main(template(tiny_data, out)) == 0
    assert not ours.exists()
    assert other.read_text() == "mine"


def test_a_stamp_of_an_earlier_version_stays_up_to_date(tiny_data, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(template(tiny_data, out)) == 0
    stamp = read_stamp(out)
    settings = {name: value for name, value in stamp["settings"].items() if name != "composer"}
    digests = list(stamp["inputs"].values())
    text = json.dumps(["traces", settings, digests], sort_keys=True)
    old = {"stage": "traces", "fingerprint": hashlib.sha256(text.encode()).hexdigest(), "complete": True}
    (out / "stamp.json").write_text(json.dumps(old | {"results": {}, "settings": settings}))
    capsys.readouterr()
    assert main(template(tiny_data, out)) == 0
    assert "is up to date" in capsys.readouterr().err


def test_a_composer_of_another_version_makes_them_anew(tiny_data, tmp_path, capsys, monkeypatch):
    assert main(template(tiny_data, tmp_path / "out")) == 0
    monkeypatch.setattr("data_prep.traces.folder.COMPOSER", trace_template.COMPOSER + 1)
    assert main(template(tiny_data, tmp_path / "out")) == 2
    assert "differs in composer 1 -> 2; nothing was touched" in last_line(capsys)


def test_another_review_page_changes_no_trace(tiny_data, tmp_path):
    out = tmp_path / "out"
    assert main(template(tiny_data, out)) == 0
    before = contents(out)
    assert main(template(tiny_data, out, "--review", "2", "--video_root", str(tiny_data / "videos"))) == 0
    assert (out / "traces.jsonl").read_bytes() == before["traces.jsonl"]
    assert (out / "review.html").read_bytes() != before["review.html"]


def test_neither_teacher_writes_over_the_other(tiny_data, tmp_path, capsys):
    tracks, out = str(tiny_data / "ground.jsonl"), tmp_path / "out"
    with teacher() as server:
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        paid = len(server.asked)
        served = contents(out)
        capsys.readouterr()
        assert main(template(tiny_data, out)) == 2
        said = last_line(capsys)
        assert "holds the traces of a served teacher and the answers that it was paid for (journal.sqlite)" in said
        assert "--overwrite_output_dir" in said
        assert contents(out) == served
        assert main(words(tiny_data, tracks, out, server.url)) == 0, "the same command goes on"
        assert len(server.asked) == paid
        assert main(template(tiny_data, out, "--overwrite-output-dir")) == 0
        assert {name: contents(tmp_path / "out.old-1")[name] for name in ("traces.jsonl", "journal.sqlite")} == {
            name: served[name] for name in ("traces.jsonl", "journal.sqlite")
        }
        composed = contents(out)
        assert main(words(tiny_data, tracks, out, server.url)) == 2
        assert "differs in" in (said := last_line(capsys))
        assert 'teacher "template" -> "openai"' in said
        assert contents(out) == composed
        assert len(server.asked) == paid


@pytest.mark.parametrize("stamp", ["none", "the template teacher's"])
def test_a_served_folder_of_an_earlier_version_goes_on(tiny_data, tmp_path, capsys, stamp):
    """It had no stamp of its own; where the template teacher had been first, that one's called it complete."""
    tracks, out = str(tiny_data / "ground.jsonl"), tmp_path / "out"
    with teacher() as server:
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        paid = len(server.asked)
        (out / "stamp.json").unlink()
        if stamp != "none":
            assert main(template(tiny_data, tmp_path / "other")) == 0
            shutil.copy(tmp_path / "other/stamp.json", out / "stamp.json")
        assert main(template(tiny_data, out)) == 2
        assert "traces of a served teacher" in last_line(capsys)
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        assert len(server.asked) == paid
    assert read_stamp(out)["complete"] is True


def test_a_killed_served_run_is_not_whole(tiny_data, tmp_path):
    tracks, out = write_tracks(tiny_data, tmp_path / "tracks.jsonl", ["shape a"]), tmp_path / "out"
    with teacher() as server:
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        killed(words(tiny_data, tracks, out, server.url), subprocess.run)  # a client has threads, which no fork has
        assert read_stamp(out)["complete"] is False
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        assert len(server.asked) == 1
    assert read_stamp(out)["complete"] is True


def test_a_file_that_somebody_changed_is_not_written_over(tiny_data, tmp_path, capsys):
    tracks, out = write_tracks(tiny_data, tmp_path / "tracks.jsonl", ["shape a"]), tmp_path / "out"
    with teacher() as server:
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        with (out / "traces.jsonl").open("a") as file:
            file.write("\n")
        assert main(words(tiny_data, tracks, out, server.url)) == 2
    assert "traces.jsonl in it (other content); nothing was touched" in (said := last_line(capsys))
    assert "moving away a file in it that you changed" in said
    assert (out / "traces.jsonl").read_text().endswith("\n\n")


def test_a_second_process_is_refused(tiny_data, tmp_path, capsys):
    out = tmp_path / "out"
    holder = "import sys, time; from pathlib import Path; from data_prep.locks import Lock\n"
    holder += "Lock(Path(sys.argv[1]), folder=True).acquire(); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, str(out)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert main(template(tiny_data, out)) == 2
        assert f"out: process {other.pid} on " in last_line(capsys)
        with teacher() as server:
            assert main(words(tiny_data, tiny_data / "ground.jsonl", out, server.url)) == 2
            assert not server.asked
        other.kill()
    assert main(template(tiny_data, out)) == 0


@pytest.mark.parametrize("name", ["traces.jsonl", "journal.sqlite"])
def test_tracks_that_would_be_written_over(tiny_data, tmp_path, capsys, name):
    (tmp_path / "out").mkdir()
    shutil.copy(tiny_data / "ground.jsonl", tmp_path / "out" / name)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "out" / name)
    assert main(["traces", "--tracks", str(tmp_path / "link.jsonl"), "--out", str(tmp_path / "out")]) == 2
    assert "one of the inputs" in last_line(capsys)
    assert (tmp_path / "out" / name).read_bytes() == (tiny_data / "ground.jsonl").read_bytes()


# --- the journal ------------------------------------------------------------------------------------------------


def one_record(tiny_data, tmp_path):
    """(track file of one record, its own copy of the videos, another record's video)."""
    first, other = list({r["video"]: r for r in read_records(tiny_data / "ground.jsonl")}.values())[:2]
    shutil.copytree(tiny_data / "videos", tmp_path / "videos")
    with RecordWriter(tmp_path / "tracks.jsonl") as writer:
        writer.write(first)
    return tmp_path / "tracks.jsonl", tmp_path / "videos" / first["video"], tmp_path / "videos" / other["video"]


def test_answers_are_about_a_videos_content(tiny_data, tmp_path):
    """A replaced video is asked about; one that was moved, touched or put away is not paid for twice."""
    tracks, video, other = one_record(tiny_data, tmp_path)
    out = tmp_path / "out"

    def asked(root):
        with teacher() as server:
            assert main([*words(tiny_data, tracks, out, server.url), "--video_root", str(root)]) == 0
            return len(server.asked)

    assert asked(tmp_path / "videos") == 1
    os.utime(video, (1, 1))
    assert asked(tmp_path / "videos") == 0
    shutil.copytree(tmp_path / "videos", tmp_path / "moved")
    assert asked(tmp_path / "moved") == 0
    (tmp_path / "nothing").mkdir()
    assert asked(tmp_path / "nothing") == 0
    assert len(rows(out / "traces.jsonl")) == 1
    first = video.read_bytes()
    shutil.copyfile(other, video)
    assert asked(tmp_path / "videos") == 1
    video.write_bytes(first)
    assert asked(tmp_path / "videos") == 0, "the first one's answer is still there"


def test_an_answer_of_an_earlier_version_is_about_todays_video(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    before = Question("a#1", None, "p", "m", "trace")
    journal.answered(journal.sending(before), before, "old", 1, 1)
    now = Question("a#1", "v1", "p", "m", "trace")
    assert journal.answer(Question("a#12", "v1", "p", "m", "trace")) is None
    assert journal.answer(now) == "old"
    assert journal.answer(Question("a#1", "v2", "p", "m", "trace")) is None
    assert journal.answer(now) == "old"
    assert journal.answer(before) == "old", "of a video that is gone, whichever it was about"
    assert journal.answer(Question("a#2", None, "p", "m", "trace")) is None
    journal.close()


class Full:
    """A connection to a disk that is full: INSERTs fail as long as a file takes the room."""

    def __init__(self, base, room):
        self.base, self.room = base, room

    def __getattr__(self, name):
        return getattr(self.base, name)

    def execute(self, statement, *values):
        if statement.startswith("INSERT") and (self.room is None or self.room.exists()):
            raise sqlite3.OperationalError("database or disk is full")
        return self.base.execute(statement, *values)


def test_answers_on_their_way_find_the_room_that_was_kept(tmp_path):
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    question = Question("a", "v", "p", "m", "trace")
    number = journal.sending(question)
    room = path.with_name("journal.sqlite.room")
    assert room.stat().st_size == 2**20
    journal._base = Full(journal._base, room)
    journal.answered(number, question, "body", 1, 1)
    assert journal.problem == f"{path}: database or disk is full; make room there, and the same command goes on"
    assert journal.answer(question) == "body"
    assert not room.exists()
    journal.close()


def test_answers_without_any_room_are_tried_again_and_counted(tmp_path):
    path = tmp_path / "journal.sqlite"
    questions = [Question(name, "v", "p", "m", "trace") for name in "ab"]
    for room_at_last in (False, True):
        journal = Journal(path)
        numbers = [journal.sending(question) for question in questions]
        plain = journal._base
        journal._base = Full(plain, None)
        for number, question in zip(numbers, questions, strict=True):
            journal.answered(number, question, "body", 1, 1)
        assert journal.sending(questions[0]) is None, "nothing more goes out"
        if room_at_last:
            journal._base = plain
        journal.close()
        assert journal.problem.endswith("goes on" if room_at_last else "; 2 answers could not be kept")
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == 2


def test_a_full_disk_is_one_line_and_the_answers_that_are_kept_are_not_paid_again(
    tiny_data, tmp_path, capsys, monkeypatch
):
    queries = [f"shape {number}" for number in range(40)]
    tracks, out = write_tracks(tiny_data, tmp_path / "tracks.jsonl", queries), tmp_path / "out"
    opened = Journal.__init__

    def nearly_full(journal, path):
        opened(journal, path)
        pages = journal._base.execute("PRAGMA page_count").fetchone()[0]
        journal._base.execute(f"PRAGMA max_page_count = {pages + 4}")

    with teacher() as server:
        monkeypatch.setattr(Journal, "__init__", nearly_full)
        assert main(words(tiny_data, tracks, out, server.url)) == 2
        assert last_line(capsys).startswith(f"error: {out}/journal.sqlite: database or disk is full; make room there")
        paid = sum(server.answered.values())
        assert 0 < paid < len(queries), "nothing went out once nothing could be kept"
        with closing(sqlite3.connect(out / "journal.sqlite")) as base:
            kept = base.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
        assert paid - 4 <= kept, "at most those that were under way are lost"
        monkeypatch.setattr(Journal, "__init__", opened)
        assert main(words(tiny_data, tracks, out, server.url)) == 0
        assert sum(server.answered.values()) == paid + len(queries) - kept
    assert len(rows(out / "traces.jsonl")) == len(queries)
