"""Figure 3 from what was measured: three panels, published numbers apart, and what is missing said."""

import json

import pytest
import yaml
from test_recipe_videomme import ANSWERS, ROWS

from recipe.studies.figure3 import main, parse

RATES = {rate: {"m_vIoU": 0.3, "HOTA": 0.25, "IDF1": 0.2} for rate in ("1", "dynamic")}
LINE = {"step": [5, 10], "mean": [0.1, 0.2], "low": [0.1, 0.1], "high": [0.2, 0.3]}
REWARDS = {
    "curves": {"m_vIoU": {"tiou_mviou": LINE, "mviou": LINE}},
    "steps_to": {"m_vIoU": {"score": 0.2, "steps": {"tiou_mviou": 10, "mviou": None}}},
}


@pytest.fixture
def config(tmp_path):
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    lines = [json.dumps({"id": name, "answer": text}) for name, text in ANSWERS.items()]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "rates.json").write_text(json.dumps(RATES))
    (tmp_path / "rewards.json").write_text(json.dumps(REWARDS))
    return {
        "out": str(tmp_path / "out"),
        "questions": str(tmp_path / "q.jsonl"),
        "answers": {"Ours": str(tmp_path / "a.jsonl"), "Theirs": str(tmp_path / "none.jsonl")},
        "published": {"Ours": [12.6, 28.0], "Theirs": [9.4, 23.7]},
        "fps_study": str(tmp_path / "rates.json"),
        "reward_study": str(tmp_path / "rewards.json"),
    }


def made(tmp_path, config, *words):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    main(*parse(["--config", str(tmp_path / "c.yaml"), *words]))
    return (tmp_path / "out/figure3.md").read_text(), (tmp_path / "out/figure3.svg").read_text()


def test_measured_beside_published(tmp_path, config):
    page, svg = made(tmp_path, config)
    assert "| Ours | 31.2 | 50.0 | 8 | 12.6 | 28 |" in page
    assert "| Theirs | – | – | – | 9.4 | 23.7 |" in page
    assert f"- Theirs: {tmp_path}/none.jsonl: no such file" in page
    assert "| dynamic | 0.300 | 0.250 | 0.200 |" in page
    assert "| tiou_mviou | 10 |\n| mviou | – |" in page
    assert "not measured" not in svg
    found = json.loads((tmp_path / "out/figure3.json").read_text())
    assert found["head_to_head"]["Ours"]["plain"] == 0.5


def test_the_other_reading(tmp_path, config):
    page, _ = made(tmp_path, config | {"reading": "official"})
    assert "| Ours | 25.0 | 80.0 | 8 |" in page


def test_nothing_was_measured(tmp_path, config):
    for name in ("a.jsonl", "rates.json", "rewards.json"):
        (tmp_path / name).unlink()
    page, svg = made(tmp_path, config)
    assert "rates.json: no such result; make fps-study makes it" in page
    assert "rewards.json: no such result; make reward-study makes it" in page
    assert "<svg" in svg
    page, _ = made(tmp_path, config, "--fps_study", "elsewhere.json")
    assert "- elsewhere.json: no such result" in page, "the command line wins"


def test_a_wrong_key_is_named(tmp_path, config):
    with pytest.raises(ValueError, match="unknown key 'anwsers'"):
        made(tmp_path, config | {"anwsers": {}})
