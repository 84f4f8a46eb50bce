"""The documents tell the truth: links, targets, paths and examples."""

import configparser
import doctest
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.validation import validate_record
from recipe.checks import plan

PAGES = [
    path
    for folder in ("docs", "launch", "data_prep", "rewards", "recipe")
    for path in sorted(Path(folder).rglob("*.md"))
] + [Path("README.md"), Path("CHANGELOG.md")]
README = Path("README.md").read_text()
MAKEFILES = "".join(Path(path).read_text() for path in ("Makefile", "scripts/studies.mk", "scripts/app.mk"))
CONFIGS = sorted(Path("recipe/configs").rglob("*.yaml"))


def test_there_are_pages():
    assert Path("docs/definitions.md") in PAGES
    assert Path("launch/README.md") in PAGES


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?://|#|mailto:", target):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_every_page_is_reached_from_the_readme():
    reached, left = set(), [Path("README.md")]
    while left:
        page = left.pop()
        reached.add(page)
        for target in re.findall(r"\]\(([^)\s#]+\.md)", page.read_text()):
            if not target.startswith("http"):
                other = Path(os.path.normpath(page.parent / target))
                left += [other] if other not in reached else []
    pages = {page for page in PAGES if page.name not in ("CHANGELOG.md", "SKILL.md")}
    assert pages <= reached, sorted(map(str, pages - reached))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_that_a_page_names_exist(page):
    """Whole paths from the root, in prose or in commands; a folder of the reader's own is called `mine`."""
    rooms = "recipe|data_prep|rewards|launch|bench|fuzz|tests"
    named = re.findall(rf"(?:(?<=[`\s])|^)((?:{rooms})/[\w./-]+)(?=[`\s])", page.read_text(), re.MULTILINE)
    missing = [path for path in named if not Path(path).exists() and "mine" not in Path(path).parts]
    assert not missing


def test_the_readme_is_short_and_begins_with_result_and_commands():
    lines = README.splitlines()
    assert len(lines) < 150
    first_screen = "\n".join(lines[:20])
    for word in ("m_vIoU", "make grpo", "make test", "docs/images/tiny-sft-vs-rl.png"):
        assert word in first_screen


def test_the_first_screen_has_the_tables_numbers():
    sft, rl = re.search(r"\| sampled \| m_vIoU \| ([\d.]+) \| ([\d.]+) \|", README).groups()
    assert f"from {sft} to {rl}" in " ".join(README.splitlines()[:20])


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text()], ids=str)
def test_examples_run(page):
    failed, tried = doctest.testfile(str(page.resolve()), module_relative=False, encoding="utf-8")
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_targets_exist(page):
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", MAKEFILES, re.MULTILINE))
    named = re.findall(r"(?:^|`|&& )make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


def shell_lines(page):
    """The command lines of a page's bash blocks, or of the comment that opens a YAML file."""
    text = page.read_text()
    if page.suffix == ".md":
        text = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    else:
        text = "\n".join(re.findall(r"^#   (.*)", text, re.MULTILINE))
    return [line for line in text.replace("\\\n", " ").splitlines() if line]


def module_commands():
    """(page, module, arguments) of every documented `python -m recipe...`."""
    for page in PAGES + CONFIGS:
        for line in shell_lines(page):
            for module, words in re.findall(r"python -m (recipe[.\w]+)(.*)", line):
                yield pytest.param(module, shlex.split(words, comments=True), id=f"{page}: {module}")


@pytest.mark.parametrize(("module", "words"), list(module_commands()))
def test_documented_commands_parse(module, words):
    if any("my/" in word for word in words):
        pytest.skip("a YAML of the reader's own; tests/test_launch.py tries those with the tiny recipe's")
    words = ["." if word == "videos" else word for word in words]  # a folder that is there
    assert importlib.import_module(module).parse(words)


def make_commands():
    """The words after `make` of every documented `make TARGET ... ARGS="..."`, and of those in YAML files."""
    for page in PAGES + CONFIGS:
        for line in shell_lines(page):
            if re.match(r"make [\w-]+ .*ARGS=", line):
                yield pytest.param(shlex.split(line, comments=True)[1:], id=f"{page}: {line}")


@pytest.mark.parametrize("words", list(make_commands()))
def test_documented_settings_of_targets_parse(words, monkeypatch):
    """What make would run is read by the parsers of its commands, as the plan does."""
    target, *settings = words
    if target in ("ground", "dashboard", "app"):
        own = [word for setting in settings if setting.startswith("ARGS=") for word in shlex.split(setting[5:])]
        before = {"ground": ["a.mp4", "a query", "--model", "m"], "app": ["--model", "m"]}.get(target, [])
        assert importlib.import_module(f"recipe.{target}").parse([*before, *own])
        return
    monkeypatch.setenv("RUN", "runs/x")
    said = subprocess.run(["make", "-n", *words], capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if "-m recipe.checks.plan " in line]
    (steps,) = plan.parse(shlex.split(line)[3:])
    assert steps


def test_commands_were_found():
    assert len(list(module_commands())) >= 8
    assert len(list(make_commands())) >= 6


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_targets_named_by_yaml_files_exist(path):
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", MAKEFILES, re.MULTILINE))
    assert {target for line in shell_lines(path) for target in re.findall(r"make ([a-z0-9-]+)", line)} <= targets


@pytest.mark.slow
def test_the_pages_commands_train_on_other_data(tiny_data, tiny_base, tmp_path):
    """What docs/data.md says to do with one's own files, with the synthetic ones under those names."""
    section = Path("docs/data.md").read_text().split("## Training and scoring")[1].split("\n## ")[0]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL).group(1)
    shutil.copy(tiny_data / "ground.jsonl", tmp_path / "train.jsonl")
    shutil.copy(tiny_data / "test.jsonl", tmp_path / "val.jsonl")
    places = {
        "train.jsonl": tmp_path / "train.jsonl",
        "val.jsonl": tmp_path / "val.jsonl",
        "videos": tiny_data / "videos",
        "runs/tiny/cpt": tiny_base,
    }
    for line in block.replace("\\\n", " ").splitlines():
        words = [
            str(places.get(word, word)).replace("runs/mine", str(tmp_path / "mine")) for word in shlex.split(line)
        ]
        words += ["--max_new_tokens", "8"] if "recipe.evaluate" in words else []
        words += ["--max_steps", "1"] if {"recipe.sft", "recipe.grpo"} & {*words} else []
        words += ["--per_device_train_batch_size", "16"] if "recipe.grpo" in words else []
        done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "mine/metrics.json").read_text())["n"] == 5


def test_every_library_has_its_licence_named():
    config = configparser.ConfigParser()
    config.read("setup.cfg")
    lines = "\n".join(config["options.extras_require"].values()).split()
    page = Path("docs/licences.md").read_text().split("## Libraries")[1]
    missing = {re.split(r"[=\[]", line)[0] for line in lines} - set(re.findall(r"[\w-]+", page))
    assert not missing


def tracked_files():
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("no git checkout")
    return [path for path in map(Path, done.stdout.split("\0")) if path.is_file()]


def test_the_readme_names_every_folder_at_the_top():
    top = {path.parts[0] for path in tracked_files() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    places = README.split("## Where things are")[1].split("\n## ")[0]
    assert top == set(re.findall(r"(?<=`)[a-z_]+(?=/`)", places)) | {"docs"}


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(r"(?<![\w.])/(?:wo" + r"rk|home|root|mnt)/|\.\./sha" + "red")
    for path in tracked_files():
        if path.suffix not in (".png", ".mp4"):
            found = place.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path}: {found.group()}"


PACKAGES = sorted(
    path.parent
    for folder in ("rewards", "data_prep", "recipe")
    for path in Path(folder).rglob("__init__.py")
    if path.parent.name not in ("prompts", "adapters")
)


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_a_packages_readme_names_each_file_and_nothing_else(package):
    named = set(re.findall(r"^\| `([a-z0-9_]+\.py)` \| \S", (package / "README.md").read_text(), re.MULTILINE))
    assert named == {path.name for path in package.glob("*.py")} - {"__init__.py", "version.py"}


@pytest.mark.parametrize("package", ["recipe", "data_prep"])
def test_a_packages_readme_names_each_of_its_packages(package):
    named = set(re.findall(r"\]\(([a-z_]+)/README.md\)", Path(package, "README.md").read_text()))
    assert named == {path.name for path in PACKAGES if path.parent == Path(package)}


def test_the_record_of_the_page_is_valid():
    text = re.search(r"```json\n(.*?)\n```", Path("docs/data.md").read_text(), re.DOTALL).group(1)
    validate_record(json.loads(text))


def test_the_readmes_reward_example_is_valid_python():
    (text,) = re.findall(r"```python\n(from stvg_rewards.*?)```", README, re.DOTALL)
    compile(text, "README.md", "exec")
    assert len(text.strip().splitlines()) <= 6
