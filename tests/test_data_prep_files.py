"""Files appear whole or not at all."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from data_prep.files import atomic_write


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".part"))


def test_writes_text_as_it_is(tmp_path):
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("één\nzwei\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "één\nzwei\r\n".encode()
    assert leftovers(tmp_path) == []


def test_writes_bytes_and_lets_them_be_sought(tmp_path):
    with atomic_write(tmp_path / "a.bin", "wb") as file:
        file.write(b"xbc")
        file.seek(0)
        file.write(b"a")
    assert (tmp_path / "a.bin").read_bytes() == b"abc"


def test_makes_folders(tmp_path):
    with atomic_write(tmp_path / "a" / "b" / "c.txt") as file:
        file.write("x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_nothing_is_there_before_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_no_rest(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write("half")
        raise error
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import sys, time\nfrom data_prep.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write('half' * 100000)\n    file.flush()\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    # The next writer is not disturbed by what the killed one left.
    with atomic_write(path) as file:
        file.write("new")
    assert path.read_text() == "new"


def test_two_writers_at_once_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as first:
        with atomic_write(path) as second:
            second.write("second")
        first.write("first")
    assert path.read_text() == "first"


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain.txt").write_text("x")
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain.txt", "a.txt")}
    assert len(modes) == 1


def test_long_names(tmp_path):
    name = "é" * 120 + ".txt"  # 244 bytes of the 255 that a name may have
    with atomic_write(tmp_path / name) as file:
        file.write("x")
    assert (tmp_path / name).read_text() == "x"


def test_other_modes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mode 'a'"), atomic_write(tmp_path / "a.txt", "a"):
        pass


def test_a_folder_in_the_place_of_the_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError), atomic_write(tmp_path / "a") as file:
        file.write("x")
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_that_says_so(tmp_path, monkeypatch):
    real_open = open

    def full(path, *arguments, **settings):
        real_open(path, "x").close()
        return real_open("/dev/full", "w")

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(OSError, match="No space left"), atomic_write(tmp_path / "a.txt") as file:
        file.write("x")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
