"""What the tests share: no network, one thread, and small data with a tiny checkpoint that are made once a session."""

import os
import signal

# Before torch, transformers and wandb are imported anywhere.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # of `make test &`; what the tests interrupt must stop
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("RUN", None)  # make exports it; here a recipe's run is the one that its folder names

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported beside a CPU build of torch)

# The same examples in every run, however busy the machine is.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

DATA_YAML = """
seed: 5
clip: {seconds: [3, 4], min_objects: 2, max_objects: 2, min_event: 2, max_event: 3, rates: [8, 10]}
splits:
  general: {clips: 6, use: general}
  ground: {clips: 6, use: ground}
  test: {clips: 5, use: test}
"""


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """Folder of small synthetic data: `general.jsonl`, `ground.jsonl`, `test.jsonl` and `videos`."""
    from data_prep.__main__ import main

    folder = tmp_path_factory.mktemp("tiny-data")
    (folder / "data.yaml").write_text(DATA_YAML)
    assert main(["synthetic", "--config", str(folder / "data.yaml"), "--out", str(folder / "data")]) == 0
    return folder / "data"


@pytest.fixture(scope="session")
def tiny_base(tiny_data, tmp_path_factory) -> Path:
    """Folder of a tiny untrained checkpoint whose tokenizer knows the texts of `tiny_data`."""
    from recipe.tiny import TinyArguments, main

    folder = tmp_path_factory.mktemp("tiny-base") / "base"
    main(TinyArguments(tracks=[str(tiny_data / "general.jsonl"), str(tiny_data / "ground.jsonl")], out=str(folder)))
    return folder


@pytest.fixture(scope="session")
def family_checkpoints(tiny_data, tmp_path_factory) -> Path:
    """Folder of a small untrained checkpoint of each family, called after it, with its published chat template."""
    from recipe.inputs.families import FAMILIES
    from tests.helpers.family_models import build

    folder = tmp_path_factory.mktemp("families")
    tracks = [str(tiny_data / "general.jsonl"), str(tiny_data / "ground.jsonl")]
    for name in FAMILIES:
        build(name, tracks, folder / name)
    return folder


@pytest.fixture(scope="session")
def grpo_run(tiny_data, tiny_base, tmp_path_factory) -> SimpleNamespace:
    """Two GRPO steps with held-out clips, to an offline W&B run: `folder`, `logged` names, `begun` with what."""
    import wandb

    from recipe import grpo
    from tests.helpers.secrets import PLANTED
    from tests.helpers.tiny_parts import COMMON

    root = tmp_path_factory.mktemp("grpo")
    options = COMMON | {
        "model_name_or_path": tiny_base, "tracks": tiny_data / "ground.jsonl", "prompts": "tiny", "dtype": "float32",
        "video_root": tiny_data / "videos", "max_frame_pixels": 2304, "output_dir": root / "tiny" / "grpo-viou-s3",
        "reward": "viou", "seed": 3, "validation_tracks": tiny_data / "test.jsonl", "held_out_every": 1,
        "held_out_clips": 3, "media_clips": 2, "num_generations": 2, "per_device_train_batch_size": 2,
        "max_completion_length": 8, "logging_steps": 1, "max_steps": 2, "report_to": "wandb",
        "log_completions": True,
    }  # fmt: skip
    logged: set[str] = set()
    begun: list[dict] = []
    log, init = wandb.Run.log, wandb.init

    def noted(run, data, *args, **kwargs):
        logged.update(data)
        return log(run, data, *args, **kwargs)

    def began(**kwargs):
        run = init(**kwargs)
        begun.append(kwargs | {"dir": run.dir})
        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_RUN_ID", "WANDB_RESUME"):
            patch.setenv(name, "x")  # noted, so that what the stage sets is undone
            patch.delenv(name)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DIR", str(root))
        patch.setenv("WANDB_SILENT", "true")
        for name, secret in PLANTED.items():
            patch.setenv(name, secret)
        passwords = tmp_path_factory.mktemp("netrc") / "netrc"
        passwords.write_text("machine host login me password planted-in-netrc\n")
        patch.setenv("NETRC", str(passwords))
        patch.setattr(wandb.Run, "log", noted)
        patch.setattr(wandb, "init", began)
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        grpo.main(*grpo.parse(words))
        assert wandb.run is None, "the stage ends its run"
    return SimpleNamespace(folder=root / "tiny" / "grpo-viou-s3", logged=logged, begun=begun)
