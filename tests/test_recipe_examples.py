"""The examples in the docstrings of recipe/ say what comes out."""

import doctest
import importlib
from pathlib import Path

import pytest

FILES = [path for path in sorted(Path("recipe").rglob("*.py")) if ">>> " in path.read_text()]


def test_examples_were_found():
    assert {path.name for path in FILES} >= {"cli.py", "scores.py", "windows.py", "torchvision_ops.py"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_examples(path):
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried
