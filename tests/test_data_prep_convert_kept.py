"""Conversions and mixtures never overwrite what they read, nor a good file with nothing, nor beside each other."""

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from data_prep.__main__ import main
from data_prep.records import read_records
from tests.helpers import forked
from tests.helpers.layouts import hcstvg_record, vidor, vidstg_record, write


def last_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def held_elsewhere(path):
    """A process that holds the lock of an output file; it says so on its first line."""
    code = "import sys, time; from pathlib import Path; from data_prep.locks import Lock\n"
    code += "Lock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    return other


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("name", "out", "remark"),
    [
        ("x.json", "x.json", "the same path"),
        ("x.json", "./sub/../x.json", "another spelling"),
        ("x.json", "link.json", "a link"),
        ("x.json", "hard.json", "another name of the file"),
        ("o.jsonl.frames.jsonl", "o.jsonl", "the file of boxes beside the output"),
        ("o.jsonl.report.json", "o.jsonl", "the report beside the output"),
    ],
)
@pytest.mark.parametrize("source", ["hcstvg", "activitynet", "qa"])
def test_annotations_are_not_overwritten(tmp_path, capsys, source, name, out, remark):
    path = write(tmp_path / name, {"a.mp4": hcstvg_record()})
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.json").symlink_to(path)
    os.link(path, tmp_path / "hard.json")
    before = contents(tmp_path)
    assert main([source, "--annotations", str(path), "--out", f"{tmp_path}/{out}"]) == 2, remark
    assert "one of the inputs, which would be overwritten; choose another" in last_line(capsys)
    assert contents(tmp_path) == before


def test_other_inputs_are_not_overwritten(tmp_path, capsys):
    annotations = write(tmp_path / "v" / "val_annotations.json", [vidstg_record()])
    boxes = vidor(tmp_path / "vidor")
    command = ["vidstg", "--annotations", str(annotations), "--vidor", str(boxes), "--out", str(boxes)]
    before = boxes.read_bytes()
    assert main(command) == 2
    assert "one of the inputs" in last_line(capsys)
    assert boxes.read_bytes() == before


def test_a_file_of_an_input_folder_is_not_overwritten(tmp_path, capsys):
    path = write(tmp_path / "val_v2.json", {"a.mp4": hcstvg_record()})
    before = path.read_bytes()
    command = ["hcstvg", "--annotations", str(tmp_path), "--out"]
    assert main([*command, str(path)]) == 2
    assert "a file of --annotations, which no conversion wrote" in last_line(capsys)
    assert path.read_bytes() == before
    (tmp_path / "split").mkdir()
    only = ["--split", "val"]
    assert main([*command, str(tmp_path / "split/val.jsonl"), *only]) == 0
    assert main([*command, str(tmp_path / "split/val.jsonl"), *only]) == 0, "its own earlier output is replaced"


@pytest.mark.parametrize("flag", ["--annotations", "--video_root", "--vidor"])
def test_an_input_that_is_not_there_is_named(tmp_path, capsys, flag):
    annotations = write(tmp_path / "val_annotations.json", [vidstg_record()])
    command = ["vidstg", "--annotations", str(annotations), "--out", str(tmp_path / "o.jsonl")]
    assert main([*command, flag, str(tmp_path / "nowhere")]) == 2
    assert last_line(capsys) == f"error: {flag} {tmp_path}/nowhere: no such file or folder"
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize(
    ("source", "name", "content", "said"),
    [
        ("vidstg", "val_annotations.json", [vidstg_record()], "give VidOR's annotation folder as --vidor"),
        ("lasot", "annos/cat-1.txt", "1,1,5,5\n" * 4, "give --size WxH or --video_root"),
        ("hcstvg", "query_v2.json", {"a.mp4": "a man sits"}, "for recipe.ground --tracks"),
    ],
)
def test_nothing_does_not_replace_a_track_file(tmp_path, capsys, source, name, content, said):
    write(tmp_path / "in" / name, content)
    if source == "lasot":
        write(tmp_path / "in/annos/absent/cat-1.txt", "0\n" * 4)
    good = write(tmp_path / "good.json", {"a.mp4": hcstvg_record()})
    out = tmp_path / "out" / "o.jsonl"
    assert main(["hcstvg", "--annotations", str(good), "--out", str(out)]) == 0
    before = contents(out.parent)
    assert main([source, "--annotations", str(tmp_path / "in"), "--out", str(out)]) == 2
    line = last_line(capsys)
    assert line.startswith(f"error: {source}: all ")
    assert said in line
    assert f"; nothing was written to {out}" in line
    questions = {"o.jsonl.questions.jsonl"} if source == "hcstvg" else set()
    assert {name: data for name, data in contents(out.parent).items() if name not in questions} == before
    new = tmp_path / "new" / "o.jsonl"
    assert main([source, "--annotations", str(tmp_path / "in"), "--out", str(new)]) == 2
    assert {path.name for path in new.parent.iterdir()} == {"o.jsonl.report.json"} | questions, (
        "where nothing is, why is said"
    )


