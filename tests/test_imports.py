"""Imports go one way: stvg_rewards <- data_prep <- recipe, and from room to room; the leaf needs nothing else."""

import ast
import subprocess
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


# Lowest first: a room imports those before it. `top` is the record and its clock, or the recipe's commands.
ROOMS = {
    "data_prep": [
        "top", "leaks", "video", "drawing", "convert", "sources", "annotations", "mixing", "traces", "show", "chain",
    ],  # fmt: skip
    "recipe": [
        "variants", "inputs", "rollouts", "inference", "evaluation", "checks", "drawing", "dashboards", "asking",
        "training", "top", "studies",
    ],
}  # fmt: skip
# Two files at the top of recipe that are no commands' own: how commands start, and the table of reward variants.
BELOW_ALL = {"recipe.cli", "recipe.rewards"}
# What starts others: by name and words, of whatever room.
STARTS_OTHERS = {"data_prep.__main__"}


def module_name(path):
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def room_of(module, names):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in names else "top"


def imported_modules(path, known):
    """Full names of the modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in known else str(node.module)


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_one_way(package):
    order = ROOMS[package]
    paths = {module_name(path): path for path in modules(package)}
    folders = {path.parent.name for path in Path(package).glob("*/__init__.py")}
    assert folders == set(order) - {"top"}, "a folder without a place in the order"
    wrong = []
    for module, path in paths.items():
        if module in STARTS_OTHERS:
            continue
        for other in imported_modules(path, paths):
            if other not in paths or other in BELOW_ALL or other == package:
                continue
            here, there = room_of(module, order), room_of(other, order)
            if module in BELOW_ALL and here == "top":
                here = "inputs"  # they build on variants and the run's folder
            if order.index(there) > order.index(here):
                wrong.append(f"{module} -> {other}: {there} stands above {here}")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_in_a_circle():
    """Imports at the top of files; those within functions wait until they are called."""
    paths = {module_name(path): path for package in ROOMS for path in modules(package)}
    arrows = {}
    for module, path in paths.items():
        found = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = (f"{node.module}.{name.name}" for name in node.names)
                found |= {name if name in paths else str(node.module) for name in names}
        arrows[module] = {other for other in found if other in paths and other != module}
    done = set()

    def visit(module, chain):
        assert module not in chain, " -> ".join([*chain[chain.index(module) :], module])
        if module not in done:
            for other in sorted(arrows[module]):
                visit(other, [*chain, module])
            done.add(module)

    for module in sorted(arrows):
        visit(module, [])


def test_the_commands_are_the_listing_of_recipe():
    commands = {
        "cpt", "sft", "grpo", "rewards", "evaluate", "ground", "preflight", "compare", "dashboard", "serve", "tool",
        "tiny", "cli", "app",
    }  # fmt: skip
    assert {path.stem for path in Path("recipe").glob("*.py")} == {*commands, "__init__"}


def test_studies_are_imported_by_nothing_else():
    for path in [*modules("recipe"), *modules("data_prep"), *modules("rewards")]:
        if "studies" not in path.parts:
            named = {other for other in imported_modules(path, set()) if other.startswith("recipe.studies")}
            assert not named, path


def test_old_module_names_stand_for_files_that_are_there():
    from recipe.inputs.moved import MOVED

    for old, new in MOVED.items():
        assert Path("recipe", *new.split(".")).with_suffix(".py").is_file(), new
        assert not Path("recipe", f"{old}.py").exists()


@pytest.mark.slow  # in a process of its own: what was imported before is not looked for
def test_old_module_names_still_run_and_name_the_new():
    words = [sys.executable, "-m", "recipe.table1", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "recipe.table1 is now recipe.studies.table1" in done.stderr
    assert "--config" in done.stdout


@pytest.mark.slow
def test_training_imports_no_video_writer_and_no_signal_processing():
    """In a process of its own: what other tests have imported says nothing."""
    unwanted = {"data_prep.drawing.overlay", "scipy.signal"}
    code = f"import sys, recipe.cpt, recipe.sft, recipe.grpo; print(sorted({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
