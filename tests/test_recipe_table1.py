"""Table 1 from files: measured cells, published ones, and those that are missing, which stay empty."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from data_prep.locks import InUse, locked
from data_prep.records import read_records
from data_prep.stages import StageError
from recipe.studies.table1 import cell_arguments, main, parse
from tests.helpers.served_model import serving

API = {"model": "y", "base_url": "z"}
PUBLISHED = {"A": {"Perfect": [90.1, "80.0", "TBD"], "Elsewhere": [1, 2, 3, "a journal"]}}


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
        "published_in": "the paper's Table 1",
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
    assert rows["| A", "Not made"].endswith("|  | – | – | – |  |  |  |  |  |")
    assert "| – | – | – | 1 | 2 | 3 |  | a journal |" in rows["| A", "Elsewhere"], "published and not measured"
    assert rows["| A", "Perfect"].endswith("| the paper's Table 1 |"), "the source of what was not measured here"
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
    (checkpoint / "config.json").write_text("{}")
    config |= {"protocol": "frame", "smooth": "on", "evaluation": {"batch_size": 3}}
    config["benchmarks"]["A"]["frames"] = "f.jsonl"
    system = {"name": "Ours / RL", "model": str(checkpoint), "repeats": 3, "temperature": 1.0}
    arguments = cell_arguments(config, "A", system)
    assert (arguments.protocol, arguments.smooth, arguments.batch_size, arguments.repeats) == ("frame", "on", 3, 3)
    assert Path(arguments.out).name.startswith("A-Ours-RL-")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sistems": []}, "unknown key 'sistems'"),
        ({"systems": []}, "systems is missing"),
        ({"systems": [{"name": "x", "modle": "y"}]}, "system 'x': unknown key 'modle'"),
        ({"systems": [{"name": "x", "api": "y"}]}, "system 'x': api is 'y', expected settings by name"),
        ({"systems": [{"name": "x", "api": {"modle": "y"}}]}, "system 'x': api: unknown key 'modle'"),
        ({"systems": [{"name": "x", "api": {"model": "y"}}]}, "system 'x': api: base_url is missing"),
        (
            {"systems": [{"name": "x", "api": {"model": "y", "base_url": "z", "workers": 0}}]},
            "workers is 0, expected a whole number above 0",
        ),
        (
            {"systems": [{"name": "x", "api": API | {"box_order": "yxxy"}}]},
            "api: box_order is 'yxxy', expected one of xyxy, yxyx, xywh",
        ),
        (
            {"systems": [{"name": "x", "api": API | {"box_unit": "percent"}}]},
            "api: box_unit is 'percent', expected one of thousandths, pixels, unit",
        ),
        (
            {"systems": [{"name": "x", "api": API | {"media": "gif"}}]},
            "api: media is 'gif', expected one of png, jpeg,",
        ),
        (
            {"systems": [{"name": "x", "api": API | {"timestamps": "no"}}]},
            "timestamps is 'no', expected true or false",
        ),
        ({"systems": [{"name": "x", "api": API | {"family": "gpt"}}]}, "api: family is 'gpt', expected one of glm4v,"),
        ({"systems": [{"name": "x", "api": API | {"box_order": ["x"]}}]}, "expected one of xyxy"),
        ({"development": {"track": "y"}}, "development: unknown key 'track'; did you mean 'tracks'"),
        ({"development": {"tracks": "y", "records": 0}}, "development: records is 0, expected a whole number above 0"),
        ({"development": "y.jsonl"}, "development is 'y.jsonl', expected settings by name"),
        ({"published": {"A": {"x": [1, 2]}}}, "published A, x: .* expected .m_tIoU, m_vIoU, vIoU@0.5., and a fourth"),
        ({"benchmarks": {"A": {"track": "y"}}}, "benchmark A: unknown key 'track'"),
        ({"evaluation": {"batchsize": 1}}, "evaluation: unknown key 'batchsize'"),
    ],
)
def test_wrong_settings_are_named(tmp_path, config, change, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, config | change)


def test_the_recipes_own_table_has_the_papers_rows(monkeypatch):
    monkeypatch.setenv("RUN", "scratch/glm")  # as make exports it
    (config,) = parse(["--config", "recipe/configs/studies/table1.yaml"])
    for rows in config["published"].values():
        assert len(rows) == 7
        assert all(len(row) == 3 for row in rows.values())
    assert {system["name"] for system in config["systems"]} >= config["published"]["VidSTG"].keys()
    assert [system["model"] for system in config["systems"][:2]] == ["scratch/glm/sft", "scratch/glm/grpo-mviou-s0"]


def test_a_checkpoint_of_a_run_elsewhere_is_no_model_id(tmp_path, config):
    """With RUN=scratch/mine a missing checkpoint was looked for on the hub."""
    config["systems"] = [{"name": "mine", "model": "scratch/mine/sft"}]
    (read,) = [write(tmp_path, config)]
    assert cell_arguments(read, next(iter(read["benchmarks"])), read["systems"][0]) == "no scratch/mine/sft"


# --- a served model ---------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    asking = pytest.importorskip("recipe.inference.served")
    monkeypatch.setattr(asking, "TRIES", replace(asking.TRIES, attempts=4, first_wait_s=0.01))
    with serving() as served:
        yield served


@pytest.fixture
def served(config, server, tiny_data):
    """The table's settings with one system, which is behind an endpoint."""
    endpoint = {"model": "m", "base_url": server.url, "workers": 3, "dollars_in": 2.0, "dollars_out": 10.0}
    config["benchmarks"] = {"A": config["benchmarks"]["A"] | {"video_root": str(tiny_data / "videos")}}
    return config | {
        "systems": [{"name": "Served", "api": endpoint}],
        "evaluation": {"prompts": "tiny", "max_frame_pixels": 2304, "max_new_tokens": 99},
    }


