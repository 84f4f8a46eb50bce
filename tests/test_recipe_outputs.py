"""A path that is both input and output is refused before anything is opened (F17)."""

import json

import pytest
from test_recipe_evaluate import frames_of, record, states, write

from recipe import evaluate, ground
from recipe.cli import run
from recipe.evaluation import videomme
from recipe.studies import retention
from tests.helpers.films import make_plain_video


def refused(capsys, parse, main, words):
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as end:
        run(lambda: parse([str(word) for word in words]), main)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.fixture
def kept(tmp_path):
    """Writes files, and checks that they are as they were in the end."""
    contents = {}

    def keep(path, content=None):
        if content is not None:
            path.write_text(content)
        contents[path] = path.read_bytes()
        return path

    yield keep
    assert {path: path.read_bytes() for path in contents} == contents
    assert sorted(tmp_path.iterdir()) == sorted(contents), "nothing else was written"


@pytest.mark.parametrize("flag", ["--overlay", "--sheet", "--out"])
def test_ground_does_not_replace_the_video(tmp_path, capsys, kept, flag, monkeypatch):
    video = kept(make_plain_video(tmp_path / "precious.mp4", (255, 0, 0)))
    monkeypatch.setattr(ground, "backend_of", lambda args: pytest.fail("opened"))
    (tmp_path / "link.mp4").symlink_to(video)
    said = refused(capsys, ground.parse, ground.main, [video, "red", "--model", "m", flag, tmp_path / "link.mp4"])
    assert f"{flag} {tmp_path}/link.mp4: one of the inputs, which would be overwritten" in said
    (tmp_path / "link.mp4").unlink()
    others = ["--out", tmp_path / "x", "--overlay", tmp_path / "x"]
    assert "names the same file" in refused(capsys, ground.parse, ground.main, [video, "red", "--model", "m", *others])


def test_ground_does_not_replace_the_records(tmp_path, capsys, kept):
    tracks = kept(tmp_path / "t.jsonl", json.dumps(record()) + "\n")
    words = ["--tracks", tracks, "--model", "m", "--out", tmp_path / "." / "t.jsonl"]
    assert "--out" in refused(capsys, ground.parse, ground.main, words)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("p.jsonl", "--out {0}/p.jsonl: one of the inputs"),
        ("t.jsonl", "--out {0}/t.jsonl: one of the inputs"),
        ("f.jsonl", "--out {0}/f.jsonl: one of the inputs"),
        ("answers.json", "--out's page {0}/answers.md: one of the inputs"),
        ("page.md", "--out's page {0}/page.md: --out names the same file"),
        ("README.json", "{0}/README.md: no page of an evaluation, and that of --out {0}/README.json would replace it"),
    ],
)
def test_evaluate_replaces_nothing_that_it_did_not_write(tmp_path, capsys, kept, out, message):
    write(tmp_path / "t.jsonl", [record()])
    write(tmp_path / "p.jsonl", [{"id": "a", "track": states([1, 2])}])
    write(tmp_path / "f.jsonl", [frames_of(record(), 10, 30)])
    for name in "tpf":
        kept(tmp_path / f"{name}.jsonl")
    kept(tmp_path / "README.md", "# A project\n")
    kept(tmp_path / "answers.md", (tmp_path / "p.jsonl").read_text())
    predictions = "answers.md" if out == "answers.json" else "p.jsonl"
    words = ["--tracks", tmp_path / "t.jsonl", "--predictions", tmp_path / predictions, "--protocol", "frame"]
    words += ["--frame_annotations", tmp_path / "f.jsonl", "--out", tmp_path / out]
    assert message.format(tmp_path) in refused(capsys, evaluate.parse, evaluate.report, words)


def test_a_page_of_an_earlier_evaluation_is_replaced(tmp_path):
    write(tmp_path / "t.jsonl", [record()])
    write(tmp_path / "p.jsonl", [{"id": "a", "track": states([1, 2])}])
    words = ["--tracks", tmp_path / "t.jsonl", "--predictions", tmp_path / "p.jsonl", "--out", tmp_path / "m.json"]
    for smooth in ("off", "on"):
        evaluate.report(*evaluate.parse([str(word) for word in [*words, "--smooth", smooth]]))
        assert f"smoothing {smooth}" in (tmp_path / "m.md").read_text()


def test_videomme_and_retention(tmp_path, capsys, kept):
    path = kept(tmp_path / "a.jsonl", json.dumps({"id": "1", "answer": "A"}) + "\n")
    words = ["--questions", path, "--predictions", path, "--out", path]
    assert "--out" in refused(capsys, videomme.parse, videomme.main, words)
    words = ["--tracks", path, "--model", "m", "--out", path]
    assert "one of the inputs" in refused(capsys, retention.parse, retention.main, words)
