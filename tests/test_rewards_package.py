"""The package as a whole: examples run, it imports the standard library only, and fast."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import stvg_rewards

FOLDER = Path(stvg_rewards.__file__).parent
MODULES = ["stvg_rewards", *(module.name for module in pkgutil.walk_packages([str(FOLDER)], "stvg_rewards."))]


def test_modules_were_found():
    assert {"stvg_rewards.parsing", "stvg_rewards.adapters.verl"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0, name


@pytest.mark.parametrize(
    "name",
    [
        *("Track", "box_iou", "temporal_iou", "mviou", "viou", "score_answer", "parse_answer", "format_answer"),
        *("summarize", *(name for name in stvg_rewards.__all__ if name.endswith("_reward"))),
        *("parse_intervals", "interval_iou", "parse_box", "parse_point", "tubes_score"),
    ],
)
def test_every_public_function_has_an_example(name):
    assert ">>>" in getattr(stvg_rewards, name).__doc__


def test_all_names_are_there():
    assert sorted(stvg_rewards.__all__) == sorted(set(stvg_rewards.__all__))
    for name in stvg_rewards.__all__:
        assert getattr(stvg_rewards, name) is not None


def test_only_the_standard_library_is_imported():
    files = list(FOLDER.rglob("*.py"))
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_imports_without_anything_installed():
    """In a bare interpreter, without site-packages and without environment."""
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER.parent)!r}); import stvg_rewards; print(stvg_rewards.__version__)"
    )
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == (stvg_rewards.__version__, "")


def test_is_typed():
    assert (FOLDER / "py.typed").exists()