def test_an_endpoint_is_asked_once_and_its_cost_is_stated(tmp_path, served, server, capsys):
    main(write(tmp_path, served))
    result = json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]
    n = result["n"]
    assert len(server.requests) == n == 5
    assert {request["max_tokens"] for request in server.requests} == {99}
    # 100 tokens asked and 10 answered a record.
    assert {name: result["cost"][name] for name in ("prompt_tokens", "completion_tokens", "dollars")} == {
        "prompt_tokens": 500,
        "completion_tokens": 50,
        "dollars": pytest.approx((500 * 2 + 50 * 10) / 1e6),
    }
    assert result["m_tIoU"] > 0, "the answers were scored"
    assert "500 tokens asked, 50 answered, $0.00" in capsys.readouterr().out
    main(write(tmp_path, served))
    assert len(server.requests) == n, "not asked, or paid, again"
    again = json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]
    assert again["cost"]["prompt_tokens"] == 500, "the cost of all calls"


def test_a_refused_record_counts_zero_and_the_others_go_on(tmp_path, served, server, capsys):
    server.behaviours = ["refuse"]
    main(write(tmp_path, served))
    result = json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]
    assert result["n"] == 5
    assert result["input"]["missing_ids"] == 1
    assert "not answered: synthetic/test/" in capsys.readouterr().err
    server.requests.clear()
    main(write(tmp_path, served))
    assert len(server.requests) == 1, "asked again by the next call"


def test_a_server_that_refuses_everything_is_an_empty_cell(tmp_path, served, server, monkeypatch):
    monkeypatch.setattr("recipe.inference.ground_file.MOST_REFUSED", 3)
    server.behaviours = ["refuse"] * 99
    main(write(tmp_path, served))
    page = (tmp_path / "out/table1.md").read_text()
    assert "A, Served: 3 requests in a row got no answer, the last one: http://127.0.0.1" in page
    assert len(server.requests) <= 3 + 2 * 3, "what was under way, and no more"


ODD = [
    b"<html>Bad gateway</html>", b"all well", b"", b'{"choices": [{}]}', b'{"choices": [{"message": null}]}',
    b'{"choices": [{"message": {"content": 5}}]}', b"[]", b'"text"', b"5", b"NaN", "fail", "die",
]  # fmt: skip


