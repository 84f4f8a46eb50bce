"""No secret reaches what a run writes: those in settings are refused, those of the environment stay there."""

import json

import pytest

from recipe import grpo
from recipe.training import supervised


@pytest.mark.parametrize("parse", [grpo.parse, supervised.parse])
@pytest.mark.parametrize(
    "settings",
    [
        {"hub_token": "hf_planted"},
        {"model_init_kwargs": {"token": "hf_planted"}},
        {"run_name": "http://me:planted@host/"},
    ],
    ids=str,
)
def test_a_secret_among_the_settings_is_refused(tmp_path, parse, settings):
    """F25: it was in W&B's file of the run and in training_args.bin of every checkpoint."""
    config = tmp_path / "stage.yaml"
    config.write_text(json.dumps({"tracks": ["a.jsonl"], "output_dir": str(tmp_path / "run")} | settings))
    with pytest.raises(ValueError, match=r"settings are kept in W&B's files") as error:
        parse(["--config", str(config), "--use_cpu", "true", "--bf16", "false"])
    assert "planted" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_the_password_of_a_rollout_server_is_refused_on_the_command_line(tmp_path):
    words = ["--tracks", "a.jsonl", "--output_dir", str(tmp_path), "--use_cpu", "true", "--bf16", "false"]
    with pytest.raises(ValueError, match=r"expected http://host:8000, and the password in ~/\.netrc") as error:
        grpo.parse([*words, "--vllm_server_base_url", "http://me:planted@host:8000"])
    assert "planted" not in str(error.value)
    _, training_args, _ = grpo.parse([*words, "--vllm_server_base_url", "http://host:8000"])
    assert training_args.vllm_server_base_url == "http://host:8000"


def test_no_secret_of_the_environment_is_in_what_a_run_writes(grpo_run):
    """The session's run has these in its environment, and a password in its netrc file (see conftest.py)."""
    written = [path for path in grpo_run.folder.parent.parent.rglob("*") if path.is_file()]
    names = {path.name for path in written}
    assert {"stamp.json", "training_args.bin"} < names
    assert any(path.suffix == ".wandb" for path in written)
    for path in written:
        assert b"planted" not in path.read_bytes(), path
