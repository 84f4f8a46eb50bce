"""A lock is held by one process or thread at a time and dies with its process, whatever its children do."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from data_prep.locks import InUse, Lock, locked

HOLDS = """
import sys, time, multiprocessing
from pathlib import Path
from data_prep.locks import Lock
lock = Lock(Path(sys.argv[1]), folder=sys.argv[2] == "folder")
lock.acquire()
if sys.argv[3] == "child":
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,), daemon=False).start()
print("held", flush=True)
time.sleep(30)
"""


def holder(target, kind, child="none"):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(target), kind, child],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("child", ["none", "child"])
def test_the_second_is_refused_until_the_first_is_gone(tmp_path, kind, child):
    target = tmp_path / "out"
    process = holder(target, kind, child)
    try:
        lock = Lock(target, folder=kind == "folder")
        with pytest.raises(InUse, match=f"out: process {process.pid} on .* is at work there; wait") as error:
            lock.acquire()
        assert "\n" not in str(error.value)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        lock.acquire()  # at once, though a forked child of the killed process may live on
        lock.release()
    finally:
        with suppress(ProcessLookupError):  # where it had no child
            os.killpg(process.pid, signal.SIGKILL)


def test_a_thread_does_not_get_what_another_thread_holds(tmp_path):
    with locked(tmp_path / "out.jsonl"):
        for _ in range(2):  # a refusal does not give the first lock back
            with pytest.raises(InUse, match="another thread"):
                Lock(tmp_path / "out.jsonl").acquire()
        words = [sys.executable, "-c", HOLDS, str(tmp_path / "out.jsonl"), "file", "none"]
        second = subprocess.run(words, capture_output=True, text=True)
        assert "InUse" in second.stderr
    with locked(tmp_path / "out.jsonl"):
        pass


def test_nothing_is_left_after_a_release(tmp_path):
    with locked(tmp_path / "deep" / "out.jsonl"):
        assert [path.name for path in (tmp_path / "deep").iterdir()] == [".out.jsonl.lock"]
    assert list((tmp_path / "deep").iterdir()) == []
    lock = Lock(tmp_path, folder=True)
    lock.acquire()
    lock.acquire()  # held already: nothing happens
    lock.release()
    lock.release()
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_an_error_in_the_block_gives_it_back(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "x"):
        raise KeyError
    with locked(tmp_path / "x"):
        pass


def test_never_two_at_once(tmp_path):
    """Threads that take and give back in turn: release removes the file, which others may just have opened."""
    inside, most, refused = [0], [0], [0]
    end = time.monotonic() + 1.0

    def work():
        while time.monotonic() < end:
            try:
                with locked(tmp_path / "x"):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    inside[0] -= 1
            except InUse:
                refused[0] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert inside == [0]


def test_a_lock_file_of_another_kind_is_only_a_file(tmp_path):
    (tmp_path / ".x.lock").write_text("not json")
    process = holder(tmp_path / "y", "file")
    (tmp_path / ".y.lock").write_text("garbage")
    try:
        with locked(tmp_path / "x"):
            pass
        with pytest.raises(InUse, match="y: another process is at work there"):
            Lock(tmp_path / "y").acquire()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
