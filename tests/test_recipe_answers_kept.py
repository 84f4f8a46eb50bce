"""The commands that ask models: what was answered is not asked again, and is never taken for another answer."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from data_prep.records import read_records
from recipe import ground as command
from recipe.cli import run
from recipe.evaluate import EvalArguments, evaluate
from recipe.inference import backends
from recipe.inference.answers_file import read_lines
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import PROMPTS, load_prompts
from tests.helpers.films import make_plain_video
from tests.helpers.served_model import ANSWER

# --- evaluate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_base, tmp_path):
    folder = tmp_path / "my-model"
    shutil.copytree(tiny_base, folder, ignore=shutil.ignore_patterns("stamp.json"))
    return folder


@pytest.fixture
def evaluated(tiny_data, model, tmp_path, monkeypatch):
    """Evaluates the model; the answers' files of the folder and how many records were asked about."""
    shutil.copytree(PROMPTS / "tiny", tmp_path / "prompts")
    asked = []
    upstream = backends.generate

    def generate(model, processor, rows, **settings):
        asked.extend(row["id"] for row in rows)
        return upstream(model, processor, rows, **settings)

    monkeypatch.setattr(backends, "generate", generate)

    def ask(**settings):
        del asked[:]
        values = {"tracks": str(tiny_data / "test.jsonl"), "video_root": str(tiny_data / "videos")}
        values |= {"model": str(model), "prompts": str(tmp_path / "prompts"), "max_frame_pixels": 2304}
        values |= {"max_new_tokens": 8, "out": str(tmp_path / "out" / "m.json")}
        evaluate(EvalArguments(**values | settings))
        return sorted((tmp_path / "out").glob("m.answers-*.jsonl")), len(asked)

    return ask


def other_weights(model):
    """Copy other weights over those of a checkpoint folder; its config.json stays as it is."""
    path = model / "model.safetensors"
    weights = {name: values + 0.05 for name, values in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def test_other_weights_in_the_same_folder_are_asked_anew(evaluated, model):
    """F3: config.json is that of every checkpoint, and yesterday's answers came back for new weights."""
    (first,), asked = evaluated()
    assert asked == 5
    kept = first.read_bytes()
    assert evaluated() == ([first], 0), "what was answered is not asked again"
    other_weights(model)
    files, asked = evaluated()
    assert asked == 5
    assert len(files) == 2
    assert first.read_bytes() == kept, "the old answers stay where they are"


def test_an_edited_template_is_asked_anew(evaluated, tmp_path):
    evaluated()
    ground = tmp_path / "prompts" / "ground.txt"
    ground.write_text("When and where: " + ground.read_text())
    files, asked = evaluated()
    assert (len(files), asked) == (2, 5)


def test_a_limit_is_no_other_question(evaluated):
    (first,), asked = evaluated(limit=3)
    assert asked == 3
    some = {name: line["answer"] for name, line in read_lines(first).items()}
    assert evaluated(batch_size=3)[1] == 5, "batches of another size are padded to other lengths"
    (files, asked) = evaluated()
    assert asked == 5, "a batch that is not whole is asked for as a whole"
    assert first in files
    assert len(read_lines(first)) == 5
    assert list(read_lines(first))[:3] == list(some), "in the order of the records"
    assert evaluated(limit=2)[1] == 0


def test_a_second_evaluation_at_the_same_file_is_told(evaluated, tmp_path):
    (first,), _ = evaluated()
    lines = first.read_text().splitlines(keepends=True)
    first.rename(first.with_name(first.name + ".part"))
    first.with_name(first.name + ".part").write_text("".join(lines[:2]))
    from data_prep.locks import InUse, locked

    with locked(first), pytest.raises(InUse, match=r"m\.answers-.*is at work there"):
        evaluated()
    assert first.with_name(first.name + ".part").read_text() == "".join(lines[:2])
    evaluated()
    assert len(read_lines(first)) == 5


def test_our_own_answers_are_predictions_too(evaluated, tiny_data, tmp_path):
    (first,), _ = evaluated()
    of_model = json.loads((tmp_path / "out" / "m.json").read_text())
    values = {"tracks": str(tiny_data / "test.jsonl"), "predictions": str(first), "out": str(tmp_path / "p.json")}
    found, _ = evaluate(EvalArguments(**values))
    assert found["input"].pop("examples") == {}
    assert set(found["input"].values()) == {0}, "the first line is no broken one"
    assert found["m_vIoU"] == of_model["m_vIoU"]


# --- ground --tracks -------------------------------------------------------------------------------------------------


@pytest.fixture
def grounding(tiny_data, words, monkeypatch):
    """Runs `ground --tracks` with a backend that gives one text; exit code and how many records it was asked about."""
    asked = []

    def backend(args):
        builder = make_builder(tiny_data, load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)

        def answer(rows):
            asked.append(rows[0]["id"])
            return [ANSWER] * len(rows)

        return builder, answer

    monkeypatch.setattr(command, "backend_of", backend)

    def ask(*others):
        del asked[:]
        with pytest.raises(SystemExit) as end:
            run(lambda: command.parse([*words, *others]), command.main)
        return end.value.code, len(asked)

    return ask


@pytest.fixture
def words(tiny_data, tmp_path):
    given = ["--tracks", tiny_data / "test.jsonl", "--video_root", tiny_data / "videos", "--model", "A"]
    return [str(word) for word in [*given, "--out", tmp_path / "o.jsonl"]]


def asking(where, words):
    """The same in a process of its own: see tests/helpers/asking.py."""
    start = [sys.executable, "-m", "tests.helpers.asking", where, *words]
    return subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_another_model_into_the_same_file_is_refused(grounding, tmp_path, capsys):
    """F4: it said "8 of 8 records answered" with the first model's answers, for a model that does not exist too."""
    assert grounding() == (0, 5)
    content = (tmp_path / "o.jsonl").read_bytes()
    assert grounding() == (0, 0)
    assert "5 of 5 records answered" in capsys.readouterr().out
    for others, named in (
        (["--model", "B"], 'another model "A" -> "B"; '),
        (["--model", "B", "--temperature", "1"], 'temperature 0.0 -> 1.0; model "A" -> "B"; '),
        (["--backend", "openai", "--model", "A", "--base_url", "http://h/v1"], 'backend "hf" -> "openai"; '),
        (["--smooth", "off"], 'smooth "on" -> "off"; '),
        (["--max_frame_pixels", "99"], "max_frame_pixels 200704 -> 99; "),
        (["--prompts", "tiny"], "prompts (other content); "),
    ):
        assert grounding(*others) == (2, 0), others
        said = capsys.readouterr()
        assert named in said.err
        assert "choose another --out" in said.err
        assert said.err.count("\n") == 1
        assert "answered" not in said.out
    assert grounding("--model", "no/such/model") == (2, 0)
    assert "no/such/model: no config.json there" in capsys.readouterr().err
    assert (tmp_path / "o.jsonl").read_bytes() == content
    assert grounding("--most_seconds", "99") == (0, 0), "what changes no answer"
    assert grounding("--model", "B", "--out", str(tmp_path / "b.jsonl")) == (0, 5)


@pytest.mark.slow
def test_killed_twice_it_goes_on_with_all_answers(grounding, words, tmp_path):
    """F5: the second kill, before the first new answer, lost every paid answer."""
    part = tmp_path / "o.jsonl.part"
    for kill_at in ("3", "0"):
        assert asking(kill_at, words).wait(100) == -signal.SIGKILL
        assert len(read_lines(part)) == 3
    assert grounding() == (0, 2)
    assert len(read_lines(tmp_path / "o.jsonl")) == 5
    assert not part.exists()


@pytest.mark.slow
def test_a_second_process_stops_and_spoils_nothing(grounding, words, tmp_path, capsys):
    """F5, F9: it truncated the first one's file, which then held 1,845 NUL bytes; both ended with exit code 0."""
    with asking("wait", words) as first:
        assert "asking\n" in iter(first.stdout.readline, "")  # libraries may print while they are imported
        assert grounding() == (2, 0)
        said = capsys.readouterr().err
        assert f"o.jsonl: process {first.pid} on " in said
        assert said.count("\n") == 1
        first.communicate(timeout=100)
    assert first.returncode == 0
    assert len(read_lines(tmp_path / "o.jsonl")) == 5
    assert b"\0" not in (tmp_path / "o.jsonl").read_bytes()


def test_a_record_whose_video_changed_is_asked_again(grounding, tiny_data, tmp_path, capsys):
    videos = tmp_path / "videos"
    shutil.copytree(tiny_data / "videos", videos)
    records = list(read_records(tiny_data / "test.jsonl"))
    assert grounding("--video_root", str(videos)) == (0, 5)
    (videos / records[1]["video"]).unlink()
    assert grounding("--video_root", str(videos)) == (0, 0), "an answer outlives its video"
    make_plain_video(videos / records[1]["video"], (200, 0, 0), records[1]["seconds"], size=(96, 96))
    assert grounding("--video_root", str(videos)) == (0, 1)
    assert "1 of 5 answers are about videos that have changed" in capsys.readouterr().err
    assert len(read_lines(tmp_path / "o.jsonl.old-1")) == 5


def test_files_of_one_name_are_different_videos(tiny_data, tmp_path, monkeypatch):
    """F1: the second of two files of one name was shown the first one's frames."""
    red = make_plain_video(tmp_path / "root/a/clip.mp4", (255, 0, 0), 6, size=(96, 96))
    make_plain_video(tmp_path / "root/b/clip.mp4", (0, 0, 255), 6, size=(96, 96))
    record = next(read_records(tiny_data / "test.jsonl")) | {"clip": [0.0, 6.0], "seconds": 6}
    both = [record | {"id": name, "video": f"{name}/clip.mp4"} for name in "ab"]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(one) + "\n" for one in both))
    builder = make_builder(tiny_data, load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
    shown = []

    def answer(rows):
        shown.append(max(range(3), key=lambda band: rows[0]["images"][0].getpixel((5, 5))[band]))
        return [ANSWER]

    monkeypatch.setattr(command, "backend_of", lambda args: (builder, answer))
    words = ["--tracks", tmp_path / "t.jsonl", "--video_root", tmp_path / "root", "--model", "A"]
    command.main(*command.parse([str(word) for word in [*words, "--out", tmp_path / "o.jsonl"]]))
    assert shown == [0, 2], "red, then blue"
    assert builder.clips.video_root == tiny_data, "the builder is as it was"
    make_plain_video(red, (0, 255, 0), 6, size=(96, 96))
    command.main(*command.parse([str(word) for word in [*words, "--out", tmp_path / "p.jsonl"]]))
    assert shown[2:] == [1, 2], "a replaced file is another video"
