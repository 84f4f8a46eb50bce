"""Figure 4: every case by every model, asked once, on a page where a model's words are words."""

import json
import re

import pytest
import yaml

from data_prep.locks import InUse, locked
from data_prep.stages import StageError
from data_prep.video.sampling import probe
from recipe import ground
from recipe.inference.answer_key import file_name
from recipe.studies.figure4 import main, parse
from tests.helpers.films import make_plain_video
from tests.helpers.served_model import ANSWER

HOSTILE = "<think><script>alert(1)</script></think>" + ANSWER.partition("</think>")[2]


@pytest.fixture
def config(tmp_path, tiny_data, monkeypatch):
    from recipe.inputs.dataset import make_builder
    from recipe.inputs.families import FAMILIES
    from recipe.inputs.prompts import load_prompts

    asked = []

    def backend_of(args):
        builder = make_builder(tiny_data, load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
        asked.append((args.model, args.query))
        return builder, lambda rows: [HOSTILE if args.model == "b" else ANSWER] * len(rows)

    monkeypatch.setattr(ground, "backend_of", backend_of)
    video = sorted((tiny_data / "videos/test").glob("*.mp4"))[0]
    return asked, {
        "out": str(tmp_path / "out"),
        "models": {"A": "a", "B <i>": "b"},
        "cases": [
            {"name": "one", "video": str(video), "query": "the <b>square</b>", "true_span": [0, 1], "note": "a & b"},
            {"name": "gone", "video": str(tmp_path / "gone.mp4"), "query": "q"},
        ],
    }


def made(tmp_path, config, *words):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    results = main(*parse(["--config", str(tmp_path / "c.yaml"), *words]))
    return results, (tmp_path / "out/figure4.html").read_text()


def test_the_cases(tmp_path, config):
    asked, settings = config
    results, page = made(tmp_path, settings)
    assert results["one"]["A"]["span"] == [1, 2]
    for name in ("one-A", "one-B-i"):
        (stem,) = (path.with_suffix("") for path in (tmp_path / "out").glob(f"{name}-*.json"))
        name = stem.name
        assert json.loads(stem.with_suffix(".json").read_text())["query"] == "the <b>square</b>"
        assert stem.with_suffix(".png").stat().st_size > 1000
        assert probe(stem.with_suffix(".mp4")).seconds > 1
        assert f'src="{name}.png"' in page
        assert f'<video src="{name}.mp4"' in page
    assert "the &lt;b&gt;square&lt;/b&gt;" in page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page, "what a model says is shown as text"
    assert "True span: seconds 0 to 1." in page
    assert page.count("not answered: ") == 2, "a video that is not there ends nothing"
    assert page.count("<h3>") == 4


def test_what_exists_is_not_asked_again(tmp_path, config):
    asked, settings = config
    made(tmp_path, settings)
    before = len(asked)
    made(tmp_path, settings)
    assert asked[before:] == [], "what was answered is kept, and a video that is not there loads no model"
    made(tmp_path, settings, "--again")
    assert ("a", "the <b>square</b>") in asked[before:]


def test_another_question_is_another_file(tmp_path, config):
    """F4: a case whose sentence, model or settings changed showed the old answer; names alike shared it."""
    asked, settings = config
    settings["cases"] = settings["cases"][:1]
    settings["models"] = {"模型甲": "a", "模型乙": "b"}
    results, page = made(tmp_path, settings)
    assert sorted(model for model, _ in asked) == ["a", "b"]
    assert len(set(re.findall(r'<img src="([^"]+)"', page))) == 2
    assert "alert" in results["one"]["模型乙"]["reasoning"]
    for change in (
        {"cases": [settings["cases"][0] | {"query": "another"}]},
        {"models": {"模型甲": "c", "模型乙": "b"}},
        {"arguments": ["--temperature", "1"]},
    ):
        asked.clear()
        results, _ = made(tmp_path, settings | change)
        assert len(asked) == (1 if "models" in change else 2), change
    asked.clear()
    made(tmp_path, settings)
    assert not asked, "what was asked before is there"


def test_a_replaced_video_is_asked_again(tmp_path, config):
    asked, settings = config
    video = make_plain_video(tmp_path / "v.mp4", (255, 0, 0))
    settings["cases"] = [{"name": "one", "video": str(video), "query": "q"}]
    made(tmp_path, settings)
    make_plain_video(video, (0, 0, 255))
    asked.clear()
    made(tmp_path, settings)
    assert len(asked) == 2


def test_two_figures_in_one_folder_and_outputs_that_are_inputs(tmp_path, config):
    settings = config[1]
    with locked(tmp_path / "out" / "figure4.html"), pytest.raises(InUse, match="is at work there"):
        made(tmp_path, settings)
    settings["cases"][0]["video"] = str(tmp_path / "out" / "figure4.html")
    with pytest.raises(StageError, match=r"figure4\.html: one of the inputs"):
        made(tmp_path, settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": [{"name": "x", "video": "v"}]}, "case 'x': query is missing"),
        ({"cases": [{"name": "x", "vidoe": "v"}]}, "case 'x': unknown key 'vidoe'"),
        ({"cases": [{"name": n, "video": "v", "query": "q"} for n in ("a b", "a b")]}, "two cases have one name"),
        ({"models": {}}, "models is missing"),
        ({"modles": {}}, "unknown key 'modles'"),
    ],
)
def test_wrong_settings_are_named(tmp_path, config, change, message):
    with pytest.raises(ValueError, match=message):
        made(tmp_path, config[1] | change)


def test_a_name_never_leaves_the_folder():
    assert file_name("../../etc/passwd").startswith("etc-passwd-")
    assert file_name("...").startswith("name-")
    assert "/" not in file_name("a/b") + file_name("/")
