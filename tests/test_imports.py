"""Imports go one way: stvg_rewards <- data_prep <- recipe; the leaf needs the standard library alone."""

import ast
import sys
from pathlib import Path

import pytest


def imported(path):
    """Top-level packages that a file imports, by absolute imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def modules(folder):
    found = sorted(Path(folder).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("rewards/stvg_rewards", {"data_prep", "recipe", "tests"}),
        ("data_prep", {"recipe", "tests"}),
        ("recipe", {"tests"}),
    ],
)
def test_arrows(folder, forbidden):
    for path in modules(folder):
        assert not forbidden & set(imported(path)), path


def test_the_leaf_imports_the_standard_library_alone():
    for path in modules("rewards/stvg_rewards"):
        assert set(imported(path)) <= set(sys.stdlib_module_names) | {"stvg_rewards"}, path


def test_launch_holds_no_python():
    assert not list(Path("launch").rglob("*.py"))
