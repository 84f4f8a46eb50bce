"""The documents tell the truth: links, targets, paths and examples."""

import doctest
import json
import re
from pathlib import Path

import pytest

from data_prep.validation import validate_record

PAGES = [
    path
    for folder in ("docs", "launch", "data_prep", "rewards", "recipe")
    for path in sorted(Path(folder).rglob("*.md"))
] + [Path("README.md"), Path("CHANGELOG.md")]
README = Path("README.md").read_text()


def test_there_are_pages():
    assert Path("docs/definitions.md") in PAGES
    assert Path("launch/README.md") in PAGES


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?://|#|mailto:", target):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text()], ids=str)
def test_examples_run(page):
    failed, tried = doctest.testfile(str(page.resolve()), module_relative=False, encoding="utf-8")
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_targets_exist(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", Path("Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`|&& )make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


def test_the_tree_names_every_module_and_nothing_else():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL).group(1)
    folder, named = "", set()
    for line in tree.splitlines():
        inside = line.startswith("  ")
        files = re.match(r" *(\S+(?:, \S+)*)  ", line).group(1).split(", ")
        words = files + [f"{word}" for word in re.findall(r"[a-z_]+\.py", line.split("  ", 2)[-1])]
        if not inside:
            folder = files[0]
            assert Path(folder).exists(), folder
        for word in words if inside else []:
            path = Path(folder) / word
            assert path.exists(), path
            named.add(path)
    for folder in ("rewards/stvg_rewards", "data_prep", "recipe"):
        modules = {path for path in Path(folder).glob("*.py") if not path.name.startswith("_")}
        modules -= {Path("rewards/stvg_rewards/version.py")}
        assert modules <= named, sorted(map(str, modules - named))


def test_the_readmes_record_is_valid():
    text = re.search(r"```json\n(.*?)\n```", README, re.DOTALL).group(1)
    validate_record(json.loads(text))


def test_the_readmes_reward_example_is_valid_python():
    (text,) = re.findall(r"```python\n(from stvg_rewards.*?)```", README, re.DOTALL)
    compile(text, "README.md", "exec")
    assert len(text.strip().splitlines()) <= 6