def test_a_second_conversion_into_one_file_is_refused(tmp_path, capsys):
    path = write(tmp_path / "x.json", {"a.mp4": hcstvg_record()})
    out = tmp_path / "o.jsonl"
    command = ["hcstvg", "--annotations", str(path), "--out", str(out)]
    with held_elsewhere(out) as other:
        assert main(command) == 2
        assert f"o.jsonl: process {other.pid} on " in last_line(capsys)
        assert not out.exists()
        other.kill()
    assert main(command) == 0, "the lock dies with its process"
    assert sorted(contents(tmp_path)) == ["o.jsonl", "o.jsonl.frames.jsonl", "o.jsonl.report.json", "x.json"]


def mixture(tmp_path, tracks):
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump({"out": str(tmp_path / "m.jsonl"), "inputs": [str(tracks)]}))
    return ["mix", str(tmp_path / "mix.yaml")]


def test_a_second_mixture_into_one_file_is_refused(tiny_data, tmp_path, capsys):
    command = [*mixture(tmp_path, tiny_data / "ground.jsonl")]
    recipe = yaml.safe_load((tmp_path / "mix.yaml").read_text()) | {"splits": []}
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(recipe))
    with held_elsewhere(tmp_path / "m.jsonl") as other:
        assert main(command) == 2
        assert f"m.jsonl: process {other.pid} on " in last_line(capsys)
        other.kill()
    assert main(command) == 0
    assert sorted(contents(tmp_path)) == ["m.jsonl", "m.jsonl.manifest.json", "mix.yaml"]


@pytest.mark.parametrize("out", ["link.jsonl", "hard.jsonl", "mix.yaml"])
def test_a_mixture_does_not_overwrite_what_it_reads(tiny_data, tmp_path, capsys, out):
    tracks = tmp_path / "t.jsonl"
    tracks.write_bytes((tiny_data / "ground.jsonl").read_bytes())
    (tmp_path / "link.jsonl").symlink_to(tracks)
    os.link(tracks, tmp_path / "hard.jsonl")
    command = mixture(tmp_path, tracks)
    before = contents(tmp_path)
    assert main([*command, "--out", str(tmp_path / out)]) == 2
    assert "one of the inputs" in last_line(capsys)
    assert contents(tmp_path) == before


# `python -c` that dies by SIGKILL at the Nth file that it puts in its place, before or after doing so.
KILLED = """
import os, signal, sys
from data_prep.__main__ import main
plain, left = os.replace, [int(sys.argv[1])]
def replace(*words):
    left[0] -= 1
    if left[0] == 0:
        if sys.argv[2] == "after":
            plain(*words)
        os.kill(os.getpid(), signal.SIGKILL)
    plain(*words)
os.replace = replace
main(sys.argv[3:])
"""


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", ["hcstvg", "mix"])
def test_killed_between_any_two_files(tiny_data, tmp_path, kind, number, moment):
    """Each file is the old or the new one, whole; the same command then writes what an undisturbed one does."""
    if kind == "mix" and number == 3:
        pytest.skip("a mixture has two files")
    inputs, folder = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    out = folder / "o.jsonl"
    if kind == "hcstvg":
        source = inputs / "x.json"
        command = ["hcstvg", "--annotations", str(source), "--out", str(out)]
        states = [json.dumps({name: hcstvg_record() for name in names}) for names in (["a.mp4"], ["a.mp4", "b.mp4"])]
    else:
        source = inputs / "t.jsonl"
        text = yaml.safe_dump({"out": str(out), "inputs": [str(source)], "splits": []})
        (inputs / "mix.yaml").write_text(text)
        command = ["mix", str(inputs / "mix.yaml")]
        lines = (tiny_data / "ground.jsonl").read_text().splitlines(keepends=True)
        states = ["".join(lines[:2]), "".join(lines)]
    versions = []
    for state in states:
        source.write_text(state)
        assert main(command) == 0
        versions.append(contents(folder))
    source.write_text(states[0])
    assert main(command) == 0
    source.write_text(states[1])
    done = forked.run([sys.executable, "-c", KILLED, str(number), moment, *command], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for name, content in contents(folder).items():
        if not name.startswith("."):
            assert content in (versions[0][name], versions[1][name]), name
    list(read_records(out))
    if moment == "before":
        assert any(name.endswith(".part") for name in contents(folder))
    (folder / ".other.0123456789ab.part").write_text("somebody's")
    assert main(command) == 0
    assert contents(folder) == versions[1] | {".other.0123456789ab.part": b"somebody's"}, "and no half file is left"
