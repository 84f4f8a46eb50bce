"""Rewards from anywhere: the package's own, a module's, a file's; what cannot be trained with is one line."""

import json
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import stvg_rewards
from recipe import grpo
from recipe.dashboards.runs import read_run
from recipe.inputs.arguments import GRPOArguments
from recipe.rewards import make_variant, reward_functions
from recipe.variants.code import code_digest, leaf_files, meaning
from recipe.variants.imports import imported_files
from recipe.variants.loading import load
from stvg_rewards import mviou_reward, scaled_tiou_reward, tiou_reward
from tests.helpers import forked
from tests.helpers.tiny_parts import COMMON

OWN = """
from stvg_rewards import tiou_reward

def my_reward(completions, seconds, **kwargs):
    'Pay for a short answer.'
    return [1.0 / (1 + len(text)) for text in completions]

class Scaled:
    def __init__(self, factor=2.0):
        self.factor = factor
    def __call__(self, completions, **kwargs):
        return [self.factor] * len(completions)

third = Scaled(3.0)
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own" / "mine.py"
    path.parent.mkdir()
    path.write_text(OWN)
    return path


def test_dotted_paths_and_files(own):
    assert reward_functions(["tiou", "stvg_rewards.scaled_tiou_reward"]) == [tiou_reward, scaled_tiou_reward]
    (function,) = reward_functions(f"{own}:my_reward")
    assert function(completions=["abc"], seconds=[3]) == [0.25]
    assert reward_functions(f"{own}:my_reward") == [function], "the file is loaded once"
    assert str(own.parent) not in sys.path


def test_a_class_and_an_object(own):
    made, third = reward_functions([f"{own}:Scaled", f"{own}:third"])
    assert (made(completions=["a"]), third(completions=["a"])) == ([2.0], [3.0])
    variant = make_variant([f"{own}:Scaled", f"{own}:third"], [1.0, 2.0])
    assert variant.name == "Scaled+third-1-2"


def test_a_users_function_pickles_and_forks(own):
    (function,) = reward_functions(f"{own}:my_reward")
    assert pickle.loads(pickle.dumps(function)) is function
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(function, kwds={"completions": ["abc"], "seconds": [3]}) == [0.25]


def test_files_of_one_name_do_not_meet(own, tmp_path):
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(OWN.replace("1.0 /", "2.0 /"))
    first, second = (load(f"{path}:my_reward") for path in (own, other))
    assert (first(["abc"], [3]), second(["abc"], [3])) == ([0.25], [0.5])


def test_a_file_finds_what_lies_beside_it(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("VALUE = 7.0\n")
    (tmp_path / "uses.py").write_text(
        "from helper_of_mine import VALUE\ndef seven(completions, **kwargs):\n    return [VALUE]\n"
    )
    assert load(f"{tmp_path}/uses.py:seven")(completions=["a"]) == [7.0]
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("name", [name for name in stvg_rewards.__all__ if name.endswith("_reward")])
def test_every_reward_of_the_package_trains_or_says_what_it_lacks(name):
    word = f"stvg_rewards.{name}"
    if "box_reward" in name or name == "point_reward":
        with pytest.raises(ValueError, match="it needs 'box', which GRPO's rows do not have; they have id, kind"):
            reward_functions(word)
    else:
        assert reward_functions(word) == [getattr(stvg_rewards, name)]


FAULTS = """
import functools
number = 3
late = lambda completions, **kwargs: [0.0]
def plain(completions): return []
def box(completions, box, **kwargs): return []
def tiou_reward(completions, **kwargs): return []
def needs(completions, x=1, **kwargs): return []
half = functools.partial(needs, x=2)
class Needs:
    def __init__(self, x): pass
    def __call__(self, completions, **kwargs): return []
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("vioux", r"reward 'vioux' is unknown; choose one of tiou_mviou, .*; did you mean 'viou'\?"),
        ("scaled_tiou", r"'scaled_tiou' is unknown; .*; did you mean 'stvg_rewards.scaled_tiou_reward'\?"),
        ("{file}", r"is unknown; choose one of .* or path/to/file.py:function"),
        ("", "reward '' is unknown"),
        ([], "reward names nothing"),
        (["tiou_mviou", "tiou"], "two functions called tiou_reward, which would be logged as one"),
        (["tiou", "{file}:tiou_reward"], "two functions called tiou_reward"),
        ("no_such_module.f", "there is no module 'no_such_module' on Python's path"),
        ("stvg_rewards.no_such.f", r"there is no module 'stvg_rewards.no_such' on Python's path"),
        ("stvg_rewards.no_such", "stvg_rewards has no 'no_such'; it has"),
        (".f", "loading it failed with ValueError"),
        ("{file}:no_such", r"faults.py has no 'no_such'; it has late, plain, box"),
        ("nowhere/file.py:f", "there is no file nowhere/file.py"),
        ("{file}:number", "it is of type int, expected a function"),
        ("{file}:late", "it is called '<lambda>', expected letters, digits and _: write it with def"),
        ("{file}:plain", r"it takes no \*\*kwargs"),
        ("{file}:box", "it needs 'box', which GRPO's rows do not have; they have id, kind, images, track"),
        ("{file}:half", "a functools.partial is logged under the name of the function in it"),
        ("{file}:Needs", "the class cannot be made without arguments"),
        ("{broken}:f", "loading it failed with SyntaxError"),
        ("{importing}:f", "loading it failed with ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_faults_are_one_line(tmp_path, words, message):
    paths = {"file": "faults.py", "broken": "broken.py", "importing": "importing.py"}
    (tmp_path / "faults.py").write_text(FAULTS)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "importing.py").write_text("import no_such_module\n")
    filled = {name: str(tmp_path / path) for name, path in paths.items()}
    words = words.format(**filled) if isinstance(words, str) else [word.format(**filled) for word in words]
    with pytest.raises(ValueError, match=message) as error:
        GRPOArguments(reward=words)
    assert "\n" not in str(error.value)


