"""W&B runs: gone on with, named and grouped; and no fault of W&B ends training or holds it up."""

import hashlib
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from recipe import grpo
from recipe.dashboards.wandb_run import (
    FILE,
    begin_run,
    data_hash,
    describe,
    end_run,
    git_commit,
    has_key,
    keep_run,
    quiet,
)
from recipe.rewards import make_variant
from tests.helpers.wandb_server import Server


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.setenv(name, "x")  # noted, so that what is set is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path.parent / "no-netrc"))
    return monkeypatch


def arguments(**others):
    return SimpleNamespace(**({"report_to": ["wandb"], "run_name": None, "seed": 3} | others))


def test_the_same_folder_goes_on_with_its_run(tmp_path, environment):
    first = keep_run(tmp_path, ["wandb"])
    assert (tmp_path / FILE).read_text().strip() == first
    environment.delenv("WANDB_RUN_ID")  # a new process after kill -9
    assert keep_run(tmp_path, ["wandb"]) == first
    (tmp_path / FILE).unlink()  # the stage was emptied: other settings
    environment.delenv("WANDB_RUN_ID")
    assert keep_run(tmp_path, ["wandb"]) != first


def test_the_environment_says_so_to_wandb(tmp_path, environment):
    import os

    run_id = keep_run(tmp_path, ["tensorboard", "wandb"])
    assert os.environ["WANDB_RUN_ID"] == run_id
    assert os.environ["WANDB_RESUME"] == "allow"


def test_a_run_of_the_users_own_wins_and_is_kept(tmp_path, environment):
    environment.setenv("WANDB_RUN_ID", "mine")
    environment.setenv("WANDB_RESUME", "must")
    assert keep_run(tmp_path, ["wandb"]) == "mine"
    environment.delenv("WANDB_RUN_ID")
    assert keep_run(tmp_path, ["wandb"]) == "mine"


def test_without_wandb_nothing_is_written(tmp_path):
    assert keep_run(tmp_path, ["none"]) is None
    assert keep_run(tmp_path, []) is None
    assert list(tmp_path.iterdir()) == []


def test_an_offline_run_goes_on_under_its_id(tmp_path, environment):
    import wandb

    environment.setenv("WANDB_DIR", str(tmp_path))
    environment.setenv("WANDB_SILENT", "true")
    environment.setenv("WANDB_MODE", "offline")
    ids = []
    for _ in range(2):
        begin_run(tmp_path, arguments(), tracks=[])
        ids.append(wandb.run.id)
        end_run()
        assert wandb.run is None
        environment.delenv("WANDB_RUN_ID")
    assert ids[0] == ids[1] == (tmp_path / FILE).read_text().strip()


@pytest.fixture
def begun(environment):
    """What `wandb.init` was called with; it begins nothing, and fails as often as `failures` says."""
    import wandb

    calls = SimpleNamespace(kwargs=[], failures=[])

    def init(**kwargs):
        calls.kwargs.append(kwargs)
        if calls.failures:
            raise calls.failures.pop()
        return SimpleNamespace(log=print)

    environment.setattr(wandb, "init", init)
    environment.setattr(wandb, "log", print)
    return calls


def test_groups_and_config(tmp_path, begun, environment, grpo_run):
    folder = tmp_path / "tiny" / "grpo-tiou_viou-s3"
    folder.mkdir(parents=True)
    (tmp_path / "a.jsonl").write_text("{}")
    environment.setenv("WANDB_MODE", "offline")
    variant = make_variant("tiou_viou", [1.0, 2.0], format_weight=0.1)
    begin_run(folder, arguments(), tracks=[str(tmp_path / "a.jsonl")], variant=variant)
    (told,) = begun.kwargs
    assert (told["name"], told["group"]) == ("tiny/grpo-tiou_viou-s3", "tiny/tiou_viou-1-2+format-0.1")
    assert told["tags"] == ["tiny", "tiou_viou-1-2+format-0.1", "seed-3"]
    config = told["config"]
    assert (config["recipe"], config["variant"], config["seed"]) == ("tiny", "tiou_viou-1-2+format-0.1", 3)
    assert config["reward_code"] == variant.code_digest[:12]
    assert config["git_commit"] == git_commit()
    assert config["data_hash"] == hashlib.sha256(hashlib.sha256(b"{}").hexdigest().encode()).hexdigest()
    definition = [(part["function"], part["weight"]) for part in config["reward_definition"]]
    assert definition == [("tiou_reward", 1.0), ("viou_reward", 2.0), ("format_reward", 0.1)]
    assert all(part["text"] for part in config["reward_definition"])
    (real,) = grpo_run.begun  # and the stage says the same of itself
    assert (real["group"], real["config"]["variant"], real["config"]["seed"]) == ("tiny/viou", "viou", 3)
    assert real["id"] == (grpo_run.folder / FILE).read_text().strip()