@pytest.mark.parametrize("behaviour", ODD, ids=str)
def test_one_odd_reply_is_one_records(tmp_path, served, server, capsys, behaviour):
    """F14: one of them ended the table, cells to come included."""
    served["systems"][0]["api"]["workers"] = 1
    server.behaviours = ["answer", *[behaviour] * 4]
    served["systems"].append({"name": "Other", "api": served["systems"][0]["api"] | {"model": "n"}})
    main(write(tmp_path, served))
    results = json.loads((tmp_path / "out/table1.json").read_text())["A"]
    assert results["Served"]["input"]["missing_ids"] == 1
    assert results["Served"]["n"] == results["Other"]["n"] == 5
    assert results["Other"]["input"]["missing_ids"] == 0
    assert capsys.readouterr().err.count("not answered: synthetic/test/") == 1
    server.requests.clear()
    main(write(tmp_path, served))
    assert len(server.requests) == 1, "asked again by the next call"


def test_usage_that_is_no_number_of_tokens_costs_nothing(tmp_path, served, server):
    content = {"choices": [{"message": {"content": "none"}}]}
    usages = ["x", {"prompt_tokens": -(10**30), "completion_tokens": 1.5}, None]
    server.behaviours = [json.dumps(content | {"usage": usage}).encode() for usage in usages]
    main(write(tmp_path, served))
    cost = json.loads((tmp_path / "out/table1.json").read_text())["A"]["Served"]["cost"]
    assert (cost["prompt_tokens"], cost["completion_tokens"]) == (200, 20), "those of the two others"


def test_a_server_whose_every_reply_is_odd_is_an_empty_cell(tmp_path, served, server):
    server.behaviours = [b"<html>"] * 99
    main(write(tmp_path, served))
    assert "A, Served: 5 requests in a row got no answer, the last one: " in (tmp_path / "out/table1.md").read_text()


def test_a_key_that_a_server_says_again_is_not_kept(tmp_path, served, server, monkeypatch):
    """F25."""
    monkeypatch.setenv("SOME_KEY", "sk-planted-0001")
    served["systems"][0]["api"]["key"] = "SOME_KEY"
    server.behaviours = ["echo"] * 9
    main(write(tmp_path, served))
    assert "HTTP 401" in (tmp_path / "out/table1.md").read_text()
    assert not any("sk-planted" in path.read_text() for path in (tmp_path / "out").iterdir())


def test_a_table_that_was_cut_goes_on(tmp_path, served, server):
    main(write(tmp_path, served))
    (whole,) = (tmp_path / "out").glob("A-Served.predictions-????????.jsonl")
    lines = whole.read_text().splitlines(keepends=True)
    whole.unlink()
    whole.with_name(whole.name + ".part").write_text("".join(lines[:3]) + lines[3][:20])
    server.requests.clear()
    main(write(tmp_path, served))
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"api": {"model": "other"}},
        {"api": {"family": "qwen2_5_vl"}},
        {"temperature": 1.0},
        {"evaluation": {"frame_rate": "2"}},
        {"evaluation": {"max_new_tokens": 98}},
    ],
    ids=str,
)
def test_a_system_that_keeps_its_name_and_changes_is_asked_anew(tmp_path, served, server, change):
    """F4: 0 requests, and the old scores under the new settings."""
    main(write(tmp_path, served))
    before = dict(served["systems"][0]), dict(served["evaluation"])
    served["systems"][0] |= change.get("api", {}) and {"api": before[0]["api"] | change["api"]}
    served["systems"][0] |= {name: value for name, value in change.items() if name == "temperature"}
    served["evaluation"] |= change.get("evaluation", {})
    server.requests.clear()
    main(write(tmp_path, served))
    assert len(server.requests) == 5
    assert len(list((tmp_path / "out").glob("A-Served.predictions-*.jsonl"))) == 2, "the old answers are kept"
    served["systems"][0], served["evaluation"] = before
    server.requests.clear()
    main(write(tmp_path, served))
    assert not server.requests, "what was asked before is there"


