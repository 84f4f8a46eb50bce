"""Commands in a forked process, which has what this process imported: an import of torch takes seconds, a fork none.

A test about the start of a process (its imports, its environment before any import) needs `subprocess` instead.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import warnings


def start(function, *args, **streams):
    """Return the begun process that calls `function(*args)`; `streams` maps stdin, stdout, stderr to descriptors."""
    process = multiprocessing.get_context("fork").Process(target=_call, args=(function, args, streams))
    process.start()
    return process


def _call(function, args, streams):
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if name in streams:
            os.dup2(streams[name], number)
        elif name == "stdin":
            os.dup2(os.open(os.devnull, os.O_RDONLY), number)
        setattr(sys, name, open(number, mode, buffering=1, closefd=False))  # noqa: SIM115
    function(*args)


def run(command, env=None, cwd=None, capture_output=False, stdout=None, stderr=None, text=True, timeout=120):
    """Run `[sys.executable, "-m", module, ...]` or `[..., "-c", code, ...]` in a fork, and return as `subprocess.run`.

    `stdout` is a file, and `stderr` goes there too; with `capture_output` both are in the result, as text.
    """
    assert text and stderr in (None, subprocess.STDOUT)
    out, err = (os.memfd_create(name) for name in ("out", "err"))
    streams = {"stdout": out, "stderr": err}
    if stdout is not None:
        streams = dict.fromkeys(streams, stdout.fileno())
    process = begin(command, env, cwd, **streams)
    process.join(timeout)
    if process.is_alive():
        process.kill()
        raise subprocess.TimeoutExpired(command, timeout)
    outputs = []
    for descriptor in (out, err):
        with open(descriptor, "rb") as file:
            file.seek(0)
            outputs.append(file.read().decode())
    if not capture_output:
        outputs = [None, None]
    return subprocess.CompletedProcess(command, process.exitcode, *outputs)


def begin(command, env=None, cwd=None, own_group=False, **streams):
    """Return the begun process of such a command, which nothing waits for; see `start`.

    With `own_group` it leads a process group of its own, as a shell's job does.
    """
    assert command[0] == sys.executable and command[1] in ("-m", "-c"), command
    return start(_main, command[1], command[2], command[3:], env, cwd, own_group, **streams)


def _main(option, what, argv, env, cwd, own_group):
    if own_group:
        os.setpgid(0, 0)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = ["-c", *argv]
    if option == "-c":
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it was imported before it is run
        runpy.run_module(what, run_name="__main__", alter_sys=True)