def test_a_users_reward_is_told_apart_by_its_code(tmp_path, begun, environment):
    """Two functions of one name, in two checkouts, were one line of the dashboard."""
    environment.setenv("WANDB_MODE", "offline")
    for value in (1.0, 2.0):
        (tmp_path / f"{value}").mkdir()
        path = tmp_path / f"{value}" / "mine.py"
        path.write_text(f"def my_reward(completions, **kwargs):\n    return [{value}] * len(completions)\n")
        variant = make_variant(["tiou", f"{path}:my_reward"])
        assert variant.name == "tiou+my_reward"
        begin_run(tmp_path, arguments(), tracks=[], variant=variant)
    first, second = (told["config"] for told in begun.kwargs)
    assert first["variant"] == f"tiou+my_reward@{first['reward_code'][:6]}"
    assert first["variant"] != second["variant"]


def test_a_long_variant_fits_a_tag_and_a_group(tmp_path, begun, environment):
    environment.setenv("WANDB_MODE", "offline")
    words = ["tiou_mviou", "stvg_rewards.scaled_tiou_reward", "stvg_rewards.generalised_mviou_reward"]
    weights = [0.123456789, 0.2, 0.3, 0.4]
    variant = make_variant(words, weights, format_weight=0.1, length_weight=0.2, dynamic_sampling=3)
    begin_run(tmp_path, arguments(), tracks=[], variant=variant)
    (told,) = begun.kwargs
    assert len(variant.name) > 64
    assert max(map(len, told["tags"])) == 64
    assert len(told["group"]) <= 128
    assert told["config"]["variant"] == variant.name


def test_the_users_own_names_win(tmp_path, begun, environment):
    for name in ("WANDB_NAME", "WANDB_RUN_GROUP", "WANDB_PROJECT", "WANDB_TAGS"):
        environment.setenv(name, "mine")
    environment.setenv("WANDB_MODE", "disabled")
    begin_run(tmp_path, arguments(), tracks=[])
    (told,) = begun.kwargs
    assert told["mode"] == "disabled"
    assert not {"name", "group", "project", "tags"} & told.keys()


def test_the_data_hash_tells_order_and_content(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    assert len({data_hash([first]), data_hash([second]), data_hash([first, second]), data_hash([second, first])}) == 4


def test_a_supervised_stage_has_no_variant():
    assert "variant" not in describe("tiny", [], None)


def test_without_key_and_mode_it_is_offline_and_says_so(tmp_path, begun, capsys):
    begin_run(tmp_path, arguments(), tracks=[])
    assert begun.kwargs[0]["mode"] == "offline"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "no key and no WANDB_MODE: this run is offline" in said[0]


def test_with_a_key_the_mode_is_the_users(tmp_path, begun, environment, capsys):
    environment.setenv("WANDB_API_KEY", "0" * 40)
    begin_run(tmp_path, arguments(), tracks=[])
    environment.setenv("WANDB_MODE", "offline")
    begin_run(tmp_path, arguments(), tracks=[])
    assert [told["mode"] for told in begun.kwargs] == [None, "offline"]
    assert capsys.readouterr().err == ""


def test_a_key_in_a_netrc_file(tmp_path, environment):
    assert not has_key()
    (tmp_path / "netrc").write_text("machine w.example login user password key")
    environment.setenv("NETRC", str(tmp_path / "netrc"))
    environment.setenv("WANDB_BASE_URL", "https://w.example/")
    assert has_key()
    environment.setenv("WANDB_BASE_URL", "https://other.example")
    assert not has_key()
    (tmp_path / "netrc").write_text("machine")
    assert not has_key()


def test_a_server_that_is_not_there_makes_the_run_offline(tmp_path, begun, environment, capsys):
    import wandb

    environment.setenv("WANDB_API_KEY", "0" * 40)
    begun.failures.append(wandb.errors.CommError("timed\nout"))
    begin_run(tmp_path, arguments(), tracks=[])
    assert [told["mode"] for told in begun.kwargs] == [None, "offline"]
    assert capsys.readouterr().err == "wandb: timed out; this run is offline, `wandb sync` sends it later\n"


@pytest.mark.parametrize("report_to", [[], ["none"], ["tensorboard"], ["trackio"]])
def test_other_places_leave_wandb_alone(tmp_path, begun, report_to):
    begin_run(tmp_path, arguments(report_to=report_to), tracks=[])
    assert begun.kwargs == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["none", "tensorboard", "trackio", "wandb"])
