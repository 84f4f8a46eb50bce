"""What the tests share: no network, one thread, and small data with a tiny checkpoint that are made once a session."""

import os

# Before torch, transformers and wandb are imported anywhere.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from pathlib import Path

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
