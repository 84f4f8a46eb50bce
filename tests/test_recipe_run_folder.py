"""`$RUN` in YAML files: which folder it is, where it may stand, and what an unknown name says."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recipe.cli import Parser, read_settings
from recipe.inputs.run_folder import fill, recipe_of, recipes, run_folder

TINY, OVERLAY = "recipe/configs/tiny/sft.yaml", "recipe/configs/peft/lora.yaml"
SHARED = "recipe/configs/studies/table1.yaml"


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ([], None),
        ([TINY], "runs/tiny"),
        ([OVERLAY], None),
        ([SHARED], None),
        ([OVERLAY, SHARED, TINY], "runs/tiny"),
        (["recipe/configs/full/sft.yaml"], None),
        (["recipe/configs/full/sft.yaml", "recipe/configs/models/qwen2.5-vl-7b.yaml"], "runs/qwen2.5-vl-7b"),
        (["recipe/configs/full/sft.yaml", "my/overlay.yaml"], "runs/my"),
        (["my/sft.yaml"], "runs/my"),
        (["my/sft.yaml", TINY], "runs/my"),  # the first one; later files are laid over it
    ],
)
def test_the_folder_is_called_after_the_recipe(files, folder):
    assert run_folder(files) == folder


def test_the_environment_says_it_otherwise(monkeypatch):
    monkeypatch.setenv("RUN", "/scratch/a")
    assert run_folder([TINY]) == run_folder([]) == "/scratch/a"
    assert recipe_of([TINY]) == Path("recipe/configs/tiny")
    monkeypatch.setenv("RUN", "")
    assert run_folder([TINY]) == "runs/tiny"


def test_the_recipes():
    named = {"glm-4.1v-9b", "glm-4.1v-9b-base", "glm-4.6v-flash", "qwen2.5-vl-7b", "qwen3-vl-2b", "qwen3-vl-4b"}
    assert recipes() == sorted(named | {"qwen3-vl-8b", "tiny"})


def test_strings_in_lists_and_mappings_are_filled():
    names = {"RUN": "r"}
    assert fill({"a": ["$RUN/x", 1, None], "b": {"c": "y$RUN"}}, names, where="") == {
        "a": ["r/x", 1, None],
        "b": {"c": "yr"},
    }
    assert fill("costs $5 or $", names, where="") == "costs $5 or $"
    assert fill("$RUN-$SEED", names, where="", later=("SEED",)) == "r-$SEED"


@dataclass
class Settings:
    tracks: list[str] = field(default_factory=list)
    out: str = "$RUN/out"
    more: dict = field(default_factory=dict)


def parsed(folder, text, *words):
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "x.yaml").write_text(text)
    return Parser((Settings,)).parse_args_and_config(["--config", str(folder / "mine" / "x.yaml"), *words])[0]


def test_the_parser_fills_it_in(tmp_path, monkeypatch):
    found = parsed(tmp_path, "tracks: [$RUN/a.jsonl, b]\nmore: {deep: [$RUN]}")
    assert found == Settings(["runs/mine/a.jsonl", "b"], "runs/mine/out", {"deep": ["runs/mine"]})
    assert parsed(tmp_path, "out: $RUN/y", "--out", "z").out == "z"
    monkeypatch.setenv("RUN", "there")
    assert parsed(tmp_path, "tracks: [$RUN/a]").tracks == ["there/a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out: $RUNN/x", r"x\.yaml: out: \$RUNN is unknown; did you mean '\$RUN'\?"),
        ("tracks: [$HOME/a]", r"x\.yaml: tracks: \$HOME is unknown; known: \$RUN"),
        ("out: ${RUN}/x", r"x\.yaml: out: \$\{RUN\} is unknown; did you mean '\$RUN'\?"),
        ("out: $SEED", r"\$SEED is unknown"),  # GRPO's alone
    ],
)
def test_another_name_is_an_error_with_a_suggestion(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        parsed(tmp_path, text)
    assert "\n" not in str(error.value)


def test_without_a_recipe_somebody_has_to_say_it(monkeypatch):
    with pytest.raises(ValueError, match="--out is missing: name it, or set the environment variable RUN"):
        Parser((Settings,)).parse_args_and_config([])
    assert Parser((Settings,)).parse_args_and_config(["--out", "x"])[0].out == "x"
    with pytest.raises(ValueError, match=r"figure4\.yaml: out: nothing says what \$RUN is, .*set the environment"):
        read_settings(Path("recipe/configs/studies/figure4.yaml"), {"out", "models", "cases"})
    monkeypatch.setenv("RUN", "runs/a")
    found = read_settings(Path("recipe/configs/studies/figure4.yaml"), {"out", "models", "cases"})
    assert found["models"]["SFT"] == "runs/a/sft"