def test_a_users_name_that_is_taken_is_told_apart(tmp_path):
    path = tmp_path / "taken.py"
    path.write_text("def tiou(completions, **kwargs):\n    return [0.0]\n")
    variant = make_variant(["tiou", f"{path}:tiou"])
    assert variant.name.startswith("tiou+tiou~")
    assert make_variant(f"{path}:tiou").name != "tiou"


# --- the code of a reward is part of what it is ---------------------------------------------------------------------


def digest_of(tmp_path, name, source):
    path = tmp_path / name / "mine.py"
    path.parent.mkdir()
    path.write_text(source)
    return make_variant(f"{path}:my_reward").code_digest


def test_another_operator_is_another_code_and_another_docstring_is_not(tmp_path):
    same = OWN.replace("'Pay for a short answer.'", "'''Say it\n    at length.'''  # and comment")
    other = OWN.replace("1 + len(text)", "1 - len(text)")
    first, documented, changed = (
        digest_of(tmp_path, name, source) for name, source in (("a", OWN), ("b", same), ("c", other))
    )
    assert first == documented
    assert first != changed


IMPORTING = """
import json
import shaping
from more.curves import bend
from more import unused

def my_reward(completions, **kwargs):
    return [bend(shaping.short(text)) for text in completions]
"""
BESIDE = {
    "shaping.py": "from more import curves\n\ndef short(text):\n    return len(text) < 9\n",
    "more/__init__.py": "",
    "more/curves.py": "from . import unused\nfrom .deep import curve\n\ndef bend(x):\n    return 2.0 * x\n",
    "more/deep.py": "curve = 2\n",
    "more/unused.py": "",
    "neighbour.py": "x = 1\n",
}


