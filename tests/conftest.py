"""What the tests share: no network, one thread, and small data and checkpoints that are made once in a test run."""

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

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported beside a CPU build of torch)
from tests.helpers.shared import shared_folder

# The same examples in every run, however busy the machine is.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
# A process that is killed loses nothing that it wrote, and no test cuts the power: the disk is not waited for.
os.fsync = lambda descriptor: None

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

    def make(folder):
        from data_prep.__main__ import main

        folder.mkdir()
        (folder / "data.yaml").write_text(DATA_YAML)
        assert main(["synthetic", "--config", str(folder / "data.yaml"), "--out", str(folder / "data")]) == 0

    return shared_folder(tmp_path_factory, "tiny-data", make) / "data"


@pytest.fixture(scope="session")
def tiny_base(tiny_data, tmp_path_factory) -> Path:
    """Folder of a tiny untrained checkpoint whose tokenizer knows the texts of `tiny_data`."""

    def make(folder):
        from recipe.tiny import TinyArguments, main

        tracks = [str(tiny_data / "general.jsonl"), str(tiny_data / "ground.jsonl")]
        main(TinyArguments(tracks=tracks, out=str(folder)))

    return shared_folder(tmp_path_factory, "tiny-base", make)


class FamilyCheckpoints:
    """A small untrained checkpoint of each family, with its published chat template: `family_checkpoints / "glm4v"`.

    Each is made when a test first asks for it.
    """

    def __init__(self, tiny_data, tmp_path_factory):
        self.tracks = [str(tiny_data / "general.jsonl"), str(tiny_data / "ground.jsonl")]
        self.tmp_path_factory = tmp_path_factory

    def __truediv__(self, name: str) -> Path:
        from tests.helpers.family_models import build

        return shared_folder(self.tmp_path_factory, name, lambda folder: build(name, self.tracks, folder))


@pytest.fixture(scope="session")
def family_checkpoints(tiny_data, tmp_path_factory) -> FamilyCheckpoints:
    """Small untrained checkpoints of the families, by their name in the families' table."""
    return FamilyCheckpoints(tiny_data, tmp_path_factory)


@pytest.fixture(scope="session")
def grpo_run(tiny_data, tiny_base, tmp_path_factory) -> SimpleNamespace:
    """Two GRPO steps with held-out clips, to an offline W&B run: `folder`, `logged` names, `begun` with what."""

    def make(folder):
        folder.mkdir()
        logged, begun = _run_grpo(tiny_data, tiny_base, folder / "run")
        (folder / "noted.json").write_text(json.dumps({"logged": sorted(logged), "begun": begun}, default=str))

    folder = shared_folder(tmp_path_factory, "grpo", make)
    noted = json.loads((folder / "noted.json").read_text())
    grpo = folder / "run" / "tiny" / "grpo-viou-s3"
    return SimpleNamespace(folder=grpo, logged=set(noted["logged"]), begun=noted["begun"])


def _run_grpo(tiny_data: Path, tiny_base: Path, root: Path) -> tuple[set[str], list[dict]]:
    import wandb

    from recipe import grpo
    from tests.helpers.secrets import PLANTED
    from tests.helpers.tiny_parts import COMMON

    root.mkdir()
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
        passwords = root.with_name("netrc")
        passwords.write_text("machine host login me password planted-in-netrc\n")
        patch.setenv("NETRC", str(passwords))
        patch.setattr(wandb.Run, "log", noted)
        patch.setattr(wandb, "init", began)
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        grpo.main(*grpo.parse(words))
        assert wandb.run is None, "the stage ends its run"
    return logged, begun
