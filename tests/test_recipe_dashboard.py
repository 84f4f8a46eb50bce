"""The dashboard's spec: its sections, its axes, and no panel without a logged metric behind it."""

import json

import pytest

pytest.importorskip("wandb_workspaces")

from recipe import dashboard
from recipe.cli import run
from recipe.dashboards.sections import SECTIONS


def panels(part):
    """Every panel's spec, wherever it lies."""
    if isinstance(part, list):
        for item in part:
            yield from panels(item)
    elif isinstance(part, dict):
        if "viewType" in part:
            yield part
        for item in part.values():
            yield from panels(item)


def names(spec):
    """Every metric, media key and table that a spec's panels name."""
    found = set()
    for panel in panels(spec):
        config = panel["config"]
        if panel["viewType"] == "Run History Line Plot":
            found |= {config["xAxis"], *config["metrics"]}
        elif panel["viewType"] == "Media Browser":
            found |= set(config["mediaKeys"])
        else:
            found.add(config["panel2Config"]["exp"]["fromOp"]["inputs"]["key"]["val"])
    return found


@pytest.fixture(scope="module")
def spec():
    return dashboard.dumped("team", "stvg")


def test_every_panel_names_what_a_run_logs(spec, grpo_run):
    assert len(names(spec)) > 20
    for part in ("workspace", "report"):
        assert names(spec[part]) <= grpo_run.logged, sorted(names(spec[part]) - grpo_run.logged)


def test_a_panel_without_a_metric_would_be_found(monkeypatch, grpo_run):
    monkeypatch.setitem(SECTIONS, "Cost", [("seconds/lunch", "lunch")])
    found = names(dashboard.dumped("team", "stvg"))
    assert found - grpo_run.logged == {"train/seconds/lunch"}


def test_sections_and_lines(spec):
    sections = spec["workspace"]["section"]["panelBankConfig"]["sections"]
    expected = ["Learning", "Signs of reward hacking", "Optimisation", "Cost", "Media"]
    assert [section["name"] for section in sections] == expected
    lines = [panel["config"] for panel in panels(spec) if panel["viewType"] == "Run History Line Plot"]
    assert len(lines) == 2 * sum(map(len, SECTIONS.values())), "in the workspace and in the report"
    for line in lines:
        assert line["xAxis"] == "train/global_step"
        assert line["groupBy"] == "variant.value"
        assert (line["groupAgg"], line["groupArea"], line["aggregate"]) == ("mean", "stderr", True)
        assert "train/reward" not in line["metrics"], "each variant's is another quantity"
    grouping = spec["workspace"]["section"]["runSets"][0]["grouping"]
    assert grouping == [{"section": "config", "name": "variant.value"}]


def test_the_report_has_words_above_its_plots(spec):
    text = json.dumps(spec["report"])
    assert all(words in text for words in (dashboard.ABOUT, *dashboard.TEXTS.values()))
    assert set(dashboard.TEXTS) == set(SECTIONS)


def ends(*words):
    with pytest.raises(SystemExit) as end:
        run(lambda: dashboard.parse(list(words)), dashboard.main)
    return end.value.code


def test_the_dump_needs_no_account_and_is_the_same_twice(tmp_path, monkeypatch, capsys):
    import socket

    def no_network(*args):
        raise AssertionError("the dump went to the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert ends("--dump", "--out", str(tmp_path / "spec.json")) == 0
    capsys.readouterr()
    assert ends("--dump") == 0
    assert capsys.readouterr().out == (tmp_path / "spec.json").read_text()


def test_saving_needs_a_key_and_an_entity(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert ends() == 2
    assert "no W&B key" in capsys.readouterr().err
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert ends() == 2
    assert "no W&B entity" in capsys.readouterr().err


def test_saving_prints_the_addresses(monkeypatch, capsys):
    from types import SimpleNamespace

    saved = []

    def fake(name):
        def make(*args, **kwargs):
            saved.append((name, args, kwargs))
            return SimpleNamespace(save=lambda: SimpleNamespace(url=f"https://w/{name}"))

        return make

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(dashboard, "workspace", fake("workspace"))
    monkeypatch.setattr(dashboard, "report", fake("report"))
    assert ends("--entity", "team", "--project", "p") == 0
    assert capsys.readouterr().out == "workspace: https://w/workspace\nreport: https://w/report\n"
    assert saved == [("workspace", ("team", "p", []), {}), ("report", ("team", "p"), {"online": True})]


def test_runs_are_named_and_coloured_by_variant(tmp_path, capsys):
    for place, variant in enumerate(("tiou_mviou", "mviou", "viou")):
        for seed in (0, 1):
            folder = tmp_path / f"grpo-{variant}-s{seed}"
            folder.mkdir()
            stamp = {"complete": True, "fingerprint": "0", "settings": {"reward": variant, "seed": seed}}
            (folder / "stamp.json").write_text(json.dumps(stamp))
            if seed == 0:  # the other one never logged to W&B
                (folder / "wandb_run_id").write_text(f"run{place}\n")
    words = ["--dump", "--runs", str(tmp_path), "--out", str(tmp_path / "spec.json")]
    with pytest.raises(SystemExit) as end:
        run(lambda: dashboard.parse(words), dashboard.main)
    assert end.value.code == 0
    spec = json.loads((tmp_path / "spec.json").read_text())
    assert {(one["variant"], one["seed"]) for one in spec["runs"]} == {
        (variant, seed) for variant in ("tiou_mviou", "mviou", "viou") for seed in ("0", "1")
    }
    text = json.dumps(spec["workspace"])
    for name in ("tiou_mviou", "mviou", "viou", "run0", "run1", "run2"):
        assert name in text, name


def test_runs_that_are_no_seeds_of_one_curve_are_named(tmp_path, capsys):
    for place, settings in enumerate(({"learning_rate": 1e-4}, {"learning_rate": 2e-4}, {"learning_rate": 2e-4})):
        (tmp_path / f"grpo-{place}").mkdir()
        stamp = {"complete": True, "fingerprint": "0", "settings": {"reward": "viou", "seed": 0} | settings}
        (tmp_path / f"grpo-{place}" / "stamp.json").write_text(json.dumps(stamp))
    dashboard.main(*dashboard.parse(["--dump", "--runs", str(tmp_path)]))
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["runs"]) == 3
    said = printed.err.splitlines()
    assert said[0].endswith("one variant (viou), one seed (0), and learning_rate 0.0001 against 0.0002")
    assert said[1].endswith("one seed (0) and the same settings: a copy or a repetition")
    assert all(line.startswith("W&B will average these, leave one out: ") for line in said)


def test_a_folder_without_runs_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run(lambda: dashboard.parse(["--dump", "--runs", str(tmp_path)]), dashboard.main)
    assert end.value.code == 2
    assert "neither a run nor a folder with runs" in capsys.readouterr().err