def test_what_a_users_file_imports_from_its_folder_counts(tmp_path):
    for name, source in {"mine.py": IMPORTING, **BESIDE}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    names = [str(name) for name in imported_files(tmp_path / "mine.py")]
    assert names == ["more/__init__.py", "more/curves.py", "more/deep.py", "more/unused.py", "shaping.py"]

    (function,) = make_variant(f"{tmp_path / 'mine.py'}:my_reward").functions
    before = code_digest([function])
    (tmp_path / "shaping.py").write_text(BESIDE["shaping.py"] + "# a comment\n")
    (tmp_path / "neighbour.py").write_text("x = 2\n")
    assert code_digest([function]) == before, "comments, and files that are not imported"
    for name, old, new in (("shaping.py", "< 9", "< 8"), ("more/deep.py", "curve = 2", "curve = 3")):
        (tmp_path / name).write_text(BESIDE[name].replace(old, new))
        assert code_digest([function]) != before, name
        (tmp_path / name).write_text(BESIDE[name])
        assert code_digest([function]) == before
    (tmp_path / "shaping.py").write_text("def short(text:\n")
    assert code_digest([function]) != before, "a file that does not parse is its bytes"


def test_the_packages_code_counts_but_for_its_adapters(tmp_path):
    """In a copy of the checkout: what a variant of the package's own functions hashes to, in a process of its own."""
    import shutil

    copy = tmp_path / "copy"
    for name in ("rewards", "recipe", "data_prep"):
        shutil.copytree(name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    code = "from recipe.rewards import make_variant; print(make_variant('tiou_mviou').code_digest)"

    def digest():
        path = {"PYTHONPATH": f"{copy / 'rewards'}:{copy}", "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""}
        done = subprocess.run([sys.executable, "-c", code], cwd=copy, env=path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def edit(name, old, new):
        path = copy / "rewards" / "stvg_rewards" / name
        source = path.read_text()
        assert source.count(old) >= 1, (name, old)
        path.write_text(source.replace(old, new, 1))

    before = digest()
    edit("rewards.py", "On its own it is highest for one confident second", "Alone it pays for one confident second")
    edit("version.py", '__version__ = "', '__version__ = "9')
    edit("adapters/verl.py", '"""', '"""Of verl. ')
    (copy / "rewards/stvg_rewards/adapters/more.py").write_text("x = 1\n")
    assert digest() == before
    edit(
        "rewards.py",
        "row.temporal else row.scores.mvIoU for row in scored]",
        "row.temporal else 1 - row.scores.mvIoU for row in scored]",
    )
    assert digest() != before


def test_the_digest_covers_the_files_that_rewards_are_made_of():
    names = {path.name for path in leaf_files()}
    assert {"rewards.py", "overlap.py", "parsing.py", "columns.py", "soft.py"} <= names
    assert code_digest([tiou_reward]) == code_digest([mviou_reward]), "all of the package counts for each"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1", "x  =  (1)  # one", True),
        ('def f():\n    "Say."\n    return 1', "def f():\n    return 1", True),
        ('class A:\n    """Say."""\n    x = 1', "class A:\n    x = 1", True),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = True", False),
        ("x = 'a'", 'x = "a"', True),
        ("x = 'a'", "x = b'a'", False),
        ("def f(): return None", "def f(): return", False),
        ("a, b = b, a", "a, b = a, b", False),
        ("f(a, *b)", "f(*a, b)", False),
        ("x if y else z", "y if x else z", False),
    ],
)
def test_what_a_source_means(one, other, same):
    assert (meaning(one) == meaning(other)) is same


# --- settings -----------------------------------------------------------------------------------------------------

GRPO = ["--config", "recipe/configs/tiny/grpo.yaml"]


def test_one_reward_or_several_from_yaml_and_from_the_command_line(tmp_path):
    for text, words in (
        ("viou", ["viou"]),
        ("[tiou, stvg_rewards.viou_reward]", ["tiou", "stvg_rewards.viou_reward"]),
    ):
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(f"reward: {text}\n")
        assert grpo.parse([*GRPO, "--config", str(overlay)])[0].reward == words
    script, _, _ = grpo.parse([*GRPO, "--reward", "mviou", "stvg_rewards.scaled_tiou_reward", "--seed", "3"])
    assert script.reward == ["mviou", "stvg_rewards.scaled_tiou_reward"]


def test_the_folder_is_named_after_variant_and_seed():
    words = [*GRPO, "--output_dir", "runs/x/grpo-$VARIANT-s$SEED", "--seed", "3"]
    folder = grpo.parse([*words, "--reward_weights", "1.0", "0.5", "--format_weight", "0.1"])[1].output_dir
    assert folder == "runs/x/grpo-tiou_mviou-1-0.5+format-0.1-s3"
    assert grpo.parse(words)[1].output_dir == "runs/x/grpo-tiou_mviou-s3"
    assert grpo.parse([*words, "--run_name", "try $VARIANT"])[1].run_name == "try tiou_mviou"
    assert grpo.parse([*words, "--reward_weights", "1", "1"])[1].output_dir == "runs/x/grpo-tiou_mviou-s3"


def test_a_folder_of_ones_own_is_kept():
    assert grpo.parse([*GRPO, "--output_dir", "here"])[1].output_dir == "here"


def test_an_edited_reward_is_another_run(tmp_path, tiny_data, tiny_base):
    """The stage stops and says so; nothing is trained here."""

    path = tmp_path / "mine.py"
    code = textwrap.dedent(
        """
        import sys
        from recipe import grpo
        from recipe.training.starting import begin
        args = grpo.parse(sys.argv[1:])
        variant = grpo.chosen_variant(args[0], args[1])
        code = {"reward code": variant.code_digest}
        start = begin("grpo", *args, preflight=lambda *args: None, extra=lambda: code)
        start.stage.finish({})
        """
    )
    words = ["--reward", f"{path}:my_reward", "--tracks", str(tiny_data / "ground.jsonl"), "--prompts", "tiny"]
    words += ["--model_name_or_path", str(tiny_base), "--output_dir", str(tmp_path / "out"), "--use_cpu", "true"]
    words += ["--video_root", str(tiny_data / "videos"), "--bf16", "false", "--report_to", "none"]

    def stage():
        return forked.run([sys.executable, "-c", code, *words], capture_output=True)

    path.write_text(OWN)
    assert stage().returncode == 0
    path.write_text(OWN.replace("'Pay for a short answer.'", "'Pay.'"))
    assert "is up to date" in stage().stderr, "a docstring is no reward"
    path.write_text(OWN.replace("1 + len", "2 + len"))
    assert "reward code (other content)" in stage().stderr


# --- the page's own example ---------------------------------------------------------------------------------------


def test_the_pages_reward_trains(tiny_data, tiny_base, tmp_path, capsys):
    page = Path("docs/recipes.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "rewards.py"
    path.write_text(source)
    answer = '{"2": [{"label": "cat-1", "bbox_2d": [0, 0, 500, 250]}]}'
    (function,) = reward_functions(f"{path}:early_reward")
    assert function(completions=[answer] * 3, span=[[2, 4], [1, 2], None], seconds=[8] * 3) == [1.0, 0.0, None]
    options = COMMON | {
        "model_name_or_path": tiny_base, "tracks": tiny_data / "ground.jsonl", "prompts": "tiny", "dtype": "float32",
        "video_root": tiny_data / "videos", "max_frame_pixels": 2304, "num_generations": 2, "max_steps": 2,
        "per_device_train_batch_size": 2, "max_completion_length": 8, "logging_steps": 1, "seed": 3,
        "output_dir": tmp_path / "tiny" / "grpo-$VARIANT-s$SEED",
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    words += ["--reward", "tiou_mviou", f"{path}:early_reward", "--reward_weights", "1", "1", "0.5"]
    grpo.main(*grpo.parse(words))
    folder = tmp_path / "tiny" / "grpo-tiou+mviou+early_reward-1-1-0.5-s3"
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    assert {"rewards/early_reward/mean", "rewards/tiou_reward/mean", "vIoU", "parse_rate"} <= history[0].keys()
    stamp = json.loads((folder / "stamp.json").read_text())
    assert stamp["settings"]["variant"] == "tiou+mviou+early_reward-1-1-0.5"
    assert stamp["beside"]["reward"] == ["tiou_mviou", f"{path}:early_reward"]
    capsys.readouterr()
    grpo.main(*grpo.parse(words))
    assert "is up to date" in capsys.readouterr().err
    path.unlink()  # and a page reads a run whose reward is gone
    assert (read_run(folder).variant, read_run(folder).seed) == ("tiou+mviou+early_reward-1-1-0.5", "3")
