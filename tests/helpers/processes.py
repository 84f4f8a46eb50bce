"""The processes that a process started, from /proc."""

import os


def children(pid):
    for folder in os.listdir("/proc"):
        try:
            with open(f"/proc/{folder}/stat") as file:
                if folder.isdigit() and file.read().rsplit(")", 1)[1].split()[1] == str(pid):
                    yield int(folder)
        except OSError:
            continue


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
