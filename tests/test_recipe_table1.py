"""Table 1 from files: measured cells, published ones, and those that are missing, which stay empty."""

import json

import pytest
import yaml

from data_prep.records import read_records
from recipe.table1 import cell_arguments, main, parse

PUBLISHED = {"A": {"Perfect": [90.1, "80.0", "TBD"], "Elsewhere": [1, 2, 3]}}


@pytest.fixture
def config(tiny_data, tmp_path):
    records = list(read_records(tiny_data / "test.jsonl"))
    lines = [json.dumps({"id": record["id"], "track": record["track"]}) + "\n" for record in records]
    (tmp_path / "p.jsonl").write_text("".join(lines))
    return {
        "out": str(tmp_path / "out"),
        "benchmarks": {"A": {"tracks": str(tiny_data / "test.jsonl")}, "B": {"tracks": str(tmp_path / "none.jsonl")}},
        "systems": [
            {"name": "Perfect", "predictions": {"A": str(tmp_path / "p.jsonl"), "B": str(tmp_path / "p.jsonl")}},
            {"name": "Not made", "model": "runs/no-such-checkpoint", "repeats": 3, "temperature": 1.0},
            {"name": "Nothing"},
            {"name": "Lost", "predictions": {"A": str(tmp_path / "lost.jsonl")}},
        ],
        "published": PUBLISHED,
    }


def write(tmp_path, config):
    path = tmp_path / "table1.yaml"
    path.write_text(yaml.safe_dump(config))
    return parse(["--config", str(path)])[0]


def test_the_table(tmp_path, config, capsys):
    main(write(tmp_path, config))
    rows = {
        tuple(line.split(" | ")[:2]): line
        for line in capsys.readouterr().out.splitlines()
        if line[:3] in ("| A", "| B")
    }
    hundred = "100.0 [100.0, 100.0]"
    assert f"| 5 | {hundred} | {hundred} | {hundred} | 90.1 | 80.0 | TBD | 100.0 |" in rows["| A", "Perfect"]
    assert rows["| A", "Not made"].endswith("|  | – | – | – |  |  |  | |".replace("|  | –", "| | –"))
    assert "| – | – | – | 1 | 2 | 3 |" in rows["| A", "Elsewhere"], "published and not measured"
    assert "| – |" in rows["| B", "Perfect"]
    page = (tmp_path / "out/table1.md").read_text()
    for reason in (
        "A, Not made: no runs/no-such-checkpoint",
        "A, Nothing: neither a model nor predictions",
        "lost.jsonl",
    ):
        assert reason in page
    result = json.loads((tmp_path / "out/table1.json").read_text())
    assert result["A"]["Perfect"]["m_vIoU"] == 1.0
    assert result["B"]["Perfect"] == {"missing": f"no {tmp_path / 'none.jsonl'}"}


def test_settings_reach_the_evaluation(tmp_path, config):
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    config |= {"protocol": "frame", "smooth": "on", "evaluation": {"batch_size": 3}}
    config["benchmarks"]["A"]["frames"] = "f.jsonl"
    system = {"name": "Ours / RL", "model": str(checkpoint), "repeats": 3, "temperature": 1.0}
    arguments = cell_arguments(config, "A", system)
    assert (arguments.protocol, arguments.smooth, arguments.batch_size, arguments.repeats) == ("frame", "on", 3, 3)
    assert arguments.out.endswith("A-Ours-RL.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sistems": []}, "unknown key 'sistems'"),
        ({"systems": []}, "systems is missing"),
        ({"systems": [{"name": "x", "modle": "y"}]}, "system 'x': unknown key 'modle'"),
        ({"benchmarks": {"A": {"track": "y"}}}, "benchmark A: unknown key 'track'"),
        ({"evaluation": {"batchsize": 1}}, "evaluation: unknown key 'batchsize'"),
    ],
)
def test_wrong_settings_are_named(tmp_path, config, change, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, config | change)


def test_the_recipes_own_table_has_the_papers_rows():
    (config,) = parse(["--config", "recipe/configs/table1.yaml"])
    for rows in config["published"].values():
        assert len(rows) == 7
        assert all(len(row) == 3 for row in rows.values())
    assert {system["name"] for system in config["systems"]} >= config["published"]["VidSTG"].keys()