def test_another_address_is_asked_and_no_password_is_kept(tmp_path, served, server):
    main(write(tmp_path, served))
    with serving() as other:
        served["systems"][0]["api"]["base_url"] = other.url.replace("http://", "http://me:secret@")
        main(write(tmp_path, served))
        assert len(other.requests) == 5
    for path in (tmp_path / "out").iterdir():
        assert "secret" not in path.read_text()


def test_systems_whose_names_look_alike_share_nothing(tmp_path, served, server):
    """F4: two systems with Chinese names shared a file, so the second one's address did not have to exist."""
    endpoint = served["systems"][0]["api"]
    names = ["模型甲", "模型乙", "GPT 5", "GPT-5"]
    nowhere = endpoint | {"base_url": "http://127.0.0.1:9/v1", "model": "n"}
    served["systems"] = [
        {"name": name, "api": nowhere if name == "模型乙" else endpoint | {"model": name}} for name in names
    ]
    main(write(tmp_path, served))
    results = json.loads((tmp_path / "out/table1.json").read_text())["A"]
    assert "127.0.0.1:9" in results["模型乙"]["missing"]
    assert [results[name]["n"] for name in names if name != "模型乙"] == [5, 5, 5]
    assert len(server.requests) == 15, "each is asked for itself"
    assert len(list((tmp_path / "out").glob("A-*.md"))) == 3, "and has a page of its own"
    served["systems"] = [{"name": "x"}, {"name": "x"}]
    with pytest.raises(ValueError, match="two systems have the name 'x'"):
        write(tmp_path, served)


def test_two_tables_in_one_folder(tmp_path, config):
    with locked(tmp_path / "out" / "table1.json"), pytest.raises(InUse, match=r"table1\.json: .* is at work there"):
        main(write(tmp_path, config))


def test_a_table_replaces_nothing_that_it_is_made_from(tmp_path, config):
    config["out"] = str(tmp_path)
    config["systems"][0]["predictions"]["A"] = str(tmp_path / "table1.json")
    with pytest.raises(StageError, match=r"table1\.json: one of the inputs"):
        write(tmp_path, config)


def test_without_a_key_nothing_is_asked(tmp_path, served, server, monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    served["systems"][0]["api"]["key"] = "SOME_KEY"
    main(write(tmp_path, served))
    assert not server.requests
    assert "A, Served: no key in $SOME_KEY" in (tmp_path / "out/table1.md").read_text()


def test_the_papers_baselines_are_named_with_their_endpoints(monkeypatch):
    monkeypatch.setenv("RUN", "runs/x")
    (config,) = parse(["--config", "recipe/configs/studies/table1.yaml"])
    served = {system["name"]: system["api"] for system in config["systems"] if "api" in system}
    bases = {name: api for name, api in served.items() if name.endswith(", zero-shot")}
    baselines = {name: api for name, api in served.items() if name not in bases}
    assert baselines.keys() == {"Qwen3.5", "Seed2.0-pro", "Kimi-k2.5", "Gemini3-Flash", "Gemini3-Pro"}
    assert all(api["base_url"].startswith("https://") and api["key"] for api in baselines.values())
    assert all({"box_order", "box_unit", "media"} <= api.keys() for api in baselines.values())
    assert {name: api["box_order"] for name, api in baselines.items() if api["box_order"] != "xyxy"} == {
        "Gemini3-Flash": "yxyx",
        "Gemini3-Pro": "yxyx",
    }
    assert {api["family"] for api in bases.values()} == {"glm4v", "glm46v", "qwen2_5_vl", "qwen3_vl"}
    assert all(api["media"] == "video_url" for api in bases.values()), "their own video format"
    assert config["published_in"] == "the paper's Table 1"
    tested = {benchmark["tracks"] for benchmark in config["benchmarks"].values()}
    assert config["development"]["tracks"] not in tested
    assert config["development"]["records"] == 50
