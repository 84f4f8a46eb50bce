"""Engines: units are shared out, none is lost, and however the run ends no process is left."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from data_prep.errors import StageError
from recipe.inference import engines as rooms
from recipe.inference.engines import EngineEnded, Engines, engines_named, environment_of
from recipe.inference.gathering import Gathering
from tests.helpers.engine_jobs import Job


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Whatever the machine has, and without the seconds that torch takes to be imported."""
    monkeypatch.setattr(rooms, "visible_gpus", lambda: 0)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


def gone(pids, seconds=20):
    """Whether all processes end within a time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(map(alive, pids)):
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_engines_that_is_none(asked):
    with pytest.raises(StageError, match="expected auto .* or a number from 1"):
        engines_named(asked)


@pytest.mark.parametrize(
    ("gpus", "asked", "count"), [(0, "auto", 1), (0, "3", 3), (1, "auto", 1), (8, "auto", 8), (8, "2", 2)]
)
def test_auto_is_one_for_each_gpu(monkeypatch, gpus, asked, count):
    monkeypatch.setattr(rooms, "visible_gpus", lambda: gpus)
    assert engines_named(asked) == count
    if gpus:
        with pytest.raises(StageError, match=rf"--engines 9: each needs a GPU of its own, and there are {gpus}"):
            engines_named("9")


def test_each_engine_sees_one_gpu(monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "29500")
    for visible, seen in ((None, ["0", "1"]), ("5, GPU-7f", ["5", "GPU-7f"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible) if visible else None
        found = [environment_of(place, 2, 2) for place in range(2)]
        assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == seen
        assert "MASTER_PORT" not in found[0]
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(rooms.os, "cpu_count", lambda: 7)
    assert environment_of(0, 3, 0)["OMP_NUM_THREADS"] == "2", "cores are shared"


def test_what_waits_is_answered_together_and_in_its_place():
    calls, begin = [], threading.Event()

    def answerer(rows):
        calls.append(len(rows))
        if any(row["id"] == "bad" for row in rows):
            raise ValueError("bad")
        return [row["id"] * 2 for row in rows]

    gathering, found = Gathering(answerer, most=2), {}

    def ask(*names):
        begin.wait()
        try:
            found[names] = gathering([{"id": name} for name in names])
        except ValueError as error:
            found[names] = str(error)

    threads = [threading.Thread(target=ask, args=names) for names in (("a", "b"), ("c",), ("d", "e", "f"))]
    for thread in threads:
        thread.start()
    begin.set()
    while gathering._waiting.qsize() < 3:
        time.sleep(0.01)
    gathering.end()
    gathering.serve()
    for thread in threads:
        thread.join()
    assert found == {("a", "b"): ["aa", "bb"], ("c",): ["cc"], ("d", "e", "f"): ["dd", "ee", "ff"]}
    assert len(calls) == 2
    assert sum(calls) == 6
    thread = threading.Thread(target=ask, args=("bad",))
    thread.start()
    while not gathering._waiting.qsize():
        time.sleep(0.01)
    gathering.end()
    gathering.serve()
    thread.join()
    assert found[("bad",)] == "bad", "an error goes to whoever asked"


def test_units_are_shared_out_and_a_slow_one_holds_up_none():
    units = [("slow", 0.5), *(("say", number) for number in range(20))]
    with Engines(Job(together=4, in_hand=2), 2) as engines:
        assert engines.engines == [], "none starts before there is something to do"
        assert list(engines.map([])) == []
        found = dict(engines.map(units))
        again = dict(engines.map(units[1:3]))
        pids = [engine.process.pid for engine in engines.engines]
    assert [found[place][0] for place in range(21)] == [0.5, *range(20)]
    assert {pid for _, pid in found.values()} == set(pids)
    assert len(set(pids)) == 2
    assert [again[place][0] for place in range(2)] == [0, 1], "the same engines go on"
    assert not any(map(alive, pids))


@pytest.mark.parametrize(
    ("job", "unit", "message"),
    [
        (Job(), ("die", 0), r"engine [12] of 2 was ended by SIGKILL; is there enough memory\?"),
        (Job(), ("leave", 7), r"engine [12] of 2 ended with exit code 7"),
        (Job(), ("fail", 0), r"engine [12] of 2: ZeroDivisionError: division by zero"),
        (Job(refuses="no checkpoint there"), ("say", 1), r"engine [12] of 2: no checkpoint there"),
    ],
)
def test_an_engine_that_dies_ends_the_run_in_one_line(job, unit, message):
    found = []
    with pytest.raises(EngineEnded, match=f"^{message}$"), Engines(job, 2) as engines:
        for _, (value, _) in engines.map([("say", 1), ("say", 2), ("say", 3), ("say", 4), unit, ("slow", 60)]):
            found.append(value)
    assert set(found) <= {1, 2, 3, 4}
    assert engines.engines == []


@pytest.mark.parametrize("how", ["ended", "killed", "ctrl-c"])
def test_nothing_is_left_of_an_engine_and_what_it_started(how):
    """Its owner ends, dies without a word, or is interrupted at the terminal while an engine is at work."""
    script = """
import os, signal, sys
from recipe.inference import engines
from tests.helpers.engine_jobs import Job
engines.visible_gpus = lambda: 0
with engines.Engines(Job(), 2) as engines:
    for _, pids in engines.map([("child", 600), ("child", 600)]):
        print(*pids, flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "ctrl-c":
        print("working", flush=True)
        list(engines.map([("slow", 600)]))
"""
    command = [sys.executable, "-c", script, how]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        pids = [int(pid) for _ in range(2) for pid in owner.stdout.readline().split()]
        if how == "ctrl-c":
            assert owner.stdout.readline() == "working\n"
            time.sleep(0.2)
            os.killpg(owner.pid, signal.SIGINT)  # as a terminal does
        owner.wait(30)
    finally:
        owner.kill()
        owner.stdout.close()
    assert len(pids) == 4
    assert gone(pids)