def test_the_setting_reaches_the_trainer(place, tmp_path):
    words = ["--tracks", "a.jsonl", "--output_dir", str(tmp_path), "--report_to", place, "--bf16", "false"]
    _, training_args, _ = grpo.parse([*words, "--use_cpu", "true"])
    assert training_args.report_to == ([] if place == "none" else [place])


def test_an_error_of_a_log_is_said_once(capsys):
    def broken():
        raise ConnectionResetError("lost")

    for _ in range(3):
        quiet(broken)()
    tried = quiet(broken)
    capsys.readouterr()
    for _ in range(3):
        tried()
    assert capsys.readouterr().err == "wandb: lost; training goes on; trainer_state.json has the log\n"


SCRIPT = """
    import os, sys, time
    from pathlib import Path
    from types import SimpleNamespace
    from recipe.dashboards.wandb_run import begin_run, end_run, keep_training
    import torch
    from transformers import Trainer, TrainingArguments

    folder = Path(sys.argv[1])
    args = TrainingArguments(output_dir=str(folder), report_to="wandb", logging_steps=1, max_steps=300, use_cpu=True,
                             save_strategy="no", disable_tqdm=True, per_device_train_batch_size=1)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
        def forward(self, x):
            return {"loss": (self.weight * x).sum()}

    began = time.time()
    begin_run(folder, args, tracks=[])
    print("=begun", round(time.time() - began, 1), flush=True)
    sys.stdin.readline()  # now the server is dead, or W&B's process
    began = time.time()
    trainer = Trainer(Model(), args, train_dataset=[{"x": torch.ones(1)}] * 300)
    keep_training(trainer)
    trainer.train()
    trainer.save_state()
    print("=trained", round(time.time() - began, 1), flush=True)
    began = time.time()
    end_run()
    print("=ended", round(time.time() - began, 1), flush=True)
"""


def train(tmp_path, url, between, **environment):
    """(seconds by part, standard error) of a training of 300 log entries; `between` comes once its run has begun."""
    import os

    settings = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "0" * 40, "WANDB_DIR": str(tmp_path), "WANDB_CONSOLE": "off"}
    settings |= {"WANDB_INIT_TIMEOUT": "3", "WANDB_FINISH_TIMEOUT": "2", "NO_PROXY": "127.0.0.1"} | environment
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "run")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | settings,
    )  # fmt: skip
    out = ""
    while not out.endswith("\n") or not out.splitlines()[-1].startswith("=begun"):
        out += process.stdout.readline() or pytest.fail(process.stderr.read())
    between(process)
    rest, err = process.communicate("\n", timeout=120)
    out += rest
    told = dict(line[1:].split() for line in out.splitlines() if line.startswith("="))
    assert process.returncode == 0, err
    assert list(told) == ["begun", "trained", "ended"]
    return {name: float(seconds) for name, seconds in told.items()}, err


@pytest.fixture
def server(tmp_path):
    (tmp_path / "run").mkdir()
    made = Server()
    yield made
    made.close()


@pytest.mark.slow  # mostly waiting
def test_a_server_that_stops_answering_holds_nothing_up(tmp_path, server):
    spent, err = train(tmp_path, server.url, lambda process: server.dead.set())
    assert "/graphql" in server.asked
    assert "this run is offline" not in err, "it began online"
    assert spent["trained"] < 60
    assert spent["ended"] < 20, "two seconds are waited for"
    assert (tmp_path / "run" / "trainer_state.json").is_file()
    assert list(tmp_path.glob("wandb/run-*/run-*.wandb")), "for `wandb sync`"


@pytest.mark.slow  # mostly waiting
def test_a_server_that_never_answers_makes_the_run_offline(tmp_path, server):
    server.dead.set()
    spent, err = train(tmp_path, server.url, lambda process: None)
    assert "this run is offline, `wandb sync` sends it later" in err
    assert spent["begun"] < 60
    (kept,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert (tmp_path / "run" / FILE).read_text().strip() in kept.name, "under its own id"


@pytest.mark.slow
def test_wandbs_own_process_dies(tmp_path, server):
    import psutil

    def kill(process):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()

    _, err = train(tmp_path, server.url, kill, WANDB_MODE="offline")
    assert "training goes on; trainer_state.json has the log" in err
    assert (tmp_path / "run" / "trainer_state.json").is_file()
